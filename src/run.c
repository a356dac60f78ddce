/*
 * run.c — run_hourly: what has arrived goes into the ledger, then every complete group into its tables.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "tcop/pquery.h"
#include "utils/memutils.h"

#include "discover.h"
#include "fileio.h"
#include "guc.h"
#include "landing.h"
#include "load.h"
#include "progress.h"
#include "run.h"
#include "sink.h"
#include "spi.h"

/* A transaction holds several groups as long as they are small: beyond, they gain nothing by it. */
#define GROUP_BYTES (INT64CONST(32) * 1024 * 1024)

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
	/* In a block the locks would last, in the order of nobody else. */
	List *arrivals = txp_discover(run->user, !run->atomic);

	commit(run);
	if (arrivals == NIL)
		return;
	txp_fileio_start(run->files);
	txp_ledger_notice(arrivals);
	/* No transaction, no lock and no snapshot while files settle and are hashed. */
	commit(run);
	txp_discover_settle(arrivals, run->files);
	txp_ledger_enter(arrivals);
	commit(run);
}

/* May a transaction that holds `begun`, of so many bytes, also hold this group? */
static bool
fits(const TxpGroup *group, List *begun, int64 bytes, int most)
{
	/* What ended a session once must not end it for others. */
	return begun == NIL || (!group->tried && !((const TxpGroup *) linitial(begun))->tried &&
							list_length(begun) < most && bytes + group->bytes <= GROUP_BYTES);
}

/* As many of the groups, from *next on, as one transaction may hold are begun, without those that are gone. */
static List *
begin_groups(const Run *run, List *groups, int *next)
{
	const TxpGroup *first = list_nth(groups, *next);
	List *feeds = txp_feeds_lock(first->name);
	int most = txp_load_may_share(feeds) ? txp_groups_per_transaction : 1;
	List *begun = NIL;
	int64 bytes = 0;

	while (*next < list_length(groups))
	{
		const TxpGroup *listed = list_nth(groups, *next);
		List *ready = feeds ? txp_ledger_ready(run->user, listed, 1) : NIL;
		TxpGroup *group = ready ? linitial(ready) : NULL;

		if (group != NULL && !fits(group, begun, bytes, most))
			break;
		(*next)++;
		if (group == NULL)
		{
			txp_progress_item(listed->bytes);
			txp_progress_done(1);
			continue;
		}
		txp_ledger_begin(group);
		bytes += group->bytes;
		begun = lappend(begun, group);
	}
	commit(run);
	return begun;
}

static void
commit_load(const Run *run, const TxpGroup *group)
{
	if (!run->atomic)
		txp_spi_commit_as(group->owner);
}

/* Groups of one name, in order. */
static void
load_groups(Run *run, List *groups)
{
	const TxpGroup *first = linitial(groups);
	int next = 0;

	/* In a block the commit, and what is deferred to it, is the caller's. */
	if (run->atomic && first->owner != run->user)
		ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
						errmsg("only the owner of the feeds of \"%s\" can load them inside a "
							   "transaction block",
							   first->name),
						errhint("Call it on its own.")));
	while (next < list_length(groups))
	{
		List *begun = begin_groups(run, groups, &next);
		ListCell *lc;

		CHECK_FOR_INTERRUPTS();
		if (list_length(begun) > 1 && txp_load_groups(run->files, begun, run->user, &run->totals))
		{
			commit_load(run, first);
			begun = NIL;
		}
		foreach (lc, begun)
		{
			txp_load_group(run->files, lfirst(lc), run->user, &run->totals);
			commit_load(run, first);
		}
		clear_landing(run);
	}
}

/* Groups of one name and owner, from the first on that is in no list yet; removes them. */
static List *
take_named(List **groups)
{
	const TxpGroup *first = linitial(*groups);
	List *named = NIL;
	ListCell *lc;

	foreach (lc, *groups)
	{
		TxpGroup *group = lfirst(lc);

		if (group->owner != first->owner || strcmp(group->name, first->name) != 0)
			continue;
		named = lappend(named, group);
		*groups = foreach_delete_current(*groups, lc);
	}
	return named;
}

/*
 * Names in another session's hands come last. In a block, locks of some of their feeds would be kept while we wait
 * for the others.
 */
static void
load_each(Run *run, List *groups)
{
	List *deferred = NIL;
	int64 bytes = 0;
	ListCell *lc;

	foreach (lc, groups)
		bytes += ((TxpGroup *) lfirst(lc))->bytes;
	txp_progress_stage(TXP_LOADING_GROUPS, list_length(groups), bytes);
	while (groups != NIL)
	{
		List *named = take_named(&groups);
		bool busy = !run->atomic && txp_ledger_busy(linitial(named));

		CHECK_FOR_INTERRUPTS();
		if (busy)
		{
			commit(run);
			deferred = lappend(deferred, named);
		}
		else
			load_groups(run, named);
	}
	run->totals.groups_skipped = 0;
	foreach (lc, deferred)
	{
		List *named = lfirst(lc);

		/* Who has them goes on with the next ones. Runs that waited for him would only become a queue. */
		if (txp_ledger_busy(linitial(named)))
		{
			run->totals.groups_skipped += list_length(named);
			commit(run);
		}
		else
			load_groups(run, named);
	}
}

/* What a group displaced may make others ready, whose duplicates it was; then there is another round. */
static void
load_ready(Run *run, List *groups, bool all)
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
	if (run->totals.groups_skipped > 0)
		ereport(NOTICE, (errmsg("%d groups are left to another session, which is loading",
								run->totals.groups_skipped)));
	if (run->totals.groups_loaded == 0 && run->totals.groups_failed == 0)
		return;
	ereport(NOTICE, (errmsg("loaded %d groups: " INT64_FORMAT " files, " INT64_FORMAT
							" rows, " INT64_FORMAT " rejected; %d groups failed",
							run->totals.groups_loaded, run->totals.files, run->totals.rows,
							run->totals.rejects, run->totals.groups_failed)));
}

static void *
read_group_name(uint64 row)
{
	TxpGroup *name = palloc0(sizeof(TxpGroup));

	name->name = txp_spi_text(row, 1);
	name->owner = DatumGetObjectId(txp_spi_datum(row, 2));
	return name;
}

/* Behind all groups, so that nothing waits for it. */
static void
end_run(Run *run)
{
	static TxpStatement query = {
		"SELECT DISTINCT f.group_name, f.owner_oid FROM txpipe.feed f "
		"JOIN txpipe.feed_step s ON s.feed_id = f.feed_id AND s.phase = 'run' "
		"WHERE pg_has_role($1, f.owner_oid, 'USAGE') OR has_function_privilege($1, " TXP_OPERATE
		") "
		"ORDER BY 1",
		1,
		{OIDOID}};
	Datum values[] = {ObjectIdGetDatum(run->user)};
	List *names;
	ListCell *lc;

	names = txp_spi_list(&query, values, NULL, read_group_name);
	foreach (lc, names)
	{
		const TxpGroup *name = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		/* In a block the commit, and what is deferred to it, is the caller's. */
		if (run->atomic && name->owner != run->user)
			continue;
		txp_load_run_end(name);
		commit_load(run, name);
	}
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
	txp_load_begin(TXP_JOB_RUN_HOURLY);
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
			load_ready(&run, groups, max_groups < 0);
		end_run(&run);
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
