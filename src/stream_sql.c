/*
 * stream_sql.c — SQL functions that create, pause, resume and drop streams.
 *
 * They run with the caller's rights, who becomes the owner; only statements on our catalogs switch.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "archive_hour.h"
#include "args.h"
#include "copied.h"
#include "event.h"
#include "infer.h"
#include "io_client.h"
#include "link.h"
#include "offsets.h"
#include "options.h"
#include "properties.h"
#include "sample_report.h"
#include "shared.h"
#include "spi.h"
#include "stream.h"

/* What create_stream looks at to tell whether a mapping fits. */
#define SAMPLE_MESSAGES 100
#define SAMPLE_MS 2000
#define SAMPLE_BYTES (16 * 1024 * 1024)

/* Whoever names key columns wants an upsert, unless the options say which. */
static void
apply_key_columns(TxpStream *stream)
{
	Datum mode = DirectFunctionCall1(jsonb_in, CStringGetDatum("{\"mode\": \"upsert\"}"));

	if (stream->key_columns == NULL)
		return;
	stream->options = DatumGetJsonbP(
		stream->options ? DirectFunctionCall2(jsonb_concat, mode, JsonbPGetDatum(stream->options))
						: mode);
	txp_stream_apply_options(stream);
	if (strcmp(stream->mode, "append") == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("key_columns have no use in mode append"),
						errhint("Use mode upsert or upsert_delete, or leave key_columns out.")));
}

/* create_stream's arguments as a stream that has no id yet. */
static TxpStream *
stream_of_arguments(FunctionCallInfo fcinfo)
{
	TxpStream *stream = palloc0(sizeof(TxpStream));
	int64 start_ms;

	stream->name = txp_arg_text(fcinfo, 0, "stream");
	stream->owner = GetUserId();
	stream->owner_name = GetUserNameFromId(stream->owner, false);
	stream->server = txp_arg_text(fcinfo, 1, "server");
	stream->topic = txp_arg_text(fcinfo, 2, "topic");
	stream->target = PG_ARGISNULL(3) ? InvalidOid : PG_GETARG_OID(3);
	stream->target_name =
		DatumGetCString(DirectFunctionCall1(regclassout, ObjectIdGetDatum(stream->target)));
	stream->format = txp_arg_text(fcinfo, 4, "format");
	(void) txp_format_by_name(stream->format);
	stream->columns = txp_stream_columns(txp_arg_jsonb_or_null(fcinfo, 5));
	stream->key_columns = txp_arg_names(
		fcinfo, 6, "key_columns", "Leave it out to go by the primary key, or to append all rows.",
		&stream->nkey_columns);
	stream->start_at = txp_arg_text(fcinfo, 7, "start_at");
	(void) txp_start_parse(stream->start_at, &start_ms);
	stream->state = txp_arg_bool(fcinfo, 8, false) ? "paused" : "running";
	stream->options = txp_arg_jsonb_or_null(fcinfo, 10);
	if (stream->options)
	{
		txp_options_check(TXP_OPTION_STREAM, stream->options);
		txp_options_check_roles(stream->options);
	}
	if (stream->name[0] == '\0' || stream->topic[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("stream and topic must have a name"),
						errhint("Give both a name that is not empty.")));
	(void) txp_server_by_name(stream->server);
	txp_stream_apply_options(stream);
	apply_key_columns(stream);
	return stream;
}

static Datum
text_array(char *const *names, int n)
{
	Datum *values = palloc(sizeof(Datum) * (n + 1));

	for (int i = 0; i < n; i++)
		values[i] = CStringGetTextDatum(names[i]);
	return txp_spi_array(TEXTOID, values, NULL, n);
}

/* No lock was held while the brokers were asked; from here on the table stays. */
static void
hold_target(const TxpStream *stream)
{
	LockRelationOid(stream->target, AccessShareLock);
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(stream->target)))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("target %s of stream \"%s\" does not exist any more",
							   stream->target_name, stream->name),
						errhint("It was dropped while the brokers were asked.")));
}

static int32
insert_stream(const TxpStream *stream)
{
	static TxpStatement statement = {
		"INSERT INTO txpipe.stream (stream, owner_oid, owner_name, server, topic, target_oid, "
		"target_schema, target_table, format, columns, start_at, state, options, key_columns, "
		"reason, home) "
		"SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, coalesce($13, '{}'), $14, "
		"CASE $12 WHEN 'paused' THEN 'created paused' END, token FROM txpipe.installation "
		"RETURNING stream_id",
		14,
		{TEXTOID, OIDOID, NAMEOID, NAMEOID, TEXTOID, OIDOID, NAMEOID, NAMEOID, TEXTOID, JSONBOID,
		 TEXTOID, TEXTOID, JSONBOID, TEXTARRAYOID}};
	char *schema = get_namespace_name(get_rel_namespace(stream->target));
	Datum values[14] = {CStringGetTextDatum(stream->name),
						ObjectIdGetDatum(stream->owner),
						DirectFunctionCall1(namein, CStringGetDatum(stream->owner_name)),
						DirectFunctionCall1(namein, CStringGetDatum(stream->server)),
						CStringGetTextDatum(stream->topic),
						ObjectIdGetDatum(stream->target),
						DirectFunctionCall1(namein, CStringGetDatum(schema)),
						DirectFunctionCall1(namein, CStringGetDatum(get_rel_name(stream->target))),
						CStringGetTextDatum(stream->format),
						stream->columns ? JsonbPGetDatum(stream->columns) : 0,
						CStringGetTextDatum(stream->start_at),
						CStringGetTextDatum(stream->state),
						stream->options ? JsonbPGetDatum(stream->options) : 0,
						text_array(stream->key_columns, stream->nkey_columns)};
	char nulls[15] = "              ";

	if (stream->columns == NULL)
		nulls[9] = 'n';
	if (stream->options == NULL)
		nulls[12] = 'n';
	if (stream->key_columns == NULL)
		nulls[13] = 'n';
	return DatumGetInt32(txp_spi_ask(&statement, values, nulls));
}

/* There is a stream of that name: an error, or with if_not_exists a notice that says where it differs. */
static void
refuse_existing(const TxpStream *there, const TxpStream *wanted, bool if_not_exists)
{
	bool differs = strcmp(there->server, wanted->server) != 0 ||
				   strcmp(there->topic, wanted->topic) != 0 ||
				   strcmp(there->format, wanted->format) != 0 ||
				   (OidIsValid(wanted->target) && wanted->target != there->target);

	if (!if_not_exists)
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("stream \"%s\" already exists", there->name),
						errhint("Choose another name, or drop it first: "
								"SELECT txpipe.drop_stream(%s).",
								quote_literal_cstr(there->name))));
	ereport(NOTICE,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("stream \"%s\" already exists, skipping", there->name),
			 differs
				 ? errdetail("It is another one: from topic \"%s\" of server \"%s\", format %s, "
							 "into %s.",
							 there->topic, there->server, there->format, there->target_name)
				 : 0));
}

/*
 * Asks the brokers before anything is stored: a wrong topic is told to the one who typed it, the start offsets
 * are those of now, and some messages show whether the mapping fits.
 */
static void
store_stream(TxpIo *io, TxpStream *stream, bool inferred)
{
	TxpSampleWish wish = {.max_messages = SAMPLE_MESSAGES,
						  .max_bytes = SAMPLE_BYTES,
						  .timeout_ms = SAMPLE_MS,
						  .newest = strcmp(stream->start_at, "latest") == 0};
	TxpRowPlan *plan = txp_link_plan(stream)->plan;
	TxpSample *sample;

	if (strcmp(stream->state, "paused") == 0)
	{
		txp_link_check_decoder(io, plan);
		hold_target(stream);
		(void) insert_stream(stream);
		return;
	}
	sample = txp_sample_take(io, stream, plan, &wish);
	if (!inferred)
		txp_sample_report(stream->topic, plan, sample);
	txp_partitions_keep(&sample->parts, &stream->partitions, NIL);
	hold_target(stream);
	(void) txp_offsets_store(insert_stream(stream), &sample->parts);
	if (!txp_shared_available())
		ereport(NOTICE, (errmsg("no worker will serve stream \"%s\"", stream->name),
						 errhint("Add txpipe to shared_preload_libraries and restart the server, "
								 "or call txpipe.consume().")));
}

PG_FUNCTION_INFO_V1(txpipe_create_stream);
Datum
txpipe_create_stream(PG_FUNCTION_ARGS)
{
	TxpStream *stream = stream_of_arguments(fcinfo);
	bool inferred = !OidIsValid(stream->target);
	TxpStream *there;
	TxpIo *io;

	(void) txp_copied_pause();
	there = txp_stream_load(stream->name, 0);
	if (there != NULL)
	{
		refuse_existing(there, stream, txp_arg_bool(fcinfo, 9, false));
		PG_RETURN_VOID();
	}
	io = txp_io_start(CurrentMemoryContext);
	if (inferred)
	{
		char *schema = PG_ARGISNULL(11) ? NULL : NameStr(*PG_GETARG_NAME(11));

		txp_infer_check(stream, schema);
		txp_infer_create(stream, txp_infer_columns(io, stream), schema);
	}
	store_stream(io, stream, inferred);
	txp_io_stop(io);
	PG_RETURN_VOID();
}

/* By a user's call: state and a line in the log. */
static void
change_state(const TxpStream *stream, const char *state, const char *event)
{
	char *what = psprintf("%s by %s", event, GetUserNameFromId(GetUserId(), false));

	txp_stream_set_state(stream->id, state, strcmp(state, "paused") == 0 ? what : NULL);
	txp_event_log(stream->id, event, what, NULL);
}

PG_FUNCTION_INFO_V1(txpipe_pause_stream);
Datum
txpipe_pause_stream(PG_FUNCTION_ARGS)
{
	TxpStream *stream = txp_stream_of_operator(txp_arg_text(fcinfo, 0, "stream"));

	if (strcmp(stream->state, "paused") != 0)
		change_state(stream, "paused", "paused");
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(txpipe_resume_stream);
Datum
txpipe_resume_stream(PG_FUNCTION_ARGS)
{
	TxpStream *stream = txp_stream_of_operator(txp_arg_text(fcinfo, 0, "stream"));

	txp_copied_log(stream->id);
	if (strcmp(stream->state, "running") != 0)
		change_state(stream, "running", "resumed");
	PG_RETURN_VOID();
}

/*
 * The offsets first, as a batch does: one at work ends before its stream goes, which neither then waits for
 * the other.
 */
PG_FUNCTION_INFO_V1(txpipe_drop_stream);
Datum
txpipe_drop_stream(PG_FUNCTION_ARGS)
{
	static TxpStatement statement = {
		"DELETE FROM txpipe.stream WHERE stream_id = $1", 1, {INT4OID}};
	/* Afterwards: nobody can add to them any more. */
	static TxpStatement letters = {
		"DELETE FROM txpipe.dead_letter_store WHERE stream_id = $1", 1, {INT4OID}};
	static TxpStatement deleted = {
		"DELETE FROM txpipe.deleted_key WHERE stream_id = $1", 1, {INT4OID}};
	TxpStream *stream = txp_stream_of_user(txp_arg_text(fcinfo, 0, "stream"));
	Datum values[1] = {Int32GetDatum(stream->id)};

	txp_offsets_lock_all(stream->id);
	(void) txp_spi_do(&statement, values, NULL);
	(void) txp_spi_do(&letters, values, NULL);
	(void) txp_spi_do(&deleted, values, NULL);
	txp_archive_forget(stream->id);
	PG_RETURN_VOID();
}

/* Statement trigger of txpipe.stream: launcher and workers look again when this commits. */
PG_FUNCTION_INFO_V1(txpipe_wake);
Datum
txpipe_wake(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("function \"wake\" is a trigger function")));
	txp_wake_at_commit();
	return PointerGetDatum(NULL);
}
