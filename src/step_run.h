/*
 * step_run.h — a batch of a stream that has steps: they and the insert into the target, in order, in one piece.
 */
#ifndef TXP_STEP_RUN_H
#define TXP_STEP_RUN_H

#include "postgres.h"
#include "utils/relcache.h"

#include "batch_read.h"
#include "link.h"

/*
 * Writes the rows and runs the steps as the current user, the stream's owner, and counts what they did. Refused
 * rows as in txp_batch_insert. When a step stops the stream all is undone, and the reason returned; else NULL.
 */
extern char *txp_steps_write(const TxpLink *link, Relation target, const TxpBatch *batch,
							 List **refusals);

/*
 * Do the steps work with the stream's batches, as its owner? ERRORs unless: syntax, names, privileges to look them
 * up. Only the step of that name, or all with NULL.
 */
extern void txp_steps_check(const TxpLink *link, const char *name);

#endif
