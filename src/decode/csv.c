/*
 * csv.c — CSV records: where one ends, and its fields.
 */
#include <string.h>

#include "csv.h"
#include "value.h"

#define BOM "\xef\xbb\xbf"
#define BOM_LEN 3

static size_t
bom_length(const char *p, size_t len)
{
	return len >= BOM_LEN && memcmp(p, BOM, BOM_LEN) == 0 ? BOM_LEN : 0;
}

/* Length of the first line with its LF; without one in sight, all there is at the end, else 0. */
static size_t
first_line(const char *p, size_t len, bool at_end, size_t *line_ends)
{
	const char *lf = memchr(p, '\n', len);

	*line_ends = lf != NULL;
	if (lf != NULL)
		return lf - p + 1;
	return at_end ? len : 0;
}

static size_t
count_line_ends(const char *p, size_t len)
{
	const char *end = p + len;
	size_t n = 0;

	while (p < end && (p = memchr(p, '\n', end - p)) != NULL)
	{
		n++;
		p++;
	}
	return n;
}

/* Position after the quoted field whose quote is at i; beyond len when its end is not in sight. */
static size_t
skip_quoted(char quote, const char *p, size_t i, size_t len)
{
	for (i++; i < len; i++)
	{
		const char *q = memchr(p + i, quote, len - i);

		if (q == NULL)
			return len + 1;
		i = q - p + 1;
		if (i == len || p[i] != quote)
			return i;
	}
	return len + 1;
}

typedef enum RecordEnd
{
	FOUND,
	MORE_NEEDED,
	MALFORMED
} RecordEnd;

/* Follows quotes from field to field to the record's line end, or to the end of all. */
static RecordEnd
find_end(const TxdCsvOptions *csv, const char *p, size_t len, bool at_end, size_t *end)
{
	size_t i = bom_length(p, len);

	for (; i < len; i++)
	{
		if (p[i] == csv->quote)
		{
			i = skip_quoted(csv->quote, p, i, len);
			if (i > len)
				return at_end ? MALFORMED : MORE_NEEDED;
			if (i == len)
				break;
			if (p[i] == '\r' && i + 1 == len)
			{
				i = len;
				break;
			}
			if (p[i] == '\r' && p[i + 1] == '\n')
				i++;
			else if (p[i] != csv->delimiter && p[i] != '\n')
				return MALFORMED;
		}
		else
			while (i < len && p[i] != csv->delimiter && p[i] != '\n')
				i++;
		if (i < len && p[i] == '\n')
		{
			*end = i + 1;
			return FOUND;
		}
	}
	*end = len;
	return at_end ? FOUND : MORE_NEEDED;
}

size_t
txd_csv_record(const TxdCsvOptions *csv, const char *p, size_t len, bool at_end, size_t *line_ends)
{
	size_t line;
	size_t end = 0;

	*line_ends = 0;
	if (len == 0)
		return 0;
	line = first_line(p, len, at_end, line_ends);
	if (memchr(p, csv->quote, line > 0 ? line : len) == NULL)
		return line;
	switch (find_end(csv, p, len, at_end, &end))
	{
		case FOUND:
			*line_ends = count_line_ends(p, end);
			return end;
		case MALFORMED:
			return line;
		default:
			/* A quote that is never closed must not swallow the rest of a large file. */
			if (line > 0 && len > TXD_CSV_MAX_QUOTED)
				return line;
			*line_ends = 0;
			return 0;
	}
}

static TxdCsvField *
add_field(TxdCsvRecord *record)
{
	if (record->n == record->max)
	{
		record->max = record->max == 0 ? 32 : record->max * 2;
		record->fields = txd_realloc(record->fields, record->max * sizeof(TxdCsvField));
	}
	return &record->fields[record->n++];
}

/* Reads the quoted field that begins at p; returns where it ends, or NULL. */
static const char *
split_quoted(const TxdCsvOptions *csv, const char *p, const char *end, TxdCsvField *field,
			 TxdError *err)
{
	const char *q = p + 1;

	*field = (TxdCsvField){q, 0, true, false};
	for (;;)
	{
		q = memchr(q, csv->quote, end - q);
		if (q == NULL)
		{
			txd_refuse(err, "bad_csv", NULL, "quoted field is never closed");
			return NULL;
		}
		if (q + 1 == end || q[1] != csv->quote)
			break;
		field->doubled = true;
		q += 2;
	}
	field->len = q - field->text;
	q++;
	if (q < end && *q != csv->delimiter)
	{
		txd_refuse(err, "bad_csv", NULL,
				   *q == '\n' || *q == '\r' ? "more than one record"
											: "text after a closing quote");
		return NULL;
	}
	return q;
}

bool
txd_csv_split(const TxdCsvOptions *csv, const char *p, size_t len, TxdCsvRecord *record,
			  TxdError *err)
{
	const char *end = p + len;

	record->n = 0;
	if (end > p && end[-1] == '\n')
		end--;
	if (end > p && end[-1] == '\r')
		end--;
	p += bom_length(p, end - p);
	for (;; p++)
	{
		TxdCsvField *field = add_field(record);

		if (p < end && *p == csv->quote)
		{
			p = split_quoted(csv, p, end, field, err);
			if (p == NULL)
				return false;
		}
		else
		{
			*field = (TxdCsvField){p, 0, false, false};
			for (; p < end && *p != csv->delimiter; p++)
				if (*p == '\n')
					return txd_refuse(err, "bad_csv", NULL, "more than one record");
			field->len = p - field->text;
		}
		if (p == end)
			return true;
	}
}

const char *
txd_csv_text(const TxdCsvField *field, char quote, TxdBuf *scratch, size_t *len)
{
	const char *from = field->text;
	const char *end = from + field->len;
	char *text;
	char *to;

	*len = field->len;
	if (!field->doubled)
		return from;
	text = to = txd_buf_reserve(scratch, field->len);
	while (from < end)
	{
		char c = *from++;

		if (c == quote)
			from++;
		*to++ = c;
	}
	*len = to - text;
	scratch->len += *len;
	return text;
}
