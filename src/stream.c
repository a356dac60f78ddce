/*
 * stream.c — definitions and states of streams, as the catalogs have them.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "copied.h"
#include "event.h"
#include "options.h"
#include "rights.h"
#include "spi.h"
#include "stream.h"
#include "trust.h"
#include "unixtime.h"

/*
 * The table a definition means: by its OID while that still has the name; otherwise (a restored dump, a table
 * put in the place of another) by its name.
 */
static Oid
resolve_target(Oid oid, char *schema, char *table)
{
	char *name = get_rel_name(oid);
	char *namespace = name ? get_namespace_name(get_rel_namespace(oid)) : NULL;

	if (namespace && strcmp(name, table) == 0 && strcmp(namespace, schema) == 0)
		return oid;
	return RangeVarGetRelid(makeRangeVar(schema, table, -1), NoLock, true);
}

static Jsonb *
jsonb_or_null(uint64 row, int column)
{
	bool isnull;
	Datum value = txp_spi_value(row, column, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

static TxpStreamSchemas
schemas_of(const TxpStream *stream)
{
	Jsonb *options = stream->options;

	return (TxpStreamSchemas){
		.own = {txp_option_text(TXP_OPTION_STREAM, options, "avro_schema"),
				txp_option_text(TXP_OPTION_STREAM, options, "protobuf_schema"),
				txp_option_text(TXP_OPTION_STREAM, options, "protobuf_message")},
		.key = {txp_option_text(TXP_OPTION_STREAM, options, "key_avro_schema"),
				txp_option_text(TXP_OPTION_STREAM, options, "key_protobuf_schema"),
				txp_option_text(TXP_OPTION_STREAM, options, "key_protobuf_message")},
		.key_format = txp_option_text(TXP_OPTION_STREAM, options, "key_format"),
		.topics = stream->topic,
		.topic_formats = txp_option_object(TXP_OPTION_STREAM, options, "topic_formats"),
		.timeout_s = txp_option_int(TXP_OPTION_STREAM, options, "schema_timeout")};
}

void
txp_stream_apply_options(TxpStream *stream)
{
	stream->batch_rows = txp_option_int(TXP_OPTION_STREAM, stream->options, "batch_rows");
	stream->batch_bytes = txp_option_int(TXP_OPTION_STREAM, stream->options, "batch_bytes");
	stream->linger_ms = txp_option_int(TXP_OPTION_STREAM, stream->options, "linger_ms");
	stream->workers = txp_option_int(TXP_OPTION_STREAM, stream->options, "workers");
	stream->partitions =
		txp_partition_set(txp_option_text(TXP_OPTION_STREAM, stream->options, "partitions"));
	stream->rows_per_second = txp_option_int(TXP_OPTION_STREAM, stream->options, "rows_per_second");
	stream->bytes_per_second =
		txp_option_int(TXP_OPTION_STREAM, stream->options, "bytes_per_second");
	stream->stop_on_error =
		strcmp(txp_option_text(TXP_OPTION_STREAM, stream->options, "on_error"), "stop") == 0;
	stream->trusted = txp_trust_roles(
		txp_option_text(TXP_OPTION_STREAM, stream->options, "trusted_roles"), stream->target);
	stream->encrypt = txp_option_bool(TXP_OPTION_STREAM, stream->options, "encrypt");
	stream->mode = txp_option_text(TXP_OPTION_STREAM, stream->options, "mode");
	stream->version_column = txp_option_text(TXP_OPTION_STREAM, stream->options, "version_column");
	stream->on_lost_offset = txp_option_text(TXP_OPTION_STREAM, stream->options, "on_lost_offset");
	stream->on_new_field = txp_option_text(TXP_OPTION_STREAM, stream->options, "on_new_field");
	stream->track_fields = txp_option_bool(TXP_OPTION_STREAM, stream->options, "track_fields");
	stream->archive = txp_option_bool(TXP_OPTION_STREAM, stream->options, "archive");
	stream->schemas = schemas_of(stream);
	stream->envelope = txp_option_text(TXP_OPTION_STREAM, stream->options, "envelope");
	stream->rows = txp_option_text(TXP_OPTION_STREAM, stream->options, "rows");
	stream->batch_timeout_ms =
		txp_option_int(TXP_OPTION_STREAM, stream->options, "batch_timeout_ms");
	stream->error_budget = txp_option_int(TXP_OPTION_STREAM, stream->options, "error_budget");
	stream->error_ratio = txp_option_int(TXP_OPTION_STREAM, stream->options, "error_ratio");
	stream->refused_budget = txp_option_int(TXP_OPTION_STREAM, stream->options, "refused_budget");
	stream->refused_ratio = txp_option_int(TXP_OPTION_STREAM, stream->options, "refused_ratio");
	stream->error_window = txp_option_int(TXP_OPTION_STREAM, stream->options, "error_window");
	stream->dead_letter_max_bytes =
		txp_option_int(TXP_OPTION_STREAM, stream->options, "dead_letter_max_bytes");
}

Jsonb *
txp_stream_columns(Jsonb *columns)
{
	JsonbValue v;

	if (columns == NULL || JB_ROOT_IS_OBJECT(columns))
		return columns;
	if (JsonbExtractScalar(&columns->root, &v) && v.type == jbvNull)
		return NULL;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("columns must be a JSON object"),
			 errhint("For example '{\"customer_id\": \"customerId\"}'.")));
}

static void
read_key_columns(TxpStream *stream, int column)
{
	bool isnull;
	Datum value = txp_spi_value(0, column, &isnull);
	Datum *names;

	if (isnull)
		return;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &names, NULL,
					  &stream->nkey_columns);
	stream->key_columns = palloc(sizeof(char *) * stream->nkey_columns);
	for (int i = 0; i < stream->nkey_columns; i++)
		stream->key_columns[i] = TextDatumGetCString(names[i]);
}

static TxpStream *
read_stream(MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	TxpStream *stream = palloc0(sizeof(TxpStream));
	char *schema;
	char *table;

	stream->id = DatumGetInt32(txp_spi_datum(0, 1));
	stream->name = txp_spi_text(0, 2);
	stream->owner = DatumGetObjectId(txp_spi_datum(0, 3));
	stream->owner_name = txp_spi_text(0, 4);
	stream->server = txp_spi_text(0, 5);
	stream->topic = txp_spi_text(0, 6);
	schema = txp_spi_text(0, 8);
	table = txp_spi_text(0, 9);
	stream->target = resolve_target(DatumGetObjectId(txp_spi_datum(0, 7)), schema, table);
	stream->is_replaced = stream->target != DatumGetObjectId(txp_spi_datum(0, 7));
	stream->target_name = quote_qualified_identifier(schema, table);
	stream->format = txp_spi_text(0, 10);
	stream->columns = jsonb_or_null(0, 11);
	stream->start_at = txp_spi_text(0, 12);
	stream->options = jsonb_or_null(0, 13);
	stream->state = txp_spi_text(0, 14);
	stream->created_at = DatumGetTimestampTz(txp_spi_datum(0, 15));
	stream->epoch = DatumGetInt64(txp_spi_datum(0, 16));
	read_key_columns(stream, 17);
	stream->reason = txp_spi_text(0, 18);
	txp_stream_apply_options(stream);
	MemoryContextSwitchTo(old);
	return stream;
}

TxpStream *
txp_stream_load(const char *name, int32 id)
{
	static TxpStatement statement = {
		"SELECT stream_id, stream, owner_oid, owner_name, server, topic, target_oid, "
		"target_schema, "
		"target_table, format, columns, start_at, options, state, created_at, epoch, key_columns, "
		"reason "
		"FROM txpipe.stream "
		"WHERE stream = $1 OR ($1 IS NULL AND stream_id = $2)",
		2,
		{TEXTOID, INT4OID}};
	MemoryContext context = CurrentMemoryContext;
	TxpStream *stream = NULL;
	Datum values[2] = {name ? CStringGetTextDatum(name) : 0, Int32GetDatum(id)};

	SPI_connect();
	if (txp_spi_run(&statement, values, name ? "  " : "n ") > 0)
		stream = read_stream(context);
	SPI_finish();
	return stream;
}

static TxpStream *
stream_for(const char *name, bool (*may)(Oid owner, const char *owner_name))
{
	TxpStream *stream;

	(void) txp_copied_pause();
	stream = txp_stream_load(name, 0);
	if (stream == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("stream \"%s\" does not exist", name),
				 errhint("txpipe.stream_status lists the streams you may see.")));
	if (!may(stream->owner, stream->owner_name))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("must be owner of stream \"%s\"", name),
						errhint("Its owner is \"%s\".", stream->owner_name)));
	return stream;
}

TxpStream *
txp_stream_of_user(const char *name)
{
	return stream_for(name, txp_rights_is_owner);
}

TxpStream *
txp_stream_of_operator(const char *name)
{
	return stream_for(name, txp_rights_may_operate);
}

TxpStream *
txp_stream_of_user_locked(const char *name)
{
	TxpStream *stream = txp_stream_of_user(name);

	if (!txp_stream_lock(stream->id))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("stream \"%s\" has been dropped meanwhile", name),
						errhint("txpipe.stream_status lists the streams you may see.")));
	return txp_stream_load(NULL, stream->id);
}

static void *
read_runnable(uint64 row)
{
	TxpRunnable *stream = palloc(sizeof(TxpRunnable));

	stream->id = DatumGetInt32(txp_spi_datum(row, 1));
	stream->epoch = DatumGetInt64(txp_spi_datum(row, 2));
	stream->healthy = DatumGetBool(txp_spi_datum(row, 3));
	stream->workers =
		txp_option_int(TXP_OPTION_STREAM, DatumGetJsonbP(txp_spi_datum(row, 4)), "workers");
	return stream;
}

List *
txp_stream_runnable(void)
{
	static TxpStatement statement = {
		"SELECT stream_id, epoch, state = 'running', options FROM txpipe.stream "
		"WHERE state IN ('running', 'error') AND home = (SELECT token FROM txpipe.installation) "
		"ORDER BY stream_id",
		0,
		{0}};

	return txp_spi_list(&statement, NULL, NULL, read_runnable);
}

void
txp_stream_check_owner(const TxpStream *stream)
{
	(void) txp_rights_resolve(stream->owner, stream->owner_name,
							  psprintf("stream \"%s\"", stream->name));
}

void
txp_stream_check_target(const TxpStream *stream)
{
	if (stream->is_replaced)
		txp_rights_check_replacement(
			stream->target, stream->owner,
			psprintf("target %s of stream \"%s\"", stream->target_name, stream->name));
}

void
txp_stream_require_owner(const TxpStream *stream, const char *what)
{
	if (GetUserId() != stream->owner)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("only the owner of stream \"%s\" can %s", stream->name, what),
						errhint("SET ROLE %s first.", quote_identifier(stream->owner_name))));
}

void
txp_stream_set_state(int32 id, const char *state, const char *reason)
{
	static TxpStatement statement = {
		"UPDATE txpipe.stream SET state = $2, reason = $3, "
		"since = CASE WHEN state = $2 THEN since ELSE clock_timestamp() END WHERE stream_id = $1",
		3,
		{INT4OID, TEXTOID, TEXTOID}};
	Datum values[3] = {Int32GetDatum(id), CStringGetTextDatum(state),
					   reason ? CStringGetTextDatum(reason) : 0};

	(void) txp_spi_do(&statement, values, reason ? "   " : "  n");
}

bool
txp_stream_lock(int32 id)
{
	static TxpStatement statement = {
		"SELECT FROM txpipe.stream WHERE stream_id = $1 FOR NO KEY UPDATE", 1, {INT4OID}};
	Datum values[1] = {Int32GetDatum(id)};

	return txp_spi_do(&statement, values, NULL) == 1;
}

bool
txp_stream_grow_epoch(int32 id)
{
	static TxpStatement statement = {
		"UPDATE txpipe.stream SET epoch = epoch + 1 WHERE stream_id = $1", 1, {INT4OID}};
	Datum values[1] = {Int32GetDatum(id)};

	return txp_spi_do(&statement, values, NULL) == 1;
}

void
txp_stream_store_definition(const TxpStream *stream)
{
	static TxpStatement statement = {
		"UPDATE txpipe.stream SET columns = $2, options = $3, epoch = epoch + 1 "
		"WHERE stream_id = $1",
		3,
		{INT4OID, JSONBOID, JSONBOID}};
	/* Versions of another column, or from elsewhere, do not compare. */
	static TxpStatement forget = {
		"DELETE FROM txpipe.deleted_key d USING txpipe.stream s WHERE d.stream_id = $1 "
		"AND s.stream_id = $1 AND (s.columns IS DISTINCT FROM $2 "
		"OR s.options -> 'version_column' IS DISTINCT FROM $3 -> 'version_column' "
		"OR s.options -> 'mode' IS DISTINCT FROM $3 -> 'mode')",
		3,
		{INT4OID, JSONBOID, JSONBOID}};
	Datum values[3] = {Int32GetDatum(stream->id),
					   stream->columns ? JsonbPGetDatum(stream->columns) : 0,
					   JsonbPGetDatum(stream->options)};
	const char *nulls = stream->columns ? "   " : " n ";

	(void) txp_spi_do(&forget, values, nulls);
	(void) txp_spi_do(&statement, values, nulls);
}

void
txp_stream_pause_for(int32 id, const char *reason)
{
	static TxpStatement statement = {
		"UPDATE txpipe.stream SET state = 'paused', reason = $2, since = clock_timestamp(), "
		"last_error = $2, last_error_at = clock_timestamp() "
		"WHERE stream_id = $1",
		2,
		{INT4OID, TEXTOID}};
	Datum values[2] = {Int32GetDatum(id), CStringGetTextDatum(reason)};

	(void) txp_spi_do(&statement, values, NULL);
	txp_event_log(id, "paused", reason, NULL);
}

/* The log has one entry for each change, not for each try. */
static void
log_change(int32 id, const char *error, bool was_error, bool changed)
{
	if (error == NULL)
		txp_event_log(id, "recovered", "runs again", NULL);
	else if (!was_error || changed)
		txp_event_log(id, "error", error, NULL);
}

void
txp_stream_note(int32 id, const char *error)
{
	static TxpStatement statement = {
		"UPDATE txpipe.stream s SET "
		"state = CASE WHEN $2 IS NULL THEN 'running' ELSE 'error' END, reason = $2, "
		"since = CASE WHEN (s.state = 'error') = ($2 IS NOT NULL) THEN s.since "
		"ELSE clock_timestamp() END, "
		"last_error = coalesce($2, s.last_error), "
		"last_error_at = CASE WHEN $2 IS NULL THEN s.last_error_at ELSE clock_timestamp() END, "
		"restarts = s.restarts + CASE WHEN $2 IS NULL THEN 0 ELSE 1 END "
		"FROM (SELECT stream_id, state, reason FROM txpipe.stream "
		"WHERE stream_id = $1 FOR NO KEY UPDATE) old "
		"WHERE s.stream_id = old.stream_id AND s.state <> 'paused' "
		"AND (s.state = 'error' OR $2 IS NOT NULL) "
		"RETURNING old.state = 'error', old.reason IS DISTINCT FROM $2",
		2,
		{INT4OID, TEXTOID}};
	Datum values[2] = {Int32GetDatum(id), error ? CStringGetTextDatum(error) : 0};

	SPI_connect();
	if (txp_spi_run(&statement, values, error ? "  " : " n") > 0)
		log_change(id, error, DatumGetBool(txp_spi_datum(0, 1)), DatumGetBool(txp_spi_datum(0, 2)));
	SPI_finish();
}

/* The input function's error says what is wrong; this says what would be right. */
static void
hint_start_at(void *arg)
{
	errhint("start_at takes earliest, latest, or a timestamp with time zone.");
}

TxpStartAt
txp_start_parse(const char *start_at, int64 *unix_ms)
{
	ErrorContextCallback context = {0};
	TimestampTz when;

	*unix_ms = 0;
	if (strcmp(start_at, "earliest") == 0)
		return TXP_START_EARLIEST;
	if (strcmp(start_at, "latest") == 0)
		return TXP_START_LATEST;
	context.callback = hint_start_at;
	context.previous = error_context_stack;
	error_context_stack = &context;
	when =
		DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(start_at),
												ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	error_context_stack = context.previous;
	if (TIMESTAMP_NOT_FINITE(when))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid start_at \"%s\"", start_at),
						errhint("Write earliest, latest, or a timestamp with time zone.")));
	*unix_ms = txp_timestamptz_to_unix_ms(when);
	return TXP_START_TIMESTAMP;
}
