/*
 * alert_rules.c — SQL functions create_rule, alter_rule, drop_rule: queries over every batch whose rows become alerts.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "alerts.h"
#include "args.h"
#include "event.h"
#include "rule_try.h"
#include "spi.h"
#include "stream.h"
#include "stream_steps.h"

/* Arguments of create_rule and alter_rule; NULL: not given. */
typedef struct RuleArgs
{
	char *rule;
	char *query;
	char *severity;
	Interval *cooldown;
	char *topic;
	char *on_error;
	char *format;
	bool has_enabled;
	bool enabled;
} RuleArgs;

static void
check_arguments(const RuleArgs *args)
{
	static const char *const severities[] = {"info", "low", "medium", "high", "critical"};
	bool known = args->severity == NULL;

	for (int i = 0; i < (int) lengthof(severities) && !known; i++)
		known = strcmp(args->severity, severities[i]) == 0;
	if (!known)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("severity of a rule cannot be \"%s\"", args->severity),
						errhint("info, low, medium, high or critical.")));
	if (args->format != NULL && strcmp(args->format, "json") != 0 &&
		strcmp(args->format, "avro") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("alerts cannot be sent in the format \"%s\"", args->format),
						errhint("json or avro.")));
	if (args->cooldown != NULL)
		(void) txp_alerts_cooldown(args->cooldown);
	if (args->on_error != NULL)
		(void) txp_step_policy(args->on_error);
}

static void
note_change(const TxpStream *stream, const char *rule, const char *what)
{
	(void) txp_stream_grow_epoch(stream->id);
	txp_event_log(
		stream->id, "altered",
		psprintf("rule \"%s\" %s by %s", rule, what, GetUserNameFromId(GetUserId(), false)), NULL);
}

static void
insert_step(const TxpStream *stream, const RuleArgs *args)
{
	static TxpStatement statement = {
		"INSERT INTO txpipe.stream_step_store (stream_id, step, kind, ordinal, sql, on_error, "
		"enabled) SELECT $1, $2, 'rule', coalesce(max(ordinal), 0) + 100, $3, $4, $5 "
		"FROM txpipe.stream_step_store WHERE stream_id = $1 AND kind = 'rule' "
		"ON CONFLICT DO NOTHING",
		5,
		{INT4OID, TEXTOID, TEXTOID, TEXTOID, BOOLOID}};
	Datum values[] = {Int32GetDatum(stream->id), CStringGetTextDatum(args->rule),
					  CStringGetTextDatum(args->query), CStringGetTextDatum(args->on_error),
					  BoolGetDatum(args->enabled)};

	if (txp_spi_do(&statement, values, NULL) == 0)
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("stream \"%s\" has a step or rule \"%s\"", stream->name, args->rule),
						errhint("Change a rule with txpipe.alter_rule, or choose another name.")));
}

static void
insert_rule(const TxpStream *stream, const RuleArgs *args)
{
	static TxpStatement statement = {
		"INSERT INTO txpipe.alert_rule_store (rule, stream_id, severity, cooldown, topic, format) "
		"VALUES ($1, $2, $3, $4, nullif($5, ''), $6) ON CONFLICT DO NOTHING",
		6,
		{TEXTOID, INT4OID, TEXTOID, INTERVALOID, TEXTOID, TEXTOID}};
	Datum values[] = {CStringGetTextDatum(args->rule),
					  Int32GetDatum(stream->id),
					  CStringGetTextDatum(args->severity),
					  IntervalPGetDatum(args->cooldown),
					  args->topic ? CStringGetTextDatum(args->topic) : (Datum) 0,
					  CStringGetTextDatum(args->format)};

	if (txp_spi_do(&statement, values, args->topic ? NULL : "    n ") == 0)
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("another stream has a rule \"%s\"", args->rule),
						errhint("Rules have names of their own in a database.")));
}

static void
check_name(const char *rule)
{
	if (rule[0] == '\0' || strcmp(rule, TXP_TARGET_STEP) == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a rule cannot be called \"%s\"", rule),
						errhint("Its name stands in its alerts; choose another one.")));
}

static Interval *
interval_or_null(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : PG_GETARG_INTERVAL_P(n);
}

PG_FUNCTION_INFO_V1(txpipe_create_rule);
Datum
txpipe_create_rule(PG_FUNCTION_ARGS)
{
	RuleArgs args = {.rule = txp_arg_text(fcinfo, 0, "rule"),
					 .query = txp_arg_text(fcinfo, 2, "query"),
					 .severity = txp_arg_text(fcinfo, 3, "severity"),
					 .cooldown = interval_or_null(fcinfo, 4),
					 .topic = txp_arg_text_or_null(fcinfo, 5),
					 .enabled = txp_arg_bool(fcinfo, 6, true),
					 .on_error = txp_arg_text(fcinfo, 7, "on_error"),
					 .format = txp_arg_text(fcinfo, 8, "format")};
	TxpStream *stream = txp_stream_of_user_locked(txp_arg_text(fcinfo, 1, "stream"));
	Interval none = {0};

	if (args.cooldown == NULL)
		args.cooldown = &none;
	check_name(args.rule);
	check_arguments(&args);
	insert_step(stream, &args);
	insert_rule(stream, &args);
	txp_rule_try_check(stream, args.rule, args.query);
	note_change(stream, args.rule, "set");
	PG_RETURN_VOID();
}

/* The stream of the rule, which the caller owns and nobody else changes until the end of the transaction. */
static TxpStream *
stream_of_rule(const char *rule)
{
	static TxpStatement statement = {
		"SELECT s.stream FROM txpipe.alert_rule_store r JOIN txpipe.stream s USING (stream_id) "
		"WHERE r.rule = $1",
		1,
		{TEXTOID}};
	Datum values[1] = {CStringGetTextDatum(rule)};
	MemoryContext context = CurrentMemoryContext;
	char *stream = NULL;

	SPI_connect();
	if (txp_spi_run(&statement, values, NULL) > 0)
		stream = MemoryContextStrdup(context, txp_spi_text(0, 1));
	SPI_finish();
	if (stream == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no rule \"%s\"", rule),
						errhint("Rules of streams are listed in txpipe.alert_rule.")));
	return txp_stream_of_user_locked(stream);
}

static void
update_step(const TxpStream *stream, const RuleArgs *args)
{
	static TxpStatement statement = {
		"UPDATE txpipe.stream_step_store SET sql = coalesce($3, sql), on_error = coalesce($4, "
		"on_error), enabled = coalesce($5, enabled) WHERE stream_id = $1 AND step = $2",
		5,
		{INT4OID, TEXTOID, TEXTOID, TEXTOID, BOOLOID}};
	char nulls[] = "     ";
	Datum values[] = {Int32GetDatum(stream->id), CStringGetTextDatum(args->rule),
					  args->query ? CStringGetTextDatum(args->query) : (Datum) 0,
					  args->on_error ? CStringGetTextDatum(args->on_error) : (Datum) 0,
					  BoolGetDatum(args->enabled)};

	nulls[2] = args->query ? ' ' : 'n';
	nulls[3] = args->on_error ? ' ' : 'n';
	nulls[4] = args->has_enabled ? ' ' : 'n';
	(void) txp_spi_do(&statement, values, nulls);
}

static void
update_rule(const RuleArgs *args)
{
	static TxpStatement statement = {
		"UPDATE txpipe.alert_rule_store SET severity = coalesce($2, severity), "
		"cooldown = coalesce($3, cooldown), topic = nullif(coalesce($4, topic), ''), "
		"format = coalesce($5, format) WHERE rule = $1",
		5,
		{TEXTOID, TEXTOID, INTERVALOID, TEXTOID, TEXTOID}};
	char nulls[] = "     ";
	Datum values[] = {CStringGetTextDatum(args->rule),
					  args->severity ? CStringGetTextDatum(args->severity) : (Datum) 0,
					  args->cooldown ? IntervalPGetDatum(args->cooldown) : (Datum) 0,
					  args->topic ? CStringGetTextDatum(args->topic) : (Datum) 0,
					  args->format ? CStringGetTextDatum(args->format) : (Datum) 0};

	nulls[1] = args->severity ? ' ' : 'n';
	nulls[2] = args->cooldown ? ' ' : 'n';
	nulls[3] = args->topic ? ' ' : 'n';
	nulls[4] = args->format ? ' ' : 'n';
	(void) txp_spi_do(&statement, values, nulls);
}

PG_FUNCTION_INFO_V1(txpipe_alter_rule);
Datum
txpipe_alter_rule(PG_FUNCTION_ARGS)
{
	RuleArgs args = {.rule = txp_arg_text(fcinfo, 0, "rule"),
					 .query = txp_arg_text_or_null(fcinfo, 1),
					 .severity = txp_arg_text_or_null(fcinfo, 2),
					 .cooldown = interval_or_null(fcinfo, 3),
					 .topic = txp_arg_text_or_null(fcinfo, 4),
					 .has_enabled = !PG_ARGISNULL(5),
					 .enabled = txp_arg_bool(fcinfo, 5, true),
					 .on_error = txp_arg_text_or_null(fcinfo, 6),
					 .format = txp_arg_text_or_null(fcinfo, 7)};
	TxpStream *stream = stream_of_rule(args.rule);

	check_arguments(&args);
	update_step(stream, &args);
	update_rule(&args);
	if (args.query != NULL)
		txp_rule_try_check(stream, args.rule, args.query);
	note_change(stream, args.rule, "altered");
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(txpipe_drop_alert_rule);
Datum
txpipe_drop_alert_rule(PG_FUNCTION_ARGS)
{
	static TxpStatement statement = {
		"DELETE FROM txpipe.stream_step_store WHERE stream_id = $1 AND step = $2",
		2,
		{INT4OID, TEXTOID}};
	char *rule = txp_arg_text(fcinfo, 0, "rule");
	TxpStream *stream = stream_of_rule(rule);
	Datum values[] = {Int32GetDatum(stream->id), CStringGetTextDatum(rule)};

	(void) txp_spi_do(&statement, values, NULL);
	note_change(stream, rule, "dropped");
	PG_RETURN_VOID();
}
