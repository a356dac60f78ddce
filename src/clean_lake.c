/*
 * clean_lake.c — copies in the lake that are not wanted any more.
 *
 * As with the files of a dropped table, the catalog changes first and the file goes when that is committed: a
 * crash between the two leaves a copy that no row names, never a row that names a missing copy. The feeds
 * stay locked until the files are gone, so that no load takes such a copy for one it may use.
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

/* A copy that goes with the commit of the (sub)transaction of this level. */
typedef struct Removal
{
	int level;
	char *lake;
	char *path;
} Removal;

static List *removals = NIL; /* in TopTransactionContext */

/* After the commit: nothing may fail any more. */
static void
remove_copies(void)
{
	ListCell *lc;

	foreach (lc, removals)
	{
		Removal *r = lfirst(lc);

		if (txp_below_unlink(r->lake, r->path) != 0 && errno != ENOENT)
			ereport(WARNING, (errcode_for_file_access(),
							  errmsg("could not remove \"%s\" from the lake: %m", r->path),
							  errhint("No file of txpipe needs it any more; remove it by hand.")));
		/* Other feeds, which are not locked, are at work in the first folder. */
		txp_below_prune(r->lake, r->path, 1);
	}
}

void
txp_clean_lake_refuse_load(void)
{
	if (removals != NIL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("files cannot be loaded after clean_lake in one transaction"),
						errdetail("Copies that go with its commit could be found and used."),
						errhint("COMMIT first.")));
}

static void
at_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			remove_copies();
			removals = NIL;
			break;
		case XACT_EVENT_ABORT:
			removals = NIL;
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (removals != NIL)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("a transaction that has called clean_lake cannot be prepared"),
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
			removals = foreach_delete_current(removals, lc);
	}
}

/* With the commit; which must be on disk before a file goes. */
static void
remove_at_commit(const char *path)
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
	r->level = GetCurrentTransactionNestLevel();
	r->lake = pstrdup(txp_lake_directory);
	r->path = pstrdup(path);
	removals = lappend(removals, r);
	MemoryContextSwitchTo(old);
	ForceSyncCommit();
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
		"            AND l.state = 'loaded' AND l.loaded_at < $2 AND l.lake_path IS NOT NULL) "
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
		"forgotten AS (UPDATE txpipe.file_ledger l SET lake_path = NULL, "
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
		remove_at_commit(txp_spi_text(i, 1));
	return n;
}

/* Locks the feeds of these files that the current user owns; forgets the copies, and returns an array of their paths. */
static Datum
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
		"WITH old AS (SELECT file_id, lake_path FROM txpipe.file_ledger WHERE feed_id = ANY ($1) "
		"    AND file_id = ANY ($2) AND lake_path IS NOT NULL), "
		"forgotten AS (UPDATE txpipe.file_ledger l SET lake_path = NULL, "
		"    reason = concat_ws('; ', l.reason, 'its copy was removed from the lake to erase a "
		"person') "
		"    WHERE l.lake_path IN (SELECT lake_path FROM old)) "
		"SELECT coalesce(array_agg(DISTINCT lake_path), '{}') FROM old",
		2,
		{INT4ARRAYOID, INT8ARRAYOID}};
	Datum values[] = {ObjectIdGetDatum(GetUserId()), files};

	values[0] = lock_feeds(&feeds, values);
	(void) txp_spi_run(&update, values, NULL);
	return txp_spi_datum(0, 1);
}

int64
txp_clean_lake_files(Datum files)
{
	int64 n;

	txp_landing_check();
	SPI_connect();
	n = remove_unused(forget_files(files));
	SPI_finish();
	return n;
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
	before = DirectFunctionCall2(timestamptz_mi_interval,
								 TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()),
								 PG_GETARG_DATUM(0));
	SPI_connect();
	feeds = lock_old(DatumGetTimestampTz(before));
	n = remove_unused(forget_copies(feeds, DatumGetTimestampTz(before)));
	SPI_finish();
	PG_RETURN_INT64(n);
}
