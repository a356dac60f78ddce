/*
 * steps.c — user SQL over a batch.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/queryenvironment.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "distributed.h"
#include "isolate.h"
#include "kept_plan.h"
#include "progress.h"
#include "step_check.h"
#include "steps.h"
#include "trust.h"

/* A batch is bounded in bytes already; its tuples should not go to disk in between. */
#define STORE_KB (64 * 1024)

/* A step that gave every line a code of its own would fill memory. */
#define MAX_WARNING_CODES 1000

static const char *const outcome_names[TXP_NOUTCOMES] = {"duplicate", "filtered", "superseded",
														 "rejected", "warning"};

typedef struct StepRun
{
	const TxpRowPlan *plan;
	TxpRowReader *reader;
	TxpRows *rows;
	uint32 first;
	uint32 count;
	uint32 npresent;
	uint32 *present; /* rows that are in the batch, and their lines, ascending */
	int64 *lines;
	int64 file_id;
	const List *files;      /* of TxpStepFile, of steps over whole files; file_id is 0 */
	Bitmapset *gone;        /* left out by the caller or by earlier steps */
	Bitmapset *leaving;     /* named by the present step */
	Tuplestorestate *store; /* `batch`; NULL when it must be filled anew */
	bool has_table;         /* what is in the store is in a temporary table, too */
	TxpOutcomes *outcomes;
	MemoryContext context; /* of the outcomes */
} StepRun;

const char *
txp_outcome_name(TxpOutcome outcome)
{
	return outcome_names[outcome];
}

static void
add_step_context(void *arg)
{
	errcontext("step \"%s\"", ((const TxpStep *) arg)->name);
}

/* Has it the column file_id? */
static bool
check_result_shape(const TxpStep *step, TupleDesc desc, bool must_name_files)
{
	static const Oid wanted[] = {INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID};
	bool names_files = desc->natts == lengthof(wanted);
	bool ok = names_files || (desc->natts == lengthof(wanted) - 1 && !must_name_files);

	for (int i = 0; ok && i < desc->natts; i++)
		ok = TupleDescAttr(desc, i)->atttypid == wanted[i];
	if (!ok)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("step \"%s\" returns rows of another shape than outcomes have", step->name),
				 errhint("Return (line_no bigint, outcome text, code text, message text, "
						 "column_name text%s), or no rows.",
						 must_name_files ? ", file_id bigint" : "[, file_id bigint]")));
	return names_files;
}

/* A broken step is no row's fault: its errors are not of the classes that reject rows. */
static TxpOutcome
outcome_by_name(const TxpStep *step, const char *name)
{
	for (int i = 0; name != NULL && i < TXP_NOUTCOMES; i++)
	{
		if (strcmp(name, outcome_names[i]) == 0)
			return i;
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
					errmsg("step \"%s\" returned the unknown outcome \"%s\"", step->name,
						   name ? name : "NULL"),
					errhint("Outcomes: duplicate, rejected, filtered, superseded, warning.")));
}

static uint32
row_of_line(StepRun *run, const TxpStep *step, int64 line)
{
	uint32 low = 0;
	uint32 high = run->npresent;

	while (low < high)
	{
		uint32 middle = low + (high - low) / 2;

		if (run->lines[middle] < line)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == run->npresent || run->lines[low] != line ||
		bms_is_member(run->present[low], run->gone))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("step \"%s\" returned line " INT64_FORMAT ", which is not in its batch",
						step->name, line),
				 errhint("Return line_no as it is in \"batch\".")));
	return run->present[low];
}

static void
note_rejected(StepRun *run, uint32 row, HeapTuple tuple, TupleDesc desc)
{
	MemoryContext old = MemoryContextSwitchTo(run->context);
	TxpRefusal *refusal = palloc(sizeof(TxpRefusal));
	char *code = SPI_getvalue(tuple, desc, 3);
	char *message = SPI_getvalue(tuple, desc, 4);

	refusal->row = row;
	refusal->code = code ? code : pstrdup("rejected");
	refusal->message = message ? message : pstrdup("rejected by a step");
	refusal->discreet = pstrdup("rejected by a step");
	refusal->column = SPI_getvalue(tuple, desc, 5);
	run->outcomes->rejected = lappend(run->outcomes->rejected, refusal);
	MemoryContextSwitchTo(old);
}

/* The line stays; its code is counted. */
static void
note_warning(StepRun *run, const TxpStep *step, const char *code)
{
	TxpWarned *warned;
	MemoryContext old;
	ListCell *lc;

	if (code == NULL)
		code = step->name;
	foreach (lc, run->outcomes->warned)
	{
		warned = lfirst(lc);
		if (strcmp(warned->code, code) == 0)
		{
			warned->rows++;
			return;
		}
	}
	if (list_length(run->outcomes->warned) == MAX_WARNING_CODES)
		ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
						errmsg("step \"%s\" returned more than %d different codes of warnings",
							   step->name, MAX_WARNING_CODES),
						errhint("A code names a kind of trouble, not a line.")));
	old = MemoryContextSwitchTo(run->context);
	warned = palloc(sizeof(TxpWarned));
	warned->code = pstrdup(code);
	warned->rows = 1;
	run->outcomes->warned = lappend(run->outcomes->warned, warned);
	MemoryContextSwitchTo(old);
}

static void
take_outcome(StepRun *run, const TxpStep *step, HeapTuple tuple, TupleDesc desc)
{
	bool isnull;
	int64 line = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
	TxpOutcome outcome = outcome_by_name(step, SPI_getvalue(tuple, desc, 2));
	uint32 row = row_of_line(run, step, isnull ? -1 : line);
	MemoryContext old;

	if (outcome == TXP_WARNING)
		note_warning(run, step, SPI_getvalue(tuple, desc, 3));
	if (outcome == TXP_WARNING || bms_is_member(row, run->leaving))
		return;
	old = MemoryContextSwitchTo(run->context);
	run->leaving = bms_add_member(run->leaving, row);
	MemoryContextSwitchTo(old);
	run->outcomes->count[outcome]++;
	run->outcomes->fate[row - run->first] = outcome + 1;
	if (outcome == TXP_REJECTED)
		note_rejected(run, row, tuple, desc);
}

static bool
is_own_file(const StepRun *run, int64 file_id)
{
	ListCell *lc;

	foreach (lc, run->files)
	{
		if (((TxpStepFile *) lfirst(lc))->file_id == file_id)
			return true;
	}
	return file_id == run->file_id;
}

/* A line that was accounted for before. The counts of the file at hand are not in the ledger yet. */
static void
take_move(StepRun *run, const TxpStep *step, HeapTuple tuple, TupleDesc desc, int64 file_id,
		  TxpMoves *moves)
{
	TxpSide after = txp_moves_side(step->name, SPI_getvalue(tuple, desc, 2));
	TxpSide before = txp_moves_side(step->name, SPI_getvalue(tuple, desc, 3));

	if (!is_own_file(run, file_id))
	{
		txp_moves_add(moves, file_id, before, after);
		return;
	}
	if (run->outcomes == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
						errmsg("step \"%s\" returned a line of its own file", step->name),
						errhint("Return the lines of other files that are something else now.")));
	run->outcomes->moved[before]--;
	run->outcomes->moved[after]++;
	run->outcomes->last_mover = step;
}

/* Takes the lines a step returned. Named twice by one step, a line has the first outcome. */
static void
take_result(StepRun *run, const TxpStep *step)
{
	TupleDesc desc = SPI_tuptable->tupdesc;
	bool whole_file = run->outcomes == NULL;
	bool names_files = check_result_shape(step, desc, whole_file);
	TxpMoves moves = {0};

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple tuple = SPI_tuptable->vals[i];
		bool isnull = true;
		Datum file_id = names_files ? SPI_getbinval(tuple, desc, 6, &isnull) : 0;

		if (!isnull || whole_file)
			take_move(run, step, tuple, desc, isnull ? run->file_id : DatumGetInt64(file_id),
					  &moves);
		else
			take_outcome(run, step, tuple, desc);
	}
	txp_moves_apply(&moves, step->name);
}

static uint32
rows_left(const StepRun *run)
{
	return run->npresent -
		   (uint32) (run->outcomes->count[TXP_DUPLICATE] + run->outcomes->count[TXP_FILTERED] +
					 run->outcomes->count[TXP_SUPERSEDED] + run->outcomes->count[TXP_REJECTED]);
}

static void
fill_store(StepRun *run)
{
	MemoryContext old = MemoryContextSwitchTo(run->context);

	run->store = tuplestore_begin_heap(false, false, STORE_KB);
	txp_rows_store(run->reader, run->rows, run->first, run->count, run->gone, run->store);
	MemoryContextSwitchTo(old);
}

static void
register_relation(const char *name, TupleDesc desc, Tuplestorestate *store, uint32 count)
{
	EphemeralNamedRelation relation = palloc0(sizeof(EphemeralNamedRelationData));
	int code;

	relation->md.name = pstrdup(name);
	relation->md.reliddesc = InvalidOid;
	relation->md.tupdesc = desc;
	relation->md.enrtype = ENR_NAMED_TUPLESTORE;
	relation->md.enrtuples = count;
	relation->reldata = store;
	code = SPI_register_relation(relation);
	if (code < 0)
		elog(ERROR, "SPI_register_relation returned %s", SPI_result_code_string(code));
}

void
txp_batch_register(TupleDesc desc, Tuplestorestate *store, uint32 count)
{
	register_relation(TXP_BATCH_NAME, desc, store, count);
}

static void
execute_utility(const char *sql)
{
	int code = SPI_execute(sql, false, 0);

	if (code < 0)
		elog(ERROR, "%s returned %s", sql, SPI_result_code_string(code));
}

/* The relation as a table of the same name, which Citus finds. It goes with the rows in the store. */
static int
execute_over_table(StepRun *run, const TxpStep *step, const char *name)
{
	if (!run->has_table)
		execute_utility(
			psprintf("CREATE TEMPORARY TABLE %1$s ON COMMIT DROP AS SELECT * FROM %1$s", name));
	run->has_table = true;
	SPI_unregister_relation(name);
	return txp_trust_execute(txp_trust_prepare(step->sql, step->trusted), step->trusted, NULL);
}

static void
end_store(StepRun *run, const char *name)
{
	if (run->has_table)
	{
		SPI_connect();
		execute_utility(psprintf("DROP TABLE pg_temp.%s", name));
		SPI_finish();
	}
	if (run->store != NULL)
		tuplestore_end(run->store);
	run->has_table = false;
	run->store = NULL;
}

/* One statement over a relation; what it returns is taken. Returns how many rows it processed. */
static uint64
execute_step(StepRun *run, const TxpStep *step, const char *name, TupleDesc desc, uint32 count)
{
	ErrorContextCallback context = {error_context_stack, add_step_context, (void *) step};
	MemoryContext transaction = CurTransactionContext;
	uint64 processed;
	int code;

	CHECK_FOR_INTERRUPTS();
	error_context_stack = &context;
	SPI_connect();
	register_relation(name, desc, run->store, count);
	if (txp_names_distributed(step->sql, step->trusted))
		code = execute_over_table(run, step, name);
	else
		code = txp_plan_execute(step->sql, step->trusted, name, desc, count);
	txp_step_check_code(step->name, code);
	/* A subtransaction in it, as EXCEPTION blocks have, set its own parent's (transaction.h). */
	CurTransactionContext = transaction;
	processed = SPI_processed;
	if (SPI_tuptable != NULL && processed > 0)
		take_result(run, step);
	SPI_finish();
	error_context_stack = context.previous;
	return processed;
}

static void
run_step(StepRun *run, const TxpStep *step)
{
	uint32 given = rows_left(run);
	uint64 processed;

	if (run->store == NULL)
		fill_store(run);
	processed = execute_step(run, step, TXP_BATCH_NAME, run->plan->desc, given);
	if (step->fills_target && processed < given)
		run->outcomes->count[TXP_FILTERED] += given - processed;
	if (run->leaving != NULL)
	{
		run->gone = bms_join(run->gone, run->leaving);
		run->leaving = NULL;
		end_store(run, TXP_BATCH_NAME);
	}
}

static void
find_lines(StepRun *run, int line_column)
{
	run->present = palloc(sizeof(uint32) * ((Size) run->count + 1));
	run->lines = palloc(sizeof(int64) * ((Size) run->count + 1));
	for (uint32 i = run->first; i < run->first + run->count; i++)
	{
		if (bms_is_member(i, run->gone))
			continue;
		run->present[run->npresent] = i;
		run->lines[run->npresent++] = txp_rows_int64(run->reader, run->rows, i, line_column);
	}
}

void
txp_steps_run(const List *steps, const TxpRowPlan *plan, TxpRowReader *reader, TxpRows *rows,
			  int line_column, int64 file_id, uint32 first, uint32 count, const Bitmapset *skip,
			  TxpOutcomes *outcomes)
{
	StepRun run = {.plan = plan,
				   .reader = reader,
				   .rows = rows,
				   .first = first,
				   .count = count,
				   .file_id = file_id,
				   .gone = bms_copy(skip),
				   .outcomes = outcomes,
				   .context = CurrentMemoryContext};
	ListCell *lc;

	memset(outcomes, 0, sizeof(*outcomes));
	outcomes->fate = palloc0((Size) count + 1);
	find_lines(&run, line_column);
	foreach (lc, steps)
	{
		if (rows_left(&run) == 0)
			break;
		run_step(&run, lfirst(lc));
	}
	end_store(&run, TXP_BATCH_NAME);
}

void
txp_step_execute(const TxpStep *step)
{
	ErrorContextCallback context = {error_context_stack, add_step_context, (void *) step};

	CHECK_FOR_INTERRUPTS();
	error_context_stack = &context;
	SPI_connect();
	txp_step_check_code(step->name, txp_trust_execute(txp_trust_prepare(step->sql, step->trusted),
													  step->trusted, NULL));
	SPI_finish();
	error_context_stack = context.previous;
}

static TupleDesc
file_desc(void)
{
	TupleDesc desc = CreateTemplateTupleDesc(3);

	TupleDescInitEntry(desc, 1, "file_id", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 2, "group_key", TEXTOID, -1, 0);
	TupleDescInitEntry(desc, 3, "job", TEXTOID, -1, 0);
	return desc;
}

void
txp_steps_files(const List *steps, const char *name, const List *files)
{
	StepRun run = {.files = files, .context = CurrentMemoryContext};
	TupleDesc desc = file_desc();
	const char *job = txp_progress_current_job();
	ListCell *lc;

	run.store = tuplestore_begin_heap(false, false, work_mem);
	foreach (lc, files)
	{
		const TxpStepFile *file = lfirst(lc);
		Datum values[] = {Int64GetDatum(file->file_id), CStringGetTextDatum(file->group_key),
						  job ? CStringGetTextDatum(job) : 0};
		bool nulls[] = {false, false, job == NULL};

		tuplestore_putvalues(run.store, desc, values, nulls);
	}
	foreach (lc, steps)
		(void) execute_step(&run, lfirst(lc), name, desc, list_length(files));
	end_store(&run, name);
}
