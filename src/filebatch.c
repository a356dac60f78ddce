/*
 * filebatch.c — one batch of a file's records.
 *
 * The rows are applied in a subtransaction. When PostgreSQL refuses some, they are found by halving, and the
 * others are applied once more without them.
 */
#include "postgres.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "batch_read.h"
#include "error_class.h"
#include "filebatch.h"
#include "isolate.h"
#include "payload.h"
#include "progress.h"
#include "rights.h"
#include "rules.h"
#include "sink.h"
#include "steps.h"
#include "transaction.h"

/* Bytes of lines kept in memory to be looked at. */
#define SAMPLE_BYTES (16 << 20)

typedef struct FileBatch
{
	TxpFileLoad *load;
	TxpBatch batch;
	TxpBatch raw; /* the same with the records; raw.raw is NULL until it was asked for */
	TxpFrame *raw_frame;
	TxpRows rows;
	MemoryContext attempt_context; /* of what one attempt leaves behind */
	TxpOutcomes outcomes;          /* of the last attempt */
	uint64 copied;
	List *refusals; /* of TxpRefusal: rows PostgreSQL refused */
} FileBatch;

/* TxpApply: the rows through the steps, or into the target. */
static void
apply(void *arg, uint32 first, uint32 count, const Bitmapset *skip)
{
	FileBatch *b = arg;
	TxpFileLoad *load = b->load;
	const TxpRowPlan *rows = load->plan->rows;
	MemoryContext old;

	txp_progress_show();
	MemoryContextReset(b->attempt_context);
	old = MemoryContextSwitchTo(b->attempt_context);
	PushActiveSnapshot(GetTransactionSnapshot());
	if (load->plan->steps != NIL)
		txp_steps_run(load->plan->steps, rows, load->reader, &b->rows, load->plan->line_column,
					  load->file->file_id, first, count, skip, &b->outcomes);
	else
	{
		size_t len;
		const char *bytes = txp_rows_bytes(&b->rows, first, count, skip, &len);

		b->copied = txp_sink_copy(load->target, rows, bytes, len);
	}
	PopActiveSnapshot();
	CommandCounterIncrement();
	MemoryContextSwitchTo(old);
}

typedef struct Attempt
{
	FileBatch *batch;
	const Bitmapset *skip;
} Attempt;

static bool
apply_as_owner(void *arg)
{
	const Attempt *attempt = arg;
	FileBatch *b = attempt->batch;
	TxpRights saved;

	txp_rights_owner(b->load->feed->owner, &saved);
	apply(b, 0, b->batch.nrows, attempt->skip);
	txp_sink_fire_deferred();
	txp_rights_restore(&saved);
	return true;
}

/* All rows but `skip` in a subtransaction; returns the error when it fails and everything is undone. */
static ErrorData *
attempt(FileBatch *b, const Bitmapset *skip)
{
	Attempt attempt = {b, skip};

	return txp_subtransaction_try_many(apply_as_owner, &attempt, CurrentMemoryContext);
}

static void
isolate(FileBatch *b)
{
	TxpRights saved;

	txp_rights_owner(b->load->feed->owner, &saved);
	b->refusals = txp_isolate(b->batch.nrows, false, apply, b);
	txp_rights_restore(&saved);
}

/* Is it a rule that cannot run at all? Then the error is raised with the rule's name. */
static void
blame_rules(FileBatch *b)
{
	TxpRights saved;

	if (b->load->feed->rules == NIL)
		return;
	txp_rights_owner(b->load->feed->owner, &saved);
	txp_rules_try(b->load->feed->rules, b->load->feed->trusted, b->load->plan->rows->desc);
	txp_rights_restore(&saved);
}

static void
apply_batch(FileBatch *b)
{
	ErrorData *error = attempt(b, NULL);
	Bitmapset *skip = NULL;
	ListCell *lc;

	if (error == NULL)
		return;
	if (!txp_error_is_of_rows(error->sqlerrcode))
	{
		blame_rules(b);
		ReThrowError(error);
	}
	isolate(b);
	/* No row fails by itself: then it is the statement that fails, whatever the rows. */
	if (b->refusals == NIL)
		ReThrowError(error);
	FreeErrorData(error);
	foreach (lc, b->refusals)
		skip = bms_add_member(skip, ((TxpRefusal *) lfirst(lc))->row);
	memset(&b->outcomes, 0, sizeof(b->outcomes));
	b->copied = 0;
	if (list_length(b->refusals) == b->batch.nrows)
	{
		blame_rules(b);
		return;
	}
	error = attempt(b, skip);
	if (error != NULL)
		ReThrowError(error);
}

/* Keeps the line while there is room. */
static void
sample_line(TxpSample *sample, const char *outcome, const TxpMessage *m, const char *code,
			const char *message, const char *column)
{
	MemoryContext old;

	if (sample == NULL || sample->lines.count >= sample->most ||
		sample->bytes + m->payload.len > SAMPLE_BYTES)
		return;
	old = MemoryContextSwitchTo(sample->context);
	if (sample->outcomes == NULL)
		sample->outcomes = palloc(sizeof(char *) * sample->most);
	sample->outcomes[sample->lines.count] = outcome;
	sample->bytes += m->payload.len;
	txp_rejects_add(&sample->lines, m->offset, m->payload, code, message, column);
	MemoryContextSwitchTo(old);
}

static void
reject_line(FileBatch *b, TxpRejects *rejects, const TxpMessage *m, const char *code,
			const char *message, const char *column)
{
	sample_line(b->load->sample, "rejected", m, code, message, column);
	if (!b->load->dry_run)
		txp_rejects_add(rejects, m->offset, m->payload, code, message, column);
}

/* The records of the rows come with the batch asked for again. */
static const TxpMessage *
record_of(FileBatch *b, uint32 row)
{
	if (b->raw.raw == NULL)
	{
		b->raw_frame = txp_fileio_repeat(b->load->channel, b->batch.seq);
		txp_batch_read(b->raw_frame, &b->raw);
		if (b->raw.nrows != b->batch.nrows)
			ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
							errmsg("txpipe_io repeated a batch of %u rows with %u rows",
								   b->batch.nrows, b->raw.nrows)));
	}
	return &b->raw.raw[row];
}

static void
reject_rows(FileBatch *b, List *refusals, TxpRejects *rejects)
{
	ListCell *lc;

	foreach (lc, refusals)
	{
		TxpRefusal *r = lfirst(lc);

		reject_line(b, rejects, record_of(b, r->row), r->code, r->message, r->column);
	}
}

/* Rows that steps took out of the batch without rejecting them. */
static void
sample_left(FileBatch *b)
{
	TxpSample *sample = b->load->sample;

	if (sample == NULL || !sample->all || b->outcomes.fate == NULL)
		return;
	for (uint32 i = 0; i < b->batch.nrows && sample->lines.count < sample->most; i++)
	{
		int outcome = b->outcomes.fate[i] - 1;

		if (outcome >= 0 && outcome != TXP_REJECTED)
			sample_line(sample, txp_outcome_name(outcome), record_of(b, i), "", "", NULL);
	}
}

/* What the child says is UTF-8. */
static char *
server_text(TxpSpan span)
{
	return span.data ? pg_any_to_server(txp_span_text(span), span.len, PG_UTF8) : NULL;
}

static void
store_rejects(FileBatch *b)
{
	TxpRejects rejects = {.encrypted = b->load->plan->rows->encrypts};

	if (rejects.encrypted)
	{
		txp_refusals_hide_values(b->refusals);
		txp_refusals_hide_values(b->outcomes.rejected);
	}

	for (uint32 i = 0; i < b->batch.nrejects; i++)
	{
		TxpMessage *m = &b->batch.rejects[i];

		reject_line(b, &rejects, m, server_text(m->code), server_text(m->message),
					server_text(m->column));
	}
	reject_rows(b, b->refusals, &rejects);
	reject_rows(b, b->outcomes.rejected, &rejects);
	sample_left(b);
	if (b->load->replays)
		txp_rejects_reopen(b->load->file->file_id, &rejects, b->load->plan->only->record == NULL);
	else
		txp_rejects_store(b->load->file->file_id, &rejects);
}

static void
count_rules(FileBatch *b)
{
	TxpFileLoad *load = b->load;
	ListCell *lc;

	foreach (lc, b->outcomes.rejected)
	{
		const char *code = ((TxpRefusal *) lfirst(lc))->code;

		if (txp_rules_find(load->feed->rules, code) != NULL)
			txp_rule_counts_add(&load->rules, code, "reject", 1);
	}
	foreach (lc, b->outcomes.warned)
	{
		const TxpWarned *warned = lfirst(lc);

		txp_rule_counts_add(&load->rules, warned->code, "warn", warned->rows);
	}
}

static void
count_batch(FileBatch *b)
{
	TxpLedgerFile *file = b->load->file;
	uint64 *outcome = b->outcomes.count;
	const int64 *moved = b->outcomes.moved;
	int64 refused = list_length(b->refusals);
	int64 applied = (int64) b->batch.nrows - refused;
	int64 rejected = b->batch.nrejects + refused + outcome[TXP_REJECTED];

	/* What COPY did not count, a BEFORE trigger has dropped. */
	if (b->load->plan->steps == NIL)
		outcome[TXP_FILTERED] = applied - b->copied;
	file->read += (int64) b->batch.nrows + b->batch.nrejects;
	file->duplicate += outcome[TXP_DUPLICATE] + moved[TXP_SIDE_DUPLICATE];
	file->filtered += outcome[TXP_FILTERED] + moved[TXP_SIDE_FILTERED];
	file->superseded += outcome[TXP_SUPERSEDED] + moved[TXP_SIDE_SUPERSEDED];
	file->rejected += rejected;
	file->loaded += applied - outcome[TXP_DUPLICATE] - outcome[TXP_FILTERED] -
					outcome[TXP_SUPERSEDED] - outcome[TXP_REJECTED] + moved[TXP_SIDE_LOADED];
	if (Min(Min(file->loaded, file->duplicate), Min(file->filtered, file->superseded)) < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
						errmsg("step \"%s\" moved more earlier lines of the file than it has",
							   b->outcomes.last_mover->name),
						errhint("code says what the line was before, outcome what it is now.")));
	txp_progress_read((int64) b->batch.nrows + b->batch.nrejects, rejected, b->batch.ranges->bytes,
					  b->batch.ranges->end);
}

void
txp_filebatch_write(TxpFileLoad *load, const TxpFrame *frame)
{
	MemoryContext old = MemoryContextSwitchTo(load->batch_context);
	FileBatch *b = palloc0(sizeof(FileBatch));

	b->load = load;
	b->attempt_context =
		AllocSetContextCreate(load->batch_context, "txpipe attempt", ALLOCSET_DEFAULT_SIZES);
	txp_batch_read(frame, &b->batch);
	txp_rows_find(load->plan->rows, b->batch.rows.data, b->batch.rows.len, b->batch.nrows,
				  &b->rows);
	if (b->batch.nrows > 0)
		apply_batch(b);
	store_rejects(b);
	count_batch(b);
	count_rules(b);
	if (b->raw_frame != NULL)
	{
		pfree(b->raw_frame->data);
		pfree(b->raw_frame);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(load->batch_context);
}
