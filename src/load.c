/*
 * load.c — one group of files: all of them into their targets, or nothing.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "clean_lake.h"
#include "error_class.h"
#include "load.h"
#include "loadfile.h"
#include "options.h"
#include "rights.h"
#include "sink.h"
#include "spi.h"
#include "steps.h"
#include "takeover.h"
#include "transaction.h"

typedef struct GroupLoad
{
	TxpFileIo *files;
	const TxpGroup *group;
	Oid user;
	MemoryContext context; /* lives as long as the group's load */
	List *loaded;          /* of TxpLedgerFile */
	List *rejected;        /* the same: over their feeds' limits */
	TxpLedgerFile *current;
	bool ends_later; /* steps on_file_end run behind other groups */
	bool encrypts;   /* a feed of it: errors show no values */
} GroupLoad;

/* Groups of one name that are loaded in one transaction. */
typedef struct Bunch
{
	TxpFileIo *files;
	const List *groups;
	Oid user;
	TxpRunTotals *totals;
	MemoryContext context;
	List *ended; /* of EndedFile */
} Bunch;

typedef struct EndedFile
{
	int32 feed_id;
	TxpStepFile file;
} EndedFile;

static bool at_work = false;

void
txp_load_begin(TxpJob job)
{
	if (at_work)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("files are being loaded or unloaded in this session already"),
						errhint("Do not call it from a step or a trigger.")));
	txp_clean_lake_refuse_load();
	at_work = true;
	txp_progress_begin(job);
}

void
txp_load_end(void)
{
	at_work = false;
	txp_progress_end();
}

static bool
any_encrypts(const List *feeds)
{
	ListCell *lc;

	foreach (lc, feeds)
	{
		if (txp_feed_encrypts(lfirst(lc)))
			return true;
	}
	return false;
}

/* The files of the group, each with its copy in the lake, as a chain. */
static const TxpFileTask *
plan_tasks(GroupLoad *load, List *feeds)
{
	const TxpFileTask *first = NULL;
	const TxpFileTask **end = &first;
	ListCell *lc;

	foreach (lc, txp_ledger_files(load->group))
	{
		TxpFileTask *task = palloc0(sizeof(TxpFileTask));

		load->current = lfirst(lc);
		task->file = load->current;
		task->feed = txp_feed_by_id(feeds, task->file->feed_id);
		txp_progress_file(task->feed->feed_id, task->file->file_id, task->file->file.bytes);
		txp_load_file_copy(load->files, task->feed, task->file);
		task->group_key = load->group->key;
		task->ends_later = load->ends_later;
		*end = task;
		end = &task->next;
	}
	return first;
}

/* With the feeds locked, what the ledger says now is what counts. */
static bool
load_files(void *arg)
{
	GroupLoad *load = arg;
	List *feeds = txp_feeds_lock(load->group->name);
	List *displaced;
	const TxpFileTask *task;
	TxpRights saved;
	TxpFeed *first;
	ListCell *lc;

	load->encrypts = any_encrypts(feeds);
	first = feeds ? linitial(feeds) : NULL;
	if (first == NULL || first->owner != load->group->owner ||
		txp_ledger_ready(load->user, load->group, 1) == NIL)
		return true;
	foreach (lc, feeds)
	{
		TxpFeed *feed = lfirst(lc);

		(void) txp_rights_resolve(feed->owner, feed->owner_name,
								  psprintf("feed \"%s\"", feed->name));
	}
	displaced = txp_takeover(load->group, feeds);
	for (task = plan_tasks(load, feeds); task != NULL; task = task->next)
	{
		TxpLedgerFile *file = task->file;

		load->current = file;
		if (txp_load_file(load->files, task))
			load->loaded = lappend(load->loaded, file);
		/* What it was to replace is not given up for nothing. */
		else if (txp_takeover_by(displaced, file->file_id))
			ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
							errmsg("too much of it would be rejected, and it would replace a file "
								   "that is loaded"),
							errhint("Change the feed's rules or its reject limits, or unload the "
									"other file first.")));
		else
			load->rejected = lappend(load->rejected, file);
	}
	load->current = NULL;
	txp_rights_owner(first->owner, &saved);
	txp_sink_fire_deferred();
	txp_rights_restore(&saved);
	txp_rights_refuse_temporary(first->owner);
	return true;
}

/* A step may raise the same code (a remote timeout does); only ours ends the call. */
static bool
is_own_cancel(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_QUERY_CANCELED && error->funcname != NULL &&
		   strcmp(error->funcname, "ProcessInterrupts") == 0;
}

/* Does it in a subtransaction, in a context that outlives it; returns the error when it failed. */
static ErrorData *
try(TxpWork work, void *arg, MemoryContext context)
{
	MemoryContext outer = MemoryContextSwitchTo(context);
	ErrorData *error = txp_subtransaction_try_many(work, arg, context);

	MemoryContextSwitchTo(outer);
	if (error != NULL && is_own_cancel(error))
		ReThrowError(error);
	return error;
}

static char *
describe_failure(const GroupLoad *load, const ErrorData *error)
{
	StringInfoData text;

	initStringInfo(&text);
	if (load->current != NULL)
		appendStringInfo(&text, "%s: ", load->current->file.name);
	appendStringInfoString(&text, error->message);
	if (error->detail != NULL)
		appendStringInfo(&text, " (%s)", error->detail);
	appendStringInfo(&text, " [%s]", unpack_sql_state(error->sqlerrcode));
	return text.data;
}

static void
note_failure(const GroupLoad *load, ErrorData *error, TxpRunTotals *totals)
{
	const TxpGroup *group = load->group;
	bool may_know = has_privs_of_role(load->user, group->owner);
	char *why;

	if (load->encrypts)
		txp_error_hide_values(error);
	why = describe_failure(load, error);

	/* It may be in the middle of anything. */
	txp_fileio_reset(load->files);
	txp_ledger_failed(group, why);
	totals->groups_failed++;
	/* Everybody may read this: the reason, which may quote data, is in the ledger. */
	totals->failure = psprintf("group \"%s\" of \"%s\" failed with SQLSTATE %s", group->key,
							   group->name, unpack_sql_state(error->sqlerrcode));
	ereport(WARNING, (errcode(error->sqlerrcode),
					  errmsg("group \"%s\" of \"%s\" was not loaded: %s", group->key, group->name,
							 may_know ? why : unpack_sql_state(error->sqlerrcode)),
					  may_know && error->hint ? errhint("%s", error->hint) : 0));
}

static void
note_loaded(const GroupLoad *load, TxpRunTotals *totals)
{
	ListCell *lc;

	if (load->loaded != NIL || load->rejected != NIL)
		totals->groups_loaded++;
	foreach (lc, load->loaded)
	{
		TxpLedgerFile *file = lfirst(lc);

		totals->files++;
		totals->rows += file->loaded;
		totals->rejects += file->rejected;
	}
}

/* Its text of a failure is for the caller's memory context, all else of it ends here. */
static void
load_group(GroupLoad *load, TxpRunTotals *totals, Bunch *bunch)
{
	TxpProgress before = txp_progress_mark();
	ErrorData *error;
	ListCell *lc;

	txp_progress_item(load->group->bytes);
	load->context =
		AllocSetContextCreate(CurrentMemoryContext, "txpipe group", ALLOCSET_DEFAULT_SIZES);
	error = try(load_files, load, load->context);
	/* That it used temporary objects would be held against the groups behind it. */
	if (error != NULL && bunch != NULL && (MyXactFlags & XACT_FLAGS_ACCESSEDTEMPNAMESPACE) != 0)
		ReThrowError(error);
	if (error != NULL)
	{
		txp_progress_rewind(&before);
		note_failure(load, error, totals);
	}
	else
		note_loaded(load, totals);
	foreach (lc, error == NULL && bunch != NULL ? load->loaded : NIL)
	{
		const TxpLedgerFile *file = lfirst(lc);
		EndedFile *ended = palloc(sizeof(EndedFile));

		*ended = (EndedFile){file->feed_id, {file->file_id, load->group->key}};
		bunch->ended = lappend(bunch->ended, ended);
	}
	txp_progress_done(1);
	MemoryContextDelete(load->context);
}

void
txp_load_group(TxpFileIo *files, const TxpGroup *group, Oid user, TxpRunTotals *totals)
{
	GroupLoad load = {files, group, user};

	load_group(&load, totals, NULL);
}

bool
txp_load_may_share(const List *feeds)
{
	static TxpStatement query = {
		"SELECT NOT EXISTS (SELECT FROM pg_trigger WHERE tginitdeferred)", 0, {0}};
	ListCell *lc;

	foreach (lc, feeds)
	{
		const TxpFeed *feed = lfirst(lc);

		if ((feed->end_steps != NIL && feed != llast(feeds)) ||
			txp_option_int(TXP_OPTION_FEED, feed->options, "max_attempts") < 2)
			return false;
	}
	return DatumGetBool(txp_spi_ask(&query, NULL, NULL));
}

static void
end_files(const Bunch *bunch)
{
	const TxpGroup *group = linitial(bunch->groups);
	ListCell *lc;

	foreach (lc, txp_feeds_lock(group->name))
	{
		const TxpFeed *feed = lfirst(lc);
		List *files = NIL;
		ListCell *ended;

		foreach (ended, bunch->ended)
		{
			EndedFile *file = lfirst(ended);

			if (file->feed_id == feed->feed_id)
				files = lappend(files, &file->file);
		}
		txp_load_end_steps(feed, files);
	}
}

static bool
load_bunch(void *arg)
{
	Bunch *bunch = arg;
	const TxpGroup *first = linitial(bunch->groups);
	ListCell *lc;

	/* Not first in a group's subtransaction, whose abort would let another session have them. */
	(void) txp_feeds_lock(first->name);
	foreach (lc, bunch->groups)
	{
		GroupLoad load = {bunch->files, lfirst(lc), bunch->user};

		CHECK_FOR_INTERRUPTS();
		load.ends_later = true;
		load_group(&load, bunch->totals, bunch);
	}
	end_files(bunch);
	txp_rights_refuse_temporary(first->owner);
	return true;
}

typedef struct RunEnd
{
	List *feeds;
	const TxpStep *current;
} RunEnd;

static bool
end_run(void *arg)
{
	RunEnd *end = arg;
	const TxpFeed *first = linitial(end->feeds);
	TxpRights saved;
	ListCell *lc;

	txp_rights_owner(
		txp_rights_resolve(first->owner, first->owner_name, psprintf("feed \"%s\"", first->name)),
		&saved);
	PushActiveSnapshot(GetTransactionSnapshot());
	foreach (lc, end->feeds)
	{
		ListCell *step;

		foreach (step, ((TxpFeed *) lfirst(lc))->run_steps)
		{
			end->current = lfirst(step);
			txp_step_execute(end->current);
		}
	}
	PopActiveSnapshot();
	txp_sink_fire_deferred();
	txp_rights_restore(&saved);
	txp_rights_refuse_temporary(first->owner);
	return true;
}

void
txp_load_run_end(const TxpGroup *name)
{
	bool may_know = has_privs_of_role(GetUserId(), name->owner);
	RunEnd end = {0};
	ErrorData *error;

	if (txp_ledger_busy(name) || (end.feeds = txp_feeds_lock(name->name)) == NIL)
		return;
	error = try(end_run, &end, CurrentMemoryContext);
	if (error != NULL && any_encrypts(end.feeds))
		txp_error_hide_values(error);
	if (error != NULL)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("steps at the end of the run of \"%s\" were undone: step \"%s\": %s [%s]",
						name->name, end.current ? end.current->name : "",
						/* It may quote data. */
						may_know ? error->message : "failed", unpack_sql_state(error->sqlerrcode)),
				 may_know && error->hint ? errhint("%s", error->hint) : 0));
}

bool
txp_load_groups(TxpFileIo *files, const List *groups, Oid user, TxpRunTotals *totals)
{
	TxpRunTotals before = *totals;
	TxpProgress progress = txp_progress_mark();
	Bunch bunch = {files, groups, user, totals};
	ErrorData *error;

	bunch.context =
		AllocSetContextCreate(CurrentMemoryContext, "txpipe groups", ALLOCSET_DEFAULT_SIZES);
	error = try(load_bunch, &bunch, bunch.context);
	if (error != NULL)
	{
		*totals = before;
		txp_progress_rewind(&progress);
		txp_fileio_reset(files);
	}
	else if (totals->failure != NULL)
		totals->failure = pstrdup(totals->failure);
	MemoryContextDelete(bunch.context);
	return error == NULL;
}
