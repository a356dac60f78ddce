/*
 * alert_sql.c — SQL functions on alerts: acknowledge_alert, close_alert, delete_alerts.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "args.h"
#include "rights.h"
#include "spi.h"
#include "stream.h"

static void
no_such_alert(int64 alert_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no alert " INT64_FORMAT, alert_id),
			 errhint("Alerts that you may see are listed in txpipe.alert.")));
}

/* Locks the alert and returns its state; ERRORs unless the caller may see it in the view. */
static char *
state_of_visible(int64 alert_id)
{
	static TxpStatement statement = {
		"SELECT a.state, s.owner_oid, s.owner_name::text, s.target_schema::text, "
		"s.target_table::text FROM txpipe.alert_store a JOIN txpipe.stream s USING (stream_id) "
		"WHERE a.alert_id = $1 FOR NO KEY UPDATE OF a",
		1,
		{INT8OID}};
	Datum values[1] = {Int64GetDatum(alert_id)};

	if (txp_spi_run(&statement, values, NULL) == 0 ||
		(!txp_rights_may_read(txp_spi_text(0, 4), txp_spi_text(0, 5)) &&
		 !txp_rights_is_owner(DatumGetObjectId(txp_spi_datum(0, 2)), txp_spi_text(0, 3))))
		no_such_alert(alert_id);
	return txp_spi_text(0, 1);
}

static void
settle(int64 alert_id, const char *state)
{
	static TxpStatement statement = {
		"UPDATE txpipe.alert_store SET state = $2, settled_at = clock_timestamp(), settled_by = $3 "
		"WHERE alert_id = $1",
		3,
		{INT8OID, TEXTOID, TEXTOID}};
	Datum values[3] = {Int64GetDatum(alert_id), CStringGetTextDatum(state),
					   CStringGetTextDatum(GetUserNameFromId(GetUserId(), false))};

	(void) txp_spi_run(&statement, values, NULL);
}

PG_FUNCTION_INFO_V1(txpipe_acknowledge_alert);
Datum
txpipe_acknowledge_alert(PG_FUNCTION_ARGS)
{
	int64 alert_id = txp_arg_int64(fcinfo, 0, "alert_id");
	char *state;

	SPI_connect();
	state = state_of_visible(alert_id);
	if (strcmp(state, "closed") == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("alert " INT64_FORMAT " is closed", alert_id),
						errhint("What is closed needs no acknowledgement.")));
	if (strcmp(state, "open") == 0)
		settle(alert_id, "acknowledged");
	SPI_finish();
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(txpipe_close_alert);
Datum
txpipe_close_alert(PG_FUNCTION_ARGS)
{
	int64 alert_id = txp_arg_int64(fcinfo, 0, "alert_id");

	SPI_connect();
	if (strcmp(state_of_visible(alert_id), "closed") != 0)
		settle(alert_id, "closed");
	SPI_finish();
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(txpipe_delete_alerts);
Datum
txpipe_delete_alerts(PG_FUNCTION_ARGS)
{
	static TxpStatement statement = {
		"DELETE FROM txpipe.alert_store WHERE stream_id = $1 AND state = 'closed' "
		"AND settled_at <= clock_timestamp() - $2",
		2,
		{INT4OID, INTERVALOID}};
	TxpStream *stream = txp_stream_of_user(txp_arg_text(fcinfo, 0, "stream"));
	Datum values[2] = {Int32GetDatum(stream->id)};

	if (PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("older_than is NULL"),
						errhint("0 removes all that are closed.")));
	values[1] = PG_GETARG_DATUM(1);
	PG_RETURN_INT64(txp_spi_do(&statement, values, NULL));
}
