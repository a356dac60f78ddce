/*
 * shared.h — what launcher, workers and sessions know of one another.
 *
 * One lock guards all of it; it is held for a few loads and stores only. Without
 * shared_preload_libraries there is no shared memory, and every call says so by its result.
 */
#ifndef TXP_SHARED_H
#define TXP_SHARED_H

#include "postgres.h"
#include "datatype/timestamp.h"

#define TXP_MAX_WORKERS 64
#define TXP_MAX_DATABASES 256
#define TXP_MAX_CLAIMS 4096

extern void txp_shared_init(void); /* in _PG_init while preloading */
extern bool txp_shared_available(void);

/* --- sessions --- */

/* The catalogs of this database change when this transaction commits: tell the launcher and workers then. */
extern void txp_wake_at_commit(void);
/* Workers that serve the stream now; 0 also without shared memory. */
extern int txp_shared_workers_of(int32 stream_id);

/* --- launcher --- */

extern void txp_launcher_attach(void);

typedef struct TxpDatabaseState
{
	Oid database;
	int streams;            /* runnable streams when a worker last looked */
	int workers;            /* worker slots in use */
	bool dirty;             /* catalogs changed and no worker has looked since */
	TimestampTz not_before; /* somebody needs the database, or a worker failed: none before this */
} TxpDatabaseState;

/*
 * Makes sure the database has an entry. It is marked dirty when new or without workers: a look now and then
 * finds what no session told (a prepared transaction, a restored copy).
 */
extern void txp_shared_know_database(Oid database);
extern void txp_shared_forget_database(Oid database);
/* Copies all entries; returns their number. */
extern int txp_shared_databases(TxpDatabaseState *states);
/* Reserves a worker slot for the database; -1 when all are taken. */
extern int txp_shared_reserve_worker(Oid database);
/* Frees the slot; unless `clean`, the database's next worker is put off, longer with each failure. */
extern void txp_shared_release_worker(int slot, bool clean);
/* The same for a worker that ended before it attached; else nothing. */
extern void txp_shared_release_unattached(int slot);

/* --- workers --- */

/* Takes the reserved slot; released at exit, as a failure unless txp_worker_done was called before. Returns the database, and the number within it (from 1). */
extern Oid txp_worker_attach(int slot, int *number);
/* A number that changes with every change of this database's catalogs. */
extern uint32 txp_worker_generation(void);
/* What this worker found in the catalogs after it read `generation`: the number of runnable streams. */
extern void txp_worker_report(int streams, uint32 generation);
extern void txp_worker_done(void);
/* Somebody needs the database without connections: no worker for `ms` milliseconds. */
extern void txp_worker_yield_database(int ms);
/* Workers attached in this database. */
extern int txp_worker_count(void);

/* Claims: a stream is served by one worker at a time. True when it is ours (already). */
extern bool txp_claim(int32 stream_id);
extern void txp_unclaim(int32 stream_id);

#endif
