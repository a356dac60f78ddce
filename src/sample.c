/*
 * sample.c — some messages of a topic, raw and decoded, without a trace.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "link.h"
#include "sample.h"
#include "steady.h"

#define GATHER_MS 20
#define MAX_FIELDS 100

/* How far one partition is to be read. */
typedef struct Quota
{
	const TxpPlace *place;
	int64 from;
	uint32 left; /* messages still wanted; 0: done */
} Quota;

typedef struct Sampler
{
	TxpIo *io;
	uint32 channel;
	uint32 max;
	uint32 live;  /* partitions with messages still wanted */
	uint32 asked; /* batches that come again with their messages */
	int64 bytes_left;
	Quota *quotas;
	TxpSample *sample;
	TxpIoError trouble;    /* told last; message NULL: none */
	MemoryContext context; /* of the sample; frames are read in one that is reset */
} Sampler;

TxpStream *
txp_sample_stream(const char *server, const char *topic, const char *start_at)
{
	TxpStream *stream = palloc0(sizeof(TxpStream));

	stream->owner = GetUserId();
	stream->server = pstrdup(server);
	stream->topic = pstrdup(topic);
	stream->start_at = pstrdup(start_at);
	txp_stream_apply_options(stream);
	return stream;
}

TxpRowPlan *
txp_sample_raw_plan(void)
{
	static const TxdCsvOptions csv = {',', '"', false, false, ""};
	static const char mapping[] =
		"{\"value\": {\"path\": \"$value\", \"type\": \"bytea\"}, "
		"\"headers\": {\"path\": \"kafka_headers\", \"type\": \"jsonb\"}}";
	Datum columns = DirectFunctionCall1(jsonb_in, CStringGetDatum(mapping));

	return txp_rowplan_for_mapping(TXD_BYTES, DatumGetJsonbP(columns), &csv);
}

/* Shares the messages out: small partitions give all they have, the others as much as each other. */
static void
share_out(Sampler *s, bool newest)
{
	const TxpPartitions *parts = &s->sample->parts;
	uint32 left = s->max;
	bool given = true;

	s->quotas = palloc0(sizeof(Quota) * (parts->n + 1));
	for (int i = 0; i < parts->n; i++)
	{
		const TxpPlace *place = &parts->places[i];

		s->quotas[i].place = place;
		s->quotas[i].from = newest ? place->low : Max(place->start, place->low);
	}
	while (left > 0 && given)
	{
		uint32 share = Max(left / Max(parts->n, 1), 1);

		given = false;
		for (int i = 0; i < parts->n && left > 0; i++)
		{
			Quota *q = &s->quotas[i];
			int64 more = Min(q->place->high - q->from - q->left, (int64) Min(share, left));

			if (more <= 0)
				continue;
			q->left += more;
			left -= more;
			given = true;
		}
	}
	for (int i = 0; i < parts->n; i++)
	{
		if (s->quotas[i].left == 0)
			continue;
		if (newest)
			s->quotas[i].from = s->quotas[i].place->high - s->quotas[i].left;
		s->live++;
	}
}

/* Names the partitions to read; on later PARTITIONS, none. */
static void
send_start(Sampler *s, bool first)
{
	StringInfoData buf;

	initStringInfo(&buf);
	txp_put_u32(&buf, first ? s->live : 0);
	for (int i = 0; first && i < s->sample->parts.n; i++)
	{
		const Quota *q = &s->quotas[i];

		if (q->left == 0)
			continue;
		txp_put_u32(&buf, q->place->topic);
		txp_put_i32(&buf, q->place->partition);
		txp_put_i64(&buf, q->from);
		txp_put_i64(&buf, -1);
		txp_put_i64(&buf, 0);
	}
	txp_io_send(s->io, TXP_STREAM_START, s->channel, 0, &buf);
	pfree(buf.data);
}

static Quota *
quota_of(Sampler *s, uint32 topic, int32 partition)
{
	for (int i = 0; i < s->sample->parts.n; i++)
	{
		const TxpPlace *place = s->quotas[i].place;

		if (place->topic == topic && place->partition == partition)
			return &s->quotas[i];
	}
	return NULL;
}

static void
end_quota(Sampler *s, Quota *q)
{
	if (q == NULL || q->left == 0)
		return;
	q->left = 0;
	s->live--;
}

static TxpSpan
copy_span(TxpSpan span)
{
	TxpSpan copy = {NULL, span.len};

	if (span.data == NULL)
		return span;
	copy.data = MemoryContextAllocHuge(CurrentMemoryContext, (Size) span.len + 1);
	memcpy((char *) copy.data, span.data, span.len);
	((char *) copy.data)[span.len] = '\0';
	return copy;
}

static int64
bytes_of(TxpSpan span)
{
	return span.data == NULL ? 0 : span.len;
}

/* Takes a message over, out of the frame, unless its partition has given enough. */
static void
take(Sampler *s, const TxpMessage *m, const char *row)
{
	Quota *q = quota_of(s, m->topic, m->partition);
	MemoryContext old;
	TxpSampled *taken;

	if (q == NULL || q->left == 0)
		return;
	old = MemoryContextSwitchTo(s->context);
	taken = &s->sample->messages[s->sample->n++];
	taken->m = *m;
	taken->m.key = copy_span(m->key);
	taken->m.headers = copy_span(m->headers);
	taken->m.payload = copy_span(m->payload);
	taken->m.code = copy_span(m->code);
	taken->m.message = copy_span(m->message);
	taken->m.column = copy_span(m->column);
	taken->row = row ? copy_span((TxpSpan){row, m->row_length}).data : NULL;
	s->sample->nrows += row != NULL;
	MemoryContextSwitchTo(old);
	if (--q->left == 0)
		s->live--;
	s->bytes_left -= bytes_of(m->key) + bytes_of(m->payload);
	for (int i = 0; s->bytes_left < 0 && i < s->sample->parts.n; i++)
		end_quota(s, &s->quotas[i]);
}

/* Messages in the order of their places, so that a full quota leaves out the last ones. */
static void
take_batch(Sampler *s, const TxpBatch *batch)
{
	const char *row = batch->rows.data;
	uint32 reject = 0;

	for (uint32 i = 0; i < batch->nrows; i++)
	{
		const TxpMessage *m = &batch->raw[i];

		for (; reject < batch->nrejects; reject++)
		{
			const TxpMessage *r = &batch->rejects[reject];

			if (r->topic == m->topic && r->partition == m->partition && r->offset > m->offset)
				break;
			take(s, r, NULL);
		}
		take(s, m, row);
		row += m->row_length;
	}
	for (; reject < batch->nrejects; reject++)
		take(s, &batch->rejects[reject], NULL);
}

/* Partitions that have been read to the ends they had at the beginning are done. */
static void
note_progress(Sampler *s, const TxpBatch *batch)
{
	for (uint32 i = 0; i < batch->nranges; i++)
	{
		const TxpRange *range = &batch->ranges[i];
		Quota *q = quota_of(s, range->topic, range->partition);

		if (q != NULL && range->next >= q->place->high)
			end_quota(s, q);
	}
}

static bool
is_wanted(Sampler *s, const TxpBatch *batch)
{
	for (uint32 i = 0; i < batch->nranges; i++)
	{
		const TxpRange *range = &batch->ranges[i];
		const Quota *q = quota_of(s, range->topic, range->partition);

		if (q != NULL && q->left > 0 && range->rows + range->rejects > 0)
			return true;
	}
	return false;
}

static void
note_fields(Sampler *s, const TxpBatch *batch)
{
	MemoryContext old = MemoryContextSwitchTo(s->context);

	for (uint32 i = 0; i < batch->nfields; i++)
	{
		char *path = txp_span_text(batch->fields[i].path);
		bool known = list_length(s->sample->fields) >= MAX_FIELDS;
		ListCell *lc;

		foreach (lc, s->sample->fields)
			known |= strcmp(lfirst(lc), path) == 0;
		if (!known)
			s->sample->fields = lappend(s->sample->fields, path);
	}
	MemoryContextSwitchTo(old);
}

/* BATCH: its messages are asked for where they are wanted. BATCH_RAW: here they are. */
static void
on_batch(Sampler *s, const TxpFrame *frame)
{
	TxpBatch batch;

	txp_batch_read(frame, &batch);
	/* Batches are done in their order: behind one that is asked for, the next is, too. */
	if (frame->type == TXP_BATCH && (s->asked > 0 || is_wanted(s, &batch)))
	{
		txp_io_send(s->io, TXP_BATCH_REPEAT, s->channel, frame->seq, NULL);
		s->asked++;
		return;
	}
	if (frame->type == TXP_BATCH_RAW)
	{
		s->asked--;
		take_batch(s, &batch);
		note_fields(s, &batch);
	}
	note_progress(s, &batch);
	txp_io_send(s->io, TXP_BATCH_DONE, s->channel, frame->seq, NULL);
}

/* One that passes may be why no message comes. */
static void
on_error(Sampler *s, const TxpFrame *frame)
{
	MemoryContext old = MemoryContextSwitchTo(s->context);

	txp_io_read_error(frame, &s->trouble);
	MemoryContextSwitchTo(old);
	if (s->trouble.fatal)
		txp_io_raise(&s->trouble);
}

static void
on_frame(Sampler *s, const TxpFrame *frame)
{
	TxpReader r = txp_reader(frame->data, frame->size);
	uint32 topic;

	switch (frame->type)
	{
		case TXP_BATCH:
		case TXP_BATCH_RAW:
			on_batch(s, frame);
			break;
		case TXP_PARTITIONS:
			send_start(s, false);
			break;
		case TXP_LOST:
			topic = txp_read_u32(&r);
			end_quota(s, quota_of(s, topic, txp_read_i32(&r)));
			break;
		case TXP_ERROR:
			on_error(s, frame);
			break;
		default:
			break;
	}
}

static void
read_messages(Sampler *s, int timeout_ms)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(txp_steady_now(), timeout_ms);
	MemoryContext scratch =
		AllocSetContextCreate(s->context, "txpipe sample", ALLOCSET_DEFAULT_SIZES);
	TxpFrame frame;

	MemoryContextSwitchTo(scratch);
	while (s->live > 0)
	{
		long left = TimestampDifferenceMilliseconds(txp_steady_now(), deadline);

		if (!txp_io_receive(s->io, (int) left, &frame))
			break;
		if (frame.channel == s->channel)
			on_frame(s, &frame);
		MemoryContextReset(scratch);
	}
	MemoryContextSwitchTo(s->context);
	MemoryContextDelete(scratch);
	if (txp_io_gone(s->io))
		txp_io_raise_gone(s->io);
}

static int
compare_places(const void *a, const void *b)
{
	const TxpMessage *x = &((const TxpSampled *) a)->m;
	const TxpMessage *y = &((const TxpSampled *) b)->m;

	if (x->topic != y->topic)
		return x->topic < y->topic ? -1 : 1;
	if (x->partition != y->partition)
		return x->partition < y->partition ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

TxpSample *
txp_sample_take(TxpIo *io, const TxpStream *stream, const TxpRowPlan *plan,
				const TxpSampleWish *wish)
{
	TxpStream source = *stream;
	TxpRowPlan impatient = *plan;
	TxpSample *sample = palloc0(sizeof(TxpSample));
	Sampler s = {.io = io,
				 .max = wish->max_messages,
				 .bytes_left = wish->max_bytes > 0 ? wish->max_bytes : PG_INT64_MAX,
				 .sample = sample,
				 .context = CurrentMemoryContext};
	TxpFrame frame;

	impatient.schemas.timeout_s = 0;
	source.batch_rows = wish->max_messages;
	source.linger_ms = 0;
	source.gather_ms = GATHER_MS;
	source.rows_per_second = 0;
	source.bytes_per_second = 0;
	source.stop_on_error = false;
	sample->messages =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(TxpSampled) * (Size) s.max);
	s.channel = txp_link_send_open(io, &source, &impatient, TXP_OPEN_TIMEOUT_MS);
	txp_io_expect(io, s.channel, TXP_PARTITIONS, TXP_OPEN_TIMEOUT_MS + 5000, &frame);
	txp_partitions_read(&frame, &sample->parts);
	share_out(&s, wish->newest);
	if (s.live > 0)
	{
		send_start(&s, true);
		read_messages(&s, wish->timeout_ms);
		if (sample->n == 0 && s.trouble.message != NULL)
			txp_io_raise(&s.trouble);
	}
	if (!txp_io_gone(io))
		txp_io_send(io, TXP_CLOSE, s.channel, 0, NULL);
	qsort(sample->messages, sample->n, sizeof(TxpSampled), compare_places);
	return sample;
}
