/*
 * batch.h — one batch of a stream: rows, dead letters and offsets in one transaction.
 */
#ifndef TXP_BATCH_H
#define TXP_BATCH_H

#include "postgres.h"

#include "io_client.h"
#include "link.h"

/* What a BATCH or BATCH_RAW frame holds; spans point into the frame. */
typedef struct TxpRange
{
	int32 partition;
	int64 from; /* covers from … next - 1 */
	int64 next;
	int64 end; /* the partition's end as last heard, -1: unknown */
	int64 last_timestamp_ms;
	uint32 rows;
	uint32 rejects;
} TxpRange;

typedef struct TxpMessage
{
	uint32 row_length; /* rows of a raw batch: bytes in the row block */
	int32 partition;
	int64 offset; /* files: line */
	int64 timestamp_ms;
	TxpSpan key;
	TxpSpan headers;
	TxpSpan payload;
	TxpSpan code; /* rejects only, as the next two */
	TxpSpan message;
	TxpSpan column;
} TxpMessage;

typedef struct TxpBatch
{
	uint32 seq;
	uint32 nrows;
	uint32 nrejects;
	uint32 nranges;
	TxpRange *ranges;
	TxpSpan rows;
	TxpMessage *rejects;
	TxpMessage *raw; /* nrows of them in BATCH_RAW, else NULL */
} TxpBatch;

/* Takes a frame apart. Allocates in the current memory context. */
extern void txp_batch_read(const TxpFrame *frame, TxpBatch *batch);

typedef enum TxpBatchResult
{
	TXP_BATCH_WRITTEN, /* all is in the transaction, which may be committed */
	TXP_BATCH_STALE,   /* the target has another shape now: open the stream anew */
	TXP_BATCH_CONFLICT, /* somebody else moves these offsets, or the stream was paused: read them anew */
} TxpBatchResult;

/*
 * Writes the batch in the current transaction: locks and compares offsets, inserts the rows as the owner,
 * stores dead letters, moves the offsets. With a raw batch rows that PostgreSQL refuses become dead letters;
 * otherwise they are an error (txp_error_is_of_rows), and the batch is to be asked for again, raw.
 * `states`: the stream's states in which it may be written, e.g. "running,error".
 */
extern TxpBatchResult txp_batch_write(TxpLink *link, const TxpBatch *batch, const char *states);

/* Stores the ends of partitions told by an ENDS frame. */
extern void txp_batch_store_ends(TxpLink *link, const TxpFrame *ends);

#endif
