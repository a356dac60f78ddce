/*
 * archive_hour.c — an hour of a stream's archive becomes Parquet files.
 *
 * The rows of an hour leave their table, and its files are noted, in the transaction that puts the files in their places: when it does
 * not commit, the rows are still there, and the next call writes the same files over these. What is not noted of an hour's directory
 * goes then.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "archive.h"
#include "archive_hour.h"
#include "dataset.h"
#include "export_query.h"
#include "guc.h"
#include "io/below.h"
#include "manifest.h"
#include "outdir.h"
#include "parquet_rows.h"
#include "rights.h"
#include "spi.h"

typedef struct Hour
{
	const TxpArchiveDue *due;
	MemoryContext context;
	char *directory;
	char *installation; /* as the manifest names it */
	int64 rows;         /* those that were erased are not among them */
	char *token;        /* of these rows of this installation, in the names of their files */
	char *offsets;      /* JSON */
	TxpDataset *dataset;
	TxpParquetRows *writer;
	char *facts; /* of the last shape */
} Hour;

/* What the statements on the rows of an hour begin with. */
#define OF_HOUR                                                                                    \
	"shape_id IN (SELECT a.shape_id FROM txpipe.archive_shape a WHERE a.stream_id = $1) "          \
	"AND hour = $2 "

/* False: it has no rows any more. The token is the same when the same rows are written again. */
static bool
look_at_rows(Hour *hour)
{
	static TxpStatement statement = {
		"WITH p AS (SELECT kafka_topic, kafka_partition, count(cells) AS n, "
		"min(kafka_offset) FILTER (WHERE cells IS NOT NULL) AS a, "
		"max(kafka_offset) FILTER (WHERE cells IS NOT NULL) AS b, "
		"min(archive_row_id) AS i, max(archive_row_id) AS j "
		"FROM txpipe.archive_row_store WHERE " OF_HOUR "GROUP BY 1, 2) "
		"SELECT sum(n)::bigint, t.token::text, left(encode(sha256(convert_to(concat_ws(' ', "
		"t.token, $1, extract(epoch FROM $2), sum(n), min(i), max(j)), 'UTF8')), 'hex'), 16), "
		"(SELECT coalesce(jsonb_object_agg(o.kafka_topic, o.ranges), '{}')::text "
		"FROM (SELECT kafka_topic, jsonb_object_agg(kafka_partition, jsonb_build_array(a, b)) "
		"AS ranges FROM p WHERE n > 0 GROUP BY 1) "
		"o) FROM p, txpipe.installation t GROUP BY t.token",
		2,
		{INT4OID, TIMESTAMPTZOID}};
	Datum values[2] = {Int32GetDatum(hour->due->stream_id), TimestampTzGetDatum(hour->due->hour)};
	MemoryContext old;

	if (txp_spi_run(&statement, values, NULL) == 0)
		return false;
	old = MemoryContextSwitchTo(hour->context);
	hour->rows = DatumGetInt64(txp_spi_datum(0, 1));
	hour->installation = psprintf("\"installation\": \"%s\"", txp_spi_text(0, 2));
	hour->token = txp_spi_text(0, 3);
	hour->offsets = txp_spi_text(0, 4);
	MemoryContextSwitchTo(old);
	return true;
}

/* What is there and not noted is removed, so it must be ours. */
static void
check_manifest(const Hour *hour)
{
	char *manifest = txp_manifest_read(hour->directory);

	if (manifest != NULL && strstr(manifest, hour->installation) == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("directory \"%s/%s\" is not of this database's archive",
							   txp_export_directory, hour->directory),
						errhint("Each database needs a txpipe.export_directory, or names of "
								"streams, of its own; what is not needed can be moved away.")));
}

static void *
read_part(uint64 row)
{
	TxpPart *part = palloc0(sizeof(TxpPart));

	part->directory = "";
	part->file = txp_spi_text(row, 1);
	part->rows = DatumGetInt64(txp_spi_datum(row, 2));
	part->bytes = DatumGetInt64(txp_spi_datum(row, 3));
	strlcpy(part->sha256, txp_spi_text(row, 4), sizeof(part->sha256));
	return part;
}

/*
 * Files of the hour from before: of a stream of the same name, or written before the clock was set back. One that somebody has
 * removed is not told of any more, but no file that is noted is ever removed from here.
 */
static void
keep_parts(Hour *hour)
{
	static TxpStatement statement = {
		"SELECT file, rows, bytes, sha256 FROM txpipe.archive_file_store WHERE directory = $1 "
		"ORDER BY archive_file_id",
		1,
		{TEXTOID}};
	Datum values[1] = {CStringGetTextDatum(hour->directory)};
	List *parts = txp_spi_list(&statement, values, NULL, read_part);
	ListCell *cell;

	foreach (cell, parts)
	{
		TxpPart *part = lfirst(cell);
		char *path = psprintf("%s/%s", hour->directory, part->file);
		struct stat st;

		if (txp_below_stat(txp_export_directory, path, &st) == 0)
			txp_dataset_keep_part(hour->dataset, part);
		else if (errno == ENOENT || errno == ENOTDIR)
			txp_dataset_spare(hour->dataset, part->file);
		else
			txp_outdir_fail("look at", path);
	}
}

/* Not inlined: GCC 14 takes its variables for some that the PG_TRY of its caller may clobber. */
static pg_noinline void
write_shape(Hour *hour, const char *query, bool has_rows)
{
	char *order[] = {"kafka_topic", "kafka_partition", "kafka_offset", "kafka_row"};
	TxpNames sort_by = {order, has_rows ? 4 : 3};
	TxpNames none = {0};
	SPIPlanPtr plan = txp_export_prepare(query);

	MemoryContextSwitchTo(hour->context);
	hour->facts = txp_parquet_rows_facts(txp_export_columns(plan), none);
	hour->writer = txp_parquet_rows_new(hour->dataset, none, sort_by);
	txp_export_run(plan, txp_parquet_rows_receiver(hour->writer));
	MemoryContextSwitchTo(hour->context);
	hour->writer = NULL;
	SPI_freeplan(plan);
}

typedef struct Shape
{
	char *query;
	bool has_rows;
} Shape;

static void *
read_shape(uint64 row)
{
	Shape *shape = palloc(sizeof(Shape));

	shape->query = txp_spi_text(row, 1);
	shape->has_rows = DatumGetBool(txp_spi_datum(row, 2));
	return shape;
}

static void
write_shapes(Hour *hour)
{
	static TxpStatement statement = {
		"SELECT txpipe.archive_query(shape_id, $2), has_rows FROM txpipe.archive_shape s "
		"WHERE stream_id = $1 AND EXISTS (SELECT FROM txpipe.archive_row_store r "
		"WHERE r.shape_id = s.shape_id AND r.hour = $2) ORDER BY shape_id",
		2,
		{INT4OID, TIMESTAMPTZOID}};
	Datum values[2] = {Int32GetDatum(hour->due->stream_id), TimestampTzGetDatum(hour->due->hour)};
	List *shapes = txp_spi_list(&statement, values, NULL, read_shape);
	ListCell *cell;

	foreach (cell, shapes)
	{
		Shape *shape = lfirst(cell);

		write_shape(hour, shape->query, shape->has_rows);
	}
}

static void
note_part(const Hour *hour, const TxpPart *part)
{
	static TxpStatement statement = {
		"INSERT INTO txpipe.archive_file_store (stream_id, stream, owner_oid, owner_name, hour, "
		"directory, file, rows, bytes, sha256, offsets) "
		"VALUES ($1, $2, $3, $4::name, $5, $6, $7, $8, $9, $10, $11::jsonb)",
		11,
		{INT4OID, TEXTOID, OIDOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, INT8OID, INT8OID,
		 TEXTOID, TEXTOID}};
	Datum values[11] = {
		Int32GetDatum(hour->due->stream_id),  CStringGetTextDatum(hour->due->stream),
		ObjectIdGetDatum(hour->due->owner),   CStringGetTextDatum(hour->due->owner_name),
		TimestampTzGetDatum(hour->due->hour), CStringGetTextDatum(hour->directory),
		CStringGetTextDatum(part->file),      Int64GetDatum(part->rows),
		Int64GetDatum(part->bytes),           CStringGetTextDatum(part->sha256),
		CStringGetTextDatum(hour->offsets)};

	(void) txp_spi_do(&statement, values, NULL);
}

/* The rows of the parts from `first` on are in files now, all of them and no others. */
static void
move_rows(const Hour *hour, int first)
{
	static TxpStatement statement = {"DELETE FROM txpipe.archive_row_store WHERE " OF_HOUR
									 "AND cells IS NOT NULL",
									 2,
									 {INT4OID, TIMESTAMPTZOID}};
	static TxpStatement erased = {"DELETE FROM txpipe.archive_row_store WHERE " OF_HOUR
								  "AND cells IS NULL",
								  2,
								  {INT4OID, TIMESTAMPTZOID}};
	Datum values[2] = {Int32GetDatum(hour->due->stream_id), TimestampTzGetDatum(hour->due->hour)};
	const List *parts = txp_dataset_parts(hour->dataset);
	int64 written = 0;

	for (int i = first; i < list_length(parts); i++)
	{
		const TxpPart *part = list_nth(parts, i);

		note_part(hour, part);
		written += part->rows;
	}
	if (txp_spi_do(&statement, values, NULL) != (uint64) written || written != hour->rows)
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("rows of the archive of stream \"%s\" were erased meanwhile",
							   hour->due->stream),
						errhint("Call again.")));
	(void) txp_spi_do(&erased, values, NULL);
}

static char *
manifest_text(const Hour *hour)
{
	StringInfoData facts;

	initStringInfo(&facts);
	appendStringInfo(&facts, "%s, %s, \"stream\": ", hour->facts, hour->installation);
	escape_json(&facts, hour->due->stream);
	return txp_manifest_text(hour->directory, facts.data, txp_dataset_parts(hour->dataset), 0,
							 txp_outdir_now());
}

/* NULL: another stream of the name is being archived at this moment. */
static char *
write_hour(Hour *hour)
{
	char *volatile path = NULL;
	int first;

	hour->dataset = txp_dataset_begin_below(hour->directory, ".parquet", hour->token);
	if (hour->dataset == NULL)
		return NULL;
	PG_TRY();
	{
		check_manifest(hour);
		keep_parts(hour);
		first = list_length(txp_dataset_parts(hour->dataset));
		write_shapes(hour);
		move_rows(hour, first);
		/* A crash must not take back a batch whose rows are in a file: it would be read again. */
		XLogFlush(XactLastRecEnd);
		path = txp_dataset_publish(hour->dataset, manifest_text(hour));
	}
	PG_CATCH();
	{
		if (hour->writer != NULL)
			txp_parquet_rows_abandon(hour->writer);
		txp_dataset_abandon(hour->dataset);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return path;
}

char *
txp_archive_write_hour(const TxpArchiveDue *due, int64 *rows)
{
	Hour hour = {.due = due,
				 .context = CurrentMemoryContext,
				 .directory = txp_archive_directory(due->stream, due->hour)};
	char *path = NULL;
	TxpRights saved;

	if (txp_archive_is_open(due->stream, due->hour) ||
		!txp_archive_lock(due->stream, due->hour, ExclusiveLock, false))
		return NULL;
	SPI_connect();
	txp_rights_catalog(&saved);
	PushActiveSnapshot(GetTransactionSnapshot());
	if (look_at_rows(&hour))
	{
		MemoryContextSwitchTo(hour.context);
		path = write_hour(&hour);
	}
	PopActiveSnapshot();
	txp_rights_restore(&saved);
	SPI_finish();
	if (path != NULL)
		*rows += hour.rows;
	return path;
}

void
txp_archive_forget(int32 stream_id)
{
	static TxpStatement statement = {
		"DELETE FROM txpipe.archive_shape a WHERE a.stream_id = $1 "
		"AND NOT EXISTS (SELECT FROM txpipe.stream s WHERE s.stream_id = $1) "
		"AND NOT EXISTS (SELECT FROM txpipe.archive_row_store r WHERE r.shape_id = a.shape_id)",
		1,
		{INT4OID}};
	Datum values[1] = {Int32GetDatum(stream_id)};

	(void) txp_spi_do(&statement, values, NULL);
}
