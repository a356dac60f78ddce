/*
 * shared_state.h — the shared memory itself, for the modules that own parts of it: shared.c (databases, launcher),
 * slots.c (workers), claims.c (who serves what), rates.c, guard.c, prune.c,
 * page.c, outbox.c, outbox_worker.c.
 */
#ifndef TXP_SHARED_STATE_H
#define TXP_SHARED_STATE_H

#include "postgres.h"

#include <signal.h>

#include "datatype/timestamp.h"
#include "storage/lwlock.h"
#include "storage/proc.h"

#include "capacity.h"
#include "zone.h"

#define TXP_NO_WORKER (-1)
#define TXP_RATE_SECONDS 10
#define TXP_GUARD_TEXT 200

typedef struct TxpDatabaseEntry
{
	Oid database; /* InvalidOid: free */
	int streams;  /* runnable ones that the pool serves */
	int parts;    /* of runnable streams with workers of their own */
	bool dirty;
	uint32 generation;
	int failures; /* workers in a row that ended early and not on purpose */
	TimestampTz not_before;
	char guard[TXP_GUARD_TEXT]; /* what streams wait for; "": nothing. See guard.h */
	TimestampTz guard_at;       /* when that was looked at */
	TimestampTz guard_since;
	TimestampTz next_prune; /* see prune.h */
	bool has_page;          /* a worker stays to write it; see page.h */
	TimestampTz next_page;
	TimestampTz next_outbox; /* when a worker looks for messages to deliver; see outbox_worker.h */
} TxpDatabaseEntry;

typedef struct TxpWorkerEntry
{
	Oid database; /* InvalidOid: free */
	int number;   /* within the database, from 1 */
	bool own; /* serves one part of a stream that has workers of its own; otherwise of the pool */
	bool leaving; /* counts no more */
	PGPROC *proc; /* NULL until it is attached */
	TimestampTz since;
	int32 stream_id; /* at work, or the last one that was */
	uint32 part;
	int32 slow_stream_id; /* the one it keeps while it is slow */
	uint32 slow_part;
	volatile sig_atomic_t
		overdue;            /* at it for too long; set by a signal handler, without the lock */
	bool relieved;          /* its other claims were given up for that */
	TimestampTz slow_until; /* takes no other stream before this; 0: does */
} TxpWorkerEntry;

/* One second of work. */
typedef struct TxpRateBucket
{
	int64 second;
	int64 rows;
	int64 bytes;
} TxpRateBucket;

typedef struct TxpClaimEntry
{
	Oid database; /* InvalidOid: free */
	int32 stream_id;
	uint32 part;
	int worker; /* slot, or TXP_NO_WORKER: to be taken */
	TxpRateBucket rate[TXP_RATE_SECONDS + 1];
} TxpClaimEntry;

typedef struct TxpSharedState
{
	LWLock *lock;
	PGPROC *launcher;
	TxpServerZone zone;
	bool lacks_slots; /* the launcher could not start a worker when it last tried */
	TxpDatabaseEntry databases[TXP_MAX_DATABASES];
	TxpWorkerEntry workers[TXP_MAX_WORKERS];
	TxpClaimEntry claims[TXP_MAX_CLAIMS];
} TxpSharedState;

extern TxpSharedState *txp_shared; /* NULL when not preloaded */
extern int txp_my_slot;            /* of this worker; TXP_NO_WORKER in other processes */

/* The database's entry, made when `create`; NULL when there is none or no room. Lock held. */
extern TxpDatabaseEntry *txp_shared_database(Oid database, bool create);
/* Makes the database's workers look into the catalogs and at the claims again. Lock held. */
extern void txp_shared_wake(Oid database);
/* Sets the latches of its workers only; false: it has none. Lock held. */
extern bool txp_shared_wake_workers(Oid database);

/* Is it at a batch for too long, or was it lately? Lock held. */
extern bool txp_slot_is_slow(const TxpWorkerEntry *worker);

/* Who is there, and who should be. Lock held. */
typedef struct TxpPool
{
	int pool;        /* workers of the pool, reserved ones included */
	int active;      /* of these, those that are not slow */
	int present;     /* of the active ones, those that are attached */
	int rank;        /* of this worker among those by its number, from 0 */
	int own;         /* workers that are streams' own, reserved ones included */
	int own_present; /* of these, those that are attached */
	int units; /* served by the pool: streams, and parts as long as there is no worker of their own */
	int waiting;     /* of these, those that active workers have or should have */
	int wanted_pool; /* how many there should be */
	int wanted_active;
	int wanted_own;
} TxpPool;

extern void txp_pool_count(const TxpDatabaseEntry *entry, TxpPool *pool);

#endif
