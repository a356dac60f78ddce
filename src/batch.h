/*
 * batch.h — one batch of a stream: rows, dead letters and offsets in one transaction.
 */
#ifndef TXP_BATCH_H
#define TXP_BATCH_H

#include "postgres.h"

#include "batch_read.h"
#include "link.h"

typedef enum TxpBatchResult
{
	TXP_BATCH_WRITTEN, /* all is in the transaction, which may be committed */
	TXP_BATCH_ACTED,   /* a policy has acted instead: commit that, and open the stream anew */
	TXP_BATCH_STALE,   /* the target has another shape now: open the stream anew */
	TXP_BATCH_CONFLICT, /* somebody else moves these offsets, or the stream was paused: read them anew */
} TxpBatchResult;

/*
 * Writes the batch in the current transaction: locks and compares offsets, inserts the rows as the owner,
 * stores dead letters, moves the offsets. With a raw batch rows that PostgreSQL refuses become dead letters;
 * otherwise they are an error (txp_error_is_of_rows), and the batch is to be asked for again, raw.
 * With on_error = stop the batch is cut before the first of them, and the stream paused in the same transaction.
 * `states`: the stream's states in which it may be written, e.g. "running,error".
 */
extern TxpBatchResult txp_batch_write(TxpLink *link, TxpBatch *batch, const char *states);

/*
 * Only the rows, as the owner, with whatever constraints and triggers put off. Rows of a raw batch that
 * PostgreSQL refuses are left out and returned, a list of TxpRefusal in row order. With the steps of the stream: one
 * of them may have paused it (TXP_BATCH_ACTED).
 */
extern TxpBatchResult txp_batch_insert(const TxpLink *link, const TxpBatch *batch, List **refusals);

#endif
