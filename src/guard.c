/*
 * guard.c — the server's own troubles that streams wait for.
 */
#include "postgres.h"

#include <sys/statvfs.h>

#include "access/xlog.h"
#include "access/xlogdefs.h"
#include "miscadmin.h"
#include "replication/slot.h"
#include "replication/walsender_private.h"
#include "utils/timestamp.h"

#include "guard.h"
#include "guc.h"
#include "shared_state.h"
#include "steady.h"

#define LOOK_MS 2000
/* Nobody has looked for so long: there are no workers, and what was seen is old. */
#define STALE_MS 10000

/* A directory without a file system (it is not mounted, not set) is another one's business. */
static char *
disk_problem(const char *path, const char *name)
{
	struct statvfs fs;
	int64 free_mb;

	if (statvfs(path, &fs) != 0)
		return NULL;
	free_mb = (int64) ((double) fs.f_bavail * fs.f_frsize / (1024 * 1024));
	if (free_mb >= txp_min_free_space)
		return NULL;
	return psprintf("%s has " INT64_FORMAT " MB free, less than txpipe.min_free_space (%d MB)",
					name, free_mb, txp_min_free_space);
}

static int64
kb_behind(XLogRecPtr now, XLogRecPtr position)
{
	return XLogRecPtrIsInvalid(position) || position >= now ? 0 : (int64) (now - position) / 1024;
}

/* What is on the standby's disk counts: it may replay later on purpose. */
static char *
standby_problem(XLogRecPtr now)
{
	int64 most = 0;

	for (int i = 0; i < max_wal_senders; i++)
	{
		WalSnd *sender = &WalSndCtl->walsnds[i];

		SpinLockAcquire(&sender->mutex);
		if (sender->pid != 0 && sender->state != WALSNDSTATE_BACKUP)
			most = Max(most, kb_behind(now, sender->flush));
		SpinLockRelease(&sender->mutex);
	}
	if (most <= txp_max_replication_lag)
		return NULL;
	return psprintf("a standby is " INT64_FORMAT
					" kB behind, more than txpipe.max_replication_lag (%d kB)",
					most, txp_max_replication_lag);
}

static char *
slot_problem(XLogRecPtr now)
{
	int64 most = 0;
	NameData name = {{0}};

	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (int i = 0; i < max_replication_slots; i++)
	{
		ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];
		XLogRecPtr position;

		if (!slot->in_use)
			continue;
		SpinLockAcquire(&slot->mutex);
		position =
			slot->data.database == InvalidOid ? slot->data.restart_lsn : slot->data.confirmed_flush;
		SpinLockRelease(&slot->mutex);
		if (kb_behind(now, position) <= most)
			continue;
		most = kb_behind(now, position);
		name = slot->data.name;
	}
	LWLockRelease(ReplicationSlotControlLock);
	if (most <= txp_max_replication_lag)
		return NULL;
	return psprintf("replication slot \"%s\" is " INT64_FORMAT
					" kB behind, more than txpipe.max_replication_lag (%d kB)",
					NameStr(name), most, txp_max_replication_lag);
}

char *
txp_guard_problem(void)
{
	char *problem = NULL;

	if (txp_min_free_space > 0)
		problem = disk_problem(DataDir, "the file system of the data directory");
	if (problem == NULL && txp_min_free_space > 0)
		problem = disk_problem("pg_wal", "the file system of pg_wal");
	if (problem == NULL && txp_min_free_space > 0 && txp_lake_directory[0] != '\0')
		problem = disk_problem(txp_lake_directory, "the file system of txpipe.lake_directory");
	if (problem == NULL && txp_max_replication_lag > 0)
	{
		XLogRecPtr now = GetXLogWriteRecPtr();

		problem = standby_problem(now);
		if (problem == NULL)
			problem = slot_problem(now);
	}
	return problem;
}

/* Tells the other workers of the database, and the log when it comes and when it is over. */
static void
store(const char *problem)
{
	TxpDatabaseEntry *entry;
	bool came = false;
	bool over = false;

	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	entry = txp_shared_database(MyDatabaseId, true);
	if (entry)
	{
		came = problem && entry->guard[0] == '\0';
		over = problem == NULL && entry->guard[0] != '\0';
		if (came)
			entry->guard_since = GetCurrentTimestamp();
		strlcpy(entry->guard, problem ? problem : "", sizeof(entry->guard));
	}
	LWLockRelease(txp_shared->lock);
	if (came)
		ereport(LOG, (errmsg("txpipe streams wait: %s", problem)));
	else if (over)
		ereport(LOG, (errmsg("txpipe streams go on")));
}

bool
txp_guard_holds(void)
{
	TimestampTz now = txp_steady_now();
	TxpDatabaseEntry *entry;
	bool holds = false;
	bool due = false;
	char *problem;

	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	entry = txp_shared_database(MyDatabaseId, true);
	if (entry)
	{
		due = TimestampDifferenceExceeds(entry->guard_at, now, LOOK_MS);
		if (due)
			entry->guard_at = now;
		holds = entry->guard[0] != '\0';
	}
	LWLockRelease(txp_shared->lock);
	if (!due)
		return holds;
	problem = txp_guard_problem();
	store(problem);
	if (problem)
		pfree(problem);
	return problem != NULL;
}

char *
txp_guard_shown(TimestampTz *since)
{
	const TxpDatabaseEntry *entry;
	char *problem = NULL;

	if (txp_shared == NULL)
		return NULL;
	LWLockAcquire(txp_shared->lock, LW_SHARED);
	entry = txp_shared_database(MyDatabaseId, false);
	if (entry && entry->guard[0] != '\0' &&
		!TimestampDifferenceExceeds(entry->guard_at, txp_steady_now(), STALE_MS))
	{
		problem = pstrdup(entry->guard);
		*since = entry->guard_since;
	}
	LWLockRelease(txp_shared->lock);
	return problem;
}
