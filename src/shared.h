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

#include "capacity.h"

extern void txp_shared_init(void); /* in _PG_init while preloading */
extern bool txp_shared_available(void);

/* --- sessions --- */

/* The catalogs of this database change when this transaction commits: tell the launcher and workers then. */
extern void txp_wake_at_commit(void);

/* --- launcher --- */

extern void txp_launcher_attach(void);

typedef struct TxpDatabaseState
{
	Oid database;
	int workers;            /* worker slots in use */
	int pool_missing;       /* workers that should be started */
	int own_missing;        /* likewise, of streams with workers of their own */
	bool overdue;           /* a worker is at one batch for long */
	TimestampTz not_before; /* somebody needs the database, or a worker failed: none before this */
} TxpDatabaseState;

/*
 * Makes sure the database has an entry. Its workers look into the catalogs, or it is marked dirty when there are none:
 * a look now and then finds what no session told (a prepared transaction, a restored copy).
 */
extern void txp_shared_know_database(Oid database);
extern void txp_shared_forget_database(Oid database);
/* Copies all entries; returns their number. */
extern int txp_shared_databases(TxpDatabaseState *states);
/* Reserves a worker slot for the database; -1 when all are taken. */
extern int txp_shared_reserve_worker(Oid database, bool own);
/* Could the last worker that was wanted be registered? */
extern void txp_shared_note_slots(bool lacking);
/* Why there are fewer workers than wanted, as a sentence; NULL: nothing is known to stand against them. */
extern char *txp_shared_shortage(void);
/* Frees the slot; unless `clean`, the database's next worker is put off, longer with each failure. */
extern void txp_shared_release_worker(int slot, bool clean);
/* The same for a worker that ended before it attached; else nothing. */
extern void txp_shared_release_unattached(int slot);
/* Is the slot's worker at one batch for long, in this database? */
extern bool txp_shared_is_overdue(int slot, Oid database);
/* What overdue workers have besides the stream they are at goes to others. */
extern void txp_shared_relieve_overdue(void);

/* --- workers --- */

/*
 * Takes the reserved slot; released at exit, as a failure unless txp_worker_done was called before. Returns the
 * database, and the number within it (from 1).
 */
extern Oid txp_worker_attach(int slot, int *number);
/* A number that changes with every change of this database's catalogs. */
extern uint32 txp_worker_generation(void);
/* What this worker found in the catalogs after it read `generation`. */
extern void txp_worker_report(int streams, int parts, uint32 generation);
/* True when a worker without work is one too many: it counts no more, and must leave. */
extern bool txp_worker_leaves(void);
extern void txp_worker_done(void);
/* Somebody needs the database without connections: no worker for `ms` milliseconds. */
extern void txp_worker_yield_database(int ms);

/*
 * What this worker is at. A worker at one stream for more than a quarter of a second loses its other streams to other
 * workers, and takes no more until some seconds after.
 */
extern void txp_worker_begins(int32 stream_id, uint32 part);
extern void txp_worker_ends(void);
/* May run in a signal handler. */
extern void txp_worker_is_overdue(void);
/* A time of being slow that is over is told to the others. */
extern void txp_worker_check_slow(void);

#endif
