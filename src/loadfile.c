/*
 * loadfile.c — one file: into its target, or nothing of it.
 *
 * Its copy is in the lake before its first row is in a table, and the rows are read from that copy. The landing
 * file is removed by a later transaction.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "guc.h"
#include "loadfile.h"
#include "options.h"
#include "payload.h"
#include "progress.h"
#include "rights.h"
#include "sink.h"
#include "steps.h"
#include "transaction.h"

/* Lines kept of a file that is rejected as a whole. */
#define KEPT_LINES 100

void
txp_load_file_copy(TxpFileIo *files, const TxpFeed *feed, TxpLedgerFile *file)
{
	const char *slash = strrchr(file->file.name, '/');
	const char *base = slash ? slash + 1 : file->file.name;
	char *keys;
	char *name;

	if (file->lake_path != NULL)
		return;
	keys = txp_feed_encryption_keys(feed);
	name = txp_fileio_copy(files, file->file.name, file->directory, base, file->sha256, keys);
	if (keys != NULL)
		explicit_bzero(keys, strlen(keys));
	file->lake_path = psprintf("%s/%s", file->directory, name);
	file->rewritten = false;
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

typedef struct Opening
{
	TxpFileIo *files;
	const TxpFileTask *task;
} Opening;

static bool
open_ahead(void *arg)
{
	const Opening *opening = arg;
	const TxpFileTask *task = opening->task;
	TxpFeedPlan plan;
	Relation target = open_target(task->feed, task->file, task->group_key, &plan);

	txp_fileio_open_ahead(opening->files, task->file->lake_path, &plan);
	if (target != NULL)
		table_close(target, NoLock);
	return true;
}

/* What fails now may be put right until it is the file's turn, by the steps of the one before; else it is raised then. */
void
txp_load_file_ahead(TxpFileIo *files, const TxpFileTask *task)
{
	Opening opening = {files, task};
	ErrorData *error = txp_subtransaction_try(open_ahead, &opening, CurrentMemoryContext);

	if (error == NULL)
		return;
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	FreeErrorData(error);
}

/*
 * What the child read must be what was hashed, unless it is only tried, and every record must have become
 * something.
 */
static void
check_end(TxpReader *r, const TxpLedgerFile *file, int64 read_before, bool dry_run)
{
	int64 records = txp_read_i64(r);
	bool same;

	(void) txp_read_i64(r);
	(void) txp_read_i64(r);
	(void) txp_read_i64(r);
	same = txp_fileio_is_content(r, file->rewritten ? file->copy_sha256 : file->sha256);
	txp_reader_check(r);
	if (!same && !dry_run)
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

/* The end of the file: is all there, what did the conversions change, which columns has it not? */
static void
take_end(const TxpFrame *frame, TxpFileLoad *load, int64 read_before)
{
	TxpReader r = txp_reader(frame->data, frame->size);
	const TxpRowPlan *rows = load->plan->rows;
	uint32 columns;

	check_end(&r, load->file, read_before, load->dry_run);
	columns = txp_read_u32(&r);
	for (uint32 i = 0; i < columns && i < (uint32) rows->ncolumns; i++)
	{
		int64 fixed = txp_read_i64(&r);

		if (fixed > 0)
			txp_rule_counts_add(&load->rules, rows->columns[i].name, "fix", fixed);
		else if (fixed < 0 && load->file->read > read_before)
			txp_rule_counts_add(&load->rules, rows->columns[i].name, "absent",
								load->file->read - read_before);
	}
	txp_reader_check(&r);
}

/* What the feed's options say against the file so far, or NULL. */
static char *
over_limit(const TxpFileLoad *load, bool at_end)
{
	const TxpLedgerFile *file = load->file;
	char *rows = txp_option_text(TXP_OPTION_FEED, load->feed->options, "reject_limit");
	char *percent = txp_option_text(TXP_OPTION_FEED, load->feed->options, "reject_percent");

	if (rows != NULL && file->rejected > strtoll(rows, NULL, 10))
		return psprintf(INT64_FORMAT " of %s" INT64_FORMAT
									 " records are rejected, reject_limit is %s",
						file->rejected, at_end ? "" : "the first ", file->read, rows);
	if (at_end && percent != NULL && file->rejected * 100 > file->read * strtoll(percent, NULL, 10))
		return psprintf(INT64_FORMAT " of " INT64_FORMAT
									 " records are rejected, reject_percent is %s",
						file->rejected, file->read, percent);
	return NULL;
}

/* Ends early when a limit is exceeded. */
static void
read_batches(TxpFileLoad *load)
{
	int64 read_before = load->file->read;
	bool at_end = false;

	while (!at_end && load->over_limit == NULL)
	{
		TxpFrame *frame = txp_fileio_next(load->channel);

		CHECK_FOR_INTERRUPTS();
		at_end = frame->type == TXP_FILE_END;
		if (frame->type == TXP_BATCH)
		{
			txp_filebatch_write(load, frame);
			txp_fileio_done(load->channel, frame->seq);
		}
		else if (at_end)
			take_end(frame, load, read_before);
		pfree(frame->data);
		pfree(frame);
		if (!load->replays && (at_end || !load->dry_run))
			load->over_limit = over_limit(load, at_end);
	}
	txp_fileio_close(load->channel);
}

void
txp_load_end_steps(const TxpFeed *feed, const List *files)
{
	TxpRights saved;

	if (feed->end_steps == NIL || files == NIL)
		return;
	txp_rights_owner(feed->owner, &saved);
	PushActiveSnapshot(GetTransactionSnapshot());
	txp_steps_files(feed->end_steps, "loaded", files);
	PopActiveSnapshot();
	CommandCounterIncrement();
	txp_sink_fire_deferred();
	txp_rights_restore(&saved);
}

/* All records, or `only` these. All in the current memory context, which is the load's. */
static void
read_file(TxpFileLoad *load, TxpFileIo *files, const char *group_key, const TxpFileLines *only)
{
	TxpStepFile ended = {load->file->file_id, group_key};
	TxpFeedPlan plan;

	load->target = open_target(load->feed, load->file, group_key, &plan);
	plan.only = only;
	load->plan = &plan;
	if (load->sample != NULL)
		load->sample->lines.encrypted = plan.rows->encrypts;
	load->rules.context = CurrentMemoryContext;
	load->reader = txp_rowreader_new(plan.rows);
	load->batch_context =
		AllocSetContextCreate(CurrentMemoryContext, "txpipe batch", ALLOCSET_DEFAULT_SIZES);
	load->channel = txp_fileio_open(
		files, load->dry_run, load->dry_run ? load->file->file.name : load->file->lake_path, &plan);
	if (load->next != NULL)
		txp_load_file_ahead(files, load->next);
	read_batches(load);
	if ((load->over_limit == NULL || load->dry_run) && !load->ends_later)
		txp_load_end_steps(load->feed, list_make1(&ended));
	if (load->target != NULL)
		table_close(load->target, NoLock);
}

typedef struct Reading
{
	TxpFileLoad *load;
	TxpFileIo *files;
	const char *group_key;
} Reading;

/* Nothing of it stays when it is only tried, or when a limit is exceeded. */
static bool
read_to_keep(void *arg)
{
	const Reading *reading = arg;
	TxpFileLoad *load = reading->load;

	/* The caller's own deferred constraints come first, with the caller's rights. */
	if (load->dry_run)
		txp_sink_fire_deferred();
	read_file(load, reading->files, reading->group_key, NULL);
	return !load->dry_run && load->over_limit == NULL;
}

static void
read_file_undoable(TxpFileLoad *load, TxpFileIo *files, const char *group_key)
{
	Reading reading = {load, files, group_key};
	ErrorData *error = txp_subtransaction_try_many(read_to_keep, &reading, CurrentMemoryContext);

	if (error != NULL)
		ReThrowError(error);
}

static void
reject_file(const TxpFileLoad *load)
{
	const TxpLedgerFile *file = load->file;

	txp_ledger_rejected(file, load->over_limit);
	txp_rejects_store(file->file_id, &load->sample->lines);
	ereport(
		WARNING,
		(errcode(ERRCODE_DATA_EXCEPTION),
		 errmsg("file \"%s\" is rejected: %s", file->file.name, load->over_limit),
		 errhint("Nothing of it is loaded; the first lines are in txpipe.rejected_row. When the "
				 "rules have changed, txpipe.reload(" INT64_FORMAT ") tries it again.",
				 file->file_id)));
}

bool
txp_load_file(TxpFileIo *files, const TxpFileTask *task)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "txpipe file", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	const TxpFeed *feed = task->feed;
	TxpLedgerFile *file = task->file;
	TxpFileLoad load = {
		.feed = feed, .file = file, .ends_later = task->ends_later, .next = task->next};
	TxpSample sample = {.context = context, .most = KEPT_LINES};
	bool loaded;

	txp_progress_file(feed->feed_id, file->file_id, file->file.bytes);
	txp_load_file_copy(files, feed, file);
	old = MemoryContextSwitchTo(context);
	if (txp_option_text(TXP_OPTION_FEED, feed->options, "reject_limit") == NULL &&
		txp_option_text(TXP_OPTION_FEED, feed->options, "reject_percent") == NULL)
		read_file(&load, files, task->group_key, NULL);
	else
	{
		load.sample = &sample;
		read_file_undoable(&load, files, task->group_key);
	}
	loaded = load.over_limit == NULL;
	if (loaded)
	{
		txp_ledger_loaded(file);
		txp_rule_counts_store(file->file_id, &load.rules);
	}
	else
		reject_file(&load);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return loaded;
}

void
txp_load_rejected(TxpFileIo *files, const TxpFeed *feed, const char *group_key, TxpLedgerFile *file,
				  const TxpFileLines *lines)
{
	TxpFileLoad load = {.feed = feed, .file = file, .replays = true};

	txp_progress_stage(TXP_REPLAYING_ROWS, lines->count, 0);
	txp_progress_file(feed->feed_id, file->file_id, 0);
	read_file(&load, files, group_key, lines);
}

char *
txp_try_file(TxpFileIo *files, const TxpFeed *feed, const char *group_key, TxpLedgerFile *file,
			 TxpSample *sample, TxpRuleCounts *counts)
{
	TxpFileLoad load = {.feed = feed, .file = file, .dry_run = true, .sample = sample};

	txp_progress_stage(TXP_CHECKING_FILES, 1, file->file.bytes);
	txp_progress_item(file->file.bytes);
	txp_progress_file(feed->feed_id, file->file_id, file->file.bytes);
	read_file_undoable(&load, files, group_key);
	*counts = load.rules;
	return load.over_limit;
}
