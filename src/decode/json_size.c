/*
 * json_size.c — whether jsonb can hold a JSON text as far as size goes.
 *
 * The server's own answer would be an internal error for too many members, so it is told beforehand.
 * Sizes are upper bounds of what PostgreSQL 15 makes of the text (jsonb_util.c, numeric.c).
 */
#include <string.h>

#include "json.h"

#define MAX_BYTES 268435455 /* of any container, JENTRY_OFFLENMASK */
#define MAX_ELEMENTS                                                                               \
	16777216 /* an array of more does not fit into one allocation while it is built */
#define MAX_PAIRS 8388608
#define ENTRY 4 /* a value's, name's or container's place in its parent */

/* The end of the string that begins after its quote at s. */
static const char *
string_end(const char *s)
{
	while (*s != '"')
		s += *s == '\\' ? 2 : 1;
	return s;
}

static const char *
scalar_end(const char *s, const char *end)
{
	while (s < end && strchr(",]} \t\r\n", *s) == NULL)
		s++;
	return s;
}

/* Bytes of a numeric of n characters: header, four digits in two bytes, alignment. */
static size_t
numeric_size(size_t n)
{
	return ((n > 100 ? 8 : 6) + 2 * ((n + 6) / 4) + 3) & ~(size_t) 3;
}

bool
txd_json_fits(const char *s, size_t len)
{
	const char *end = s + len;
	size_t members[TXD_JSON_DEPTH + 1] = {0};
	size_t most[TXD_JSON_DEPTH + 1] = {0};
	size_t total = 0;
	int level = 0;

	while (s < end && total <= MAX_BYTES)
	{
		const char *from = s++;

		if (*from == '"')
		{
			s = string_end(s);
			total += ENTRY + (size_t) (s - from - 1);
			s++;
		}
		else if (*from == '{' || *from == '[')
		{
			members[++level] = 1;
			most[level] = *from == '{' ? MAX_PAIRS : MAX_ELEMENTS;
			total += 2 * ENTRY;
		}
		else if (*from == '}' || *from == ']')
			level--;
		else if (*from == ',' && ++members[level] > most[level])
			return false;
		else if (*from == '-' || (*from >= 'a' && *from <= 'z') || (*from >= '0' && *from <= '9'))
		{
			s = scalar_end(s, end);
			total += ENTRY + numeric_size((size_t) (s - from));
		}
	}
	return total <= MAX_BYTES;
}
