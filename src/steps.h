/*
 * steps.h — user SQL over a batch: each step is one statement that sees the batch's rows as the relation
 * `batch`, as triggers see transition tables.
 */
#ifndef TXP_STEPS_H
#define TXP_STEPS_H

#include "postgres.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"
#include "utils/tuplestore.h"

#include "moves.h"
#include "rowreader.h"

/* What a step sees its rows as. */
#define TXP_BATCH_NAME "batch"

typedef struct TxpStep
{
	char *name;
	char *sql;
	const List *trusted; /* whose code it may run, see trust.h */
	bool fills_target;   /* our own INSERT: rows that a trigger drops count as filtered */
} TxpStep;

typedef enum TxpOutcome
{
	TXP_DUPLICATE,
	TXP_FILTERED,
	TXP_SUPERSEDED,
	TXP_REJECTED,
	TXP_WARNING, /* the line stays in the batch */
	TXP_NOUTCOMES
} TxpOutcome;

typedef struct TxpWarned
{
	char *code;
	uint64 rows;
} TxpWarned;

/* What became of rows that were not loaded, and what was noticed about the others. */
typedef struct TxpOutcomes
{
	uint64 count[TXP_NOUTCOMES];
	List *rejected;            /* of TxpRefusal */
	List *warned;              /* of TxpWarned */
	uint8 *fate;               /* per row from the first: 0, or outcome + 1 */
	int64 moved[TXP_NSIDES];   /* by how much the counts of earlier lines of the file change */
	const TxpStep *last_mover; /* step that moved such lines, or NULL */
} TxpOutcomes;

extern const char *txp_outcome_name(TxpOutcome outcome);

/* Makes the rows visible to SQL of the present SPI connection as the relation `batch`. */
extern void txp_batch_register(TupleDesc desc, Tuplestorestate *store, uint32 count);

/*
 * Runs the steps, in order, over rows first … first + count - 1 except those in `skip`, with the rights of
 * the current user. `line_column` is the plan's column line_no (from 0), `file_id` the file they are of. A
 * step that returns rows names lines: (line_no bigint, outcome text, code text, message text, column_name text).
 * They leave the batch unless the outcome is warning. With a sixth column, file_id bigint, that is not NULL
 * the row is about a line that was accounted for before, of another loaded file of the same owner or of an
 * earlier batch of this one: outcome is what it is now, code what it was, and the ledger's counts move.
 * Fills `outcomes`, in the current memory context. Needs a snapshot.
 */
extern void txp_steps_run(const List *steps, const TxpRowPlan *plan, TxpRowReader *reader,
						  TxpRows *rows, int line_column, int64 file_id, uint32 first, uint32 count,
						  const Bitmapset *skip, TxpOutcomes *outcomes);

/* Runs a step that sees no relation, with the rights of the current user. Needs a snapshot. */
extern void txp_step_execute(const TxpStep *step);

/* A file as the relation `loaded` or `unloaded` shows it. */
typedef struct TxpStepFile
{
	int64 file_id;
	const char *group_key;
} TxpStepFile;

/*
 * Runs steps that concern whole files, in order, over the relation `name` (file_id bigint, group_key text, job text: the
 * call they run in), which has a row for each of `files` (of TxpStepFile), with the rights of the current user. They return rows with six
 * columns about lines of other files, or none.
 */
extern void txp_steps_files(const List *steps, const char *name, const List *files);

#endif
