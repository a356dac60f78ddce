/*
 * export_archive.c — hours of streams' archives that are over, as Parquet files.
 *
 * An hour that cannot be written is left, and keeps no other out.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "archive_hour.h"
#include "args.h"
#include "copied.h"
#include "export_query.h"
#include "rights.h"
#include "spi.h"
#include "stream.h"
#include "transaction.h"

PG_FUNCTION_INFO_V1(txpipe_export_archive);

/* Hours in a call: each is a lock until its end, of which a server has so many. */
#define MAX_HOURS 1000

static void *
read_due(uint64 row)
{
	TxpArchiveDue *due = palloc(sizeof(TxpArchiveDue));

	due->stream_id = DatumGetInt32(txp_spi_datum(row, 1));
	due->stream = txp_spi_text(row, 2);
	due->owner = DatumGetObjectId(txp_spi_datum(row, 3));
	due->owner_name = txp_spi_text(row, 4);
	due->hour = DatumGetTimestampTz(txp_spi_datum(row, 5));
	due->is_over = DatumGetBool(txp_spi_datum(row, 6));
	return due;
}

static List *
list_due(void)
{
	static TxpStatement statement = {
		"SELECT stream_id, stream, owner_oid, owner_name, hour, is_over FROM txpipe.archive_due "
		"ORDER BY stream, hour, stream_id",
		0,
		{0}};

	return txp_spi_list(&statement, NULL, NULL, read_due);
}

/* --- the call --- */

/*
 * A copy must not take what the original wrote for its own. The token that tells them apart has to be committed before there are files
 * that name it.
 */
static bool
is_new_copy(void)
{
	if (!txp_copied_pause())
		return false;
	ereport(NOTICE,
			(errmsg("this database is a copy, whose archive begins with the next call"),
			 errdetail("Directories of hours that the original has written are left alone."),
			 errhint("Give it a txpipe.export_directory of its own.")));
	return true;
}

/* Is it of that name, and the caller's? Rows that another owner's stream of the name has left are his. */
static bool
is_wanted(const TxpArchiveDue *due, const char *name)
{
	return (name == NULL || strcmp(name, due->stream) == 0) &&
		   txp_rights_is_owner(due->owner, due->owner_name);
}

typedef struct Run
{
	TimestampTz begun;
	int hours;
	int left;
	int failed;
	int64 rows;
	ErrorData *error; /* the first one */
} Run;

static void
log_run(const Run *run)
{
	static TxpStatement statement = {
		"INSERT INTO txpipe.run (job, state, message, started_at, finished_at) "
		"VALUES ('export_archive', $2, $3, $1, clock_timestamp())",
		3,
		{TIMESTAMPTZOID, TEXTOID, TEXTOID}};
	char *message = psprintf(INT64_FORMAT " rows in %d hours written", run->rows, run->hours);
	Datum values[3] = {TimestampTzGetDatum(run->begun),
					   CStringGetTextDatum(run->failed > 0 ? "failed" : "succeeded")};

	if (run->left > 0)
		message = psprintf("%s, %d left", message, run->left);
	if (run->failed > 0)
		message = psprintf("%s, %d failed", message, run->failed);
	values[2] = CStringGetTextDatum(message);
	(void) txp_spi_do(&statement, values, NULL);
}

typedef struct Attempt
{
	const TxpArchiveDue *due;
	int64 rows;
	char *path;
} Attempt;

static bool
try_hour(void *arg)
{
	Attempt *attempt = arg;

	attempt->path = txp_archive_write_hour(attempt->due, &attempt->rows);
	return true;
}

/* Of the hour alone? Then others can be written. */
static bool
is_of_hour(int sqlerrcode)
{
	int category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return category != ERRCODE_OPERATOR_INTERVENTION &&
		   category != ERRCODE_INSUFFICIENT_RESOURCES && sqlerrcode != ERRCODE_INTERNAL_ERROR;
}

/* Returns the path of the manifest; NULL: the hour is for another call. */
static char *
export_due(const TxpArchiveDue *due, Run *run)
{
	Attempt attempt = {.due = due};
	ErrorData *error = NULL;

	if (run->hours + run->failed < MAX_HOURS)
		error = txp_subtransaction_try_many(try_hour, &attempt, CurrentMemoryContext);
	if (error != NULL && !is_of_hour(error->sqlerrcode))
		ReThrowError(error);
	if (error != NULL)
	{
		ereport(WARNING, (errcode(error->sqlerrcode),
						  errmsg("an hour of stream \"%s\" was not archived: %s", due->stream,
								 error->message),
						  errdetail("It is that of %s.", timestamptz_to_str(due->hour)),
						  error->hint ? errhint("%s", error->hint) : 0));
		if (run->failed++ == 0)
			run->error = error;
		return NULL;
	}
	if (attempt.path == NULL)
	{
		run->left++;
		return NULL;
	}
	txp_archive_forget(due->stream_id);
	run->hours++;
	run->rows += attempt.rows;
	return attempt.path;
}

/* export_archive(stream text) RETURNS SETOF text: paths of manifests */
Datum
txpipe_export_archive(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char *name = txp_arg_text_or_null(fcinfo, 0);
	Run run = {.begun = GetCurrentTimestamp()};
	bool is_known = false;
	ListCell *cell;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	txp_export_check_isolation();
	if (is_new_copy())
		return (Datum) 0;
	foreach (cell, list_due())
	{
		TxpArchiveDue *due = lfirst(cell);
		char *path;
		Datum value;
		bool is_null = false;

		CHECK_FOR_INTERRUPTS();
		if (!is_wanted(due, name))
			continue;
		is_known = true;
		if (!due->is_over)
			continue;
		path = export_due(due, &run);
		if (path == NULL)
			continue;
		value = CStringGetTextDatum(path);
		tuplestore_putvalues(result->setResult, result->setDesc, &value, &is_null);
	}
	if (name != NULL && !is_known)
		(void) txp_stream_of_user(name);
	if (run.error != NULL && run.hours == 0)
		ReThrowError(run.error);
	log_run(&run);
	return (Datum) 0;
}
