/*
 * link.c — a stream's channel in a child: from its definition to the first batch.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tupdesc.h"
#include "common/hashfn.h"
#include "utils/rel.h"

#include "event.h"
#include "link.h"
#include "lost.h"
#include "offsets.h"
#include "properties.h"
#include "rights.h"
#include "sink.h"
#include "step_plan.h"

/* What neither a step nor the archive looks at is neither decoded nor read for them. */
static void
plan_steps(TxpLink *link)
{
	link->needs = txp_steps_needs(link->steps, link->plan->desc);
	if (link->archive != NULL)
		link->needs = bms_join(link->needs, txp_archive_needs(link->archive));
	txp_rowplan_leave_out(link->plan, link->needs);
	link->reader = txp_rowreader_new_for(link->plan, link->needs);
}

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
	txp_stream_check_target(stream);
	link->plan = txp_rowplan_for_target(target, txp_format_by_name(stream->format), stream->columns,
										true, &csv);
	txp_rowplan_set_shape(link->plan, stream->envelope, stream->rows);
	link->plan->track_fields = stream->track_fields && txd_has_json_fields(link->plan->format);
	txp_sink_check(target, link->plan);
	if (link->steps != NIL)
		txp_rowplan_add_for_steps(link->plan, stream->columns);
	if (stream->archive)
		txp_archive_add_columns(link->plan);
	txp_rowplan_set_keys(
		link->plan, &(TxpPlanKeys){stream->server, stream->server, stream->encrypt, stream->owner});
	txp_rowplan_set_schemas(link->plan, stream->server, stream->owner, &stream->schemas);
	link->upsert = txp_upsert_new(stream, target, link->plan);
	link->target_desc = CreateTupleDescCopyConstr(RelationGetDescr(target));
	table_close(target, AccessShareLock);
	if (stream->archive)
		link->archive = txp_archive_new(stream, link->plan);
	if (link->steps != NIL || stream->archive)
		plan_steps(link);
	txp_rights_restore(&saved);
}

TxpLink *
txp_link_plan(TxpStream *stream)
{
	TxpLink *link = palloc0(sizeof(TxpLink));

	link->context = CurrentMemoryContext;
	link->stream = stream;
	link->commit_us = -1;
	link->steps = txp_stream_steps_load(stream->id, stream->trusted);
	plan_rows(link);
	return link;
}

void
txp_link_check_decoder(TxpIo *io, const TxpRowPlan *plan)
{
	uint32 channel = txp_io_new_channel(io);
	StringInfoData buf;
	TxpFrame answer;

	initStringInfo(&buf);
	txp_rowplan_pack(plan, &buf);
	txp_put_u32(&buf, 0); /* no topics, no messages */
	txp_put_u32(&buf, 0);
	txp_io_send(io, TXP_DECODE, channel, 0, &buf);
	explicit_bzero(buf.data, buf.len);
	pfree(buf.data);
	txp_io_expect(io, channel, TXP_DECODED, TXP_OPEN_TIMEOUT_MS, &answer);
}

void
txp_link_check_plan(const TxpRowPlan *plan)
{
	TxpIo *io = txp_io_start(CurrentMemoryContext);

	txp_link_check_decoder(io, plan);
	txp_io_stop(io);
}

/* Of a limit a second, of each of the workers that share the stream; 0: none. */
static int64
share_of(const TxpStream *stream, int64 limit)
{
	return limit == 0 ? 0 : Max(limit / Max(stream->workers, 1), 1);
}

uint32
txp_link_send_open(TxpIo *io, const TxpStream *stream, const TxpRowPlan *plan, int timeout_ms)
{
	uint32 channel = txp_io_new_channel(io);
	StringInfoData buf;
	TxpRights saved;
	int64 start_ms;
	TxpStartAt start = txp_start_parse(stream->start_at, &start_ms);

	initStringInfo(&buf);
	txp_rights_owner(stream->owner, &saved);
	txp_pack_properties(&buf, txp_server_by_name(stream->server), stream->owner);
	txp_rights_restore(&saved);
	txp_put_str(&buf, stream->topic);
	txp_put_i32(&buf, start);
	txp_put_i64(&buf, start_ms);
	txp_put_u32(&buf, timeout_ms);
	txp_rowplan_pack(plan, &buf);
	txp_put_u32(&buf, stream->batch_rows);
	txp_put_u32(&buf, stream->batch_bytes);
	txp_put_u32(&buf, stream->linger_ms);
	txp_put_u32(&buf, stream->gather_ms);
	txp_put_i64(&buf, share_of(stream, stream->rows_per_second));
	txp_put_i64(&buf, share_of(stream, stream->bytes_per_second));
	txp_put_u8(&buf, stream->stop_on_error);

	txp_io_send(io, TXP_STREAM_OPEN, channel, 0, &buf);
	explicit_bzero(buf.data, buf.len);
	pfree(buf.data);
	return channel;
}

TxpLink *
txp_link_open(TxpIo *io, TxpStream *stream, uint32 part, int timeout_ms)
{
	TxpLink *link = txp_link_plan(stream);

	link->io = io;
	link->part = part;
	link->channel = txp_link_send_open(io, stream, link->plan, timeout_ms);
	return link;
}

/*
 * Does this worker read the partition? Workers share them out by turns; by turns of the server's own where that has an
 * index of a count.
 */
static bool
is_ours(const TxpLink *link, const TxpPosition *position)
{
	const TxpPartitionSet *set = &link->stream->partitions;
	uint32 hash;

	if (!txp_offsets_wanted(set, position->partition, position))
		return false;
	if (link->stream->workers <= 1)
		return true;
	hash =
		DatumGetUInt32(hash_any((const unsigned char *) position->topic, strlen(position->topic)));
	return (hash + (uint32) position->partition / Max(set->count, 1)) % link->stream->workers ==
		   link->part;
}

static List *
read_positions(const TxpLink *link)
{
	return txp_offsets_read(link->stream->id, link->stream->epoch);
}

/* Topics are only ever appended: the numbers of the old ones stay. */
static void
keep_topics(TxpLink *link, const TxpPartitions *parts)
{
	MemoryContext old = MemoryContextSwitchTo(link->context);

	if (parts->ntopics < link->ntopics)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("txpipe_io named fewer topics than before")));
	link->topics = link->topics ? repalloc(link->topics, sizeof(char *) * (parts->ntopics + 1))
								: palloc(sizeof(char *) * (parts->ntopics + 1));
	link->topic_ids = link->topic_ids
						  ? repalloc(link->topic_ids, sizeof(pg_uuid_t) * (parts->ntopics + 1))
						  : palloc(sizeof(pg_uuid_t) * (parts->ntopics + 1));
	for (; link->ntopics < parts->ntopics; link->ntopics++)
	{
		link->topics[link->ntopics] = pstrdup(parts->topics[link->ntopics]);
		link->topic_ids[link->ntopics] = parts->topic_ids[link->ntopics];
	}
	MemoryContextSwitchTo(old);
}

/* Begins STREAM_START, in the link's memory: it outlives the transaction that decides. */
static void
new_start(TxpLink *link, uint32 places)
{
	MemoryContext old = MemoryContextSwitchTo(link->context);

	initStringInfo(&link->start);
	txp_put_u32(&link->start, places);
	MemoryContextSwitchTo(old);
}

/*
 * A place whose offset can be read from, as STREAM_START names it. A record read last that has expired cannot
 * be compared: nobody can tell any more whether the topic is still the one that was read.
 */
static void
put_start(TxpLink *link, const TxpPlace *place, const TxpPosition *position)
{
	StringInfo buf = &link->start;
	int64 last = position->last_offset;

	if (last >= 0 && last < place->low)
	{
		txp_lost_unverifiable(link->stream, position->topic, place->partition, last);
		last = -1;
	}
	txp_put_u32(buf, place->topic);
	txp_put_i32(buf, place->partition);
	txp_put_i64(buf, position->next);
	txp_put_i64(buf, last);
	txp_put_i64(buf, position->last_hash);
	link->behind |= position->next < place->high;
}

/* The end of what was there before: the row's may be the new topic's already. */
static void
recall_end(const TxpLink *link, TxpPosition *position)
{
	TxpPosition *before = txp_offsets_find(link->before, position->topic, position->partition);

	if (before != NULL)
		position->end = before->end;
}

/* Of a topic that PARTITIONS named. */
static const pg_uuid_t *
topic_id_of(const TxpLink *link, const char *topic)
{
	int i = 0;

	while (strcmp(link->topics[i], topic) != 0)
		i++;
	return &link->topic_ids[i];
}

/* Is the topic another one than the one that was read? */
static bool
is_other_topic(const TxpPosition *position, const pg_uuid_t *id)
{
	return txp_topic_id_is_known(&position->topic_id) && txp_topic_id_is_known(id) &&
		   memcmp(&position->topic_id, id, sizeof(*id)) != 0;
}

static void
lost(TxpLink *link, TxpLossKind kind, TxpPosition *position, int64 low, int64 high)
{
	TxpLoss loss = {.kind = kind,
					.topic = position->topic,
					.topic_id = topic_id_of(link, position->topic),
					.partition = position->partition,
					.next = position->next,
					.end = position->end,
					.low = low,
					.high = high};

	position->next = txp_lost_decide(link->stream, &loss);
	position->last_offset = -1;
	link->paused |= position->next < 0;
}

/* Partitions that are gone: the topic has fewer of them than the stream has read. */
static void
check_vanished(TxpLink *link, List *positions, const TxpPartitions *parts)
{
	ListCell *lc;

	foreach (lc, positions)
	{
		TxpPosition *position = lfirst(lc);
		bool topic_there = false;
		bool there = false;

		for (int i = 0; i < parts->n; i++)
		{
			const TxpPlace *place = &parts->places[i];

			if (strcmp(parts->topics[place->topic], position->topic) != 0)
				continue;
			topic_there = true;
			there |= place->partition == position->partition;
		}
		/* A partition that comes back is read from its beginning. */
		if (topic_there && !there && position->next > 0 && !link->paused && is_ours(link, position))
			lost(link, TXP_LOSS_RECREATED, position, 0, 0);
	}
}

/* In the link's memory: where it stood before the brokers told where the partitions end now. */
static void
keep_positions(TxpLink *link)
{
	MemoryContext old = MemoryContextSwitchTo(link->context);

	link->before = read_positions(link);
	MemoryContextSwitchTo(old);
}

static void
log_new_partitions(TxpLink *link, const TxpPartitions *parts, int added)
{
	if (added > 0 && link->started)
		txp_event_log(link->stream->id, "new_partition",
					  psprintf("%d new partition(s), read from their beginning", added),
					  &(TxpEventPlace){parts->topics[parts->places[0].topic],
									   parts->places[0].partition, -1, -1});
}

void
txp_link_start(TxpLink *link, const TxpFrame *frame)
{
	TxpPartitions parts;
	List *positions;
	uint32 n = 0;

	txp_partitions_read(frame, &parts);
	keep_topics(link, &parts);
	positions = read_positions(link);
	if (!link->started)
	{
		keep_positions(link);
		check_vanished(link, positions, &parts);
	}
	txp_partitions_keep(&parts, &link->stream->partitions, positions);
	log_new_partitions(link, &parts, txp_offsets_store(link->stream->id, &parts));
	positions = read_positions(link);

	new_start(link, 0);
	for (int i = 0; i < parts.n && !link->paused; i++)
	{
		TxpPlace *place = &parts.places[i];
		char *topic = parts.topics[place->topic];
		TxpPosition *position = txp_offsets_find(positions, topic, place->partition);

		if (position == NULL || !is_ours(link, position))
			continue;
		if (!link->started)
			recall_end(link, position);
		if (position->next > place->high ||
			is_other_topic(position, &parts.topic_ids[place->topic]))
			lost(link, TXP_LOSS_RECREATED, position, place->low, place->high);
		else if (position->next < place->low)
			lost(link, TXP_LOSS_EXPIRED, position, place->low, place->high);
		if (link->paused)
			break;
		put_start(link, place, position);
		n++;
	}
	memcpy(link->start.data, &n, sizeof(n));
	link->started = true;
}

/* One place that was left alone until its loss was decided. */
static void
start_one(TxpLink *link, uint32 topic, const TxpPosition *position)
{
	new_start(link, 1);
	txp_put_u32(&link->start, topic);
	txp_put_i32(&link->start, position->partition);
	txp_put_i64(&link->start, position->next);
	txp_put_i64(&link->start, position->last_offset);
	txp_put_i64(&link->start, position->last_hash);
}

/* The position a frame's place means, NULL when users have changed the stream since; the rest of the frame is left to be read. */
static TxpPosition *
read_place(TxpLink *link, TxpReader *r, uint32 *topic)
{
	int32 partition;

	*topic = txp_read_u32(r);
	partition = txp_read_i32(r);
	if (*topic >= link->ntopics)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("txpipe_io named a partition that stream \"%s\" does not read",
							   link->stream->name)));
	return txp_offsets_find(read_positions(link), link->topics[*topic], partition);
}

void
txp_link_verdict(TxpLink *link, const TxpFrame *frame)
{
	TxpReader r = txp_reader(frame->data, frame->size);
	uint32 topic;
	TxpPosition *position = read_place(link, &r, &topic);
	TxpVerdict verdict = txp_read_u8(&r);
	int64 low = txp_read_i64(&r);
	int64 high = txp_read_i64(&r);

	txp_reader_check(&r);
	if (position == NULL)
		return;
	if (verdict == TXP_GONE && position->last_offset >= 0)
		txp_lost_unverifiable(link->stream, position->topic, position->partition,
							  position->last_offset);
	if (verdict != TXP_OTHER || position->last_offset < 0)
		return;
	recall_end(link, position);
	lost(link, TXP_LOSS_RECREATED, position, low, high);
	if (!link->paused)
		start_one(link, topic, position);
}

void
txp_link_lost(TxpLink *link, const TxpFrame *frame)
{
	TxpReader r = txp_reader(frame->data, frame->size);
	uint32 topic;
	TxpPosition *position = read_place(link, &r, &topic);
	TxpPosition *before;
	int64 offset = txp_read_i64(&r);
	int64 low = txp_read_i64(&r);
	int64 high = txp_read_i64(&r);

	txp_reader_check(&r);
	if (position == NULL)
		return;
	if (position->next != offset)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("txpipe_io lost offset " INT64_FORMAT
							   " while batches before it were under way",
							   offset)));
	before = txp_offsets_find(link->before, position->topic, position->partition);
	if (before != NULL)
		before->end = position->end;
	/* There again: a leader was behind, or the topic was created anew, which the comparison tells. */
	if (offset < low || offset > high)
		lost(link, offset < low ? TXP_LOSS_EXPIRED : TXP_LOSS_RECREATED, position, low, high);
	if (!link->paused)
		start_one(link, topic, position);
}

void
txp_link_send_start(TxpLink *link)
{
	if (link->start.data == NULL)
		return;
	if (!link->paused)
		txp_io_send(link->io, TXP_STREAM_START, link->channel, 0, &link->start);
	pfree(link->start.data);
	link->start.data = NULL;
}

void
txp_link_close(TxpLink *link)
{
	if (link->channel != 0 && !txp_io_gone(link->io))
		txp_io_send(link->io, TXP_CLOSE, link->channel, 0, NULL);
	link->channel = 0;
}
