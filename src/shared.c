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

#define FIRST_BACKOFF_MS 1000
#define MAX_BACKOFF_MS 60000
/* A worker that lived this long did not fail at its start. */
#define HEALTHY_MS 30000

typedef struct DatabaseEntry
{
	Oid database; /* InvalidOid: free */
	int streams;
	bool dirty;
	uint32 generation;
	int failures; /* workers in a row that ended early and not on purpose */
	TimestampTz not_before;
} DatabaseEntry;

typedef struct WorkerEntry
{
	Oid database; /* InvalidOid: free */
	int number;   /* within the database, from 1 */
	PGPROC *proc; /* NULL until it is attached */
	TimestampTz since;
} WorkerEntry;

typedef struct ClaimEntry
{
	Oid database; /* InvalidOid: free */
	int32 stream_id;
	int worker;
} ClaimEntry;

typedef struct Shared
{
	LWLock *lock;
	PGPROC *launcher;
	DatabaseEntry databases[TXP_MAX_DATABASES];
	WorkerEntry workers[TXP_MAX_WORKERS];
	ClaimEntry claims[TXP_MAX_CLAIMS];
} Shared;

static Shared *shared = NULL;
static int my_slot = -1;
static bool my_end_is_clean = false;
static bool wake_pending = false;
static shmem_request_hook_type prev_request_hook = NULL;
static shmem_startup_hook_type prev_startup_hook = NULL;

static void
request(void)
{
	if (prev_request_hook)
		prev_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(Shared)));
	RequestNamedLWLockTranche("txpipe", 1);
}

static void
startup(void)
{
	bool found;

	if (prev_startup_hook)
		prev_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("txpipe", sizeof(Shared), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(Shared));
		shared->lock = &GetNamedLWLockTranche("txpipe")->lock;
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
	return shared != NULL;
}

/* The database's entry, made when `create`; NULL when there is none or no room. Lock held. */
static DatabaseEntry *
database_entry(Oid database, bool create)
{
	DatabaseEntry *free_entry = NULL;

	for (int i = 0; i < TXP_MAX_DATABASES; i++)
	{
		DatabaseEntry *entry = &shared->databases[i];

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

/* Makes the database's workers look into the catalogs and at the claims again. Lock held. */
static void
wake(Oid database)
{
	DatabaseEntry *entry = database_entry(database, false);

	if (entry)
		entry->generation++;
	if (shared->launcher)
		SetLatch(&shared->launcher->procLatch);
	for (int i = 0; i < TXP_MAX_WORKERS; i++)
	{
		if (shared->workers[i].database == database && shared->workers[i].proc)
			SetLatch(&shared->workers[i].proc->procLatch);
	}
}

static void
wake_on_commit(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT)
		return;
	if (wake_pending && event == XACT_EVENT_COMMIT)
	{
		DatabaseEntry *entry;

		LWLockAcquire(shared->lock, LW_EXCLUSIVE);
		entry = database_entry(MyDatabaseId, true);
		if (entry)
			entry->dirty = true;
		wake(MyDatabaseId);
		LWLockRelease(shared->lock);
	}
	wake_pending = false;
}

void
txp_wake_at_commit(void)
{
	static bool registered = false;

	if (shared == NULL)
		return;
	if (!registered)
	{
		RegisterXactCallback(wake_on_commit, NULL);
		registered = true;
	}
	wake_pending = true;
}

int
txp_shared_workers_of(int32 stream_id)
{
	int n = 0;

	if (shared == NULL)
		return 0;
	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < TXP_MAX_CLAIMS; i++)
	{
		if (shared->claims[i].database == MyDatabaseId && shared->claims[i].stream_id == stream_id)
			n++;
	}
	LWLockRelease(shared->lock);
	return n;
}

static void
launcher_detach(int code, Datum arg)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->launcher = NULL;
	LWLockRelease(shared->lock);
}

void
txp_launcher_attach(void)
{
	TimestampTz now = GetCurrentTimestamp();

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->launcher = MyProc;
	/* An earlier launcher may have ended between reserving a slot and the start of its worker. */
	for (int i = 0; i < TXP_MAX_WORKERS; i++)
	{
		WorkerEntry *worker = &shared->workers[i];

		if (worker->proc == NULL && TimestampDifferenceExceeds(worker->since, now, HEALTHY_MS))
			worker->database = InvalidOid;
	}
	LWLockRelease(shared->lock);
	before_shmem_exit(launcher_detach, 0);
}

void
txp_shared_know_database(Oid database)
{
	DatabaseEntry *entry;
	bool served = false;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = database_entry(database, true);
	for (int i = 0; i < TXP_MAX_WORKERS; i++)
		served |= shared->workers[i].database == database;
	if (entry && !served)
		entry->dirty = true;
	LWLockRelease(shared->lock);
	if (entry == NULL)
		ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						  errmsg("streams of database %u are not served: more than %d databases",
								 database, TXP_MAX_DATABASES)));
}

void
txp_shared_forget_database(Oid database)
{
	DatabaseEntry *entry;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = database_entry(database, false);
	if (entry)
		entry->database = InvalidOid;
	LWLockRelease(shared->lock);
}

int
txp_shared_databases(TxpDatabaseState *states)
{
	int n = 0;

	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < TXP_MAX_DATABASES; i++)
	{
		DatabaseEntry *entry = &shared->databases[i];
		TxpDatabaseState *state = &states[n];

		if (!OidIsValid(entry->database))
			continue;
		*state =
			(TxpDatabaseState){entry->database, entry->streams, 0, entry->dirty, entry->not_before};
		for (int w = 0; w < TXP_MAX_WORKERS; w++)
			state->workers += shared->workers[w].database == entry->database;
		n++;
	}
	LWLockRelease(shared->lock);
	return n;
}

/* The smallest number no worker of the database has. Lock held. */
static int
free_number(Oid database)
{
	for (int number = 1;; number++)
	{
		bool taken = false;

		for (int i = 0; i < TXP_MAX_WORKERS; i++)
			taken |= shared->workers[i].database == database && shared->workers[i].number == number;
		if (!taken)
			return number;
	}
}

int
txp_shared_reserve_worker(Oid database)
{
	int slot = -1;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < TXP_MAX_WORKERS && slot < 0; i++)
	{
		if (!OidIsValid(shared->workers[i].database))
			slot = i;
	}
	if (slot >= 0)
	{
		shared->workers[slot].number = free_number(database);
		shared->workers[slot].database = database;
		shared->workers[slot].proc = NULL;
		shared->workers[slot].since = GetCurrentTimestamp();
	}
	LWLockRelease(shared->lock);
	return slot;
}

/* Puts off the database's next worker after one failed. Lock held. */
static void
note_failure(const WorkerEntry *worker)
{
	DatabaseEntry *entry = database_entry(worker->database, false);
	TimestampTz now = GetCurrentTimestamp();
	int ms = FIRST_BACKOFF_MS;

	if (entry == NULL)
		return;
	if (TimestampDifferenceExceeds(worker->since, now, HEALTHY_MS))
		entry->failures = 0;
	for (int i = 0; i < entry->failures && ms < MAX_BACKOFF_MS; i++)
		ms *= 2;
	entry->failures++;
	entry->dirty = true;
	entry->not_before =
		Max(entry->not_before, TimestampTzPlusMilliseconds(now, Min(ms, MAX_BACKOFF_MS)));
}

void
txp_shared_release_worker(int slot, bool clean)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < TXP_MAX_CLAIMS; i++)
	{
		if (OidIsValid(shared->claims[i].database) && shared->claims[i].worker == slot)
			shared->claims[i].database = InvalidOid;
	}
	if (!clean)
		note_failure(&shared->workers[slot]);
	/* The others may take over what this one served. */
	wake(shared->workers[slot].database);
	shared->workers[slot].database = InvalidOid;
	shared->workers[slot].proc = NULL;
	LWLockRelease(shared->lock);
}

void
txp_shared_release_unattached(int slot)
{
	bool unattached;

	LWLockAcquire(shared->lock, LW_SHARED);
	unattached = OidIsValid(shared->workers[slot].database) && shared->workers[slot].proc == NULL;
	LWLockRelease(shared->lock);
	if (unattached)
		txp_shared_release_worker(slot, false);
}

static void
worker_detach(int code, Datum arg)
{
	txp_shared_release_worker(DatumGetInt32(arg), my_end_is_clean);
}

void
txp_worker_done(void)
{
	my_end_is_clean = true;
}

Oid
txp_worker_attach(int slot, int *number)
{
	Oid database;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->workers[slot].proc = MyProc;
	database = shared->workers[slot].database;
	*number = shared->workers[slot].number;
	/* The others give up their surplus. */
	wake(database);
	LWLockRelease(shared->lock);
	my_slot = slot;
	before_shmem_exit(worker_detach, Int32GetDatum(slot));
	return database;
}

uint32
txp_worker_generation(void)
{
	DatabaseEntry *entry;
	uint32 generation;

	LWLockAcquire(shared->lock, LW_SHARED);
	entry = database_entry(MyDatabaseId, false);
	generation = entry ? entry->generation : 0;
	LWLockRelease(shared->lock);
	return generation;
}

void
txp_worker_report(int streams, uint32 generation)
{
	DatabaseEntry *entry;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = database_entry(MyDatabaseId, true);
	if (entry)
	{
		entry->streams = streams;
		/* Somebody changed them after this look: the next one is still due. */
		if (entry->generation == generation)
			entry->dirty = false;
	}
	if (shared->launcher)
		SetLatch(&shared->launcher->procLatch);
	LWLockRelease(shared->lock);
}

void
txp_worker_yield_database(int ms)
{
	DatabaseEntry *entry;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = database_entry(MyDatabaseId, true);
	if (entry)
	{
		entry->not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
		entry->dirty = true;
	}
	LWLockRelease(shared->lock);
}

int
txp_worker_count(void)
{
	int n = 0;

	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < TXP_MAX_WORKERS; i++)
		n += shared->workers[i].database == MyDatabaseId && shared->workers[i].proc != NULL;
	LWLockRelease(shared->lock);
	return n;
}

bool
txp_claim(int32 stream_id)
{
	ClaimEntry *free_claim = NULL;
	bool mine = false;
	bool taken = false;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < TXP_MAX_CLAIMS && !taken; i++)
	{
		ClaimEntry *claim = &shared->claims[i];

		if (claim->database == MyDatabaseId && claim->stream_id == stream_id)
		{
			taken = true;
			mine = claim->worker == my_slot;
		}
		else if (!OidIsValid(claim->database) && free_claim == NULL)
			free_claim = claim;
	}
	if (!taken && free_claim)
	{
		*free_claim = (ClaimEntry){MyDatabaseId, stream_id, my_slot};
		mine = true;
	}
	LWLockRelease(shared->lock);
	if (!taken && free_claim == NULL)
		ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						  errmsg("stream %d is not served: more than %d streams run on this server",
								 stream_id, TXP_MAX_CLAIMS)));
	return mine;
}

void
txp_unclaim(int32 stream_id)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < TXP_MAX_CLAIMS; i++)
	{
		ClaimEntry *claim = &shared->claims[i];

		if (claim->database == MyDatabaseId && claim->stream_id == stream_id &&
			claim->worker == my_slot)
			claim->database = InvalidOid;
	}
	wake(MyDatabaseId);
	LWLockRelease(shared->lock);
}
