/*
 * records.c — where one record of a file ends and the next begins.
 */
#include <string.h>

#include "records.h"

size_t
txp_record_length(const TxdCsvOptions *csv, const char *p, size_t len, bool at_end,
				  size_t *line_ends)
{
	const char *end;

	if (len == 0)
		return 0;
	if (csv != NULL)
		return txd_csv_record(csv, p, len, at_end, line_ends);
	end = memchr(p, '\n', len);
	*line_ends = end != NULL;
	if (end != NULL)
		return (size_t) (end - p) + 1;
	return at_end ? len : 0;
}

size_t
txp_without_line_end(const char *p, size_t len)
{
	if (len > 0 && p[len - 1] == '\n')
		len--;
	if (len > 0 && p[len - 1] == '\r')
		len--;
	return len;
}
