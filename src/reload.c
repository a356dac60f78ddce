/*
 * reload.c — unload and reload of one file.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "load.h"
#include "loadfile.h"
#include "reload.h"
#include "rights.h"
#include "sink.h"
#include "spi.h"
#include "unload.h"

static void
raise_unknown(int64 file_id)
{
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
					errmsg("file " INT64_FORMAT " does not exist", file_id),
					errhint("Files are listed in txpipe.file.")));
}

/* Of which group it is, and who owns that. The commit, and what is deferred to it, is the caller's. */
static void
find_group(int64 file_id, TxpGroup *group)
{
	static TxpStatement query = {
		"SELECT f.group_name, l.group_key, f.owner_oid, f.owner_name FROM txpipe.file_ledger l "
		"JOIN txpipe.feed f USING (feed_id) WHERE l.file_id = $1",
		1,
		{INT8OID}};
	MemoryContext context = CurrentMemoryContext;
	Datum values[] = {Int64GetDatum(file_id)};

	SPI_connect();
	if (txp_spi_run(&query, values, NULL) == 0)
		raise_unknown(file_id);
	group->name = MemoryContextStrdup(context, txp_spi_text(0, 1));
	group->key = MemoryContextStrdup(context, txp_spi_text(0, 2));
	group->owner = DatumGetObjectId(txp_spi_datum(0, 3));
	if (group->owner != GetUserId() || !txp_rights_is_owner(group->owner, txp_spi_text(0, 4)))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("file " INT64_FORMAT " belongs to role \"%s\"", file_id,
							   txp_spi_text(0, 4)),
						errhint("Only that role itself may do this: SET ROLE %s first.",
								quote_identifier(txp_spi_text(0, 4)))));
	SPI_finish();
}

static void
read_file(int64 file_id, TxpStoredFile *stored)
{
	static TxpStatement query = {"SELECT " TXP_LEDGER_FILE ", l.state, l.duplicate_of, l.lake_path "
								 "FROM txpipe.file_ledger l JOIN txpipe.feed f USING (feed_id) "
								 "WHERE l.file_id = $1 AND l.sha256 IS NOT NULL FOR UPDATE OF l",
								 1,
								 {INT8OID}};
	MemoryContext context = CurrentMemoryContext;
	Datum values[] = {Int64GetDatum(file_id)};
	MemoryContext old;
	Datum duplicate_of;
	bool is_none;

	SPI_connect();
	if (txp_spi_run(&query, values, NULL) == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("file " INT64_FORMAT " has not settled", file_id),
						errhint("Files and their states are listed in txpipe.file.")));
	old = MemoryContextSwitchTo(context);
	stored->file = txp_ledger_read_file(0);
	stored->state = txp_spi_text(0, TXP_LEDGER_FILE_COLUMNS + 1);
	duplicate_of = txp_spi_value(0, TXP_LEDGER_FILE_COLUMNS + 2, &is_none);
	stored->duplicate_of = is_none ? 0 : DatumGetInt64(duplicate_of);
	stored->file->lake_path = txp_spi_text(0, TXP_LEDGER_FILE_COLUMNS + 3);
	MemoryContextSwitchTo(old);
	SPI_finish();
}

void
txp_stored_file_lock(int64 file_id, TxpStoredFile *stored)
{
	List *feeds;
	ListCell *lc;

	memset(stored, 0, sizeof(*stored));
	find_group(file_id, &stored->group);
	feeds = txp_feeds_lock(stored->group.name);
	read_file(file_id, stored);
	foreach (lc, feeds)
	{
		TxpFeed *feed = lfirst(lc);

		if (feed->feed_id == stored->file->feed_id)
			stored->feed = feed;
	}
	if (stored->feed == NULL)
		raise_unknown(file_id);
}

static bool
is_in(const TxpStoredFile *stored, const char *state)
{
	return strcmp(stored->state, state) == 0;
}

static void
raise_state(const TxpStoredFile *stored, const char *what, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("file " INT64_FORMAT " cannot be %s", stored->file->file_id, what),
					errdetail("Its state is \"%s\".", stored->state), errhint("%s", hint)));
}

/* --- files and their duplicates --- */

/* A number a statement finds, or 0. */
static int64
find_number(TxpStatement *statement, Datum *values)
{
	int64 found;

	SPI_connect();
	found = txp_spi_run(statement, values, NULL) > 0 ? DatumGetInt64(txp_spi_datum(0, 1)) : 0;
	SPI_finish();
	return found;
}

/* The first of a file's duplicates, in the order in which groups load. */
static int64
first_duplicate(int64 file_id)
{
	static TxpStatement query = {
		"SELECT file_id FROM txpipe.file_ledger WHERE duplicate_of = $1 AND state = 'duplicate' "
		"ORDER BY txpipe.file_order(group_key, file_name) COLLATE \"C\", file_id LIMIT 1",
		1,
		{INT8OID}};
	Datum values[] = {Int64GetDatum(file_id)};

	return find_number(&query, values);
}

/* Another file of the feed that stands for the content. */
static int64
holder_of_content(const TxpStoredFile *stored)
{
	static TxpStatement query = {
		"SELECT o.file_id FROM txpipe.file_ledger o JOIN txpipe.file_ledger l USING (feed_id, "
		"sha256) WHERE l.file_id = $1 AND o.file_id <> $1 AND o.by_content AND l.by_content "
		"AND o.state NOT IN ('settling', 'duplicate', 'changed', 'superseded', 'unloaded') "
		"ORDER BY 1 LIMIT 1",
		1,
		{INT8OID}};
	Datum values[] = {Int64GetDatum(stored->file->file_id)};

	return find_number(&query, values);
}

/* Another file of that name that is loaded. */
static int64
loaded_namesake(const TxpStoredFile *stored)
{
	static TxpStatement query = {
		"SELECT o.file_id FROM txpipe.file_ledger o JOIN txpipe.file_ledger l USING (feed_id, "
		"file_name) WHERE l.file_id = $1 AND o.file_id <> $1 AND o.state = 'loaded' "
		"ORDER BY 1 DESC LIMIT 1",
		1,
		{INT8OID}};
	Datum values[] = {Int64GetDatum(stored->file->file_id)};

	return find_number(&query, values);
}

/* Does file a load before file b? */
static bool
comes_first(int64 a, int64 b)
{
	static TxpStatement query = {
		"SELECT file_id FROM txpipe.file_ledger WHERE file_id IN ($1, $2) "
		"ORDER BY txpipe.file_order(group_key, file_name) COLLATE \"C\", file_id LIMIT 1",
		2,
		{INT8OID, INT8OID}};
	Datum values[] = {Int64GetDatum(a), Int64GetDatum(b)};

	return DatumGetInt64(txp_spi_ask(&query, values, NULL)) == a;
}

static void
set_waiting(int64 file_id, const char *reason)
{
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger SET state = 'waiting', reason = $2, retry_at = NULL, "
		"attempts = 0, duplicate_of = NULL, displaces = NULL, rows_read = 0, rows_rejected = 0 "
		"WHERE file_id = $1",
		2,
		{INT8OID, TEXTOID}};
	static TxpStatement lines = {
		"DELETE FROM txpipe.rejected_line WHERE file_id = $1", 1, {INT8OID}};
	Datum values[] = {Int64GetDatum(file_id), CStringGetTextDatum(reason)};

	(void) txp_spi_do(&lines, values, NULL);
	(void) txp_spi_do(&update, values, NULL);
}

/* `file_id`, and what duplicates it, become duplicates of `original`. */
static void
set_duplicate(int64 file_id, int64 original)
{
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger d SET state = 'duplicate', duplicate_of = $2, retry_at = NULL, "
		"reason = format('same content as file %s, %s', o.file_id, o.file_name) "
		"FROM txpipe.file_ledger o WHERE o.file_id = $2 AND d.file_id <> $2 "
		"AND (d.file_id = $1 OR d.duplicate_of = $1 AND d.state = 'duplicate')",
		2,
		{INT8OID, INT8OID}};
	Datum values[] = {Int64GetDatum(file_id), Int64GetDatum(original)};

	(void) txp_spi_do(&update, values, NULL);
}

/* --- loading --- */

static void
take_back(const TxpFeed *feed, int64 file_id, const char *group_key, const char *reason,
		  const char *new_state)
{
	txp_progress_stage(TXP_UNLOADING_FILES, 1, 0);
	txp_progress_file(feed->feed_id, file_id, 0);
	txp_unload_file(feed, file_id, group_key, reason, new_state);
	txp_progress_done(1);
}

bool
txp_stored_file_copied(const TxpStoredFile *stored)
{
	const TxpLedgerFile *file = stored->file;

	return file->lake_path != NULL &&
		   txp_lake_has(file->lake_path, file->rewritten ? file->copy_bytes : file->file.bytes);
}

/* Had a file a copy, nothing but clean_lake or erase_subject has made the ledger forget it. */
void
txp_stored_file_missing(const TxpStoredFile *stored, const char *hint)
{
	const TxpLedgerFile *file = stored->file;
	bool removed =
		file->lake_path == NULL && (is_in(stored, "loaded") || is_in(stored, "duplicate"));

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_FILE),
			 removed
				 ? errmsg("the copy of file " INT64_FORMAT
						  ", \"%s\", was removed from the lake by clean_lake() or erase_subject()",
						  file->file_id, file->file.name)
				 : errmsg("there is no copy of file " INT64_FORMAT ", \"%s\", in the lake",
						  file->file_id, file->file.name),
			 errhint("Deliver it again and call %s before the next run_hourly().", hint)));
}

/* The copy in the lake; where there is none, the file as it came. */
static void
find_content(const TxpStoredFile *stored)
{
	TxpLedgerFile *file = stored->file;
	int64 bytes;
	TimestampTz modified_at;

	if (txp_stored_file_copied(stored))
		return;
	if (!txp_landing_stat(file->file.name, &bytes, &modified_at))
		txp_stored_file_missing(stored, "this again");
	file->lake_path = NULL;
	file->rewritten = false;
}

/* The child reads it while what has been loaded of it is taken back. */
static void
read_ahead(const TxpStoredFile *stored, TxpFileIo *files)
{
	TxpFileTask task = {stored->feed, stored->group.key, stored->file};

	find_content(stored);
	txp_load_file_copy(files, stored->feed, stored->file);
	txp_load_file_ahead(files, &task);
}

/* False: it is over the limits of its feed. */
static bool
load_stored(const TxpStoredFile *stored, TxpFileIo *files)
{
	TxpFileTask task = {stored->feed, stored->group.key, stored->file};
	bool loaded;

	find_content(stored);
	if (stored->file->rewritten)
		ereport(NOTICE, (errmsg("the copy of file " INT64_FORMAT
								" lacks records: they were erased, and are not loaded again",
								stored->file->file_id),
						 errhint("txpipe.file has their number in rows_erased.")));
	txp_progress_stage(TXP_LOADING_FILES, 1, stored->file->file.bytes);
	txp_progress_item(stored->file->file.bytes);
	loaded = txp_load_file(files, &task);
	txp_progress_done(1);
	txp_fileio_reset(files);
	return loaded;
}

static bool
displaces_another(int64 file_id)
{
	static TxpStatement query = {
		"SELECT displaces IS NOT NULL FROM txpipe.file_ledger WHERE file_id = $1", 1, {INT8OID}};
	Datum values[] = {Int64GetDatum(file_id)};

	return DatumGetBool(txp_spi_ask(&query, values, NULL));
}

/*
 * A file is not loaded any more: the first of its duplicates, which has the same content, takes its place, at
 * once when its group is complete; one that displaces another file does that with its group.
 */
static void
load_heir(int64 file_id)
{
	int64 heir = first_duplicate(file_id);
	TxpStoredFile stored;

	if (heir == 0)
		return;
	SPI_connect();
	txp_ledger_promote(file_id, heir);
	SPI_finish();
	txp_stored_file_lock(heir, &stored);
	if (!displaces_another(heir) && txp_ledger_ready(GetUserId(), &stored.group, 1) != NIL)
		(void) load_stored(&stored, txp_fileio_new(CurrentMemoryContext));
}

void
txp_stored_file_work(TxpJob job, void (*work)(void *), void *arg)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "txpipe files", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	txp_landing_check();
	txp_load_begin(job);
	PG_TRY();
	{
		txp_sink_fire_deferred();
		work(arg);
	}
	PG_FINALLY();
	{
		txp_load_end();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

static char *
done_by(const char *what)
{
	return psprintf("%s by \"%s\"", what, GetUserNameFromId(GetUserId(), false));
}

static void
unload(void *arg)
{
	int64 file_id = *(int64 *) arg;
	TxpStoredFile stored;

	txp_stored_file_lock(file_id, &stored);
	if (is_in(&stored, "duplicate"))
		raise_state(&stored, "unloaded",
					psprintf("It was not loaded itself: file " INT64_FORMAT " has its content.",
							 stored.duplicate_of));
	if (!is_in(&stored, "loaded"))
		raise_state(&stored, "unloaded", "Only loaded files can be taken back.");
	take_back(stored.feed, file_id, stored.group.key, done_by("unloaded"), "unloaded");
	load_heir(file_id);
}

void
txp_unload(int64 file_id)
{
	txp_stored_file_work(TXP_JOB_UNLOAD, unload, &file_id);
}

/* Its content is in another file: the one that loads first keeps it. False: this is the other's duplicate now. */
static bool
take_content(const TxpStoredFile *stored)
{
	int64 file_id = stored->file->file_id;
	int64 holder = holder_of_content(stored);
	TxpStoredFile other;

	if (holder == 0)
		return true;
	txp_stored_file_lock(holder, &other);
	if (is_in(&other, "loaded") && comes_first(holder, file_id))
	{
		set_duplicate(file_id, holder);
		ereport(
			NOTICE,
			(errmsg("file " INT64_FORMAT " has the same content as file " INT64_FORMAT
					", which is loaded",
					file_id, holder),
			 errhint("It counts as its duplicate, and takes its place when that is unloaded.")));
		return false;
	}
	if (is_in(&other, "loaded"))
		take_back(other.feed, holder, other.group.key, NULL, "duplicate");
	set_duplicate(holder, file_id);
	return true;
}

/* One name has one content: the file that is loaded under it makes room. */
static bool
replace_namesake(const TxpStoredFile *stored)
{
	int64 namesake = loaded_namesake(stored);

	if (namesake == 0)
		return false;
	take_back(stored->feed, namesake, stored->group.key,
			  psprintf("replaced by file " INT64_FORMAT, stored->file->file_id), "superseded");
	load_heir(namesake);
	return true;
}

static void
reload(void *arg)
{
	int64 file_id = *(int64 *) arg;
	TxpFileIo *files = txp_fileio_new(CurrentMemoryContext);
	TxpStoredFile stored;
	bool replaced = false;

	txp_stored_file_lock(file_id, &stored);
	if (is_in(&stored, "duplicate"))
		raise_state(
			&stored, "reloaded",
			psprintf("Reload file " INT64_FORMAT ", which has its content.", stored.duplicate_of));
	if (is_in(&stored, "superseded"))
		raise_state(&stored, "reloaded", "Deliver it again.");
	if (is_in(&stored, "waiting") || is_in(&stored, "loading"))
		raise_state(&stored, "reloaded", "It loads with its group: CALL txpipe.run_hourly().");
	txp_fileio_start(files);
	if (is_in(&stored, "loaded"))
	{
		read_ahead(&stored, files);
		take_back(stored.feed, file_id, stored.group.key, done_by("reloaded"), "waiting");
	}
	else
	{
		replaced = replace_namesake(&stored);
		if (!take_content(&stored))
			return;
		set_waiting(file_id, done_by("reloaded"));
	}
	if (load_stored(&stored, files) || (is_in(&stored, "rejected") && !replaced))
		return;
	/* What was loaded in its place, itself or another file, is not given up for nothing. */
	ereport(
		ERROR,
		(errcode(ERRCODE_DATA_EXCEPTION),
		 errmsg("file " INT64_FORMAT " is not reloaded: too much of it would be rejected", file_id),
		 errdetail("Nothing has changed."),
		 errhint("Change the feed's rules or its reject limits first.")));
}

void
txp_reload(int64 file_id)
{
	txp_stored_file_work(TXP_JOB_RELOAD, reload, &file_id);
}
