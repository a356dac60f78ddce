/*
 * history.h — what each batch was and how long its stages took: txpipe.batch_history.
 */
#ifndef TXP_HISTORY_H
#define TXP_HISTORY_H

#include "postgres.h"

#include "batch_read.h"
#include "link.h"

/* When the stages ended, in microseconds of CLOCK_MONOTONIC. */
typedef struct TxpBatchTimes
{
	int64 taken_us; /* the worker took it up */
	int64 locked_us;
	int64 written_us;
} TxpBatchTimes;

/* Records the batch in its own transaction. A small one adds to the row of those before it in the same
 * second, unless the stream has a budget, which counts by time. */
extern void txp_history_add(TxpLink *link, const TxpBatch *batch, int64 refused,
							const TxpBatchTimes *times);

#endif
