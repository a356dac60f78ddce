/*
 * run.c — run_hourly: what has arrived goes into the ledger, then every complete group into its tables.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "tcop/pquery.h"
#include "utils/memutils.h"

#include "discover.h"
#include "landing.h"
#include "load.h"
#include "run.h"
#include "sink.h"
#include "spi.h"

typedef struct Run
{
	Oid user;
	bool atomic;
	TxpFileIo *files;
	TxpRunTotals totals;
} Run;

static void
commit(const Run *run)
{
	if (!run->atomic)
		SPI_commit();
}

/* Files are removed only after the commit that made them superfluous. */
static void
clear_landing(const Run *run)
{
	if (run->atomic)
		return;
	txp_ledger_clear_landing(run->user);
	commit(run);
}

static void
enter_arrivals(Run *run)
{
	List *arrivals = txp_discover(run->user);

	if (arrivals == NIL)
		return;
	txp_ledger_notice(arrivals);
	/* No transaction, no lock and no snapshot while files settle and are hashed. */
	commit(run);
	txp_discover_settle(arrivals, run->files);
	txp_ledger_enter(arrivals);
	commit(run);
}

/* False: another session was faster, or the group is not complete any more. */
static bool
begin_group(const Run *run, const TxpGroup *group)
{
	bool ready = txp_feeds_lock(group->name) != NIL && txp_ledger_ready(run->user, group, 1) != NIL;

	if (ready)
		txp_ledger_begin(group);
	commit(run);
	return ready;
}

static void
load_group(Run *run, const TxpGroup *group)
{
	const char *code = NULL;

	/* In a block the commit, and what is deferred to it, is the caller's. */
	if (run->atomic && group->owner != run->user)
		ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
						errmsg("only the owner of the feeds of \"%s\" can load them inside a "
							   "transaction block",
							   group->name),
						errhint("Call it on its own.")));
	if (!begin_group(run, group))
		return;
	switch (txp_load_group(run->files, group, run->user, &run->totals, &code))
	{
		case TXP_GROUP_LOADED:
			run->totals.groups_loaded++;
			break;
		case TXP_GROUP_FAILED:
			run->totals.groups_failed++;
			/* Everybody may read this: the reason, which may quote data, is in the ledger. */
			run->totals.failure = psprintf("group \"%s\" of \"%s\" failed with SQLSTATE %s",
										   group->key, group->name, code);
			break;
		case TXP_GROUP_GONE:
			break;
	}
	if (!run->atomic)
		txp_spi_commit_as(group->owner);
	clear_landing(run);
}

/*
 * Groups in another session's hands come last. So do the later ones of their names, to keep their order. In a
 * block, locks of some of a group's feeds would be kept while we wait for the others.
 */
static bool
is_busy(const Run *run, const TxpGroup *group, List *deferred)
{
	bool busy;
	ListCell *lc;

	if (run->atomic)
		return false;
	foreach (lc, deferred)
	{
		if (strcmp(((TxpGroup *) lfirst(lc))->name, group->name) == 0)
			return true;
	}
	busy = txp_ledger_busy(group);
	if (busy)
		commit(run);
	return busy;
}

static void
load_each(Run *run, List *groups)
{
	List *deferred = NIL;
	ListCell *lc;

	foreach (lc, groups)
	{
		CHECK_FOR_INTERRUPTS();
		if (is_busy(run, lfirst(lc), deferred))
			deferred = lappend(deferred, lfirst(lc));
		else
			load_group(run, lfirst(lc));
	}
	foreach (lc, deferred)
		load_group(run, lfirst(lc));
}

/* What a group displaced may make others ready, whose duplicates it was; then there is another round. */
static void
load_groups(Run *run, List *groups, bool all)
{
	int64 run_id = txp_run_begin("run_hourly");
	int loaded;

	commit(run);
	do
	{
		loaded = run->totals.groups_loaded;
		load_each(run, groups);
		groups = txp_ledger_ready(run->user, NULL, -1);
	} while (all && groups != NIL && run->totals.groups_loaded > loaded);
	txp_run_end(run_id, &run->totals);
	commit(run);
	if (run->totals.groups_loaded == 0 && run->totals.groups_failed == 0)
		return;
	ereport(NOTICE, (errmsg("loaded %d groups: " INT64_FORMAT " files, " INT64_FORMAT
							" rows, " INT64_FORMAT " rejected; %d groups failed",
							run->totals.groups_loaded, run->totals.files, run->totals.rows,
							run->totals.rejects, run->totals.groups_failed)));
}

void
txp_run_hourly(int64 max_groups, bool atomic)
{
	MemoryContext context;
	MemoryContext old;
	Run run = {GetUserId(), atomic};
	List *groups;

	txp_landing_check();
	if (atomic)
		ereport(NOTICE, (errmsg("all groups are loaded in the present transaction"),
						 errhint("Outside a transaction block, CALL txpipe.run_hourly() commits "
								 "group by group and removes loaded files.")));
	/* It must outlive the commits; an error of the statement ends it, and with it the child. */
	context = AllocSetContextCreate(PortalContext, "txpipe run", ALLOCSET_DEFAULT_SIZES);
	SPI_connect_ext(atomic ? 0 : SPI_OPT_NONATOMIC);
	old = MemoryContextSwitchTo(context);
	txp_load_begin();
	PG_TRY();
	{
		run.files = txp_fileio_new(context);
		/* The caller's own deferred constraints come first, with the caller's rights. */
		if (atomic)
			txp_sink_fire_deferred();
		txp_ledger_withdraw_removed(run.user);
		commit(&run);
		enter_arrivals(&run);
		clear_landing(&run);
		groups = txp_ledger_ready(run.user, NULL, max_groups);
		if (groups != NIL)
			load_groups(&run, groups, max_groups < 0);
	}
	PG_FINALLY();
	{
		txp_load_end();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	SPI_finish();
	MemoryContextDelete(context);
}
