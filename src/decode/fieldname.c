/*
 * fieldname.c — names of fields against names of columns.
 */
#include <string.h>

#include "fieldname.h"

static char
fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char) (c | 0x20) : c;
}

static bool
is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool
is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool
folded_equal(const char *field, size_t len, const char *column)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (fold(field[i]) != fold(column[i]) || column[i] == '\0')
			return false;
	return column[len] == '\0';
}

/* Does a word of camelCase begin here? */
static bool
starts_word(const char *field, size_t len, size_t i)
{
	char before;

	if (i == 0 || !is_upper(field[i]))
		return false;
	before = field[i - 1];
	return is_lower(before) || (before >= '0' && before <= '9') ||
		   (is_upper(before) && i + 1 < len && is_lower(field[i + 1]));
}

static bool
snake_equal(const char *field, size_t len, const char *column)
{
	size_t i;

	for (i = 0; i < len; i++)
	{
		if (starts_word(field, len, i) && *column++ != '_')
			return false;
		if (*column == '\0' || fold(field[i]) != fold(*column))
			return false;
		column++;
	}
	return *column == '\0';
}

TxdNameMatch
txd_name_match(const char *field, size_t len, const char *column)
{
	if (len == strlen(column) && memcmp(field, column, len) == 0)
		return TXD_NAME_EXACT;
	if (folded_equal(field, len, column))
		return TXD_NAME_FOLDED;
	return snake_equal(field, len, column) ? TXD_NAME_SNAKE : TXD_NAME_NONE;
}

size_t
txd_first_name(const char *path)
{
	size_t len = 0;

	while (path[len] != '\0' && !txd_path_goes_on(path[len]))
		len += path[len] == '\\' && path[len + 1] != '\0' ? 2 : 1;
	return len;
}

void
txd_snake_case(const char *path, char *out)
{
	size_t len = strlen(path);
	size_t i;

	for (i = 0; i < len; i++)
	{
		if (path[i] == '\\' && i + 1 < len)
			i++;
		else if (path[i] == '.' || path[i] == '[')
		{
			*out++ = '_';
			continue;
		}
		else if (path[i] == ']')
			continue;
		if (starts_word(path, len, i))
			*out++ = '_';
		*out++ = fold(path[i]);
	}
	*out = '\0';
}

bool
txd_path_is_name(const char *path)
{
	for (; *path != '\0'; path++)
	{
		if (txd_path_goes_on(*path))
			return false;
		if (*path == '\\' && path[1] != '\0')
			path++;
	}
	return true;
}
