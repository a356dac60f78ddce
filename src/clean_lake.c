/*
 * clean_lake.c — copies in the lake that are not wanted any more.
 *
 * As with the files of a dropped table, the catalog changes first and the file goes when that is committed: a
 * crash between the two leaves a copy that no row names, never a row that names a missing copy. The feeds
 * stay locked until the files are gone, so that no load takes such a copy for one it may use. What erase_subject()
 * gives up is in lake_leftover, too: a person's copy must not stay because of a crash.
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "clean_lake.h"
#include "feed.h"
#include "guc.h"
#include "io/below.h"
#include "landing.h"
#include "spi.h"

/* Of a file that has none any more. */
#define NO_COPY "lake_path = NULL, copy_sha256 = NULL, copy_bytes = NULL, rows_erased = 0"

/* A copy that goes with the commit, or the abort, of the (sub)transaction of this level. */
typedef struct Removal
{
	bool at_commit;
	int level;
	char *lake;
	char *path;
} Removal;

static List *removals = NIL; /* in TopTransactionContext */

/* False after a WARNING: nothing may fail at the end of a transaction. */
static bool
remove_copy(const char *lake, const char *path)
{
	bool gone = txp_below_unlink(lake, path) == 0 || errno == ENOENT;

	if (!gone)
		ereport(WARNING, (errcode_for_file_access(),
						  errmsg("could not remove \"%s\" from the lake: %m", path),
						  errhint("No file of txpipe needs it any more; remove it by hand.")));
	/* Other feeds, which are not locked, are at work in the first folder. */
	txp_below_prune(lake, path, 1);
	return gone;
}

static void
remove_copies(bool at_commit)
{
	ListCell *lc;

	foreach (lc, removals)
	{
		Removal *r = lfirst(lc);

		if (r->at_commit == at_commit)
			(void) remove_copy(r->lake, r->path);
	}
}

static bool
goes_at_commit(const char *path)
{
	ListCell *lc;

	foreach (lc, removals)
	{
		Removal *r = lfirst(lc);

		if (r->at_commit && strcmp(r->path, path) == 0)
			return true;
	}
	return false;
}

void
txp_clean_lake_refuse_load(void)
{
	if (removals != NIL)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("files cannot be loaded after clean_lake or erase_subject in one transaction"),
			 errdetail("Copies that go with its commit could be found and used."),
			 errhint("COMMIT first.")));
}

static void
at_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			remove_copies(true);
			removals = NIL;
			break;
		case XACT_EVENT_ABORT:
			remove_copies(false);
			removals = NIL;
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (removals != NIL)
				ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
								errmsg("a transaction that has called clean_lake or erase_subject "
									   "cannot be prepared"),
								errhint("Call it in a transaction of its own.")));
			break;
		default:
			break;
	}
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId self, SubTransactionId parent, void *arg)
{
	int level = GetCurrentTransactionNestLevel();
	ListCell *lc;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach (lc, removals)
	{
		Removal *r = lfirst(lc);

		if (r->level < level)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			r->level = level - 1;
		else
		{
			if (!r->at_commit)
				(void) remove_copy(r->lake, r->path);
			removals = foreach_delete_current(removals, lc);
		}
	}
}

static void
remove_at_end(const char *path, bool at_commit)
{
	static bool registered = false;
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	Removal *r = palloc(sizeof(Removal));

	if (!registered)
	{
		RegisterXactCallback(at_end, NULL);
		RegisterSubXactCallback(at_subtransaction_end, NULL);
		registered = true;
	}
	r->at_commit = at_commit;
	r->level = GetCurrentTransactionNestLevel();
	r->lake = pstrdup(txp_lake_directory);
	r->path = pstrdup(path);
	removals = lappend(removals, r);
	MemoryContextSwitchTo(old);
	/* It must be on disk before a file goes. */
	if (at_commit)
		ForceSyncCommit();
}

void
txp_lake_check_isolation(void)
{
	if (IsolationUsesXactSnapshot())
		ereport(
			ERROR,
			(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
			 errmsg("copies are removed from the lake in READ COMMITTED only"),
			 errdetail("An older snapshot does not show files that have taken a copy meanwhile."),
			 errhint("Begin the transaction with ISOLATION LEVEL READ COMMITTED.")));
}

void
txp_lake_remove_at_abort(const char *path)
{
	remove_at_end(path, false);
}

/* Locks the feeds that a statement finds and locks, in the order of loads; returns an array of their numbers. */
static Datum
lock_feeds(TxpStatement *query, Datum *values)
{
	uint64 n = txp_spi_run(query, values, NULL);
	Datum *ids = palloc(sizeof(Datum) * (n + 1));

	for (uint64 i = 0; i < n; i++)
		ids[i] = txp_spi_datum(i, 1);
	for (uint64 i = 0; i < n; i++)
		txp_feed_lock_copies(DatumGetInt32(ids[i]));
	return txp_spi_array(INT4OID, ids, NULL, n);
}

/* Those that have something to give up. */
static Datum
lock_old(TimestampTz before)
{
	static TxpStatement query = {
		"SELECT f.feed_id FROM txpipe.feed f WHERE pg_has_role($1, f.owner_oid, 'USAGE') "
		"AND EXISTS (SELECT FROM pg_roles r WHERE r.oid = f.owner_oid AND r.rolname = "
		"f.owner_name) "
		"AND EXISTS (SELECT FROM txpipe.file_ledger l WHERE l.feed_id = f.feed_id "
		"            AND l.state = 'loaded' AND l.loaded_at < $2 AND l.lake_path IS NOT NULL "
		"            UNION ALL SELECT FROM txpipe.lake_leftover o WHERE o.feed_id = f.feed_id) "
		"ORDER BY f.feed_id FOR NO KEY UPDATE OF f",
		2,
		{OIDOID, TIMESTAMPTZOID}};
	Datum values[] = {ObjectIdGetDatum(GetUserId()), TimestampTzGetDatum(before)};

	return lock_feeds(&query, values);
}

/* The ledger forgets the copies of what was loaded before; returns an array of their paths. */
static Datum
forget_copies(Datum feeds, TimestampTz before)
{
	static TxpStatement update = {
		"WITH old AS (SELECT file_id, lake_path FROM txpipe.file_ledger WHERE feed_id = ANY ($1) "
		"    AND state = 'loaded' AND loaded_at < $2 AND lake_path IS NOT NULL), "
		"forgotten AS (UPDATE txpipe.file_ledger l SET " NO_COPY ", "
		"    reason = concat_ws('; ', l.reason, 'its copy was removed from the lake on ' || "
		"        to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD')) "
		"    WHERE l.lake_path IS NOT NULL AND (l.file_id IN (SELECT file_id FROM old) "
		"        OR l.duplicate_of IN (SELECT file_id FROM old))) "
		"SELECT coalesce(array_agg(DISTINCT lake_path), '{}') FROM old",
		2,
		{INT4ARRAYOID, TIMESTAMPTZOID}};
	Datum values[] = {feeds, TimestampTzGetDatum(before)};

	(void) txp_spi_run(&update, values, NULL);
	return txp_spi_datum(0, 1);
}

/* Files of equal content may share a copy: those nobody has any more are removed. */
static int64
remove_unused(Datum paths)
{
	static TxpStatement query = {"SELECT p FROM unnest($1) AS p WHERE NOT EXISTS "
								 "(SELECT FROM txpipe.file_ledger l WHERE l.lake_path = p)",
								 1,
								 {TEXTARRAYOID}};
	Datum values[] = {paths};
	uint64 n = txp_spi_run(&query, values, NULL);

	for (uint64 i = 0; i < n; i++)
		remove_at_end(txp_spi_text(i, 1), true);
	return n;
}

void
txp_lake_give_up(int32 feed_id, const char *path)
{
	static TxpStatement insert = {"INSERT INTO txpipe.lake_leftover (lake_path, feed_id) "
								  "VALUES ($1, $2) ON CONFLICT DO NOTHING",
								  2,
								  {TEXTOID, INT4OID}};
	Datum values[] = {CStringGetTextDatum(path), Int32GetDatum(feed_id)};

	(void) txp_spi_do(&insert, values, NULL);
	remove_at_end(path, true);
}

/* Of feeds that are locked: what a crash left of copies that were given up. */
void
txp_lake_remove_leftovers(Datum feeds)
{
	static TxpStatement query = {
		"SELECT o.lake_path, EXISTS (SELECT FROM txpipe.file_ledger l WHERE l.lake_path = "
		"o.lake_path) FROM txpipe.lake_leftover o WHERE o.feed_id = ANY ($1)",
		1,
		{INT4ARRAYOID}};
	static TxpStatement forget = {
		"DELETE FROM txpipe.lake_leftover WHERE lake_path = ANY ($1)", 1, {TEXTARRAYOID}};
	Datum values[] = {feeds};
	Datum *gone;
	int ngone = 0;
	uint64 n;

	SPI_connect();
	n = txp_spi_run(&query, values, NULL);
	if (n > 0)
	{
		txp_landing_check();
		txp_lake_check_isolation();
	}
	gone = palloc(sizeof(Datum) * (n + 1));
	for (uint64 i = 0; i < n; i++)
	{
		char *path = txp_spi_text(i, 1);

		/* Given up by this transaction, which may still be undone; or its name was taken by another one. */
		if (goes_at_commit(path))
			continue;
		if (DatumGetBool(txp_spi_datum(i, 2)) || remove_copy(txp_lake_directory, path))
			gone[ngone++] = txp_spi_datum(i, 1);
	}
	values[0] = txp_spi_array(TEXTOID, gone, NULL, ngone);
	(void) txp_spi_run(&forget, values, NULL);
	SPI_finish();
}

/* Locks the feeds of these files that the current user owns; forgets the copies, which are the rows of the result. */
static uint64
forget_files(Datum files)
{
	static TxpStatement feeds = {
		"SELECT f.feed_id FROM txpipe.feed f WHERE f.owner_oid = $1 "
		"AND f.owner_name = (SELECT rolname FROM pg_roles WHERE oid = $1) "
		"AND f.feed_id IN (SELECT l.feed_id FROM txpipe.file_ledger l WHERE l.file_id = ANY ($2)) "
		"ORDER BY f.feed_id FOR NO KEY UPDATE OF f",
		2,
		{OIDOID, INT8ARRAYOID}};
	static TxpStatement update = {
		"WITH old AS (SELECT DISTINCT feed_id, lake_path FROM txpipe.file_ledger "
		"    WHERE feed_id = ANY ($1) AND file_id = ANY ($2) AND lake_path IS NOT NULL), "
		"forgotten AS (UPDATE txpipe.file_ledger l SET " NO_COPY ", "
		"    reason = concat_ws('; ', l.reason, 'its copy was removed from the lake to erase a "
		"person') "
		"    WHERE l.lake_path IN (SELECT lake_path FROM old)) "
		"SELECT feed_id, lake_path FROM old",
		2,
		{INT4ARRAYOID, INT8ARRAYOID}};
	Datum values[] = {ObjectIdGetDatum(GetUserId()), files};

	values[0] = lock_feeds(&feeds, values);
	return txp_spi_run(&update, values, NULL);
}

int64
txp_clean_lake_files(Datum files)
{
	uint64 n;

	txp_landing_check();
	txp_lake_check_isolation();
	SPI_connect();
	n = forget_files(files);
	for (uint64 i = 0; i < n; i++)
		txp_lake_give_up(DatumGetInt32(txp_spi_datum(i, 1)), txp_spi_text(i, 2));
	SPI_finish();
	return (int64) n;
}

PG_FUNCTION_INFO_V1(txpipe_clean_lake);
Datum
txpipe_clean_lake(PG_FUNCTION_ARGS)
{
	Interval zero = {0};
	Datum before;
	Datum feeds;
	int64 n;

	if (PG_ARGISNULL(0) || DatumGetBool(DirectFunctionCall2(interval_lt, PG_GETARG_DATUM(0),
															IntervalPGetDatum(&zero))))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("older_than must be an interval that is not negative"),
						errhint("For example '90 days'.")));
	txp_landing_check();
	txp_lake_check_isolation();
	before = DirectFunctionCall2(timestamptz_mi_interval,
								 TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()),
								 PG_GETARG_DATUM(0));
	SPI_connect();
	feeds = lock_old(DatumGetTimestampTz(before));
	txp_lake_remove_leftovers(feeds);
	n = remove_unused(forget_copies(feeds, DatumGetTimestampTz(before)));
	SPI_finish();
	PG_RETURN_INT64(n);
}
