/*
 * step_run.c — a batch of a stream that has steps or an archive.
 *
 * The rows are read once into a tuplestore, which every step sees as the relation `batch`. The insert into the
 * target is COPY or the upsert, as without steps, of the columns that are the target's.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "io/clock.h"
#include "error_class.h"
#include "isolate.h"
#include "rights.h"
#include "sink.h"
#include "step_check.h"
#include "step_plan.h"
#include "step_run.h"
#include "steps.h"
#include "transaction.h"
#include "trust.h"

/* A batch is bounded in bytes already; its tuples should not go to disk in between. */
#define STORE_KB (64 * 1024)

typedef struct StepRun
{
	const TxpLink *link;
	Relation target;
	const TxpBatch *batch;
	List *refusals; /* of the batch */
	TxpRows rows;
	Tuplestorestate *store;       /* `batch` */
	uint32 count;                 /* rows in it */
	bool in_pieces;               /* refused rows are being searched */
	const TxpStreamStep *stopped; /* by this step's policy */
	const TxpStreamStep *failed;  /* the present try of some rows, for a reason that rows cause */
	MemoryContext context;        /* of the batch */
} StepRun;

/* --- one statement --- */

static bool
ignore_row(TupleTableSlot *slot, DestReceiver *self)
{
	return true;
}

static void
ignore_startup(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
ignore_end(DestReceiver *self)
{
}

/* SPI's own way of ignoring rows tells a SELECT from a utility statement no more. */
static DestReceiver ignore_rows = {ignore_row, ignore_startup, ignore_end, ignore_end,
								   DestTuplestore};

/* Its tables have changed: rows are read without what it looks at now. The stream is opened anew. */
static void
check_needs(const StepRun *run, TxpStreamStep *step)
{
	if (txp_step_needs_more(step, run->link->plan->desc->natts, run->link->needs))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("tables of the step were changed meanwhile"), errhint("Call again.")));
}

static uint64
execute(StepRun *run, TxpStreamStep *step)
{
	DestReceiver *dest = step->rule ? NULL : &ignore_rows;
	uint64 processed;

	if (step->rule)
		txp_alerts_lock(step->rule);
	SPI_connect();
	txp_step_register(run->link->plan->desc, run->store, run->count);
	txp_step_plan(step, run->count);
	txp_step_check_code(step->name, txp_trust_execute(step->kept.plan, step->trusted, dest));
	processed = SPI_processed;
	check_needs(run, step);
	if (step->rule)
		txp_alerts_take(run->link->stream, step->rule, SPI_tuptable, processed);
	SPI_finish();
	return processed;
}

/* --- errors --- */

/* Functions, views and the like see tables only. */
static void
explain_missing_batch(ErrorData *error)
{
	if (error->sqlerrcode == ERRCODE_UNDEFINED_TABLE && error->hint == NULL &&
		strstr(error->message, "\"" TXP_BATCH_NAME "\"") != NULL)
		error->hint = pstrdup("The relation \"" TXP_BATCH_NAME "\" is seen by the statement of the "
							  "step itself, not by functions it calls: pass them values, or arrays "
							  "made with array_agg.");
}

static void
mend_error(const StepRun *run, ErrorData *error)
{
	explain_missing_batch(error);
	if (run->link->plan->encrypts)
		txp_error_hide_values(error);
}

/* Takes the error out of PG_CATCH, in the batch's memory. */
static ErrorData *
take_error(StepRun *run)
{
	ErrorData *error;

	MemoryContextSwitchTo(run->context);
	error = CopyErrorData();
	FlushErrorState();
	mend_error(run, error);
	return error;
}

static char *
describe(const ErrorData *error)
{
	return psprintf("%s: %s%s%s", unpack_sql_state(error->sqlerrcode), error->message,
					error->detail ? ": " : "", error->detail ? error->detail : "");
}

/* Raises the error anew, with the step's name; one that stops the stream is not to be taken for a row's. */
static void
raise_error(StepRun *run, TxpStreamStep *step, ErrorData *error)
{
	if (txp_error_is_of_rows(error->sqlerrcode))
	{
		step->count.error = describe(error);
		if (step->on_error == TXP_STEP_STOP && !run->link->replay)
		{
			run->stopped = step;
			error->sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
		}
		else
			run->failed = step;
	}
	error->message = psprintf("step \"%s\": %s", step->name, error->message);
	ReThrowError(error);
}

typedef struct Execution
{
	StepRun *run;
	TxpStreamStep *step;
	uint64 processed;
} Execution;

/* Ends with the deferred constraints, so that all it does is undone with it. */
static bool
execute_to_keep(void *arg)
{
	Execution *execution = arg;

	execution->processed = execute(execution->run, execution->step);
	txp_sink_fire_deferred();
	txp_sink_defer();
	return true;
}

static uint64
execute_or_skip(StepRun *run, TxpStreamStep *step)
{
	Execution execution = {run, step};
	MemoryContext context;
	ErrorData *error;

	txp_sink_fire_deferred();
	txp_sink_defer();
	error = txp_subtransaction_try(execute_to_keep, &execution, run->context);
	if (error == NULL)
		return execution.processed;
	/* What is noted of an error outlives this try. */
	context = MemoryContextSwitchTo(run->context);
	mend_error(run, error);
	if (!txp_error_is_of_statement(error->sqlerrcode))
		raise_error(run, step, error);
	step->count.errors++;
	step->count.error = describe(error);
	MemoryContextSwitchTo(context);
	return 0;
}

static uint64
execute_or_raise(StepRun *run, TxpStreamStep *step)
{
	volatile uint64 processed = 0;

	PG_TRY();
	{
		processed = execute(run, step);
	}
	PG_CATCH();
	{
		raise_error(run, step, take_error(run));
	}
	PG_END_TRY();
	return processed;
}

static void
run_step(StepRun *run, TxpStreamStep *step)
{
	int nest_level = NewGUCNestLevel();
	int64 begun_us = txp_now_us();

	CHECK_FOR_INTERRUPTS();
	step->count.calls++;
	if (step->on_error == TXP_STEP_SKIP)
		step->count.rows += execute_or_skip(run, step);
	else
		step->count.rows += execute_or_raise(run, step);
	step->count.us += txp_now_us() - begun_us;
	/* Settings that the step has changed are not the next one's. */
	AtEOXact_GUC(false, nest_level);
}

/* --- a batch --- */

static void
insert_rows(StepRun *run, uint32 first, uint32 count, const Bitmapset *skip)
{
	const TxpLink *link = run->link;
	const char *rows;
	size_t len;

	if (link->upsert)
	{
		rows = txp_rows_bytes(&run->rows, first, count, skip, &len);
		(void) txp_upsert_rows(link->upsert, run->target, rows, len, run->count, NULL);
		return;
	}
	rows = txp_rows_head(link->plan, &run->rows, first, count, skip, &len);
	(void) txp_sink_copy(run->target, link->plan, rows, len);
}

static void
run_all(StepRun *run, uint32 first, uint32 count, const Bitmapset *skip)
{
	bool inserted = false;
	ListCell *lc;

	foreach (lc, run->link->steps)
	{
		TxpStreamStep *step = lfirst(lc);

		if (!inserted && (step->ordinal > 0 || step->rule != NULL))
			insert_rows(run, first, count, skip);
		inserted |= step->ordinal >= 0 || step->rule != NULL;
		run_step(run, step);
	}
	if (!inserted)
		insert_rows(run, first, count, skip);
}

static TxpStepCount *
save_counts(const StepRun *run)
{
	TxpStepCount *counts = palloc(sizeof(TxpStepCount) * list_length(run->link->steps));
	ListCell *lc;

	foreach (lc, run->link->steps)
		counts[foreach_current_index(lc)] = ((TxpStreamStep *) lfirst(lc))->count;
	return counts;
}

/* Of a try that is undone only the time counts, and, when it was of a single message, the error. */
static void
restore_counts(StepRun *run, const TxpStepCount *counts, bool single)
{
	ListCell *lc;

	foreach (lc, run->link->steps)
	{
		TxpStreamStep *step = lfirst(lc);
		const TxpStepCount *before = &counts[foreach_current_index(lc)];
		bool refused = step == run->stopped || (step == run->failed && single);

		step->count.calls = before->calls;
		step->count.rows = before->rows;
		step->count.errors = before->errors + (refused ? 1 : 0);
		if (!refused)
			step->count.error = before->error;
	}
}

/* `single`: they are one message's. */
static void
apply_rows(StepRun *run, uint32 first, uint32 count, bool single, const Bitmapset *skip)
{
	TxpStepCount *counts = save_counts(run);
	run->count = count - bms_num_members(skip);
	run->failed = NULL;
	/* The piece before has ended with them. */
	if (run->in_pieces)
		txp_sink_defer();
	run->store = tuplestore_begin_heap(false, false, STORE_KB);
	txp_rows_store(run->link->reader, &run->rows, first, count, skip, run->store);
	PG_TRY();
	{
		run_all(run, first, count, skip);
		if (run->link->archive != NULL)
			txp_archive_rows(run->link->archive, run->store);
	}
	PG_CATCH();
	{
		restore_counts(run, counts, single);
		PG_RE_THROW();
	}
	PG_END_TRY();
	tuplestore_end(run->store);
}

/* TxpApply, of messages. */
static void
apply(void *arg, uint32 first, uint32 count, const Bitmapset *skip)
{
	StepRun *run = arg;
	uint32 row = txp_rows_first(&run->rows, first);

	apply_rows(run, row, txp_rows_first(&run->rows, first + count) - row, count == 1, skip);
}

static void
forget_counts(const TxpLink *link)
{
	ListCell *lc;

	foreach (lc, link->steps)
		((TxpStreamStep *) lfirst(lc))->count = (TxpStepCount){0};
}

/*
 * What passed while refused rows were searched stays in the pieces it passed in: the whole can fail where its
 * halves pass, as with two rows of one key in INSERT … ON CONFLICT.
 */
static bool
write_all(void *arg)
{
	StepRun *run = arg;
	const TxpBatch *batch = run->batch;

	const TxpRowPlan *plan = run->link->plan;

	txp_rows_find_messages(plan, batch->rows.data, batch->rows.len, batch->nrows,
						   txp_batch_lengths(batch), &run->rows);
	if (batch->raw)
		run->refusals = txp_isolate_kept(batch->nrows, plan->rows != NULL,
										 run->link->stream->stop_on_error, apply, run);
	else
		apply(run, 0, run->rows.count, NULL);
	txp_sink_fire_deferred();
	return true;
}

char *
txp_steps_write(const TxpLink *link, Relation target, const TxpBatch *batch, List **refusals)
{
	StepRun run = {.link = link,
				   .target = target,
				   .batch = batch,
				   .in_pieces = batch->raw != NULL,
				   .context = CurrentMemoryContext};
	ErrorData *error;

	forget_counts(link);
	error = txp_subtransaction_try(write_all, &run, run.context);
	if (error != NULL && run.stopped == NULL)
	{
		mend_error(&run, error);
		ReThrowError(error);
	}
	*refusals = run.refusals;
	txp_stream_steps_count(link->stream->id, link->replay ? -1 : (int32) link->part, link->steps);
	if (run.stopped == NULL)
		return NULL;
	return psprintf("step \"%s\" failed, and its on_error is stop: %s", run.stopped->name,
					run.stopped->count.error);
}

static void
add_name(void *arg)
{
	errcontext("step \"%s\" of the stream", ((const TxpStreamStep *) arg)->name);
}

void
txp_steps_check(const TxpLink *link, const char *name)
{
	ErrorContextCallback context = {error_context_stack, add_name};
	TxpRights saved;
	ListCell *lc;

	txp_rights_owner(link->stream->owner, &saved);
	foreach (lc, link->steps)
	{
		TxpStreamStep *step = lfirst(lc);

		if (name != NULL && strcmp(step->name, name) != 0)
			continue;
		context.arg = step;
		error_context_stack = &context;
		SPI_connect();
		txp_step_register(link->plan->desc, NULL, 0);
		txp_step_plan(step, 0);
		SPI_finish();
		error_context_stack = context.previous;
	}
	txp_rights_restore(&saved);
}
