/*
 * batch.c — one batch of a stream: rows, dead letters and offsets in one transaction.
 *
 * The order matters. Offsets first: the row locks make this the only writer of the partitions, and the
 * comparison sends any second writer away before it has done anything. Then the rows as the owner, then our
 * own tables. Nothing here commits.
 */
#include "postgres.h"

#include "access/table.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "batch.h"
#include "budget.h"
#include "dead_letter.h"
#include "fields.h"
#include "history.h"
#include "io/clock.h"
#include "isolate.h"
#include "offsets.h"
#include "rights.h"
#include "sink.h"
#include "step_run.h"

/* Rows of a raw batch in COPY, for the search of refused ones; those of one message stay together. */
typedef struct CopyRows
{
	Relation target;
	const TxpRowPlan *plan;
	const TxpBatch *batch;
	const char **start; /* of each message, and of the end */
} CopyRows;

static void
copy_some(void *arg, uint32 first, uint32 count, const Bitmapset *skip)
{
	CopyRows *rows = arg;
	StringInfoData kept;

	if (skip == NULL)
	{
		(void) txp_sink_copy(rows->target, rows->plan, rows->start[first],
							 rows->start[first + count] - rows->start[first]);
		return;
	}
	initStringInfo(&kept);
	for (uint32 i = first; i < first + count; i++)
	{
		if (!bms_is_member(i, skip))
			appendBinaryStringInfo(&kept, rows->start[i], rows->batch->raw[i].row_length);
	}
	(void) txp_sink_copy(rows->target, rows->plan, kept.data, kept.len);
	pfree(kept.data);
}

/* Inserts what PostgreSQL accepts of a raw batch; returns what it refused. */
static List *
copy_isolated(Relation target, const TxpLink *link, const TxpBatch *batch)
{
	CopyRows rows = {target, link->plan, batch, NULL};
	const char *p = batch->rows.data;
	Bitmapset *bad = NULL;
	List *refusals;
	ListCell *lc;

	rows.start = palloc(sizeof(char *) * ((Size) batch->nrows + 1));
	for (uint32 i = 0; i < batch->nrows; i++)
	{
		rows.start[i] = p;
		p += batch->raw[i].row_length;
	}
	rows.start[batch->nrows] = p;

	refusals = txp_isolate(batch->nrows, link->plan->rows != NULL, copy_some, &rows);
	if (refusals != NIL && link->stream->stop_on_error)
	{
		copy_some(&rows, 0, ((TxpRefusal *) linitial(refusals))->row, NULL);
		return refusals;
	}
	foreach (lc, refusals)
		bad = bms_add_member(bad, ((TxpRefusal *) lfirst(lc))->row);
	copy_some(&rows, 0, batch->nrows, bad);
	return refusals;
}

static void
write_plain(const TxpLink *link, Relation target, const TxpBatch *batch, List **refusals)
{
	if (link->upsert)
		*refusals = txp_upsert_rows(link->upsert, target, batch->rows.data, batch->rows.len,
									batch->nrows, txp_batch_lengths(batch));
	else if (batch->raw)
		*refusals = copy_isolated(target, link, batch);
	else
		(void) txp_sink_copy(target, link->plan, batch->rows.data, batch->rows.len);
	txp_sink_fire_deferred();
}

/* Its columns, and its name: by that a stream knows its target, which may be another table by now. */
static bool
is_as_planned(Relation target, const TxpLink *link)
{
	char *schema = get_namespace_name(RelationGetNamespace(target));

	return schema != NULL &&
		   strcmp(quote_qualified_identifier(schema, RelationGetRelationName(target)),
				  link->stream->target_name) == 0 &&
		   equalTupleDescs(RelationGetDescr(target), link->target_desc);
}

TxpBatchResult
txp_batch_insert(const TxpLink *link, const TxpBatch *batch, List **refusals)
{
	char *stopped = NULL;
	TxpRights saved;
	Relation target;
	bool fits;

	*refusals = NIL;
	/* What the decoder refused was judged by the table's columns, too. */
	if (batch->nrows == 0 && batch->nrejects == 0 && !batch->stopped)
		return TXP_BATCH_WRITTEN;
	txp_rights_owner(link->stream->owner, &saved);
	target = try_table_open(link->stream->target, RowExclusiveLock);
	fits = target != NULL && is_as_planned(target, link);
	if (fits && batch->nrows > 0)
	{
		txp_sink_check(target, link->plan);
		if (link->reader != NULL)
			stopped = txp_steps_write(link, target, batch, refusals);
		else
			write_plain(link, target, batch, refusals);
	}
	if (target)
		table_close(target, NoLock);
	txp_rights_restore(&saved);
	if (link->plan->encrypts)
		txp_refusals_hide_values(*refusals);
	if (stopped == NULL)
		return fits ? TXP_BATCH_WRITTEN : TXP_BATCH_STALE;
	txp_stream_pause_for(link->stream->id, stopped);
	return TXP_BATCH_ACTED;
}

static int
range_of(const TxpBatch *batch, const TxpMessage *m)
{
	for (uint32 i = 0; i < batch->nranges; i++)
	{
		if (batch->ranges[i].partition == m->partition && batch->ranges[i].topic == m->topic)
			return i;
	}
	ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
					errmsg("a row of a batch lies outside of its ranges")));
}

/* How many rows of each range PostgreSQL refused. */
static int64 *
count_refused(const TxpBatch *batch, List *refusals)
{
	int64 *refused = palloc0(sizeof(int64) * ((Size) batch->nranges + 1));
	ListCell *lc;

	foreach (lc, refusals)
		refused[range_of(batch, &batch->raw[((TxpRefusal *) lfirst(lc))->row])]++;
	return refused;
}

/*
 * Ends a raw batch right before a row: its ranges, counted anew. The records read last are not known then; the
 * ones stored before stay good for comparing.
 */
static void
cut_before(TxpBatch *batch, uint32 row)
{
	for (uint32 i = 0; i < batch->nranges; i++)
	{
		batch->ranges[i].rows = 0;
		batch->ranges[i].bytes = 0;
		batch->ranges[i].last_offset = -1;
	}
	batch->bytes = 0;
	for (uint32 i = 0; i < row; i++)
	{
		TxpRange *range = &batch->ranges[range_of(batch, &batch->raw[i])];

		range->rows++;
		range->bytes += batch->raw[i].key.len + batch->raw[i].payload.len;
		batch->bytes += batch->raw[i].key.len + batch->raw[i].payload.len;
	}
	for (uint32 i = batch->nrows; i-- > row;)
	{
		TxpRange *range = &batch->ranges[range_of(batch, &batch->raw[i])];

		range->next = batch->raw[i].offset;
	}
	batch->nrows = row;
	batch->rows.len = 0;
	for (uint32 i = 0; i < row; i++)
		batch->rows.len += batch->raw[i].row_length;
	batch->nfields = 0;
}

static void
stop_at(const TxpLink *link, const TxpMessage *m, const char *code, const char *message)
{
	txp_stream_pause_for(
		link->stream->id,
		psprintf("on_error is stop, and this message cannot become a row: offset " INT64_FORMAT
				 " of partition %d of topic \"%s\": %s: %s",
				 m->offset, m->partition, link->topics[m->topic], code, message));
}

static void
check_topic(const TxpLink *link, uint32 topic)
{
	if (topic >= link->ntopics)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("a batch names a topic that was never announced")));
}

static void
check_topics(const TxpLink *link, const TxpBatch *batch)
{
	for (uint32 i = 0; i < batch->nranges; i++)
		check_topic(link, batch->ranges[i].topic);
	for (uint32 i = 0; i < batch->nrejects; i++)
		check_topic(link, batch->rejects[i].topic);
	for (uint32 i = 0; batch->raw && i < batch->nrows; i++)
		check_topic(link, batch->raw[i].topic);
	for (uint32 i = 0; i < batch->nfields; i++)
	{
		check_topic(link, batch->fields[i].first_topic);
		check_topic(link, batch->fields[i].last_topic);
	}
	if (batch->stopped)
		check_topic(link, batch->stopped_at.topic);
}

TxpBatchResult
txp_batch_write(TxpLink *link, TxpBatch *batch, const char *states)
{
	TxpStream *stream = link->stream;
	TxpBatchTimes times = {.taken_us = txp_now_us()};
	TxpBatchResult result;
	List *refusals;

	check_topics(link, batch);
	if (!txp_offsets_lock(stream->id, stream->created_at, stream->epoch, states, link->topics,
						  batch))
		return TXP_BATCH_CONFLICT;
	if (txp_fields_decide(link, batch) == TXP_FIELDS_ACTED)
		return TXP_BATCH_ACTED;
	times.locked_us = txp_now_us();
	result = txp_batch_insert(link, batch, &refusals);
	if (result != TXP_BATCH_WRITTEN)
		return result;
	times.written_us = txp_now_us();
	if (refusals != NIL && stream->stop_on_error)
	{
		TxpRefusal *first = linitial(refusals);

		stop_at(link, &batch->raw[first->row], first->code, first->message);
		cut_before(batch, first->row);
		refusals = NIL;
	}
	else if (batch->stopped)
		stop_at(link, &batch->stopped_at, txp_span_text(batch->stopped_at.code),
				txp_span_text(batch->stopped_at.message));
	txp_dead_letters_store(stream, link->topics, batch, refusals, link->plan->encrypts);
	txp_offsets_move(stream->id, link->topics, batch, count_refused(batch, refusals));
	txp_fields_store(link, batch);
	txp_history_add(link, batch, list_length(refusals), &times);
	txp_budget_spend(link, batch, refusals);
	return TXP_BATCH_WRITTEN;
}
