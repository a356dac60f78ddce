/*
 * history.h — what each batch was and how long its stages took: txpipe.batch_history.
 */
#ifndef TXP_HISTORY_H
#define TXP_HISTORY_H

#include "postgres.h"

#include "batch_read.h"

/* When the stages ended, in microseconds of CLOCK_MONOTONIC. */
typedef struct TxpBatchTimes
{
	int64 taken_us; /* the worker took it up */
	int64 locked_us;
	int64 written_us;
} TxpBatchTimes;

/* Adds the batch's record in its own transaction; commit_us: of the batch before, -1: there was none. */
extern void txp_history_add(int32 stream_id, uint32 part, const TxpBatch *batch, int64 refused,
							const TxpBatchTimes *times, int64 commit_us);

#endif
