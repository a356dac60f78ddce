/*
 * sample.h — some messages of a topic, raw and decoded, without a trace: nothing is committed anywhere.
 *
 * peek, test_stream, the inference of tables and the checks of create_stream are made of it.
 */
#ifndef TXP_SAMPLE_H
#define TXP_SAMPLE_H

#include "postgres.h"
#include "nodes/pg_list.h"

#include "batch_read.h"
#include "io_client.h"
#include "offsets.h"
#include "rowplan.h"
#include "stream.h"

typedef struct TxpSampled
{
	TxpMessage m;    /* code is set where it could not become a row */
	const char *row; /* m.row_length bytes in the plan's form; NULL: refused */
} TxpSampled;

typedef struct TxpSample
{
	TxpPartitions parts; /* what the brokers said at the beginning */
	uint32 n;
	TxpSampled *messages; /* ordered by topic, partition, offset */
	uint32 nrows;         /* how many of them became rows */
	List *fields;         /* paths (char *) that JSON messages had, where the plan tracks fields */
} TxpSample;

/* How the sample is taken. */
typedef struct TxpSampleWish
{
	uint32 max_messages; /* shared out over the partitions */
	int64 max_bytes;     /* of keys and values, after which the sample ends; 0: no limit */
	int timeout_ms;      /* after the brokers' first answer: what is there then is the sample */
	bool newest;         /* begin so far before the ends, not at start_at */
} TxpSampleWish;

/* A stream that was never defined: the current user's, reading `topic` of `server` from `start_at`. */
extern TxpStream *txp_sample_stream(const char *server, const char *topic, const char *start_at);

/* A plan for messages as they are: every one of them becomes a row but tombstones. */
extern TxpRowPlan *txp_sample_raw_plan(void);

/*
 * Reads up to the ends the partitions had at the beginning, in a channel of its own of the child, decoded by
 * `plan`. Waits, interruptibly, for the brokers' first answer as long as opening a stream does. ERRORs as
 * opening a stream does. The sample is allocated in the current memory context.
 */
extern TxpSample *txp_sample_take(TxpIo *io, const TxpStream *stream, const TxpRowPlan *plan,
								  const TxpSampleWish *wish);

#endif
