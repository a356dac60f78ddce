/*
 * unload_sql.c — the SQL functions unload, reload, replay_rejected_rows and dismiss_rejected_rows.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"

#include "args.h"
#include "reject_replay.h"
#include "reload.h"

PG_FUNCTION_INFO_V1(txpipe_unload);
Datum
txpipe_unload(PG_FUNCTION_ARGS)
{
	txp_unload(txp_arg_int64(fcinfo, 0, "file_id"));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(txpipe_reload);
Datum
txpipe_reload(PG_FUNCTION_ARGS)
{
	txp_reload(txp_arg_int64(fcinfo, 0, "file_id"));
	PG_RETURN_VOID();
}

static Datum
lines_argument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? 0 : PG_GETARG_DATUM(n);
}

/* A record is given in place of one line. */
static void
check_one_line(Datum lines)
{
	ArrayType *array = lines ? DatumGetArrayTypeP(lines) : NULL;

	if (array == NULL || ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a line fixes one rejected row"),
				 errhint("Name it: line_nos => ARRAY[line_no].")));
}

PG_FUNCTION_INFO_V1(txpipe_replay_rejected_rows);
Datum
txpipe_replay_rejected_rows(PG_FUNCTION_ARGS)
{
	int64 file_id = txp_arg_int64(fcinfo, 0, "file_id");
	Datum lines = lines_argument(fcinfo, 1);
	char *record = txp_arg_text_or_null(fcinfo, 2);
	TxpReplayed result;
	TupleDesc desc;
	Datum values[3];
	bool nulls[3] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (record != NULL)
		check_one_line(lines);
	if (record != NULL && record[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("line must not be empty"),
						errhint("Dismiss the row with txpipe.dismiss_rejected_rows().")));
	result = txp_rejects_replay(file_id, lines, record);
	values[0] = Int64GetDatum(result.replayed);
	values[1] = Int64GetDatum(result.failed);
	values[2] = Int64GetDatum(result.left_open);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

PG_FUNCTION_INFO_V1(txpipe_dismiss_rejected_rows);
Datum
txpipe_dismiss_rejected_rows(PG_FUNCTION_ARGS)
{
	int64 file_id = txp_arg_int64(fcinfo, 0, "file_id");

	PG_RETURN_INT64(txp_rejects_dismiss(file_id, lines_argument(fcinfo, 1)));
}
