/*
 * ledger_store.c — rejected records, clearing the landing directory, and the records of runs.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "ledger.h"
#include "spi.h"

static void
grow(TxpRejects *r)
{
	r->allocated = Max(64, r->allocated * 2);
	if (r->count == 0)
	{
		r->lines = palloc(sizeof(Datum) * r->allocated);
		r->records = palloc(sizeof(Datum) * r->allocated);
		r->columns = palloc(sizeof(Datum) * r->allocated);
		r->no_column = palloc(sizeof(bool) * r->allocated);
		r->codes = palloc(sizeof(Datum) * r->allocated);
		r->messages = palloc(sizeof(Datum) * r->allocated);
		return;
	}
	r->lines = repalloc(r->lines, sizeof(Datum) * r->allocated);
	r->records = repalloc(r->records, sizeof(Datum) * r->allocated);
	r->columns = repalloc(r->columns, sizeof(Datum) * r->allocated);
	r->no_column = repalloc(r->no_column, sizeof(bool) * r->allocated);
	r->codes = repalloc(r->codes, sizeof(Datum) * r->allocated);
	r->messages = repalloc(r->messages, sizeof(Datum) * r->allocated);
}

void
txp_rejects_add(TxpRejects *r, int64 line, TxpSpan record, const char *code, const char *message,
				const char *column)
{
	bytea *bytes = palloc(VARHDRSZ + record.len);

	if (r->count == r->allocated)
		grow(r);
	SET_VARSIZE(bytes, VARHDRSZ + record.len);
	if (record.len > 0)
		memcpy(VARDATA(bytes), record.data, record.len);
	r->lines[r->count] = Int64GetDatum(line);
	r->records[r->count] = PointerGetDatum(bytes);
	r->codes[r->count] = CStringGetTextDatum(code);
	r->messages[r->count] = CStringGetTextDatum(message);
	r->no_column[r->count] = column == NULL;
	r->columns[r->count] = column ? CStringGetTextDatum(column) : (Datum) 0;
	r->count++;
}

void
txp_rejects_store(int64 file_id, const TxpRejects *r)
{
	static TxpStatement insert = {
		"INSERT INTO txpipe.rejected_line (file_id, line_no, line_bytes, column_name, code, "
		"message, encrypted) "
		"SELECT $1, r.*, $7 FROM unnest($2, $3, $4, $5, $6) AS r",
		7,
		{INT8OID, INT8ARRAYOID, BYTEAARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BOOLOID}};
	Datum values[7];

	if (r->count == 0)
		return;
	values[0] = Int64GetDatum(file_id);
	values[1] = txp_spi_array(INT8OID, r->lines, NULL, r->count);
	values[2] = txp_spi_array(BYTEAOID, r->records, NULL, r->count);
	values[3] = txp_spi_array(TEXTOID, r->columns, r->no_column, r->count);
	values[4] = txp_spi_array(TEXTOID, r->codes, NULL, r->count);
	values[5] = txp_spi_array(TEXTOID, r->messages, NULL, r->count);
	values[6] = BoolGetDatum(r->encrypted);
	(void) txp_spi_do(&insert, values, NULL);
}

void
txp_rejects_reopen(int64 file_id, const TxpRejects *r, bool reasons)
{
	static TxpStatement update = {
		"UPDATE txpipe.rejected_line l SET state = 'open', line_fixed = NULL, "
		"column_name = CASE WHEN $6 THEN r.column_name ELSE l.column_name END, "
		"code = CASE WHEN $6 THEN r.code ELSE l.code END, "
		"message = CASE WHEN $6 THEN r.message ELSE l.message END "
		"FROM unnest($2, $3, $4, $5) AS r (line_no, column_name, code, message) "
		"WHERE l.file_id = $1 AND l.line_no = r.line_no",
		6,
		{INT8OID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BOOLOID}};
	Datum values[6];

	if (r->count == 0)
		return;
	values[0] = Int64GetDatum(file_id);
	values[1] = txp_spi_array(INT8OID, r->lines, NULL, r->count);
	values[2] = txp_spi_array(TEXTOID, r->columns, r->no_column, r->count);
	values[3] = txp_spi_array(TEXTOID, r->codes, NULL, r->count);
	values[4] = txp_spi_array(TEXTOID, r->messages, NULL, r->count);
	values[5] = BoolGetDatum(reasons);
	(void) txp_spi_do(&update, values, NULL);
	if (!reasons)
		ereport(NOTICE, (errmsg("the line given cannot be used either"),
						 errdetail("%s: %s", TextDatumGetCString(r->codes[0]),
								   TextDatumGetCString(r->messages[0]))));
}

/*
 * A duplicate may go when its original is loaded: then the lake has its content. Had it, where clean_lake was:
 * one that will be loaded itself is needed until it is.
 */
void
txp_ledger_clear_landing(Oid user)
{
	/* By an array, whose feeds the planner sees: files of others, which are kept, may be thousands. */
	static TxpStatement archiving = {
		"SELECT coalesce(array_agg(feed_id), '{}') FROM txpipe.feed WHERE after_load = 'archive' "
		"AND (pg_has_role($1, owner_oid, 'MEMBER') "
		"     OR has_function_privilege($1, " TXP_OPERATE "))",
		1,
		{OIDOID}};
	static TxpStatement query = {
		"SELECT l.file_id, l.file_name, l.bytes, l.modified_at, l.lake_path, "
		"coalesce(l.copy_bytes, l.bytes) FROM txpipe.file_ledger l "
		"LEFT JOIN txpipe.file_ledger o ON o.file_id = l.duplicate_of "
		"WHERE l.feed_id = ANY ($1) AND NOT l.landing_removed AND 'loaded' IN (l.state, o.state) "
		"AND (l.lake_path IS NOT NULL OR l.displaces IS NULL)",
		1,
		{INT4ARRAYOID}};
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger SET landing_removed = true WHERE file_id = ANY ($1)",
		1,
		{INT8ARRAYOID}};
	Datum values[] = {ObjectIdGetDatum(user)};
	Datum *removed;
	char *problem;
	char *first_problem = NULL;
	int nremoved = 0;
	int nkept = 0;
	uint64 n;

	SPI_connect();
	(void) txp_spi_run(&archiving, values, NULL);
	values[0] = txp_spi_datum(0, 1);
	n = txp_spi_run(&query, values, NULL);
	removed = palloc(sizeof(Datum) * (n + 1));
	for (uint64 i = 0; i < n; i++)
	{
		TxpLandingFile file = {txp_spi_text(i, 2), DatumGetInt64(txp_spi_datum(i, 3)),
							   DatumGetTimestampTz(txp_spi_datum(i, 4))};

		CHECK_FOR_INTERRUPTS();
		problem = txp_landing_remove(&file, txp_spi_text(i, 5), DatumGetInt64(txp_spi_datum(i, 6)));
		if (problem == NULL)
			removed[nremoved++] = txp_spi_datum(i, 1);
		else if (nkept++ == 0)
			first_problem = problem;
	}
	if (nremoved > 0)
	{
		values[0] = txp_spi_array(INT8OID, removed, NULL, nremoved);
		(void) txp_spi_run(&update, values, NULL);
	}
	if (nkept > 0)
		ereport(WARNING, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						  errmsg("%d loaded files stay in the landing directory", nkept),
						  errdetail("The first: %s.", first_problem),
						  errhint("Let the operating system user of the server write to the "
								  "landing directory and its folders.")));
	SPI_finish();
}

int64
txp_run_begin(const char *job)
{
	static TxpStatement end_dead = {
		"UPDATE txpipe.run r SET state = 'failed', finished_at = clock_timestamp(), "
		"message = 'its session ended before it did' WHERE r.job = $1 AND r.state = 'running' "
		"AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = r.session_pid "
		"                AND a.backend_start <= r.started_at AND a.state = 'active' "
		"                AND a.pid <> pg_backend_pid())",
		1,
		{TEXTOID}};
	static TxpStatement insert = {
		"INSERT INTO txpipe.run (job, session_pid) VALUES ($1, $2) RETURNING run_id",
		2,
		{TEXTOID, INT4OID}};
	Datum values[] = {CStringGetTextDatum(job), Int32GetDatum(MyProcPid)};
	int64 run_id;

	SPI_connect();
	(void) txp_spi_run(&end_dead, values, NULL);
	(void) txp_spi_run(&insert, values, NULL);
	run_id = DatumGetInt64(txp_spi_datum(0, 1));
	SPI_finish();
	return run_id;
}

void
txp_run_end(int64 run_id, const TxpRunTotals *totals)
{
	static TxpStatement update = {
		"UPDATE txpipe.run SET state = CASE WHEN $3 > 0 THEN 'failed' WHEN $2 > 0 THEN 'succeeded' "
		"ELSE 'skipped' END, "
		"groups_loaded = $2, groups_failed = $3, rows_loaded = $4, message = $5, "
		"finished_at = clock_timestamp() WHERE run_id = $1",
		5,
		{INT8OID, INT4OID, INT4OID, INT8OID, TEXTOID}};
	static TxpStatement forget = {"DELETE FROM txpipe.run WHERE run_id = $1", 1, {INT8OID}};
	bool idle = totals->groups_loaded == 0 && totals->groups_failed == 0;
	char *message = totals->failure;
	Datum values[] = {Int64GetDatum(run_id), Int32GetDatum(totals->groups_loaded),
					  Int32GetDatum(totals->groups_failed), Int64GetDatum(totals->rows), 0};

	if (idle && totals->groups_skipped > 0)
		message = psprintf("another session is loading %d groups", totals->groups_skipped);
	if (message)
		values[4] = CStringGetTextDatum(message);
	/* Another session loaded all there was. */
	if (idle && message == NULL)
		(void) txp_spi_do(&forget, values, NULL);
	else
		(void) txp_spi_do(&update, values, message ? NULL : "    n");
}
