/*
 * load.c — one group of files: all of them into their targets, or nothing.
 *
 * Order within a file: its copy is in the lake before its first row is in a table, and the rows are read
 * from that copy. The landing file is removed by a later transaction.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "filebatch.h"
#include "guc.h"
#include "load.h"
#include "payload.h"
#include "rights.h"
#include "sink.h"
#include "steps.h"
#include "takeover.h"

typedef struct GroupLoad
{
	TxpFileIo *files;
	const TxpGroup *group;
	Oid user;
	MemoryContext context; /* lives as long as the group's load */
	List *loaded;          /* of TxpLedgerFile */
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
	at_work = true;
}

void
txp_load_end(void)
{
	at_work = false;
}

static void
copy_to_lake(TxpFileIo *files, TxpLedgerFile *file)
{
	const char *slash = strrchr(file->file.name, '/');
	const char *base = slash ? slash + 1 : file->file.name;
	char *name = txp_fileio_copy(files, file->file.name, file->directory, base, file->sha256);

	file->lake_path = psprintf("%s/%s", file->directory, name);
}

/* The plan is made with the owner's rights: they decide whether he may insert. */
static Relation
open_target(const TxpFeed *feed, const TxpLedgerFile *file, const char *group_key,
			TxpFeedPlan *plan)
{
	TxpRights saved;
	Relation target = NULL;
	Oid relid;

	if (feed->target_table == NULL && feed->steps == NIL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("feed \"%s\" has neither a target nor a step", feed->name),
						errhint("Add a step with txpipe.on_load().")));
	txp_rights_owner(feed->owner, &saved);
	relid = txp_feed_target(feed);
	if (OidIsValid(relid))
		target = table_open(relid, RowExclusiveLock);
	txp_feed_plan(feed, target, psprintf(INT64_FORMAT, file->file_id), group_key, plan);
	txp_rights_restore(&saved);
	return target;
}

/* What the child read must be what was hashed, and every record must have become something. */
static void
check_end(TxpReader *r, const TxpLedgerFile *file, int64 read_before)
{
	int64 records = txp_read_i64(r);
	bool same;

	(void) txp_read_i64(r);
	(void) txp_read_i64(r);
	(void) txp_read_i64(r);
	same = txp_fileio_is_content(r, file->sha256);
	txp_reader_check(r);
	if (!same)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("the copy \"%s\" in the lake has other content than the file that "
							   "arrived",
							   file->lake_path),
						errhint("Move it out of the lake directory; the next run copies the file "
								"again.")));
	if (records != file->read - read_before || file->read != file->loaded + file->duplicate +
																 file->filtered + file->superseded +
																 file->rejected)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("file \"%s\" has " INT64_FORMAT " records, but " INT64_FORMAT
							   " were accounted for",
							   file->file.name, records, file->read)));
}

/* The end of the file: is all there, and what did the conversions change? */
static void
take_end(const TxpFrame *frame, TxpFileLoad *load, int64 read_before)
{
	TxpReader r = txp_reader(frame->data, frame->size);
	const TxpRowPlan *rows = load->plan->rows;
	uint32 columns;

	check_end(&r, load->file, read_before);
	columns = txp_read_u32(&r);
	for (uint32 i = 0; i < columns && i < (uint32) rows->ncolumns; i++)
	{
		int64 fixed = txp_read_i64(&r);

		if (fixed > 0)
			txp_rule_counts_add(&load->rules, rows->columns[i].name, "fix", fixed);
	}
	txp_reader_check(&r);
}

static void
read_batches(TxpFileLoad *load)
{
	int64 read_before = load->file->read;

	for (;;)
	{
		TxpFrame *frame = txp_fileio_next(load->channel);

		CHECK_FOR_INTERRUPTS();
		if (frame->type == TXP_BATCH)
		{
			txp_filebatch_write(load, frame);
			txp_fileio_done(load->channel, frame->seq);
		}
		else if (frame->type == TXP_FILE_END)
		{
			take_end(frame, load, read_before);
			break;
		}
		pfree(frame->data);
		pfree(frame);
	}
	txp_fileio_close(load->channel);
}

/* What the feed does for a whole file, with all its rows in place. */
static void
run_end_steps(const TxpFeed *feed, int64 file_id, const char *group_key)
{
	TxpRights saved;

	if (feed->end_steps == NIL)
		return;
	txp_rights_owner(feed->owner, &saved);
	PushActiveSnapshot(GetTransactionSnapshot());
	txp_steps_file(feed->end_steps, "loaded", file_id, group_key);
	PopActiveSnapshot();
	CommandCounterIncrement();
	txp_sink_fire_deferred();
	txp_rights_restore(&saved);
}

/* All in the current memory context, which is the load's. */
static void
read_lines(TxpFileLoad *load, TxpFileIo *files, const char *group_key, const TxpFileLines *only)
{
	TxpFeedPlan plan;

	load->target = open_target(load->feed, load->file, group_key, &plan);
	plan.only = only;
	load->plan = &plan;
	load->rules.context = CurrentMemoryContext;
	load->reader = txp_rowreader_new(plan.rows);
	load->batch_context =
		AllocSetContextCreate(CurrentMemoryContext, "txpipe batch", ALLOCSET_DEFAULT_SIZES);
	load->channel = txp_fileio_open(files, txp_lake_directory, load->file->lake_path, &plan);
	read_batches(load);
	run_end_steps(load->feed, load->file->file_id, group_key);
	if (load->target != NULL)
		table_close(load->target, NoLock);
}

void
txp_load_file(TxpFileIo *files, const TxpFeed *feed, const char *group_key, TxpLedgerFile *file)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "txpipe file", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	TxpFileLoad load = {.feed = feed, .file = file};

	if (file->lake_path == NULL)
		copy_to_lake(files, file);
	old = MemoryContextSwitchTo(context);
	read_lines(&load, files, group_key, NULL);
	txp_ledger_loaded(file);
	txp_rule_counts_store(file->file_id, &load.rules);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

void
txp_load_rejected(TxpFileIo *files, const TxpFeed *feed, const char *group_key, TxpLedgerFile *file,
				  const TxpFileLines *lines)
{
	TxpFileLoad load = {.feed = feed, .file = file, .replays = true};

	read_lines(&load, files, group_key, lines);
}

/* With the feeds locked, what the ledger says now is what counts. */
static void
load_files(GroupLoad *load)
{
	List *feeds = txp_feeds_lock(load->group->name);
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
	txp_takeover(load->group, feeds);
	foreach (lc, txp_ledger_files(load->group))
	{
		TxpLedgerFile *file = lfirst(lc);

		load->current = file;
		txp_load_file(load->files, txp_feed_by_id(feeds, file->feed_id), load->group->key, file);
		load->loaded = lappend(load->loaded, file);
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
		result = load.loaded == NIL ? TXP_GROUP_GONE : TXP_GROUP_LOADED;
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
