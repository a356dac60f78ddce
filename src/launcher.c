/*
 * launcher.c — starts stream workers where there are streams, and starts them again when they end.
 *
 * It is connected to no database and reads nothing but pg_database. Which databases have streams it
 * learns from a first worker in each, which ends at once where there is none, and from sessions that
 * change a stream. Workers never restart by themselves: this is the only place that decides.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "dblock.h"
#include "guc.h"
#include "launcher.h"
#include "shared.h"
#include "steady.h"
#include "worker.h"
#include "zone.h"

#define DATABASE_SCAN_MS 60000
#define RETRY_MS 1000
/* Until another try to add a worker where there are some. */
#define LACKING_MS 5000

/* Workers started by this launcher, by slot. */
static BackgroundWorkerHandle *started[TXP_MAX_WORKERS];
static bool slots_exhausted = false;

void
txp_launcher_register(void)
{
	BackgroundWorker worker = {
		.bgw_name = "txpipe launcher",
		.bgw_type = "txpipe launcher",
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = 5,
		.bgw_library_name = "txpipe",
		.bgw_function_name = "txp_launcher_main",
	};

	RegisterBackgroundWorker(&worker);
}

/* Brings the list of databases up to date: new ones are looked into, dropped ones forgotten. */
static void
scan_databases(void)
{
	TxpDatabaseState *known = palloc(sizeof(TxpDatabaseState) * TXP_MAX_DATABASES);
	Relation rel;
	TableScanDesc scan;
	HeapTuple tuple;
	int n;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	n = txp_shared_databases(known);
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database db = (Form_pg_database) GETSTRUCT(tuple);

		if (!db->datallowconn || db->datistemplate)
			continue;
		txp_shared_know_database(db->oid);
		for (int i = 0; i < n; i++)
		{
			if (known[i].database == db->oid)
				known[i].database = InvalidOid;
		}
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	for (int i = 0; i < n; i++)
	{
		if (OidIsValid(known[i].database))
			txp_shared_forget_database(known[i].database);
	}
	pfree(known);
}

/* Forgets workers that ended; those that never reached their main function left their slot behind. */
static void
collect_ended(void)
{
	for (int slot = 0; slot < TXP_MAX_WORKERS; slot++)
	{
		pid_t pid;

		if (started[slot] == NULL || GetBackgroundWorkerPid(started[slot], &pid) != BGWH_STOPPED)
			continue;
		txp_shared_release_unattached(slot);
		pfree(started[slot]);
		started[slot] = NULL;
	}
}

static bool
start_worker(Oid database, bool own)
{
	BackgroundWorker worker = {
		.bgw_name = "txpipe worker",
		.bgw_type = "txpipe worker",
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_library_name = "txpipe",
		.bgw_function_name = "txp_worker_main",
		.bgw_notify_pid = MyProcPid,
	};
	int slot = txp_shared_reserve_worker(database, own);

	if (slot < 0)
	{
		txp_shared_note_slots(true);
		return false;
	}
	/* The slot's last worker may still be on its way out; it needs no watching any more. */
	if (started[slot])
		pfree(started[slot]);
	started[slot] = NULL;
	worker.bgw_main_arg = Int32GetDatum(slot);
	if (!RegisterDynamicBackgroundWorker(&worker, &started[slot]))
	{
		txp_shared_release_worker(slot, true);
		if (!slots_exhausted)
			ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
							  errmsg("no free background worker slot for txpipe"),
							  errhint("Raise max_worker_processes and restart the server.")));
		slots_exhausted = true;
		txp_shared_note_slots(true);
		return false;
	}
	slots_exhausted = false;
	txp_shared_note_slots(false);
	return true;
}

/* Does the database still exist, and is nobody waiting to drop, rename or copy it? */
static bool
database_is_free(Oid database)
{
	bool exists;
	bool free;

	StartTransactionCommand();
	free = txp_database_try_lock(database);
	exists = SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(database));
	CommitTransactionCommand();
	if (!exists)
		txp_shared_forget_database(database);
	return free && exists;
}

/*
 * Starts one worker the database lacks; false when it cannot. A first worker looks into the catalogs, streams
 * with workers of their own come next, so that the pool is not made larger for them.
 */
static bool
start_missing(const TxpDatabaseState *state)
{
	bool own = state->workers > 0 && state->own_missing > 0;

	if (!database_is_free(state->database))
		return false;
	return (own && start_worker(state->database, true)) ||
		   (state->pool_missing > 0 && start_worker(state->database, false));
}

/* A worker at a long batch cannot notice that somebody needs the database: the batch is given up for that. */
static void
end_overdue(Oid database)
{
	if (database_is_free(database))
		return;
	for (int slot = 0; slot < TXP_MAX_WORKERS; slot++)
	{
		if (started[slot] && txp_shared_is_overdue(slot, database))
			TerminateBackgroundWorker(started[slot]);
	}
}

/* Starts what is missing, ends what is in the way. Returns in how many milliseconds to look again. */
static long
start_workers(void)
{
	TxpDatabaseState *states = palloc(sizeof(TxpDatabaseState) * TXP_MAX_DATABASES);
	TimestampTz now = txp_steady_now();
	long again = DATABASE_SCAN_MS;
	int n;

	txp_shared_relieve_overdue();
	n = txp_shared_databases(states);
	for (int i = 0; i < n; i++)
	{
		const TxpDatabaseState *state = &states[i];

		if (state->overdue)
		{
			end_overdue(state->database);
			again = Min(again, RETRY_MS);
		}
		if (state->pool_missing <= 0 && state->own_missing <= 0)
			continue;
		if (state->not_before > now)
			again = Min(again, TimestampDifferenceMilliseconds(now, state->not_before));
		else if (start_missing(state))
			again = Min(again, 10); /* the next one, if it wants several */
		else
			again = Min(again, state->workers > 0 ? LACKING_MS : RETRY_MS);
	}
	pfree(states);
	return again;
}

void
txp_launcher_main(Datum arg)
{
	TimestampTz next_scan = 0;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname("txpipe launcher");
	txp_launcher_attach();
	txp_zone_publish();

	for (;;)
	{
		long wait_ms;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			txp_zone_publish();
			next_scan = 0;
		}
		collect_ended();
		if (txp_steady_now() >= next_scan)
		{
			scan_databases();
			next_scan = TimestampTzPlusMilliseconds(txp_steady_now(), DATABASE_SCAN_MS);
		}
		wait_ms = start_workers();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, wait_ms,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}
