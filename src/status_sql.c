/*
 * status_sql.c — SQL functions that show what shared memory knows of streams.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"

#include "claims.h"
#include "rates.h"

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
