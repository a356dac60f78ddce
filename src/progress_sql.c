/*
 * progress_sql.c — the SQL function behind the view txpipe.progress.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "progress.h"
#include "rights.h"
#include "spi.h"
#include "steady.h"

/* Of the query: where the parameters begin. */
#define FIRST_FIELD 7
#define COLUMNS 18

/* By the rules of PostgreSQL's progress views, or as who may read what is filled. */
static bool
may_see(uint64 row)
{
	char *schema = txp_spi_text(row, 5);
	char *table = txp_spi_text(row, 6);
	char *owner_name = txp_spi_text(row, 4);

	return has_privs_of_role(GetUserId(), DatumGetObjectId(txp_spi_datum(row, 2))) ||
		   has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) ||
		   (table != NULL && txp_rights_may_read(schema, table)) ||
		   (owner_name != NULL &&
			txp_rights_is_owner(DatumGetObjectId(txp_spi_datum(row, 3)), owner_name));
}

static void
put_known(Datum *value, bool *isnull, double figure)
{
	*isnull = figure < 0;
	*value = Float8GetDatum(figure);
}

static void
put_row(uint64 row, TimestampTz now, ReturnSetInfo *result)
{
	union
	{
		TxpProgress progress;
		int64 field[TXP_PROGRESS_FIELDS];
	} slot;
	const TxpProgress *p = &slot.progress;
	TxpProgressFigures figures;
	Datum values[COLUMNS];
	bool nulls[COLUMNS] = {false};

	for (int i = 0; i < TXP_PROGRESS_FIELDS; i++)
		slot.field[i] = DatumGetInt64(txp_spi_datum(row, FIRST_FIELD + i));
	txp_progress_figures(p, now, &figures);
	values[0] = txp_spi_datum(row, 1);
	values[1] = CStringGetTextDatum(txp_progress_job(p->job));
	values[2] = CStringGetTextDatum(txp_progress_state(p->stage));
	values[3] = CStringGetTextDatum(txp_progress_unit(p->stage));
	values[4] = Int64GetDatum(p->items_done);
	values[5] = Int64GetDatum(p->items_total);
	values[6] = Int64GetDatum(p->rows);
	values[7] = Int64GetDatum(p->rejected);
	values[8] = Int64GetDatum(p->bytes_done);
	values[9] = Int64GetDatum(p->bytes_total);
	put_known(&values[10], &nulls[10], figures.percent);
	put_known(&values[11], &nulls[11], figures.rows_per_second);
	put_known(&values[12], &nulls[12], figures.bytes_per_second);
	put_known(&values[13], &nulls[13], figures.seconds_left);
	values[14] = TimestampTzGetDatum(p->started_at);
	values[15] = Int32GetDatum((int32) p->feed_id);
	values[16] = Int64GetDatum(p->file_id);
	values[17] = Int32GetDatum((int32) p->stream_id);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(txpipe_session_progress);
Datum
txpipe_session_progress(PG_FUNCTION_ARGS)
{
	static TxpStatement query = {
		"SELECT p.pid, coalesce(a.usesysid, 0), coalesce(f.owner_oid, s.owner_oid), "
		"coalesce(f.owner_name, s.owner_name)::text, coalesce(f.target_schema, "
		"s.target_schema)::text, "
		"coalesce(f.target_table, s.target_table)::text, p.param7, p.param8, p.param9, p.param10, "
		"p.param11, p.param12, p.param13, p.param14, p.param15, p.param16, p.param17, p.param18, "
		"p.param19, p.param20 FROM pg_stat_get_progress_info('COPY') p "
		"JOIN pg_database d ON d.oid = p.datid JOIN pg_stat_get_activity(NULL) a ON a.pid = p.pid "
		"LEFT JOIN txpipe.feed f ON f.feed_id = p.param18 "
		"LEFT JOIN txpipe.stream s ON s.stream_id = p.param20 "
		"WHERE d.datname = current_database() AND p.param7 = $1",
		1,
		{INT8OID}};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum values[] = {Int64GetDatum(TXP_PROGRESS_MARK)};
	TimestampTz now = txp_steady_now();
	uint64 n;

	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	n = txp_spi_run(&query, values, NULL);
	for (uint64 i = 0; i < n; i++)
	{
		if (may_see(i))
			put_row(i, now, result);
	}
	SPI_finish();
	return (Datum) 0;
}
