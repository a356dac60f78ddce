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
	uint32 topic; /* number within the channel */
	int32 partition;
	int64 from; /* covers from … next - 1 */
	int64 next;
	int64 end;         /* the partition's end as last heard, -1: unknown; files: size as stored */
	int64 last_offset; /* of the last record in it; -1: there is none */
	int64 last_timestamp_ms;
	int64 last_hash;
	int64 bytes; /* of keys and values; files: of `end`, read so far */
	uint32 rows;
	uint32 rejects;
} TxpRange;

typedef struct TxpMessage
{
	uint32 row_length; /* rows of a raw batch: bytes in the row block */
	uint32 topic;
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

/* A path that JSON messages of the batch had. */
typedef struct TxpField
{
	TxpSpan path;
	uint32 json_types; /* TxdJsonTypes */
	int64 count;
	uint32 first_topic;
	int32 first_partition;
	int64 first_offset;
	uint32 last_topic;
	int32 last_partition;
	int64 last_offset;
} TxpField;

typedef struct TxpBatch
{
	uint32 seq;
	bool stopped; /* ends before a message that could not be decoded: stopped_at */
	TxpMessage stopped_at;
	int64 bytes; /* of keys and values */
	int64 gather_us;
	int64 decode_us;
	int64 sent_us; /* CLOCK_MONOTONIC */
	uint32 nfields;
	TxpField *fields;
	uint32 nrows;
	uint32 nrejects;
	uint32 nranges;
	TxpRange *ranges;
	TxpSpan rows;
	TxpMessage *rejects;
	TxpMessage *raw; /* nrows of them in BATCH_RAW, else NULL */
} TxpBatch;

/* Bytes in the row block of each message of a raw batch; NULL: it is none. */
extern uint32 *txp_batch_lengths(const TxpBatch *batch);

/* Takes a frame apart. Allocates in the current memory context. */
extern void txp_batch_read(const TxpFrame *frame, TxpBatch *batch);

#endif
