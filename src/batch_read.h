/*
 * batch_read.h — BATCH and BATCH_RAW frames, taken apart.
 */
#ifndef TXP_BATCH_READ_H
#define TXP_BATCH_READ_H

#include "postgres.h"

#include "io_client.h"

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

#endif
