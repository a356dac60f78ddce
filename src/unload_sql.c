/*
 * unload_sql.c — the SQL functions unload and reload.
 */
#include "postgres.h"

#include "fmgr.h"

#include "args.h"
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
