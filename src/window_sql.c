/*
 * window_sql.c — what the SQL of windows (65_windows.sql, 66_window_steps.sql) cannot do itself: write the catalog, and
 * work on users' tables as the stream's owner, whoever of his members calls.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "args.h"
#include "offsets.h"
#include "rights.h"
#include "spi.h"
#include "stream.h"
#include "trust.h"

PG_FUNCTION_INFO_V1(txpipe_as_stream_owner);
PG_FUNCTION_INFO_V1(txpipe_store_window);
PG_FUNCTION_INFO_V1(txpipe_forget_window);
PG_FUNCTION_INFO_V1(txpipe_lock_window);
PG_FUNCTION_INFO_V1(txpipe_note_window);
PG_FUNCTION_INFO_V1(txpipe_count_open_windows);

/* The first columns of the statement's result, which are jsonb. */
static void
put_results(ReturnSetInfo *result)
{
	if (SPI_tuptable == NULL)
		return;
	if (SPI_tuptable->tupdesc->natts < 1 ||
		TupleDescAttr(SPI_tuptable->tupdesc, 0)->atttypid != JSONBOID)
		elog(ERROR, "a statement about windows returns something else than jsonb");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool isnull;
		Datum value = txp_spi_value(i, 1, &isnull);

		tuplestore_putvalues(result->setResult, result->setDesc, &value, &isnull);
	}
}

/* One by one: a later one may name what an earlier one creates. */
static void
execute_each(const char *statements, const List *trusted)
{
	ListCell *lc;

	foreach (lc, raw_parser(statements, RAW_PARSE_DEFAULT))
	{
		const RawStmt *raw = lfirst_node(RawStmt, lc);
		const char *begin = statements + raw->stmt_location;
		char *sql = raw->stmt_len > 0 ? pnstrdup(begin, raw->stmt_len) : pstrdup(begin);
		int code = txp_trust_execute(txp_trust_prepare(sql, trusted), trusted, NULL);

		if (code < 0)
			elog(ERROR, "SPI_execute_plan returned %s for: %s", SPI_result_code_string(code), sql);
	}
}

/* Runs statements with the rights of the stream's owner. */
Datum
txpipe_as_stream_owner(PG_FUNCTION_ARGS)
{
	TxpStream *stream = txp_stream_of_user(txp_arg_text(fcinfo, 0, "stream"));
	char *statement = txp_arg_text(fcinfo, 1, "statement");
	TxpRights saved;

	txp_stream_check_owner(stream);
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	SPI_connect();
	txp_rights_owner_restricted(stream->owner, &saved);
	execute_each(statement, stream->trusted);
	put_results((ReturnSetInfo *) fcinfo->resultinfo);
	txp_rights_restore(&saved);
	SPI_finish();
	txp_rights_refuse_temporary(stream->owner);
	return (Datum) 0;
}

/*
 * Stores a definition. Until the end of the transaction no batch of the stream is written: those that come know the
 * window.
 */
Datum
txpipe_store_window(PG_FUNCTION_ARGS)
{
	static TxpStatement statement = {
		"INSERT INTO txpipe.window_store (stream_id, name, table_schema, kind, time_column, width, "
		"slide, gap, origin, "
		"start_at, group_by, aggregates, lateness, on_late, emit, ahead) "
		"SELECT $1, w.name, w.table_schema, w.kind, w.time_column, w.width, w.slide, w.gap, "
		"w.origin, w.start_at, "
		"w.group_by, w.aggregates, w.lateness, w.on_late, w.emit, w.ahead "
		"FROM jsonb_populate_record(NULL::txpipe.window_store, $2) w "
		"ON CONFLICT (name) DO NOTHING RETURNING window_id",
		2,
		{INT4OID, JSONBOID}};
	TxpStream *stream = txp_stream_of_user(txp_arg_text(fcinfo, 0, "stream"));
	Datum values[] = {Int32GetDatum(stream->id), PG_GETARG_DATUM(1)};
	Datum number;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("definition must not be NULL"),
				 errhint("It is create_window() that calls this.")));
	if (strcmp(stream->mode, "append") != 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("stream \"%s\" has the mode %s", stream->name, stream->mode),
			 errhint("Windows are over streams in mode append: a row that is replaced later would "
					 "have to be taken out of its window.")));
	txp_offsets_lock_all(stream->id);
	if (!txp_stream_lock(stream->id))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("stream \"%s\" has just been dropped", stream->name),
						errhint("Create the stream first.")));
	SPI_connect();
	if (txp_spi_run(&statement, values, NULL) == 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT), errmsg("there is a window of this name already"),
			 errhint("Names of windows are unique in the database; drop_window() makes room.")));
	number = txp_spi_datum(0, 1);
	SPI_finish();
	PG_RETURN_DATUM(number);
}

static void
no_such_window(const char *name)
{
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no window %s", name),
					errhint("txpipe.window lists them.")));
}

static void
check_window_owner(Oid owner, const char *owner_name)
{
	if (!txp_rights_is_owner(owner, owner_name))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("windows are for the owner of their stream, \"%s\"", owner_name),
						errhint("Call it as a member of that role.")));
}

/* Until the end of the transaction no batch of the stream is written, as above. */
Datum
txpipe_forget_window(PG_FUNCTION_ARGS)
{
	static TxpStatement query = {
		"SELECT s.owner_oid, s.owner_name, s.stream_id "
		"FROM txpipe.window_store w JOIN txpipe.stream s USING (stream_id) "
		"WHERE w.name = $1",
		1,
		{TEXTOID}};
	static TxpStatement delete = {"DELETE FROM txpipe.window_store WHERE name = $1", 1, {TEXTOID}};
	char *name = txp_arg_text(fcinfo, 0, "name");
	Datum values[] = {CStringGetTextDatum(name)};

	SPI_connect();
	if (txp_spi_run(&query, values, NULL) == 0)
		no_such_window(name);
	check_window_owner(DatumGetObjectId(txp_spi_datum(0, 1)), txp_spi_text(0, 2));
	txp_offsets_lock_all(DatumGetInt32(txp_spi_datum(0, 3)));
	if (txp_spi_run(&delete, values, NULL) == 0)
		no_such_window(name);
	SPI_finish();
	PG_RETURN_VOID();
}

/* One writer of a window at a time, until the end of the transaction; the watermark before its batch. */
Datum
txpipe_lock_window(PG_FUNCTION_ARGS)
{
	static TxpStatement statement = {
		"SELECT s.owner_oid, s.owner_name, w.watermark FROM txpipe.window_store w "
		"JOIN txpipe.stream s USING (stream_id) WHERE w.window_id = $1 FOR NO KEY UPDATE OF w",
		1,
		{INT4OID}};
	Datum values[] = {PG_GETARG_DATUM(0)};
	Datum watermark;
	bool isnull;

	SPI_connect();
	if (txp_spi_run(&statement, values, NULL) == 0)
		no_such_window(psprintf("number %d", PG_GETARG_INT32(0)));
	check_window_owner(DatumGetObjectId(txp_spi_datum(0, 1)), txp_spi_text(0, 2));
	watermark = txp_spi_value(0, 3, &isnull);
	SPI_finish();
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(watermark);
}

/* What a batch did; only who holds the lock gets here. */
Datum
txpipe_note_window(PG_FUNCTION_ARGS)
{
	static TxpStatement statement = {
		"UPDATE txpipe.window_store w SET watermark = greatest(w.watermark, $2), "
		"late_rows = w.late_rows + $3 FROM txpipe.stream s "
		"WHERE w.window_id = $1 AND s.stream_id = w.stream_id RETURNING s.owner_oid, s.owner_name",
		3,
		{INT4OID, TIMESTAMPTZOID, INT8OID}};
	Datum values[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2)};

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		PG_RETURN_VOID();
	SPI_connect();
	if (txp_spi_run(&statement, values, PG_ARGISNULL(1) ? " n " : NULL) == 0)
		no_such_window(psprintf("number %d", PG_GETARG_INT32(0)));
	check_window_owner(DatumGetObjectId(txp_spi_datum(0, 1)), txp_spi_text(0, 2));
	SPI_finish();
	PG_RETURN_VOID();
}

/* Of the table `name` in `schema`, as the stream's owner; false when that is no ordinary table any more. */
static bool
count_rows_after(const char *schema, const char *name, Oid owner, Datum limit, bool no_limit,
				 int64 *count)
{
	Oid namespace = get_namespace_oid(schema, true);
	Oid relid = OidIsValid(namespace) ? get_relname_relid(name, namespace) : InvalidOid;
	Oid argtypes[] = {TIMESTAMPTZOID};
	TxpRights saved;
	char *sql;

	if (!OidIsValid(relid) || get_rel_relkind(relid) != RELKIND_RELATION ||
		!txp_trust_owns(relid, owner))
		return false;
	sql = psprintf("SELECT count(*) FROM %s WHERE $1 IS NULL OR window_end > $1",
				   quote_qualified_identifier(schema, name));
	txp_rights_owner_restricted(owner, &saved);
	if (SPI_execute_with_args(sql, 1, argtypes, &limit, no_limit ? "n" : " ", true, 0) !=
		SPI_OK_SELECT)
		elog(ERROR, "counting windows failed");
	*count = DatumGetInt64(txp_spi_datum(0, 1));
	txp_rights_restore(&saved);
	return true;
}

/* For the view: NULL when the caller may not know, or the tables are gone. */
Datum
txpipe_count_open_windows(PG_FUNCTION_ARGS)
{
	static TxpStatement statement = {
		"SELECT w.table_schema, w.name, s.owner_oid, s.owner_name, w.watermark - w.lateness "
		"FROM txpipe.window_store w JOIN txpipe.stream s USING (stream_id) WHERE w.window_id = $1",
		1,
		{INT4OID}};
	Datum values[] = {PG_GETARG_DATUM(0)};
	char *schema, *name, *owner_name, *now;
	int64 count = 0;
	bool known = false, no_limit;
	Datum limit;
	Oid owner;

	SPI_connect();
	if (txp_spi_run(&statement, values, NULL) == 1)
	{
		schema = txp_spi_text(0, 1);
		name = txp_spi_text(0, 2);
		owner = DatumGetObjectId(txp_spi_datum(0, 3));
		owner_name = txp_spi_text(0, 4);
		limit = txp_spi_value(0, 5, &no_limit);
		now = GetUserNameFromId(owner, true);
		known =
			now != NULL && strcmp(now, owner_name) == 0 &&
			(txp_rights_is_owner(owner, owner_name) || txp_rights_may_read(schema, name)) &&
			count_rows_after(schema, psprintf("%s_state", name), owner, limit, no_limit, &count);
	}
	SPI_finish();
	if (!known)
		PG_RETURN_NULL();
	PG_RETURN_INT64(count);
}
