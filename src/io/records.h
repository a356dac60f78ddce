/*
 * records.h — where one record of a file ends and the next begins. Plain C without channels.
 */
#ifndef TXP_RECORDS_H
#define TXP_RECORDS_H

#include "../decode/decode.h"

#define TXP_BOM "\xef\xbb\xbf"
#define TXP_BOM_LEN 3

/* More of one record than this is no record. */
#define TXP_MAX_RECORD (64u << 20)

/*
 * Length of the record at `p` with its line ends, 0 where more content is needed. csv NULL: each line is one. A line that
 * is empty is one, too, which who reads records leaves out.
 */
extern size_t txp_record_length(const TxdCsvOptions *csv, const char *p, size_t len, bool at_end,
								size_t *line_ends);

/* The same without its last line end. */
extern size_t txp_without_line_end(const char *p, size_t len);

#endif
