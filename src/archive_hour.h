/*
 * archive_hour.h — an hour of a stream's archive becomes Parquet files.
 */
#ifndef TXP_ARCHIVE_HOUR_H
#define TXP_ARCHIVE_HOUR_H

#include "postgres.h"
#include "utils/timestamp.h"

/* An hour that has rows. */
typedef struct TxpArchiveDue
{
	int32 stream_id;
	char *stream;
	Oid owner;
	char *owner_name;
	TimestampTz hour;
	bool is_over;
} TxpArchiveDue;

/*
 * Writes it, and adds to `rows` how many it has. Returns the path of its manifest; NULL: a transaction that has rows for it is still
 * open, perhaps this one, or another call is at work.
 */
extern char *txp_archive_write_hour(const TxpArchiveDue *due, int64 *rows);

/* A stream that is gone needs no shapes but those of rows that wait. */
extern void txp_archive_forget(int32 stream_id);

#endif
