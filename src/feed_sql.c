/*
 * feed_sql.c — the SQL functions about feeds.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "args.h"
#include "clean_lake.h"
#include "feed.h"
#include "run.h"
#include "spi.h"
#include "steps.h"

PG_FUNCTION_INFO_V1(txpipe_create_feed);
PG_FUNCTION_INFO_V1(txpipe_drop_feed);
PG_FUNCTION_INFO_V1(txpipe_on_load);
PG_FUNCTION_INFO_V1(txpipe_on_file_end);
PG_FUNCTION_INFO_V1(txpipe_on_unload);
PG_FUNCTION_INFO_V1(txpipe_on_run_end);
PG_FUNCTION_INFO_V1(txpipe_run_hourly);

bool
txp_feed_archives(const char *after_load)
{
	if (strcmp(after_load, "archive") != 0 && strcmp(after_load, "keep") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("after_load cannot be \"%s\"", after_load),
				 errhint("archive: the file leaves the landing directory; keep: it stays.")));
	return strcmp(after_load, "archive") == 0;
}

Datum
txpipe_create_feed(PG_FUNCTION_ARGS)
{
	TxpFeed feed = {0};

	feed.name = txp_arg_text(fcinfo, 0, "feed");
	feed.pattern = txp_arg_text(fcinfo, 1, "file_pattern");
	feed.target = PG_ARGISNULL(2) ? InvalidOid : PG_GETARG_OID(2);
	feed.format = txp_arg_text(fcinfo, 3, "format");
	feed.columns = txp_arg_jsonb_or_null(fcinfo, 4);
	feed.group_name = PG_ARGISNULL(5) ? feed.name : txp_arg_text(fcinfo, 5, "group_name");
	feed.required = txp_arg_bool(fcinfo, 6, true);
	if (!PG_ARGISNULL(7))
	{
		TxpStep *step = palloc0(sizeof(TxpStep));

		step->name = "load";
		step->sql = txp_arg_text(fcinfo, 7, "step");
		feed.steps = list_make1(step);
	}
	feed.archive = txp_feed_archives(txp_arg_text(fcinfo, 8, "after_load"));
	feed.options = txp_arg_jsonb_or_null(fcinfo, 9);
	if (feed.options == NULL)
		feed.options = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
	txp_feed_create(&feed);
	PG_RETURN_VOID();
}

Datum
txpipe_drop_feed(PG_FUNCTION_ARGS)
{
	int32 feed_id = txp_feed_owned(txp_arg_text(fcinfo, 0, "feed"))->feed_id;
	Datum feed = Int32GetDatum(feed_id);

	/* Nobody would know of them any more. */
	txp_lake_remove_leftovers(txp_spi_array(INT4OID, &feed, NULL, 1));
	txp_feed_drop(feed_id);
	PG_RETURN_VOID();
}

static void
set_step(FunctionCallInfo fcinfo, TxpPhase phase)
{
	int32 feed_id = txp_feed_owned(txp_arg_text(fcinfo, 0, "feed"))->feed_id;
	char *step = txp_arg_text(fcinfo, 1, "step");
	char *sql = txp_arg_text_or_null(fcinfo, 2);
	int32 ordinal = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT32(3);

	txp_feed_set_step(feed_id, phase, step, sql, PG_ARGISNULL(3) ? NULL : &ordinal);
}

Datum
txpipe_on_load(PG_FUNCTION_ARGS)
{
	set_step(fcinfo, TXP_PHASE_LOAD);
	PG_RETURN_VOID();
}

Datum
txpipe_on_file_end(PG_FUNCTION_ARGS)
{
	set_step(fcinfo, TXP_PHASE_END);
	PG_RETURN_VOID();
}

Datum
txpipe_on_unload(PG_FUNCTION_ARGS)
{
	set_step(fcinfo, TXP_PHASE_UNLOAD);
	PG_RETURN_VOID();
}

Datum
txpipe_on_run_end(PG_FUNCTION_ARGS)
{
	set_step(fcinfo, TXP_PHASE_RUN);
	PG_RETURN_VOID();
}

Datum
txpipe_run_hourly(PG_FUNCTION_ARGS)
{
	int64 max_groups = PG_ARGISNULL(0) ? -1 : PG_GETARG_INT32(0);
	CallContext *call = fcinfo->context && IsA(fcinfo->context, CallContext)
							? castNode(CallContext, fcinfo->context)
							: NULL;

	if (!PG_ARGISNULL(0) && max_groups < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("max_groups must be at least 1"),
				 errhint("NULL means all groups.")));
	/* An exception block is a subtransaction, and nothing can be committed inside one. */
	txp_run_hourly(max_groups, call == NULL || call->atomic || IsSubTransaction());
	PG_RETURN_VOID();
}
