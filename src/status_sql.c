/*
 * status_sql.c — SQL functions of the views: what shared memory knows of streams, and who may see them.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "claims.h"
#include "guard.h"
#include "rates.h"
#include "rights.h"
#include "shared.h"
#include "version.h"

PG_FUNCTION_INFO_V1(txpipe_stream_workers);
Datum
txpipe_stream_workers(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(txp_claims_workers(PG_GETARG_INT32(0)));
}

PG_FUNCTION_INFO_V1(txpipe_stream_rates);
Datum
txpipe_stream_rates(PG_FUNCTION_ARGS)
{
	TupleDesc desc;
	TxpRates rates;
	Datum values[4];
	bool nulls[4];

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	memset(nulls, !txp_rates_read(PG_GETARG_INT32(0), &rates), sizeof(nulls));
	values[0] = Float8GetDatum(rates.rows_1);
	values[1] = Float8GetDatum(rates.rows_10);
	values[2] = Float8GetDatum(rates.bytes_1);
	values[3] = Float8GetDatum(rates.bytes_10);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

PG_FUNCTION_INFO_V1(txpipe_stream_hindrance);
Datum
txpipe_stream_hindrance(PG_FUNCTION_ARGS)
{
	TupleDesc desc;
	TimestampTz since = 0;
	char *guard = txp_guard_shown(&since);
	char *misfit = txp_version_problem();
	char *shortage = misfit                 ? misfit
					 : RecoveryInProgress() ? "the server is a standby"
											: txp_shared_shortage();
	Datum values[3] = {0};
	bool nulls[3] = {guard == NULL, guard == NULL, shortage == NULL};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (guard)
	{
		values[0] = CStringGetTextDatum(guard);
		values[1] = TimestampTzGetDatum(since);
	}
	if (shortage)
		values[2] = CStringGetTextDatum(shortage);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

PG_FUNCTION_INFO_V1(txpipe_guard_problem);
Datum
txpipe_guard_problem(PG_FUNCTION_ARGS)
{
	char *problem = txp_guard_problem();

	if (problem == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(problem));
}

PG_FUNCTION_INFO_V1(txpipe_is_owner);
Datum
txpipe_is_owner(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(txp_rights_is_owner(PG_GETARG_OID(0), NameStr(*PG_GETARG_NAME(1))));
}

PG_FUNCTION_INFO_V1(txpipe_may_read);
Datum
txpipe_may_read(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(txp_rights_may_read(NameStr(*PG_GETARG_NAME(0)), NameStr(*PG_GETARG_NAME(1))));
}
