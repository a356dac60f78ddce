/*
 * shared.c — what launcher, workers and sessions know of one another.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "shared.h"
#include "shared_state.h"
#include "steady.h"

/* A worker that has not attached after so long never will. */
#define STARTING_MS 30000

TxpSharedState *txp_shared = NULL;
static bool wake_pending = false;
static shmem_request_hook_type prev_request_hook = NULL;
static shmem_startup_hook_type prev_startup_hook = NULL;

static void
request(void)
{
	if (prev_request_hook)
		prev_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(TxpSharedState)));
	RequestNamedLWLockTranche("txpipe", 1);
}

static void
startup(void)
{
	bool found;

	if (prev_startup_hook)
		prev_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	txp_shared = ShmemInitStruct("txpipe", sizeof(TxpSharedState), &found);
	if (!found)
	{
		memset(txp_shared, 0, sizeof(TxpSharedState));
		txp_shared->lock = &GetNamedLWLockTranche("txpipe")->lock;
		txp_zone_share(&txp_shared->zone);
	}
	LWLockRelease(AddinShmemInitLock);
}

void
txp_shared_init(void)
{
	prev_request_hook = shmem_request_hook;
	shmem_request_hook = request;
	prev_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup;
}

bool
txp_shared_available(void)
{
	return txp_shared != NULL;
}

TxpDatabaseEntry *
txp_shared_database(Oid database, bool create)
{
	TxpDatabaseEntry *free_entry = NULL;

	for (int i = 0; i < TXP_MAX_DATABASES; i++)
	{
		TxpDatabaseEntry *entry = &txp_shared->databases[i];

		if (entry->database == database)
			return entry;
		if (!OidIsValid(entry->database) && free_entry == NULL)
			free_entry = entry;
	}
	if (!create || free_entry == NULL)
		return NULL;
	memset(free_entry, 0, sizeof(*free_entry));
	free_entry->database = database;
	free_entry->dirty = true;
	return free_entry;
}

bool
txp_shared_wake_workers(Oid database)
{
	bool any = false;

	for (int i = 0; i < TXP_MAX_WORKERS; i++)
	{
		const TxpWorkerEntry *worker = &txp_shared->workers[i];

		if (worker->database != database || worker->proc == NULL)
			continue;
		any = true;
		SetLatch(&worker->proc->procLatch);
	}
	return any;
}

void
txp_shared_wake(Oid database)
{
	TxpDatabaseEntry *entry = txp_shared_database(database, false);

	if (entry)
		entry->generation++;
	if (txp_shared->launcher)
		SetLatch(&txp_shared->launcher->procLatch);
	(void) txp_shared_wake_workers(database);
}

static void
wake_on_commit(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT)
		return;
	if (wake_pending && event == XACT_EVENT_COMMIT)
	{
		TxpDatabaseEntry *entry;

		LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
		entry = txp_shared_database(MyDatabaseId, true);
		if (entry)
			entry->dirty = true;
		txp_shared_wake(MyDatabaseId);
		LWLockRelease(txp_shared->lock);
	}
	wake_pending = false;
}

void
txp_wake_at_commit(void)
{
	static bool registered = false;

	if (txp_shared == NULL)
		return;
	if (!registered)
	{
		RegisterXactCallback(wake_on_commit, NULL);
		registered = true;
	}
	wake_pending = true;
}

static void
launcher_detach(int code, Datum arg)
{
	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	txp_shared->launcher = NULL;
	LWLockRelease(txp_shared->lock);
}

void
txp_launcher_attach(void)
{
	TimestampTz now = txp_steady_now();

	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	txp_shared->launcher = MyProc;
	/* An earlier launcher may have ended between reserving a slot and the start of its worker. */
	for (int i = 0; i < TXP_MAX_WORKERS; i++)
	{
		TxpWorkerEntry *worker = &txp_shared->workers[i];

		if (worker->proc == NULL && TimestampDifferenceExceeds(worker->since, now, STARTING_MS))
			worker->database = InvalidOid;
	}
	LWLockRelease(txp_shared->lock);
	before_shmem_exit(launcher_detach, 0);
}

void
txp_shared_know_database(Oid database)
{
	TxpDatabaseEntry *entry;
	bool served = false;

	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	entry = txp_shared_database(database, true);
	for (int i = 0; i < TXP_MAX_WORKERS; i++)
		served |= txp_shared->workers[i].database == database;
	if (entry && served)
		txp_shared_wake(database);
	else if (entry)
		entry->dirty = true;
	LWLockRelease(txp_shared->lock);
	if (entry == NULL)
		ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						  errmsg("streams of database %u are not served: more than %d databases",
								 database, TXP_MAX_DATABASES)));
}

void
txp_shared_forget_database(Oid database)
{
	TxpDatabaseEntry *entry;

	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	entry = txp_shared_database(database, false);
	if (entry)
		entry->database = InvalidOid;
	for (int i = 0; i < TXP_MAX_CLAIMS; i++)
	{
		if (txp_shared->claims[i].database == database)
			txp_shared->claims[i].database = InvalidOid;
	}
	LWLockRelease(txp_shared->lock);
}

/* What the launcher is to do about a database. Lock held. */
static TxpDatabaseState
database_state(const TxpDatabaseEntry *entry)
{
	TxpDatabaseState state = {.database = entry->database, .not_before = entry->not_before};
	TxpPool pool;

	for (int i = 0; i < TXP_MAX_WORKERS; i++)
	{
		const TxpWorkerEntry *worker = &txp_shared->workers[i];

		if (worker->database != entry->database)
			continue;
		state.workers++;
		state.overdue |= worker->overdue != 0;
	}
	txp_pool_count(entry, &pool);
	state.pool_missing = pool.wanted_pool - pool.pool;
	state.own_missing = pool.wanted_own - pool.own;
	/* Somebody has to look. */
	if (state.workers == 0 && entry->dirty)
		state.pool_missing = Max(state.pool_missing, 1);
	return state;
}

int
txp_shared_databases(TxpDatabaseState *states)
{
	int n = 0;

	LWLockAcquire(txp_shared->lock, LW_SHARED);
	for (int i = 0; i < TXP_MAX_DATABASES; i++)
	{
		if (OidIsValid(txp_shared->databases[i].database))
			states[n++] = database_state(&txp_shared->databases[i]);
	}
	LWLockRelease(txp_shared->lock);
	return n;
}

uint32
txp_worker_generation(void)
{
	TxpDatabaseEntry *entry;
	uint32 generation;

	LWLockAcquire(txp_shared->lock, LW_SHARED);
	entry = txp_shared_database(MyDatabaseId, false);
	generation = entry ? entry->generation : 0;
	LWLockRelease(txp_shared->lock);
	return generation;
}

void
txp_worker_report(int streams, int parts, uint32 generation)
{
	TxpDatabaseEntry *entry;

	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	entry = txp_shared_database(MyDatabaseId, true);
	if (entry)
	{
		entry->streams = streams;
		entry->parts = parts;
		/* Somebody changed them after this look: the next one is still due. */
		if (entry->generation == generation)
			entry->dirty = false;
	}
	if (txp_shared->launcher)
		SetLatch(&txp_shared->launcher->procLatch);
	LWLockRelease(txp_shared->lock);
}

void
txp_worker_yield_database(int ms)
{
	TxpDatabaseEntry *entry;

	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	entry = txp_shared_database(MyDatabaseId, true);
	if (entry)
	{
		entry->not_before = TimestampTzPlusMilliseconds(txp_steady_now(), ms);
		entry->dirty = true;
	}
	LWLockRelease(txp_shared->lock);
}
