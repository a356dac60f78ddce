/*
 * batch.c — one batch of a stream: rows, dead letters and offsets in one transaction.
 *
 * The order matters. Offsets first: the row locks make this the only writer of the partitions, and NOWAIT
 * with the comparison sends any second writer away before it has done anything. Then the rows as the
 * owner, then our own tables. Nothing here commits.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "batch.h"
#include "dead_letter.h"
#include "isolate.h"
#include "rights.h"
#include "sink.h"
#include "spi.h"
#include "unixtime.h"

static Datum
range_numbers(const TxpBatch *batch)
{
	Datum *numbers = palloc(sizeof(Datum) * (batch->nranges + 1));

	for (uint32 i = 0; i < batch->nranges; i++)
		numbers[i] = Int32GetDatum(batch->ranges[i].partition);
	return txp_spi_array(INT4OID, numbers, NULL, batch->nranges);
}

static int64
from_of(const TxpBatch *batch, int32 partition)
{
	for (uint32 i = 0; i < batch->nranges; i++)
	{
		if (batch->ranges[i].partition == partition)
			return batch->ranges[i].from;
	}
	return -1;
}

/* Are these offsets where the batch begins, and ours alone until the end of the transaction? */
static bool
lock_offsets(const TxpStream *stream, const TxpBatch *batch, const char *states)
{
	static TxpStatement statement = {
		"SELECT o.partition, o.next_offset FROM txpipe.stream_offset o "
		"WHERE o.stream_id = $1 AND o.topic = $2 AND o.partition = ANY ($3) AND EXISTS "
		"(SELECT FROM txpipe.stream s WHERE s.stream_id = $1 AND s.created_at = $5 "
		"AND s.state = ANY (string_to_array($4, ','))) "
		"FOR UPDATE OF o SKIP LOCKED",
		5,
		{INT4OID, TEXTOID, INT4ARRAYOID, TEXTOID, TIMESTAMPTZOID}};
	Datum values[5] = {Int32GetDatum(stream->id), CStringGetTextDatum(stream->topic),
					   range_numbers(batch), CStringGetTextDatum(states),
					   TimestampTzGetDatum(stream->created_at)};
	uint64 n;
	bool same;

	SPI_connect();
	n = txp_spi_run(&statement, values, NULL);
	same = n == batch->nranges;
	for (uint64 i = 0; same && i < n; i++)
		same = from_of(batch, DatumGetInt32(txp_spi_datum(i, 1))) ==
			   DatumGetInt64(txp_spi_datum(i, 2));
	SPI_finish();
	return same;
}

/* Rows of a raw batch in COPY, for the search of refused ones. */
typedef struct CopyRows
{
	Relation target;
	const TxpRowPlan *plan;
	const TxpBatch *batch;
	const char **start; /* of each row, and of the end */
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
	if (p != batch->rows.data + batch->rows.len)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("rows of a raw batch do not add up to its size")));

	refusals = txp_isolate(batch->nrows, copy_some, &rows);
	foreach (lc, refusals)
		bad = bms_add_member(bad, ((TxpRefusal *) lfirst(lc))->row);
	copy_some(&rows, 0, batch->nrows, bad);
	return refusals;
}

/*
 * The owner's part: the rows, and whatever constraints and triggers put off. False when the target's shape
 * is not the planned one any more.
 */
static bool
insert_rows(TxpLink *link, const TxpBatch *batch, List **refusals)
{
	TxpRights saved;
	Relation target;
	bool fits;

	*refusals = NIL;
	if (batch->nrows == 0)
		return true;
	txp_rights_owner(link->stream->owner, &saved);
	target = try_table_open(link->stream->target, RowExclusiveLock);
	fits = target != NULL && equalTupleDescs(RelationGetDescr(target), link->target_desc);
	if (fits)
	{
		txp_sink_check(target, link->plan);
		if (batch->raw)
			*refusals = copy_isolated(target, link, batch);
		else
			(void) txp_sink_copy(target, link->plan, batch->rows.data, batch->rows.len);
		txp_sink_fire_deferred();
	}
	if (target)
		table_close(target, NoLock);
	txp_rights_restore(&saved);
	return fits;
}

static void
move_offset(const TxpStream *stream, const TxpRange *range, int64 refused)
{
	static TxpStatement statement = {
		"UPDATE txpipe.stream_offset SET next_offset = $4, "
		"end_offset = greatest(CASE WHEN $5 < 0 THEN end_offset ELSE $5 END, $4), "
		"rows_total = rows_total + $6, dead_letters_total = dead_letters_total + $7, "
		"last_timestamp = coalesce($8, last_timestamp), updated_at = clock_timestamp() "
		"WHERE stream_id = $1 AND topic = $2 AND partition = $3",
		8,
		{INT4OID, TEXTOID, INT4OID, INT8OID, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID}};
	TimestampTz when = 0;
	bool has_time = txp_unix_ms_to_timestamptz(range->last_timestamp_ms, &when);
	Datum values[8] = {Int32GetDatum(stream->id),
					   CStringGetTextDatum(stream->topic),
					   Int32GetDatum(range->partition),
					   Int64GetDatum(range->next),
					   Int64GetDatum(range->end),
					   Int64GetDatum(range->rows - refused),
					   Int64GetDatum(range->rejects + refused),
					   TimestampTzGetDatum(when)};

	if (txp_spi_run(&statement, values, has_time ? "        " : "       n") != 1)
		elog(ERROR, "offset of partition %d of stream \"%s\" has vanished", range->partition,
			 stream->name);
}

static int64
refused_of(const TxpBatch *batch, List *refusals, int32 partition)
{
	int64 n = 0;
	ListCell *lc;

	foreach (lc, refusals)
	{
		if (batch->raw[((TxpRefusal *) lfirst(lc))->row].partition == partition)
			n++;
	}
	return n;
}

TxpBatchResult
txp_batch_write(TxpLink *link, const TxpBatch *batch, const char *states)
{
	List *refusals;

	if (!lock_offsets(link->stream, batch, states))
		return TXP_BATCH_CONFLICT;
	if (!insert_rows(link, batch, &refusals))
		return TXP_BATCH_STALE;
	txp_dead_letters_store(link->stream, batch, refusals);
	SPI_connect();
	for (uint32 i = 0; i < batch->nranges; i++)
		move_offset(link->stream, &batch->ranges[i],
					refused_of(batch, refusals, batch->ranges[i].partition));
	SPI_finish();
	return TXP_BATCH_WRITTEN;
}

void
txp_batch_store_ends(TxpLink *link, const TxpFrame *ends)
{
	static TxpStatement statement = {
		"UPDATE txpipe.stream_offset SET end_offset = $4 "
		"WHERE stream_id = $1 AND topic = $2 AND partition = $3 AND end_offset < $4",
		4,
		{INT4OID, TEXTOID, INT4OID, INT8OID}};
	TxpReader r = txp_reader(ends->data, ends->size);
	uint32 n = txp_read_count(&r, 12);

	SPI_connect();
	for (uint32 i = 0; i < n; i++)
	{
		int32 partition = txp_read_i32(&r);
		int64 end = txp_read_i64(&r);
		Datum values[4] = {Int32GetDatum(link->stream->id),
						   CStringGetTextDatum(link->stream->topic), Int32GetDatum(partition),
						   Int64GetDatum(end)};

		(void) txp_spi_run(&statement, values, NULL);
	}
	txp_reader_check(&r);
	SPI_finish();
}
