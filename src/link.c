/*
 * link.c — a stream's channel in a child: from its definition to the first batch.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "link.h"
#include "properties.h"
#include "rights.h"
#include "sink.h"
#include "spi.h"

typedef struct Partitions
{
	int n;
	Datum *numbers;
	Datum *starts;
	Datum *ends;
	int64 *low;
	int64 *high;
} Partitions;

static void
plan_rows(TxpLink *link)
{
	static const TxdCsvOptions csv = {',', '"', false, false, ""};
	TxpStream *stream = link->stream;
	TxpRights saved;
	Relation target = NULL;

	txp_stream_check_owner(stream);
	/* It may also go away while its lock is awaited. */
	txp_rights_owner(stream->owner, &saved);
	if (OidIsValid(stream->target))
		target = try_table_open(stream->target, AccessShareLock);
	if (target == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("target %s of stream \"%s\" does not exist", stream->target_name,
							   stream->name),
						errhint("Give the table its name back, create it again, or drop the "
								"stream.")));
	link->plan =
		txp_rowplan_for_target(target, txp_format_by_name(stream->format), stream->columns, &csv);
	txp_sink_check(target, link->plan);
	link->target_desc = CreateTupleDescCopyConstr(RelationGetDescr(target));
	table_close(target, AccessShareLock);
	txp_rights_restore(&saved);
}

void
txp_link_check(TxpStream *stream)
{
	TxpLink link = {.stream = stream};

	plan_rows(&link);
}

TxpLink *
txp_link_open(TxpIo *io, TxpStream *stream, int timeout_ms)
{
	TxpLink *link = palloc0(sizeof(TxpLink));
	StringInfoData buf;
	TxpRights saved;
	int64 start_ms;
	TxpStartAt start = txp_start_parse(stream->start_at, &start_ms);

	link->stream = stream;
	link->io = io;
	plan_rows(link);

	initStringInfo(&buf);
	txp_rights_owner(stream->owner, &saved);
	txp_pack_properties(&buf, txp_server_by_name(stream->server), stream->owner);
	txp_rights_restore(&saved);
	txp_put_str(&buf, stream->topic);
	txp_put_i32(&buf, start);
	txp_put_i64(&buf, start_ms);
	txp_put_u32(&buf, timeout_ms);
	txp_rowplan_pack(link->plan, &buf);
	txp_put_u32(&buf, stream->batch_rows);
	txp_put_u32(&buf, stream->batch_bytes);
	txp_put_u32(&buf, stream->linger_ms);

	link->channel = txp_io_new_channel(io);
	txp_io_send(io, TXP_STREAM_OPEN, link->channel, 0, &buf);
	explicit_bzero(buf.data, buf.len);
	pfree(buf.data);
	return link;
}

static void
read_partitions(const TxpFrame *frame, Partitions *parts)
{
	TxpReader r = txp_reader(frame->data, frame->size);

	parts->n = txp_read_count(&r, 28);
	parts->numbers = palloc(sizeof(Datum) * (parts->n + 1));
	parts->starts = palloc(sizeof(Datum) * (parts->n + 1));
	parts->ends = palloc(sizeof(Datum) * (parts->n + 1));
	parts->low = palloc(sizeof(int64) * (parts->n + 1));
	parts->high = palloc(sizeof(int64) * (parts->n + 1));
	for (int i = 0; i < parts->n; i++)
	{
		parts->numbers[i] = Int32GetDatum(txp_read_i32(&r));
		parts->low[i] = txp_read_i64(&r);
		parts->high[i] = txp_read_i64(&r);
		parts->starts[i] = Int64GetDatum(txp_read_i64(&r));
		parts->ends[i] = Int64GetDatum(parts->high[i]);
	}
	txp_reader_check(&r);
}

/* Ends are told only for rows nobody has locked: a batch that is being written knows better. */
static void
store_offsets(int32 stream_id, const char *topic, Partitions *parts)
{
	static TxpStatement insert = {
		"INSERT INTO txpipe.stream_offset (stream_id, topic, partition, next_offset, end_offset) "
		"SELECT $1, $2, p, s, e FROM unnest($3::int[], $4::bigint[], $5::bigint[]) AS u(p, s, e) "
		"ON CONFLICT (stream_id, topic, partition) DO NOTHING",
		5,
		{INT4OID, TEXTOID, INT4ARRAYOID, INT8ARRAYOID, INT8ARRAYOID}};
	static TxpStatement update = {
		"WITH free AS (SELECT partition FROM txpipe.stream_offset "
		"              WHERE stream_id = $1 AND topic = $2 FOR UPDATE SKIP LOCKED) "
		"UPDATE txpipe.stream_offset o SET end_offset = u.e "
		"FROM unnest($3::int[], $4::bigint[]) AS u(p, e) JOIN free ON free.partition = u.p "
		"WHERE o.stream_id = $1 AND o.topic = $2 AND o.partition = u.p AND o.end_offset <> u.e",
		4,
		{INT4OID, TEXTOID, INT4ARRAYOID, INT8ARRAYOID}};
	Datum values[5] = {Int32GetDatum(stream_id), CStringGetTextDatum(topic),
					   txp_spi_array(INT4OID, parts->numbers, NULL, parts->n),
					   txp_spi_array(INT8OID, parts->starts, NULL, parts->n),
					   txp_spi_array(INT8OID, parts->ends, NULL, parts->n)};

	(void) txp_spi_do(&insert, values, NULL);
	values[3] = values[4];
	(void) txp_spi_do(&update, values, NULL);
}

void
txp_offsets_store(int32 stream_id, const char *topic, const TxpFrame *partitions)
{
	Partitions parts;

	read_partitions(partitions, &parts);
	store_offsets(stream_id, topic, &parts);
}

/*
 * An offset outside of what the partition holds means that messages have expired or that the topic was
 * created anew. Going on anywhere else would be a silent jump.
 */
static void
check_offset(TxpLink *link, const Partitions *parts, int32 partition, int64 next)
{
	for (int i = 0; i < parts->n; i++)
	{
		if (DatumGetInt32(parts->numbers[i]) != partition)
			continue;
		if (next < parts->low[i] || next > parts->high[i])
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("offset " INT64_FORMAT
							" of partition %d of topic \"%s\" is not there any more",
							next, partition, link->stream->topic),
					 errdetail("The partition holds offsets " INT64_FORMAT " to " INT64_FORMAT ".",
							   parts->low[i], parts->high[i]),
					 errhint("Messages expired, or the topic was created anew. Drop and create the "
							 "stream to begin where the topic begins now.")));
		link->behind |= next < parts->high[i];
		return;
	}
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("partition %d of topic \"%s\" is not there any more", partition,
						   link->stream->topic),
					errhint("The topic was created anew with fewer partitions. Drop and create the "
							"stream to read it.")));
}

void
txp_link_start(TxpLink *link, const TxpFrame *partitions)
{
	static TxpStatement statement = {"SELECT partition, next_offset FROM txpipe.stream_offset "
									 "WHERE stream_id = $1 AND topic = $2 ORDER BY partition",
									 2,
									 {INT4OID, TEXTOID}};
	TxpStream *stream = link->stream;
	Datum values[2] = {Int32GetDatum(stream->id), CStringGetTextDatum(stream->topic)};
	Partitions parts;
	StringInfoData buf;
	uint64 n;

	read_partitions(partitions, &parts);
	store_offsets(stream->id, stream->topic, &parts);

	SPI_connect();
	n = txp_spi_run(&statement, values, NULL);
	initStringInfo(&buf);
	txp_put_u32(&buf, (uint32) n);
	for (uint64 i = 0; i < n; i++)
	{
		int32 partition = DatumGetInt32(txp_spi_datum(i, 1));
		int64 next = DatumGetInt64(txp_spi_datum(i, 2));

		check_offset(link, &parts, partition, next);
		txp_put_i32(&buf, partition);
		txp_put_i64(&buf, next);
	}
	txp_io_send(link->io, TXP_STREAM_START, link->channel, 0, &buf);
	SPI_finish();
	link->started = true;
}

void
txp_link_close(TxpLink *link)
{
	if (link->channel != 0 && !txp_io_gone(link->io))
		txp_io_send(link->io, TXP_CLOSE, link->channel, 0, NULL);
	link->channel = 0;
}
