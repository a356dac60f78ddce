/*
 * worker.c — a stream worker: one of a small pool per database, each serving many streams.
 *
 * Between batches it holds no transaction, no lock and no snapshot. At least every second it asks for its
 * database's lock without waiting; when that is refused, somebody wants to drop, rename or copy the
 * database, and it leaves.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "claims.h"
#include "copied.h"
#include "guard.h"
#include "guc.h"
#include "io_client.h"
#include "lookout.h"
#include "outbox_worker.h"
#include "page.h"
#include "prune.h"
#include "served.h"
#include "shared.h"
#include "spi.h"
#include "steady.h"
#include "stream.h"
#include "transaction.h"
#include "watch.h"
#include "worker.h"

#define CHILD_PROVES_MS 5000
#define LOCK_TIMEOUT_MS "900"
#define DEADLOCK_TIMEOUT_MS "300"

static List *all = NIL;             /* TxpServed of the streams this worker has claimed */
static TxpIo *io = NULL;            /* NULL while nothing is to be done */
static TimestampTz child_since = 0; /* it was started */
static MemoryContext batch_context; /* reset after each frame */
static uint32 seen_generation = 0;  /* of the catalogs */
static bool looked = false;         /* into the catalogs, ever */
static TimestampTz next_due = 0;    /* of all streams; idle ones are not looked at before */

static TxpServed *
find_served(int32 id, uint32 part)
{
	ListCell *lc;

	foreach (lc, all)
	{
		TxpServed *served = lfirst(lc);

		if (served->id == id && served->part == part)
			return served;
	}
	return NULL;
}

static TxpServed *
add_served(int32 id, uint32 part)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	TxpServed *served = palloc0(sizeof(TxpServed));

	served->id = id;
	served->part = part;
	served->epoch = -1;
	all = lappend(all, served);
	MemoryContextSwitchTo(old);
	return served;
}

/* Closes those that are not ours any more; `claimed`: that we still have a claim on. */
static void
drop_unwanted(bool claimed)
{
	ListCell *lc;

	foreach (lc, all)
	{
		TxpServed *served = lfirst(lc);

		if (served->wanted)
			continue;
		txp_served_close(served);
		if (claimed)
			txp_claim_drop(served->id, served->part);
		pfree(served);
		all = foreach_delete_current(all, lc);
	}
}

/* False while the extension is being dropped: to be read again when that is done, or was rolled back. */
static bool
read_runnable(List **streams)
{
	bool held;

	*streams = NIL;
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	held = txp_extension_hold();
	if (held)
	{
		MemoryContext old = MemoryContextSwitchTo(batch_context);

		(void) txp_copied_pause();
		*streams = txp_stream_runnable();
		MemoryContextSwitchTo(old);
	}
	else
		held = !txp_extension_exists();
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(batch_context);
	return held;
}

/* Fits what is served to what the catalogs say of it now. */
static void
refresh_served(TxpServed *served, const TxpRunnable *stream)
{
	served->wanted = true;
	/* Changed by its user: the new definition or position counts at once. */
	if (served->epoch >= 0 && served->epoch != stream->epoch)
	{
		txp_served_close(served);
		served->retry_at = 0;
	}
	/* Resumed by its user: no back-off any more. */
	if (served->link == NULL && stream->healthy)
		served->retry_at = 0;
}

/* Looks into the catalogs and at the claims when one of them changed, and serves what is this worker's now. */
static void
refresh_streams(void)
{
	uint32 generation = txp_worker_generation();
	TxpUnit *units;
	List *streams;
	ListCell *lc;
	int parts;
	int n;

	if (looked && generation == seen_generation)
		return;
	MemoryContextSwitchTo(batch_context);
	if (!read_runnable(&streams))
		return;
	units = txp_units_list(streams, &n, &parts);
	txp_worker_report(n - parts, parts, generation);
	seen_generation = generation;
	looked = true;

	txp_claims_balance(units, n);
	foreach (lc, all)
		((TxpServed *) lfirst(lc))->wanted = false;
	for (int i = 0; i < n; i++)
	{
		TxpServed *served;

		if (!units[i].mine)
			continue;
		served = find_served(units[i].stream_id, units[i].part);
		if (served == NULL)
			served = add_served(units[i].stream_id, units[i].part);
		served->claim = units[i].claim;
		refresh_served(served, units[i].stream);
	}
	drop_unwanted(false);
	next_due = 0;
	MemoryContextReset(batch_context);
}

/* Streams show why they are not served when there can be no child. */
static void
start_child(void)
{
	PG_TRY();
	{
		io = txp_io_start(TopMemoryContext);
	}
	PG_CATCH();
	{
		ErrorData *error;
		ListCell *lc;

		MemoryContextSwitchTo(batch_context);
		error = CopyErrorData();
		FlushErrorState();
		foreach (lc, all)
			txp_served_fail(lfirst(lc), error->message);
	}
	PG_END_TRY();
}

/*
 * A child that died takes the channels of all streams with it. One that lived long enough, and did not hang, is replaced
 * at once, the streams of another are put off, and show why.
 */
static void
bury_child(void)
{
	bool proven = !txp_io_hung(io) &&
				  TimestampDifferenceExceeds(child_since, txp_steady_now(), CHILD_PROVES_MS);
	char *why;
	ListCell *lc;

	MemoryContextSwitchTo(batch_context);
	txp_outbox_reset();
	why = txp_io_end(io);
	ereport(LOG, (errmsg("%s; starting another", why)));
	foreach (lc, all)
	{
		if (proven)
			txp_served_close(lfirst(lc));
		else
			txp_served_fail(lfirst(lc), psprintf("08006: %s.", why));
	}
	txp_io_stop(io);
	io = NULL;
	next_due = 0;
}

/* Every stream is opened anew in another child, at the offsets of our table. */
static void
ensure_child(void)
{
	TimestampTz now = txp_steady_now();
	bool wanted = txp_outbox_wants_child();
	ListCell *lc;

	if (io && !txp_io_gone(io))
		return;
	if (io)
		bury_child();
	foreach (lc, all)
		wanted |= ((TxpServed *) lfirst(lc))->retry_at <= now;
	if (!wanted)
		return;
	start_child();
	child_since = now;
}

static void
open_due(void)
{
	TimestampTz now = txp_steady_now();
	bool holds = txp_guard_holds();
	ListCell *lc;

	if (now < next_due)
		return;
	foreach (lc, all)
	{
		TxpServed *served = lfirst(lc);

		if (served->link && !holds)
			txp_served_release(served);
		if (served->link)
			txp_served_check_answer(served);
		else if (io && served->retry_at <= now)
		{
			txp_watch_begin(served->id, served->part);
			txp_served_open(served, io);
			txp_watch_end();
		}
	}
	drop_unwanted(true);
	next_due = DT_NOEND;
	foreach (lc, all)
		next_due = Min(next_due, txp_served_due(lfirst(lc)));
}

static TxpServed *
served_by_channel(uint32 channel)
{
	ListCell *lc;

	foreach (lc, all)
	{
		TxpServed *served = lfirst(lc);

		if (served->link && served->link->channel == channel)
			return served;
	}
	return NULL;
}

/* One frame, if one is there. */
static bool
serve_frame(void)
{
	TxpFrame frame;
	TxpServed *served;

	MemoryContextReset(batch_context);
	MemoryContextSwitchTo(batch_context);
	if (io == NULL)
		return false;
	if (!txp_io_receive(io, 0, &frame))
		return txp_io_gone(io);
	served = served_by_channel(frame.channel);
	if (served)
	{
		txp_watch_begin(served->id, served->part);
		txp_served_frame(served, &frame);
		txp_watch_end();
		next_due = Min(next_due, txp_served_due(served));
	}
	else
		txp_outbox_frame(&frame);
	Assert(!IsTransactionState());
	return true;
}

/* Until a frame, a signal, or the next thing that is due. */
static void
wait_for_work(void)
{
	int events = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;
	long ms = txp_prune_wait() < 0 ? TXP_LOOK_MS : txp_prune_wait();

	ms = Min(ms, TimestampDifferenceMilliseconds(txp_steady_now(), next_due));
	if (io && !txp_io_gone(io))
		events |= WL_SOCKET_READABLE;
	(void) pgstat_report_stat(true);
	(void) WaitLatchOrSocket(MyLatch, events, io ? txp_io_socket(io) : PGINVALID_SOCKET, ms,
							 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
}

static void
connect_to_database(Datum arg)
{
	int number;
	Oid database;
	char name[32];

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	database = txp_worker_attach(DatumGetInt32(arg), &number);
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	snprintf(name, sizeof(name), "txpipe worker %d", number);
	pgstat_report_appname(name);
	SetConfigOption("application_name", name, PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_isolation", "read committed", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_read_only", "off", PGC_USERSET, PGC_S_OVERRIDE);
	/* A locked target puts its own stream off, not the others, nor DROP DATABASE. */
	SetConfigOption("lock_timeout", LOCK_TIMEOUT_MS, PGC_USERSET, PGC_S_OVERRIDE);
	txp_no_transaction_timeout();
	/* A deadlock is told from a lock that somebody holds. */
	SetConfigOption("deadlock_timeout", DEADLOCK_TIMEOUT_MS, PGC_SUSET, PGC_S_OVERRIDE);
	batch_context = AllocSetContextCreate(TopMemoryContext, "txpipe batch", ALLOCSET_DEFAULT_SIZES);
	txp_transaction_init(batch_context);
	txp_watch_init();
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* All streams, to be begun anew from the offsets of our table. */
static void
close_all(void)
{
	ListCell *lc;

	foreach (lc, all)
		txp_served_close(lfirst(lc));
	txp_outbox_reset();
	txp_io_stop(io);
	io = NULL;
	looked = false;
	next_due = 0;
	pgstat_report_activity(STATE_IDLE, NULL);
}

static void
sleep_until_next_look(void)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, TXP_LOOK_MS,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
}

/*
 * Until library and extension are of one version. What the catalogs hold is not known, so one worker stays as if
 * there were a stream.
 */
static void
wait_for_version(void)
{
	ListCell *lc;

	close_all();
	foreach (lc, all)
		((TxpServed *) lfirst(lc))->wanted = false;
	drop_unwanted(true);
	txp_worker_report(1, 0, txp_worker_generation());
	sleep_until_next_look();
}

/* One round; false when there is nothing left to do here. */
static bool
work(void)
{
	switch (txp_look_out())
	{
		case TXP_LEAVE:
			return false;
		case TXP_OUTDATED:
			wait_for_version();
			return true;
		case TXP_STAY:
			break;
	}
	txp_worker_check_slow();
	refresh_streams();
	txp_prune_some();
	txp_page_some();
	txp_outbox_some(io);
	if (all == NIL && txp_prune_wait() < 0 && !txp_outbox_waits() && txp_worker_leaves())
		return false;
	ensure_child();
	open_due();
	if (!serve_frame())
		wait_for_work();
	return true;
}

/*
 * An error outside of any stream's own catch: a cancel, a failed look into the catalogs. Everything is begun
 * anew.
 */
static void
recover(void)
{
	HOLD_INTERRUPTS();
	EmitErrorReport();
	AbortCurrentTransaction();
	MemoryContextSwitchTo(batch_context);
	FlushErrorState();
	RESUME_INTERRUPTS();
	txp_watch_unlimit();
	txp_watch_end();
	close_all();
	sleep_until_next_look();
}

void
txp_worker_main(Datum arg)
{
	volatile bool more = true;

	connect_to_database(arg);
	while (more)
	{
		MemoryContextSwitchTo(batch_context);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		PG_TRY();
		{
			more = work();
		}
		PG_CATCH();
		{
			recover();
		}
		PG_END_TRY();
	}
	txp_worker_done();
	proc_exit(0);
}
