/*
 * reject_replay.c — rejected records of loaded files, used after all or given up.
 *
 * The lines are read from the file's copy in the lake: there is its header, and its hash says that it is the file.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "encryption.h"
#include "load.h"
#include "loadfile.h"
#include "reject_replay.h"
#include "reload.h"
#include "spi.h"

typedef struct Replay
{
	int64 file_id;
	Datum chosen; /* bigint[], or 0: all */
	const char *record;
	TxpReplayed result;
} Replay;

/* A mended line as it is kept beside an encrypted one; NULL: the feed has no key any more. */
static char *
sealed_record(const TxpFeed *feed, const char *record)
{
	char *keys = txp_feed_encryption_keys(feed);
	bytea *message;
	char *hex;
	Size len;

	if (keys == NULL)
		return NULL;
	message = txp_encrypt(txp_encryption_keys_of(CurrentMemoryContext, keys), true, record,
						  strlen(record));
	len = VARSIZE(message) - VARHDRSZ;
	hex = palloc0(2 * len + 1);
	hex_encode(VARDATA(message), len, hex);
	return hex;
}

/* The chosen lines that are open, marked as replayed; they are ours until the transaction ends. */
static void
claim_lines(const Replay *replay, const TxpFeed *feed, TxpFileLines *lines)
{
	static TxpStatement claim = {
		"WITH claimed AS (UPDATE txpipe.rejected_line SET state = 'replayed', "
		"    line_fixed = coalesce($4, CASE WHEN NOT encrypted THEN $3 END) "
		"    WHERE file_id = $1 AND state = 'open' AND ($2 IS NULL OR line_no = ANY ($2)) "
		"    RETURNING line_no) "
		"SELECT coalesce(array_agg(line_no ORDER BY line_no), '{}') FROM claimed",
		4,
		{INT8OID, INT8ARRAYOID, TEXTOID, TEXTOID}};
	char *sealed = replay->record ? sealed_record(feed, replay->record) : NULL;
	Datum values[] = {Int64GetDatum(replay->file_id), replay->chosen,
					  replay->record ? CStringGetTextDatum(replay->record) : 0,
					  sealed ? CStringGetTextDatum(sealed) : 0};
	char nulls[] = {' ', replay->chosen ? ' ' : 'n', replay->record ? ' ' : 'n', sealed ? ' ' : 'n',
					'\0'};
	MemoryContext context = CurrentMemoryContext;
	MemoryContext old;
	ArrayType *array;

	SPI_connect();
	(void) txp_spi_run(&claim, values, nulls);
	old = MemoryContextSwitchTo(context);
	array = DatumGetArrayTypePCopy(txp_spi_datum(0, 1));
	MemoryContextSwitchTo(old);
	SPI_finish();
	lines->count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	lines->lines = (const int64 *) ARR_DATA_PTR(array);
	lines->record = replay->record;
}

/* The counts as if the lines had not been read. */
static void
read_counts(TxpLedgerFile *file, int64 lines)
{
	static TxpStatement query = {
		"SELECT rows_read, rows_loaded, rows_duplicate, rows_filtered, rows_superseded, "
		"rows_rejected FROM txpipe.file_ledger WHERE file_id = $1",
		1,
		{INT8OID}};
	Datum values[] = {Int64GetDatum(file->file_id)};

	SPI_connect();
	(void) txp_spi_run(&query, values, NULL);
	file->read = DatumGetInt64(txp_spi_datum(0, 1)) - lines;
	file->loaded = DatumGetInt64(txp_spi_datum(0, 2));
	file->duplicate = DatumGetInt64(txp_spi_datum(0, 3));
	file->filtered = DatumGetInt64(txp_spi_datum(0, 4));
	file->superseded = DatumGetInt64(txp_spi_datum(0, 5));
	file->rejected = DatumGetInt64(txp_spi_datum(0, 6)) - lines;
	SPI_finish();
}

static void
write_counts(const TxpLedgerFile *file)
{
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger SET rows_loaded = $2, rows_duplicate = $3, rows_filtered = $4, "
		"rows_superseded = $5, rows_rejected = $6 WHERE file_id = $1",
		6,
		{INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID}};
	Datum values[] = {Int64GetDatum(file->file_id),    Int64GetDatum(file->loaded),
					  Int64GetDatum(file->duplicate),  Int64GetDatum(file->filtered),
					  Int64GetDatum(file->superseded), Int64GetDatum(file->rejected)};

	(void) txp_spi_do(&update, values, NULL);
}

static int64
count_open(int64 file_id)
{
	static TxpStatement query = {
		"SELECT count(*) FROM txpipe.rejected_line WHERE file_id = $1 AND state = 'open'",
		1,
		{INT8OID}};
	Datum values[] = {Int64GetDatum(file_id)};

	return DatumGetInt64(txp_spi_ask(&query, values, NULL));
}

static void
check_loaded(const TxpStoredFile *stored)
{
	if (strcmp(stored->state, "loaded") != 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("file " INT64_FORMAT " is not loaded", stored->file->file_id),
						errdetail("Its state is \"%s\".", stored->state),
						errhint("Its lines can be loaded with the whole file: txpipe.reload().")));
	if (!txp_stored_file_copied(stored))
		txp_stored_file_missing(
			stored,
			psprintf("txpipe.reload(" INT64_FORMAT "), which copies it,", stored->file->file_id));
}

static void
replay_lines(void *arg)
{
	Replay *replay = arg;
	TxpStoredFile stored;
	TxpFileLines lines;
	TxpLedgerFile *file;
	TxpFileIo *files;
	int64 read_before;
	int64 rejected_before;

	txp_stored_file_lock(replay->file_id, &stored);
	check_loaded(&stored);
	file = stored.file;
	claim_lines(replay, stored.feed, &lines);
	if (lines.count > 0)
	{
		read_counts(file, lines.count);
		read_before = file->read;
		rejected_before = file->rejected;
		files = txp_fileio_new(CurrentMemoryContext);
		txp_load_rejected(files, stored.feed, stored.group.key, file, &lines);
		txp_fileio_reset(files);
		if (file->read - read_before != lines.count)
			ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
							errmsg("%d lines were to be replayed, but the file has " INT64_FORMAT
								   " of them",
								   lines.count, file->read - read_before),
							errhint("Reload the file if its feed reads other lines now.")));
		write_counts(file);
		replay->result.failed = file->rejected - rejected_before;
		replay->result.replayed = lines.count - replay->result.failed;
	}
	replay->result.left_open = count_open(replay->file_id);
}

TxpReplayed
txp_rejects_replay(int64 file_id, Datum lines, const char *record)
{
	Replay replay = {file_id, lines, record};

	txp_stored_file_work(TXP_JOB_REPLAY_ROWS, replay_lines, &replay);
	return replay.result;
}

int64
txp_rejects_dismiss(int64 file_id, Datum lines)
{
	static TxpStatement statement = {
		"UPDATE txpipe.rejected_line SET state = 'dismissed' WHERE file_id = $1 "
		"AND state = 'open' AND ($2 IS NULL OR line_no = ANY ($2))",
		2,
		{INT8OID, INT8ARRAYOID}};
	Datum values[] = {Int64GetDatum(file_id), lines};
	TxpStoredFile stored;

	txp_stored_file_lock(file_id, &stored);
	return (int64) txp_spi_do(&statement, values, lines ? NULL : " n");
}
