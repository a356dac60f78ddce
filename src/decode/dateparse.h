/*
 * dateparse.h — the syntax of dates and times.
 */
#ifndef TXD_DATEPARSE_H
#define TXD_DATEPARSE_H

#include "decode.h"

typedef enum TxdParse
{
	TXD_PARSE_OK,
	TXD_PARSE_BAD,   /* not in the accepted syntax */
	TXD_PARSE_RANGE, /* a part beyond its range: month 13, 30 February, 24:00:01 */
	TXD_PARSE_EXCESS /* more than nine digits of a second */
} TxdParse;

typedef struct TxdMoment
{
	int infinite; /* -1, 1: -infinity and infinity, nothing else is set then */
	bool has_time;
	bool has_zone;
	int64_t days; /* since 2000-01-01 */
	int64_t us;   /* of the day, 0 to 86400000000 */
	int digits;   /* of the second's fraction, without trailing zeros */
	int32_t zone; /* seconds east of UTC */
} TxdMoment;

/* Reads `date [T time [zone]]`, or with want_date false `time [zone]`; outer white space is allowed. */
extern TxdParse txd_parse_moment(const char *text, size_t len, bool want_date, TxdMoment *moment);

#endif
