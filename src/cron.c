/*
 * cron.c — what this extension asks of pg_cron, in pg_cron's own database.
 *
 * pg_cron need not be there, so its names are in statements that are prepared when they are run. They run with the
 * rights of the current user: pg_cron decides what he may do.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

#include "cron.h"
#include "spi.h"

#define MAX_PARAMETERS 4

static uint64
query(const char *sql, int n, Oid type, const Datum *values)
{
	Oid types[MAX_PARAMETERS];
	int code;

	for (int i = 0; i < n; i++)
		types[i] = type;
	code = SPI_execute_with_args(sql, n, types, unconstify(Datum *, values), NULL, false, 0);
	if (code != SPI_OK_SELECT && code != SPI_OK_DELETE)
		elog(ERROR, "SPI_execute_with_args returned %s", SPI_result_code_string(code));
	return SPI_processed;
}

static void
check_usable(bool elsewhere)
{
	char *role = GetUserNameFromId(GetUserId(), false);
	char *home = get_database_name(MyDatabaseId);

	(void) query(
		"SELECT e.is_there, e.is_there AND has_schema_privilege('cron', 'USAGE') "
		"FROM (SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron')) e(is_there)",
		0, InvalidOid, NULL);
	if (!DatumGetBool(txp_spi_datum(0, 1)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the extension pg_cron is not installed in database \"%s\"", home),
				 errhint("psql -d %s -c 'CREATE EXTENSION pg_cron'", quote_literal_cstr(home))));
	if (!DatumGetBool(txp_spi_datum(0, 2)))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("role \"%s\" may not use pg_cron", role),
						errhint("In database \"%s\": GRANT USAGE ON SCHEMA cron TO %s;", home,
								quote_identifier(role))));
	if (!elsewhere)
		return;
	(void) query("SELECT has_function_privilege("
				 "'cron.schedule_in_database(text,text,text,text,text,boolean)', 'EXECUTE')",
				 0, InvalidOid, NULL);
	if (!DatumGetBool(txp_spi_datum(0, 1)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not schedule jobs in other databases", role),
				 errhint("In database \"%s\": GRANT EXECUTE ON FUNCTION cron.schedule_in_database "
						 "TO %s;",
						 home, quote_identifier(role))));
}

/* --- schedule --- */

/* pg_cron says which schedule it does not understand, not what one looks like. */
static void
explain_schedule(void *job)
{
	if (geterrcode() == ERRCODE_INVALID_PARAMETER_VALUE)
		errhint("A schedule has five fields, in GMT: minute, hour, day of the month, month, day of "
				"the week; '5 * * * *' is five minutes past every hour.");
	errcontext("job \"%s\"", (char *) job);
}

/* pg_cron's number of the job, 0 when there is none. Names are unique in all databases together. */
static int64
find_job(Datum name, const char *target)
{
	char *database;

	if (query("SELECT jobid, database FROM cron.job "
			  "WHERE jobname = $1::name AND username = current_user",
			  1, TEXTOID, &name) == 0)
		return 0;
	database = txp_spi_text(0, 2);
	if (strcmp(database, target) != 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("job \"%s\" is one of database \"%s\"", TextDatumGetCString(name), database),
			 errhint("In database \"%s\": SELECT cron.unschedule(" INT64_FORMAT
					 "); then schedule it from there.",
					 get_database_name(MyDatabaseId), DatumGetInt64(txp_spi_datum(0, 1)))));
	return DatumGetInt64(txp_spi_datum(0, 1));
}

static int64
install_job(const Datum *job, const char *target, bool elsewhere)
{
	ErrorContextCallback callback = {error_context_stack, explain_schedule,
									 TextDatumGetCString(job[0])};
	Datum values[MAX_PARAMETERS] = {job[0], job[1], job[2], CStringGetTextDatum(target)};

	error_context_stack = &callback;
	(void) query(elsewhere ? "SELECT cron.schedule_in_database($1, $2, $3, $4)"
						   : "SELECT cron.schedule($1, $2, $3)",
				 elsewhere ? 4 : 3, TEXTOID, values);
	error_context_stack = callback.previous;
	return DatumGetInt64(txp_spi_datum(0, 1));
}

static void
schedule(StringInfo answer, const Datum *values, const bool *nulls, int n, const char *target)
{
	bool elsewhere = strcmp(target, get_database_name(MyDatabaseId)) != 0;

	check_usable(elsewhere);
	for (int i = 0; i + 2 < n; i += 3)
	{
		bool remove = nulls[i + 1];
		int64 id = find_job(values[i], target);
		Datum id_value = Int64GetDatum(id);

		if (!remove)
			id = install_job(values + i, target, elsewhere);
		else if (id == 0)
			continue;
		else
			(void) query("SELECT cron.unschedule($1)", 1, INT8OID, &id_value);
		appendStringInfoString(answer, answer->len > 1 ? ", {\"job\": " : "{\"job\": ");
		escape_json(answer, TextDatumGetCString(values[i]));
		appendStringInfo(answer, ", \"job_id\": " INT64_FORMAT ", \"removed\": %s}", id,
						 remove ? "true" : "false");
	}
}

/* --- the others --- */

#define STATUS                                                                                     \
	"SELECT coalesce(json_agg(json_build_object('command', j.command, 'job_id', j.jobid, "         \
	"'name', j.jobname, 'role', j.username, 'schedule', j.schedule, 'active', j.active, "          \
	"'started_at', coalesce(d.start_time, d.end_time), 'finished_at', d.end_time, 'status', "      \
	"d.status, "                                                                                   \
	"'message', d.return_message) ORDER BY j.jobid), '[]')::text FROM cron.job j "                 \
	"LEFT JOIN LATERAL (SELECT * FROM cron.job_run_details d WHERE d.jobid = j.jobid "             \
	"    ORDER BY d.runid DESC LIMIT 1) d ON true "                                                \
	"WHERE j.database = $1 AND j.command = ANY ($2::text[])"

#define PRUNE                                                                                      \
	"WITH gone AS (DELETE FROM cron.job_run_details d WHERE d.username = current_user "            \
	"    AND d.database = $1 AND d.command = ANY (($2::text[])[2:]) "                              \
	"    AND coalesce(d.end_time, d.start_time) < now() - ($2::text[])[1]::interval "              \
	"    RETURNING 1) SELECT count(*)::text FROM gone"

/* A statement of the database's name and the arguments, which gives one text. */
static void
run_simple(StringInfo answer, const char *sql, ArrayType *args, const char *target)
{
	Oid function;
	bool is_varlena;
	Datum values[2] = {CStringGetTextDatum(target)};

	getTypeOutputInfo(TEXTARRAYOID, &function, &is_varlena);
	values[1] = CStringGetTextDatum(OidOutputFunctionCall(function, PointerGetDatum(args)));
	check_usable(false);
	(void) query(sql, 2, TEXTOID, values);
	appendStringInfoString(answer, txp_spi_text(0, 1));
}

char *
txp_cron_run(const char *operation, ArrayType *args, const char *target)
{
	StringInfoData answer;
	Datum *values;
	bool *nulls;
	int n;

	initStringInfo(&answer);
	SPI_connect();
	if (strcmp(operation, "schedule") == 0)
	{
		deconstruct_array(args, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
		appendStringInfoChar(&answer, '[');
		schedule(&answer, values, nulls, n, target);
		appendStringInfoChar(&answer, ']');
	}
	else if (strcmp(operation, "status") == 0)
		run_simple(&answer, STATUS, args, target);
	else if (strcmp(operation, "prune") == 0)
		run_simple(&answer, PRUNE, args, target);
	else
		elog(ERROR, "unknown operation \"%s\"", operation);
	SPI_finish();
	return answer.data;
}
