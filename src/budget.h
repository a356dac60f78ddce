/*
 * budget.h — how many dead letters a stream may have before it is paused.
 */
#ifndef TXP_BUDGET_H
#define TXP_BUDGET_H

#include "batch_read.h"
#include "link.h"

/*
 * After the batch's dead letters and its history have been written: pauses the stream in the same transaction
 * when they exceed error_budget, error_ratio, refused_budget, refused_ratio or dead_letter_max_bytes. The batch
 * stays. Budgets count from the last resume_stream at the earliest.
 */
static inline bool
txp_budget_is_set(const TxpStream *stream)
{
	return stream->error_budget != 0 || stream->error_ratio != 0;
}

extern void txp_budget_spend(TxpLink *link, const TxpBatch *batch, List *refusals);

#endif
