/*
 * mirror.c — mirror: what is in the export directory or the lake becomes objects of a store, and what is not there any more goes.
 *
 * The directory is the truth: it has files whole or not at all, whatever was rolled back or killed. Each call compares it with the ledger of
 * what the store has (txpipe.mirror_ledger), and works off the differences, one object after the other. A row says that an object is there
 * when the store has said so; where a call ended in between, the next one sends the object again, which changes nothing.
 *
 * While the network is used there is no transaction that would hold back others: no snapshot, no lock but the session's own that
 * keeps a second call away.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lock.h"
#include "tcop/pquery.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "args.h"
#include "filetree.h"
#include "guc.h"
#include "objects.h"
#include "spi.h"

#define LOCK_NUMBER 2 /* of the extension's; the outbox has 1 */

typedef struct Mirror
{
	const char *directory; /* export or lake */
	const char *top;
	bool remove_many; /* also where that looks like an accident */
	TxpObjects *objects;
	MemoryContext lasting; /* of the call */
	MemoryContext context; /* of one object */
	TimestampTz started_at;
	int stored;
	int64 bytes;
	int removed;
	int waiting; /* for what they name, or for the next call */
	int failed;
	bool is_over;     /* the store would refuse everything else, too */
	TxpIoError first; /* failure */
} Mirror;

/* --- the ledger --- */

static Datum
text_datum(const char *text)
{
	return CStringGetTextDatum(text);
}

/* What is there, and what is not there any more. */
static void
note_files(const Mirror *m, List *files)
{
	static TxpStatement statement = {
		"SELECT txpipe.mirror_note($1, $2, $3, $4, $5, $6, $7)",
		7,
		{TEXTOID, TEXTOID, TEXTARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, BOOLOID}};
	int n = 0;
	int n_others = 0;
	int length = list_length(files);
	Datum *paths = palloc(sizeof(Datum) * (length + 1));
	Datum *bytes = palloc(sizeof(Datum) * (length + 1));
	Datum *changed_at = palloc(sizeof(Datum) * (length + 1));
	Datum *others = palloc(sizeof(Datum) * (length + 1));
	Datum values[7];

	for (int i = 0; i < length; i++)
	{
		const TxpTreeFile *file = list_nth(files, i);

		if (!file->is_file)
		{
			others[n_others++] = text_datum(file->path);
			continue;
		}
		paths[n] = text_datum(file->path);
		bytes[n] = Int64GetDatum(file->bytes);
		changed_at[n++] = TimestampTzGetDatum(file->changed_at);
	}
	values[0] = text_datum(m->objects->location);
	values[1] = text_datum(m->directory);
	values[2] = txp_spi_array(TEXTOID, paths, NULL, n);
	values[3] = txp_spi_array(INT8OID, bytes, NULL, n);
	values[4] = txp_spi_array(TIMESTAMPTZOID, changed_at, NULL, n);
	values[5] = txp_spi_array(TEXTOID, others, NULL, n_others);
	values[6] = BoolGetDatum(m->remove_many);
	(void) txp_spi_run(&statement, values, NULL);
	SPI_commit();
}

typedef struct Work
{
	char *path;
	bool has_side; /* the store has an index of this file, which speaks of what it was before */
} Work;

static void *
read_work(uint64 row)
{
	Work *work = palloc(sizeof(Work));

	work->path = txp_spi_text(row, 1);
	work->has_side = DatumGetBool(txp_spi_datum(row, 2));
	return work;
}

/* Of a kind (mirror_work): what waits for it. */
static List *
find_work(const Mirror *m, const char *kind)
{
	static TxpStatement statement = {
		"SELECT path, has_side FROM txpipe.mirror_work($1, $2)", 2, {TEXTOID, TEXTOID}};
	Datum values[] = {text_datum(m->objects->location), text_datum(kind)};
	List *work = txp_spi_list(&statement, values, NULL, read_work);

	SPI_commit();
	return work;
}

/* From here on the store may have the object, whatever becomes of this call. */
static void
note_sending(const Mirror *m, const char *path)
{
	static TxpStatement statement = {"UPDATE txpipe.mirror_ledger SET is_sent = true "
									 "WHERE location = $1 AND path = $2 AND NOT is_sent",
									 2,
									 {TEXTOID, TEXTOID}};
	Datum values[] = {text_datum(m->objects->location), text_datum(path)};

	(void) txp_spi_run(&statement, values, NULL);
	SPI_commit();
}

static void
note_stored(const Mirror *m, const char *path, const TxpObject *object)
{
	static TxpStatement statement = {
		"UPDATE txpipe.mirror_ledger SET state = 'stored', bytes = $3, changed_at = $4, sha256 = "
		"$5, "
		"stored_at = clock_timestamp(), attempts = 0, last_error = NULL "
		"WHERE location = $1 AND path = $2",
		5,
		{TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, BYTEAOID}};
	bytea *sha256 = palloc(VARHDRSZ + sizeof(object->sha256));
	Datum values[] = {text_datum(m->objects->location), text_datum(path),
					  Int64GetDatum(object->bytes), TimestampTzGetDatum(object->changed_at),
					  PointerGetDatum(sha256)};

	SET_VARSIZE(sha256, VARHDRSZ + sizeof(object->sha256));
	memcpy(VARDATA(sha256), object->sha256, sizeof(object->sha256));
	(void) txp_spi_run(&statement, values, NULL);
	SPI_commit();
}

/* Of a file that is there the row stays: it is to be sent. */
static void
note_removed(const Mirror *m, const char *path, bool is_file)
{
	static TxpStatement forget = {
		"DELETE FROM txpipe.mirror_ledger WHERE location = $1 AND path = $2",
		2,
		{TEXTOID, TEXTOID}};
	static TxpStatement wait = {"UPDATE txpipe.mirror_ledger SET state = 'waiting', sha256 = NULL "
								"WHERE location = $1 AND path = $2",
								2,
								{TEXTOID, TEXTOID}};
	Datum values[] = {text_datum(m->objects->location), text_datum(path)};

	(void) txp_spi_run(is_file ? &wait : &forget, values, NULL);
	SPI_commit();
}

static void
note_why(const Mirror *m, const char *path, const char *why)
{
	static TxpStatement statement = {
		"UPDATE txpipe.mirror_ledger SET attempts = attempts + 1, last_error = $3 "
		"WHERE location = $1 AND path = $2",
		3,
		{TEXTOID, TEXTOID, TEXTOID}};
	Datum values[] = {text_datum(m->objects->location), text_datum(path), text_datum(why)};

	(void) txp_spi_run(&statement, values, NULL);
	SPI_commit();
}

/* Another object would fare no better when the store is away, or refuses the key or the bucket. */
static void
note_failure(Mirror *m, const char *path, const TxpIoError *error)
{
	int category = ERRCODE_TO_CATEGORY(error->sqlstate);

	if (m->failed++ == 0)
	{
		MemoryContext old = MemoryContextSwitchTo(m->lasting);

		m->first = *error;
		m->first.message = pstrdup(error->message);
		m->first.detail = error->detail != NULL ? pstrdup(error->detail) : NULL;
		m->first.hint = error->hint != NULL ? pstrdup(error->hint) : NULL;
		MemoryContextSwitchTo(old);
	}
	m->is_over = category == ERRCODE_TO_CATEGORY(ERRCODE_CONNECTION_FAILURE) ||
				 category == ERRCODE_TO_CATEGORY(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION) ||
				 error->sqlstate == ERRCODE_UNDEFINED_OBJECT;
	note_why(m, path,
			 error->detail != NULL ? psprintf("%s: %s", error->message, error->detail)
								   : error->message);
}

/* --- objects --- */

static void
remove_object(Mirror *m, const char *path, bool is_file)
{
	TxpIoError error;

	if (!txp_object_delete(m->objects, path, &error))
		note_failure(m, path, &error);
	else
	{
		m->removed += !is_file;
		note_removed(m, path, is_file);
	}
}

static void
store_object(Mirror *m, const char *path, const uint8 *sha256)
{
	TxpObject object;
	TxpIoError error;

	note_sending(m, path);
	if (!txp_object_put(m->objects, m->top, path, sha256, &object, &error))
	{
		/* It was removed or replaced meanwhile, as exports do: that is for the next call. */
		if (error.sqlstate == ERRCODE_UNDEFINED_FILE ||
			error.sqlstate == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
			m->waiting++;
		else
			note_failure(m, path, &error);
	}
	else
	{
		m->stored++;
		m->bytes += object.bytes;
		note_stored(m, path, &object);
	}
}

/* Who sees an index finds what it is about: the old one goes first. */
static void
store_file(Mirror *m, const Work *work)
{
	if (work->has_side)
		remove_object(m, psprintf("%s.json", work->path), true);
	if (!m->is_over)
		store_object(m, work->path, NULL);
}

/* The first file of those an index names that the store has not, or not as it says; NULL: it has all. */
static char *
missing_file(const Mirror *m, const char *path, const char *text)
{
	static TxpStatement statement = {
		"SELECT txpipe.mirror_missing($1, $2, $3)", 3, {TEXTOID, TEXTOID, TEXTOID}};
	Datum values[] = {text_datum(m->objects->location), text_datum(path), text_datum(text)};
	MemoryContext context = CurrentMemoryContext;
	char *missing;

	SPI_connect();
	(void) txp_spi_run(&statement, values, NULL);
	missing = txp_spi_text(0, 1);
	if (missing != NULL)
		missing = MemoryContextStrdup(context, missing);
	SPI_finish();
	SPI_commit();
	return missing;
}

/* A manifest, or the side file of an export: behind all that it names, as it was when that was looked up. */
static void
store_index(Mirror *m, const Work *work)
{
	uint8 sha256[PG_SHA256_DIGEST_LENGTH];
	char *text = txp_filetree_read(m->top, work->path, sha256);
	char *missing = text != NULL ? missing_file(m, work->path, text) : NULL;

	if (missing != NULL)
	{
		m->waiting++;
		note_why(m, work->path, psprintf("\"%s\", which it names, is not stored yet", missing));
	}
	else
		store_object(m, work->path, text != NULL ? sha256 : NULL);
}

static void
remove_gone(Mirror *m, const Work *work)
{
	remove_object(m, work->path, false);
}

static void
do_all(Mirror *m, const char *kind, void (*act)(Mirror *m, const Work *work))
{
	List *work = find_work(m, kind);
	ListCell *lc;

	foreach (lc, work)
	{
		MemoryContext old = MemoryContextSwitchTo(m->context);

		CHECK_FOR_INTERRUPTS();
		if (!m->is_over)
			act(m, lfirst(lc));
		MemoryContextSwitchTo(old);
		MemoryContextReset(m->context);
	}
}

/* --- a call --- */

static const char *
top_of(const char *directory)
{
	bool is_export = strcmp(directory, "export") == 0;
	const char *top = is_export ? txp_export_directory : txp_lake_directory;

	if (!is_export && strcmp(directory, "lake") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("directory cannot be \"%s\"", directory),
						errhint("export: txpipe.export_directory; lake: txpipe.lake_directory.")));
	if (top == NULL || top[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("txpipe.%s_directory is not set", directory),
						errhint("As a superuser: ALTER SYSTEM SET txpipe.%s_directory = '/path'; "
								"SELECT pg_reload_conf();",
								directory)));
	return top;
}

static void
set_lock_tag(LOCKTAG *tag)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, ExtensionRelationId, get_extension_oid("txpipe", false),
					   LOCK_NUMBER);
}

/* The session's, so that it outlasts commits; an abort releases it, too. */
static void
lock(LOCKTAG *tag)
{
	set_lock_tag(tag);
	if (LockAcquire(tag, ExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
		ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
						errmsg("another session is mirroring files of this database"),
						errhint("Call it again when that one has ended.")));
}

static void
note_run(const Mirror *m)
{
	static TxpStatement statement = {
		"INSERT INTO txpipe.run (job, state, message, started_at, finished_at) "
		"VALUES ('mirror', $1, $2, $3, clock_timestamp())",
		3,
		{TEXTOID, TEXTOID, TIMESTAMPTZOID}};
	char *done = psprintf("%s: %d objects stored (" INT64_FORMAT " bytes), %d removed, %d wait",
						  m->directory, m->stored, m->bytes, m->removed, m->waiting);
	char *message =
		m->failed > 0 ? psprintf("%s, %d failed: %s", done, m->failed, m->first.message) : done;
	Datum values[] = {text_datum(m->failed > 0 ? "failed" : "succeeded"), text_datum(message),
					  TimestampTzGetDatum(m->started_at)};

	(void) txp_spi_run(&statement, values, NULL);
	SPI_commit();
	ereport(m->failed > 0 ? DEBUG1 : NOTICE, (errmsg("%s", message)));
}

static void
mirror(Mirror *m)
{
	/* Names are read before the ledger is: a file that comes meanwhile is for the next call. */
	note_files(m, txp_filetree_list(m->top));
	do_all(m, "file", store_file);
	do_all(m, "index", store_index);
	do_all(m, "gone index", remove_gone);
	do_all(m, "gone file", remove_gone);
	note_run(m);
}

static void
raise_failure(const Mirror *m)
{
	const TxpIoError *e = &m->first;

	ereport(ERROR,
			(errcode(e->sqlstate), errmsg("%s", e->message),
			 e->detail ? errdetail("%s", e->detail) : 0, e->hint ? errhint("%s", e->hint) : 0,
			 errcontext("%d of the files could not be mirrored; txpipe.mirrored_file has them",
						m->failed)));
}

static void
check_call(FunctionCallInfo fcinfo)
{
	CallContext *call = fcinfo->context && IsA(fcinfo->context, CallContext)
							? castNode(CallContext, fcinfo->context)
							: NULL;

	PreventCommandIfReadOnly("CALL txpipe.mirror()");
	if (call == NULL || call->atomic || IsSubTransaction())
		ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
						errmsg("mirror cannot be called inside a transaction block"),
						errdetail("No transaction may wait for an object store."),
						errhint("CALL txpipe.mirror(…) on its own.")));
}

PG_FUNCTION_INFO_V1(txpipe_mirror);
Datum
txpipe_mirror(PG_FUNCTION_ARGS)
{
	char *server = txp_arg_text(fcinfo, 0, "server");
	MemoryContext context;
	MemoryContext old;
	Mirror m = {.directory = txp_arg_text(fcinfo, 1, "directory"),
				.remove_many = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2)};
	LOCKTAG tag;

	check_call(fcinfo);
	m.top = top_of(m.directory);
	m.started_at = GetCurrentTimestamp();
	/* It must outlive the commits; an error of the statement ends it, and with it the child. */
	context = AllocSetContextCreate(PortalContext, "txpipe mirror", ALLOCSET_DEFAULT_SIZES);
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	old = MemoryContextSwitchTo(context);
	m.lasting = context;
	m.context = AllocSetContextCreate(context, "txpipe mirrored object", ALLOCSET_DEFAULT_SIZES);
	m.directory = pstrdup(m.directory);
	m.objects = txp_objects_open(server);
	PG_TRY();
	{
		lock(&tag);
		mirror(&m);
		LockRelease(&tag, ExclusiveLock, true);
	}
	PG_FINALLY();
	{
		txp_objects_close(m.objects);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	SPI_finish();
	if (m.failed > 0)
		raise_failure(&m);
	MemoryContextDelete(context);
	PG_RETURN_VOID();
}
