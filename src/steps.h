/*
 * steps.h — user SQL over a batch: each step is one statement that sees the batch's rows as the relation
 * `batch`, as triggers see transition tables.
 *
 * A statement is planned anew for every batch. That costs a millisecond or so, and the plan fits the
 * number of rows at hand and the present size of the tables; a kept plan is stuck with those of the first
 * batch, when the tables may have been empty.
 */
#ifndef TXP_STEPS_H
#define TXP_STEPS_H

#include "postgres.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"

#include "rowreader.h"

typedef struct TxpStep
{
	char *name;
	char *sql;
	bool fills_target; /* our own INSERT: rows that a trigger drops count as filtered */
} TxpStep;

typedef enum TxpOutcome
{
	TXP_DUPLICATE,
	TXP_FILTERED,
	TXP_SUPERSEDED,
	TXP_REJECTED,
	TXP_NOUTCOMES
} TxpOutcome;

/* What became of rows that were not loaded. */
typedef struct TxpOutcomes
{
	uint64 count[TXP_NOUTCOMES];
	List *rejected; /* of TxpRefusal */
} TxpOutcomes;

/* Is it one statement that can be a step? ERRORs otherwise. Nothing but its grammar is checked. */
extern void txp_step_check(const char *step, const char *sql);

/*
 * Runs the steps, in order, over rows first … first + count - 1 except those in `skip`, with the rights of
 * the current user. `line_column` is the plan's column line_no (from 0). A step that returns rows names
 * lines that leave the batch: (line_no bigint, outcome text, code text, message text, column_name text).
 * Fills `outcomes`, in the current memory context. Needs a snapshot.
 */
extern void txp_steps_run(const List *steps, const TxpRowPlan *plan, TxpRowReader *reader,
						  TxpRows *rows, int line_column, uint32 first, uint32 count,
						  const Bitmapset *skip, TxpOutcomes *outcomes);

#endif
