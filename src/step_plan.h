/*
 * step_plan.h — the kept plan of a stream's step, and which columns of `batch` it looks at.
 *
 * All as the current user, the stream's owner.
 */
#ifndef TXP_STEP_PLAN_H
#define TXP_STEP_PLAN_H

#include "postgres.h"
#include "access/tupdesc.h"
#include "nodes/bitmapset.h"
#include "utils/tuplestore.h"

#include "stream_steps.h"

/*
 * Plans the step for so many rows, unless its plan still fits. Within an SPI connection in which `batch` is
 * registered.
 */
extern void txp_step_plan(TxpStreamStep *step, uint32 count);

/* Registers `batch` for it; a store that is NULL will do for planning. */
extern void txp_step_register(TupleDesc desc, Tuplestorestate *store, uint32 count);

/* Columns of `batch`, from 0, that the planned step looks at. */
extern Bitmapset *txp_step_needs(const TxpStreamStep *step, int ncolumns);

/* Those that any of the steps looks at; a step that cannot be planned may look at all of them. */
extern Bitmapset *txp_steps_needs(const List *steps, TupleDesc desc);

/*
 * After the planned step was run: has it been planned anew meanwhile, because its tables have changed, and looks
 * at others than these now?
 */
extern bool txp_step_needs_more(TxpStreamStep *step, int ncolumns, const Bitmapset *needs);

#endif
