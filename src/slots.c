/*
 * slots.c — the workers: their slots, how many there should be, and which of them are held up.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "shared.h"
#include "shared_state.h"
#include "steady.h"

#define FIRST_BACKOFF_MS 1000
#define MAX_BACKOFF_MS 60000
/* A worker that lived this long did not fail at its start. */
#define HEALTHY_MS 30000
/* A stream that took long may do so again. */
#define SLOW_MS 5000

int txp_my_slot = TXP_NO_WORKER;
static bool my_end_is_clean = false;

bool
txp_slot_is_slow(const TxpWorkerEntry *worker)
{
	return worker->overdue || worker->slow_until != 0;
}

/* Units that slow workers of the pool are left with. Lock held. */
static int
units_of_slow(Oid database)
{
	int n = 0;

	for (int i = 0; i < TXP_MAX_CLAIMS; i++)
	{
		const TxpClaimEntry *claim = &txp_shared->claims[i];

		if (claim->database != database || claim->worker == TXP_NO_WORKER)
			continue;
		n += !txp_shared->workers[claim->worker].own &&
			 txp_slot_is_slow(&txp_shared->workers[claim->worker]);
	}
	return n;
}

/*
 * The pool has txpipe.max_workers, and at least one that is not held up, up to twice as many in all.
 */
void
txp_pool_count(const TxpDatabaseEntry *entry, TxpPool *pool)
{
	const TxpWorkerEntry *me =
		txp_my_slot == TXP_NO_WORKER ? NULL : &txp_shared->workers[txp_my_slot];
	int slow;

	memset(pool, 0, sizeof(*pool));
	for (int i = 0; i < TXP_MAX_WORKERS; i++)
	{
		const TxpWorkerEntry *worker = &txp_shared->workers[i];

		if (worker->database != entry->database || worker->leaving)
			continue;
		if (worker->own)
		{
			pool->own++;
			pool->own_present += worker->proc != NULL;
			continue;
		}
		pool->pool++;
		if (txp_slot_is_slow(worker))
			continue;
		pool->active++;
		pool->present += worker->proc != NULL;
		pool->rank += me != NULL && worker->number < me->number;
	}
	slow = pool->pool - pool->active;
	pool->wanted_own = entry->parts;
	pool->units = entry->streams + (pool->own == 0 ? entry->parts : 0);
	pool->waiting = pool->units;
	if (slow > 0)
		pool->waiting = Max(pool->waiting - units_of_slow(entry->database), 0);
	pool->wanted_active = Min(pool->waiting, Max(txp_max_workers - slow, 1));
	pool->wanted_pool = Min(slow + pool->wanted_active, 2 * txp_max_workers);
	if (entry->has_page)
		pool->wanted_pool = Max(pool->wanted_pool, 1);
}

/* The smallest number no worker of the database has. Lock held. */
static int
free_number(Oid database)
{
	for (int number = 1;; number++)
	{
		bool taken = false;

		for (int i = 0; i < TXP_MAX_WORKERS; i++)
			taken |= txp_shared->workers[i].database == database &&
					 txp_shared->workers[i].number == number;
		if (!taken)
			return number;
	}
}

int
txp_shared_reserve_worker(Oid database, bool own)
{
	int slot = -1;

	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < TXP_MAX_WORKERS && slot < 0; i++)
	{
		if (!OidIsValid(txp_shared->workers[i].database))
			slot = i;
	}
	if (slot >= 0)
	{
		int number = free_number(database);

		txp_shared->workers[slot] = (TxpWorkerEntry){
			.database = database, .number = number, .own = own, .since = txp_steady_now()};
	}
	LWLockRelease(txp_shared->lock);
	return slot;
}

void
txp_shared_note_slots(bool lacking)
{
	txp_shared->lacks_slots = lacking;
}

char *
txp_shared_shortage(void)
{
	if (txp_shared == NULL)
		return "txpipe is not in shared_preload_libraries";
	if (txp_shared->lacks_slots)
		return psprintf("no background worker is free, max_worker_processes is %d",
						max_worker_processes);
	return NULL;
}

/* Puts off the database's next worker after one failed. Lock held. */
static void
note_failure(const TxpWorkerEntry *worker)
{
	TxpDatabaseEntry *entry = txp_shared_database(worker->database, false);
	TimestampTz now = txp_steady_now();
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
	TxpWorkerEntry *worker = &txp_shared->workers[slot];
	Oid database;

	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	database = worker->database;
	for (int i = 0; i < TXP_MAX_CLAIMS; i++)
	{
		if (OidIsValid(txp_shared->claims[i].database) && txp_shared->claims[i].worker == slot)
			txp_shared->claims[i].worker = TXP_NO_WORKER;
	}
	if (!clean)
		note_failure(worker);
	/* The others may take over what this one served. */
	memset(worker, 0, sizeof(*worker));
	txp_shared_wake(database);
	LWLockRelease(txp_shared->lock);
}

void
txp_shared_release_unattached(int slot)
{
	bool unattached;

	LWLockAcquire(txp_shared->lock, LW_SHARED);
	unattached =
		OidIsValid(txp_shared->workers[slot].database) && txp_shared->workers[slot].proc == NULL;
	LWLockRelease(txp_shared->lock);
	if (unattached)
		txp_shared_release_worker(slot, false);
}

bool
txp_shared_is_overdue(int slot, Oid database)
{
	bool overdue;

	LWLockAcquire(txp_shared->lock, LW_SHARED);
	overdue = txp_shared->workers[slot].database == database && txp_shared->workers[slot].overdue;
	LWLockRelease(txp_shared->lock);
	return overdue;
}

/* Lock held. */
static void
relieve(int slot)
{
	TxpWorkerEntry *worker = &txp_shared->workers[slot];

	worker->relieved = true;
	worker->slow_stream_id = worker->stream_id;
	worker->slow_part = worker->part;
	for (int i = 0; i < TXP_MAX_CLAIMS; i++)
	{
		TxpClaimEntry *claim = &txp_shared->claims[i];

		if (OidIsValid(claim->database) && claim->worker == slot &&
			(claim->stream_id != worker->stream_id || claim->part != worker->part))
			claim->worker = TXP_NO_WORKER;
	}
	txp_shared_wake(worker->database);
}

void
txp_shared_relieve_overdue(void)
{
	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < TXP_MAX_WORKERS; i++)
	{
		const TxpWorkerEntry *worker = &txp_shared->workers[i];

		if (OidIsValid(worker->database) && worker->overdue && !worker->relieved && !worker->own)
			relieve(i);
	}
	LWLockRelease(txp_shared->lock);
}

static void
worker_detach(int code, Datum arg)
{
	/* A clock that still runs must not mark the slot's next worker. */
	txp_my_slot = TXP_NO_WORKER;
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

	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	txp_shared->workers[slot].proc = MyProc;
	database = txp_shared->workers[slot].database;
	*number = txp_shared->workers[slot].number;
	/* The others give up their surplus. */
	txp_shared_wake(database);
	LWLockRelease(txp_shared->lock);
	txp_my_slot = slot;
	before_shmem_exit(worker_detach, Int32GetDatum(slot));
	return database;
}

bool
txp_worker_leaves(void)
{
	TxpWorkerEntry *me = &txp_shared->workers[txp_my_slot];
	const TxpDatabaseEntry *entry;
	TxpPool pool;

	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	entry = txp_shared_database(MyDatabaseId, false);
	if (entry == NULL)
		me->leaving = true;
	else
	{
		txp_pool_count(entry, &pool);
		me->leaving = me->own ? pool.own > pool.wanted_own : pool.pool > pool.wanted_pool;
	}
	LWLockRelease(txp_shared->lock);
	return me->leaving;
}

void
txp_worker_begins(int32 stream_id, uint32 part)
{
	TxpWorkerEntry *me = &txp_shared->workers[txp_my_slot];

	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	me->stream_id = stream_id;
	me->part = part;
	LWLockRelease(txp_shared->lock);
}

void
txp_worker_is_overdue(void)
{
	PGPROC *launcher = txp_shared->launcher;

	if (txp_my_slot == TXP_NO_WORKER)
		return;
	txp_shared->workers[txp_my_slot].overdue = true;
	if (launcher)
		SetLatch(&launcher->procLatch);
}

void
txp_worker_ends(void)
{
	TxpWorkerEntry *me = &txp_shared->workers[txp_my_slot];

	if (!me->overdue)
		return;
	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	me->overdue = false;
	me->relieved = false;
	me->slow_stream_id = me->stream_id;
	me->slow_part = me->part;
	me->slow_until = TimestampTzPlusMilliseconds(txp_steady_now(), SLOW_MS);
	LWLockRelease(txp_shared->lock);
}

void
txp_worker_check_slow(void)
{
	TxpWorkerEntry *me = &txp_shared->workers[txp_my_slot];

	if (me->slow_until == 0 || me->slow_until > txp_steady_now())
		return;
	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	me->slow_until = 0;
	txp_shared_wake(MyDatabaseId);
	LWLockRelease(txp_shared->lock);
}
