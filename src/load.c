/*
 * load.c — one group of files: all of them into their targets, or nothing.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "clean_lake.h"
#include "load.h"
#include "loadfile.h"
#include "rights.h"
#include "sink.h"
#include "takeover.h"

typedef struct GroupLoad
{
	TxpFileIo *files;
	const TxpGroup *group;
	Oid user;
	MemoryContext context; /* lives as long as the group's load */
	List *loaded;          /* of TxpLedgerFile */
	List *rejected;        /* the same: over their feeds' limits */
	TxpLedgerFile *current;
} GroupLoad;

static bool at_work = false;

void
txp_load_begin(void)
{
	if (at_work)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("files are being loaded or unloaded in this session already"),
						errhint("Do not call it from a step or a trigger.")));
	txp_clean_lake_refuse_load();
	at_work = true;
}

void
txp_load_end(void)
{
	at_work = false;
}

/* With the feeds locked, what the ledger says now is what counts. */
static void
load_files(GroupLoad *load)
{
	List *feeds = txp_feeds_lock(load->group->name);
	List *displaced;
	TxpRights saved;
	TxpFeed *first;
	ListCell *lc;

	first = feeds ? linitial(feeds) : NULL;
	if (first == NULL || first->owner != load->group->owner ||
		txp_ledger_ready(load->user, load->group, 1) == NIL)
		return;
	foreach (lc, feeds)
	{
		TxpFeed *feed = lfirst(lc);

		(void) txp_rights_resolve(feed->owner, feed->owner_name,
								  psprintf("feed \"%s\"", feed->name));
	}
	displaced = txp_takeover(load->group, feeds);
	foreach (lc, txp_ledger_files(load->group))
	{
		TxpLedgerFile *file = lfirst(lc);

		load->current = file;
		if (txp_load_file(load->files, txp_feed_by_id(feeds, file->feed_id), load->group->key,
						  file))
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
}

/* A step may raise the same code (a remote timeout does); only ours ends the call. */
static bool
is_own_cancel(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_QUERY_CANCELED && error->funcname != NULL &&
		   strcmp(error->funcname, "ProcessInterrupts") == 0;
}

/* load_files in a subtransaction; returns the error when it failed. */
static ErrorData *
try_files(GroupLoad *load)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(load->context);
	PG_TRY();
	{
		load_files(load);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(load->context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (is_own_cancel(error))
			ReThrowError(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
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

TxpLoadResult
txp_load_group(TxpFileIo *files, const TxpGroup *group, Oid user, TxpRunTotals *totals,
			   const char **code)
{
	GroupLoad load = {files, group, user};
	TxpLoadResult result = TXP_GROUP_FAILED;
	ErrorData *error;
	char *why;
	ListCell *lc;

	load.context =
		AllocSetContextCreate(CurrentMemoryContext, "txpipe group", ALLOCSET_DEFAULT_SIZES);
	error = try_files(&load);
	if (error == NULL)
	{
		if (load.loaded != NIL || load.rejected != NIL)
			result = TXP_GROUP_LOADED;
		else
			result = TXP_GROUP_GONE;
		foreach (lc, load.loaded)
		{
			TxpLedgerFile *file = lfirst(lc);

			totals->files++;
			totals->rows += file->loaded;
			totals->rejects += file->rejected;
		}
	}
	else
	{
		/* It may be in the middle of anything. */
		txp_fileio_reset(files);
		why = describe_failure(&load, error);
		*code = pstrdup(unpack_sql_state(error->sqlerrcode));
		txp_ledger_failed(group, why);
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("group \"%s\" of \"%s\" was not loaded: %s", group->key, group->name, why),
				 error->hint ? errhint("%s", error->hint) : 0));
	}
	MemoryContextDelete(load.context);
	return result;
}
