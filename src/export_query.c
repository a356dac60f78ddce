/*
 * export_query.c — the query of an export: what it may be, and how it runs.
 */
#include "postgres.h"

#include "access/xact.h"
#include "nodes/parsenodes.h"
#include "utils/guc.h"
#include "utils/plancache.h"

#include "export_query.h"

/* One statement that only reads, as far as its text says. */
static bool
is_select(SPIPlanPtr plan)
{
	List *sources = SPI_plan_get_plan_sources(plan);
	CachedPlanSource *source;
	Query *query;

	if (list_length(sources) != 1)
		return false;
	source = linitial(sources);
	if (list_length(source->query_list) != 1)
		return false;
	query = linitial_node(Query, source->query_list);
	return query->commandType == CMD_SELECT && !query->hasModifyingCTE && query->rowMarks == NIL &&
		   source->resultDesc != NULL && source->resultDesc->natts > 0;
}

SPIPlanPtr
txp_export_prepare(const char *text)
{
	SPIPlanPtr plan = SPI_prepare_cursor(text, 0, NULL, CURSOR_OPT_PARALLEL_OK);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare_cursor failed: %s", SPI_result_code_string(SPI_result));
	if (!is_select(plan))
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the query of an export must be one SELECT"),
			 errhint("SELECT, VALUES, TABLE and WITH ... SELECT do, with columns and without parts "
					 "that change data.")));
	return plan;
}

TupleDesc
txp_export_columns(SPIPlanPtr plan)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));

	return source->resultDesc;
}

static void
set(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
}

void
txp_export_settings(void)
{
	set("DateStyle", "ISO");
	set("IntervalStyle", "postgres");
	set("extra_float_digits", "1");
	set("bytea_output", "hex");
}

void
txp_export_check_isolation(void)
{
	if (IsolationUsesXactSnapshot())
		ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
						errmsg("data sets of one snapshot are exported in READ COMMITTED only"),
						errdetail("An older snapshot may be from before the last export."),
						errhint("Begin the transaction with ISOLATION LEVEL READ COMMITTED.")));
}

/* What the session has set must not change the bytes; whoever calls functions must not write through them. */
void
txp_export_run(SPIPlanPtr plan, DestReceiver *receiver)
{
	SPIExecuteOptions options = {.read_only = true, .dest = receiver};
	int level = NewGUCNestLevel();
	bool was_read_only = XactReadOnly;
	int code;

	/* As a setting it cannot be undone from PostgreSQL 16 on; an error restores it with its (sub)transaction. */
	XactReadOnly = true;
	txp_export_settings();
	code = SPI_execute_plan_extended(plan, &options);
	if (code < 0)
		elog(ERROR, "SPI_execute_plan_extended returned %s", SPI_result_code_string(code));
	AtEOXact_GUC(false, level);
	XactReadOnly = was_read_only;
}
