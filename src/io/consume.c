/*
 * consume.c — the loop of a stream: messages in, batches out, at most two of them unacknowledged.
 *
 * The thread sleeps in librdkafka's queue or, with a full window, on its mailbox; mail interrupts both. A
 * batch goes out when it is full, or linger_ms after it was begun when no other is unacknowledged: so
 * batches grow with the load, and a lone message does not wait.
 */
#include <stdio.h>
#include <syslog.h>

#include "headers.h"
#include "link.h"
#include "put.h"
#include "stream.h"

#define FETCH 1000        /* messages taken from librdkafka at once */
#define TICK_MS 1000      /* between looks at the partitions' ends */
#define GATHER_MS 10      /* nap while a batch grows beside an unacknowledged one */
#define PROBE_MS 500      /* for the broker's answer while it was unreachable */
#define WATERMARK_MS 2000 /* for the ends named in an error */

typedef struct Loop
{
	TxpStream *s;
	rd_kafka_message_t *fetched[FETCH];
	size_t nfetched;
	size_t taken;
	int64_t batch_since; /* when the open batch was begun; 0: it is empty */
	int64_t next_tick;
	bool trouble_told;
	bool stopping; /* the open batch ends before a message that cannot be decoded */
	bool stopped;  /* it was sent: nothing more is read */
} Loop;

static void
wake_queue(void *queue)
{
	rd_kafka_queue_yield(queue);
}

/* The partition's range in the open batch, made where missing. */
static TxpRange *
range_of(Loop *l, TxpPartition *p)
{
	TxpBatch *batch = txp_window_open(&l->s->window);
	uint32_t seq = l->s->window.last_seq + 1;

	if (p->range_seq != seq)
	{
		p->range = txp_batch_range(batch, 0, p->partition, p->next);
		p->range_seq = seq;
	}
	if (l->batch_since == 0)
		l->batch_since = txp_now_ms();
	return &batch->range[p->range];
}

static void
take_message(Loop *l, TxpPartition *p, rd_kafka_message_t *m)
{
	TxpRange *range = range_of(l, p);
	TxdBuf headers = {0};
	TxdMessage message = {.payload = m->payload,
						  .payload_len = m->len,
						  .key = m->key,
						  .key_len = m->key_len,
						  .topic = l->s->topic,
						  .partition = m->partition,
						  .offset = m->offset,
						  .timestamp_ms = rd_kafka_message_timestamp(m, NULL)};

	if (l->s->wants_headers && txp_headers_json(m, &headers))
	{
		message.headers = headers.data;
		message.headers_len = headers.len;
	}
	if (l->s->stop_at_reject && !txp_batch_add_or_stop(&l->s->window, l->s->decoder, &message, m))
	{
		/* Whatever lies between the last message and this one has been passed. */
		p->next = range->next = message.offset;
		l->stopping = true;
		txd_buf_free(&headers);
		return;
	}
	p->next = range->next = m->offset + 1;
	range->last_offset = m->offset;
	range->last_timestamp_ms = message.timestamp_ms;
	range->last_hash = txp_record_hash(&message);
	range->bytes += (int64_t) (m->len + m->key_len);
	if (l->s->stop_at_reject || txp_batch_add(&l->s->window, l->s->decoder, &message, m))
		range->rows++;
	else
		range->rejects++;
	txd_buf_free(&headers);
}

static void
lost_offset(TxpStream *s, const TxpPartition *p)
{
	char detail[200];
	int64_t low = -1;
	int64_t high = -1;

	rd_kafka_query_watermark_offsets(s->kafka.rk, s->topic, p->partition, &low, &high,
									 WATERMARK_MS);
	snprintf(detail, sizeof(detail), "The partition now has offsets from %lld to before %lld.",
			 (long long) low, (long long) high);
	txp_error(s->channel,
			  (TxpError){.fatal = true,
						 .sqlstate = "55000",
						 .detail = low >= 0 ? detail : NULL,
						 .hint = "Messages expired, or the topic was created anew: drop and create "
								 "the stream to begin where the topic begins now."},
			  "offset %lld of partition %d of topic \"%s\" is not there any more",
			  (long long) p->next, (int) p->partition, s->topic);
	s->failed = true;
}

/* A state worth showing: once until it is over. */
static void
tell_trouble(Loop *l, const char *reason)
{
	if (l->trouble_told)
		return;
	l->trouble_told = true;
	txp_error(l->s->channel,
			  (TxpError){.sqlstate = "08006",
						 .detail = reason,
						 .hint = "The stream goes on by itself when the brokers answer again."},
			  "the Kafka brokers at \"%s\" do not answer", l->s->kafka.servers);
}

static void
take_error(Loop *l, TxpPartition *p, const rd_kafka_message_t *m)
{
	TxpStream *s = l->s;

	if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF && p != NULL)
	{
		/* The end lies beyond the last message where markers or compacted messages fill the gap. */
		if (m->offset > p->next)
			p->next = range_of(l, p)->next = m->offset;
	}
	else if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET && p != NULL)
		lost_offset(s, p);
	else if (txp_kafka_is_lasting(m->err))
	{
		txp_kafka_fail(&s->kafka, m->err, s->topic);
		s->failed = true;
	}
	else if (m->err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		s->kafka.trouble = m->err;
	else if (m->err != RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
		txp_log(s->channel, LOG_WARNING, "librdkafka: %s", rd_kafka_message_errstr(m));
}

/* Takes one message over: it becomes part of a batch or is destroyed. */
static void
take(Loop *l, rd_kafka_message_t *m)
{
	TxpStream *s = l->s;
	TxpPartition *p = NULL;

	if (m->partition >= 0 && m->partition < s->npartitions && s->partition[m->partition].next >= 0)
		p = &s->partition[m->partition];
	if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR && p != NULL && m->offset >= p->next)
	{
		take_message(l, p, m);
		return;
	}
	if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		take_error(l, p, m);
	rd_kafka_message_destroy(m);
}

/* Waits for messages, at most so long, and fetches what is there. */
static void
fetch(Loop *l, int wait_ms)
{
	ssize_t n;

	l->nfetched = l->taken = 0;
	if (l->batch_since == 0)
	{
		/* The first message after an idle time is taken at once. */
		rd_kafka_message_t *m = rd_kafka_consume_queue(l->s->queue, wait_ms);

		if (m == NULL)
			return;
		l->fetched[l->nfetched++] = m;
		wait_ms = 0;
	}
	n = rd_kafka_consume_batch_queue(l->s->queue, wait_ms, l->fetched + l->nfetched,
									 FETCH - l->nfetched);
	if (n > 0)
		l->nfetched += (size_t) n;
}

static void
take_mail(Loop *l, int wait_ms)
{
	TxpMail *mail;

	while (!l->s->failed && (mail = txp_channel_mail(l->s->channel, wait_ms)) != NULL)
	{
		l->s->failed = !txp_window_mail(&l->s->window, mail);
		txp_mail_free(mail);
		wait_ms = 0;
	}
}

/* End of a partition as the last fetch told it; -1: not known yet. */
static int64_t
known_end(const TxpStream *s, int32_t partition)
{
	int64_t low;
	int64_t high = -1;

	if (rd_kafka_get_watermark_offsets(s->kafka.rk, s->topic, partition, &low, &high) || high < 0)
		return -1;
	return high;
}

static void
emit(Loop *l)
{
	TxpBatch *batch = txp_window_open(&l->s->window);

	for (uint32_t i = 0; i < batch->nranges; i++)
	{
		TxpRange *range = &batch->range[i];

		range->end = known_end(l->s, range->partition);
		if (range->end >= 0 && range->end < range->next)
			range->end = range->next;
		l->s->partition[range->partition].end_told = range->end;
	}
	txp_window_emit(&l->s->window, l->s->decoder);
	l->batch_since = 0;
	l->stopped = l->stopping;
}

/* Tells the ends that moved without a batch; all of them when a trouble is over. */
static void
tell_ends(Loop *l, bool all)
{
	TxpStream *s = l->s;
	TxdBuf frame = {0};
	uint32_t n = 0;

	txp_put_u32(&frame, 0);
	for (int i = 0; i < s->npartitions; i++)
	{
		TxpPartition *p = &s->partition[i];
		int64_t end = p->next < 0 ? -1 : known_end(s, i);

		if (end < 0 || (end == p->end_told && !all))
			continue;
		txp_put_u32(&frame, 0);
		txp_put_i32(&frame, i);
		txp_put_i64(&frame, end);
		p->end_told = end;
		n++;
	}
	memcpy(frame.data, &n, sizeof(n));
	if (n > 0 || all)
		txp_send(s->channel, TXP_ENDS, 0, &frame);
	else
		txd_buf_free(&frame);
}

/* While the brokers are away nothing tells that they are back: ask. */
static bool
brokers_answer(TxpStream *s)
{
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(s->kafka.rk, s->topic, NULL);
	const struct rd_kafka_metadata *md;
	rd_kafka_resp_err_t err = rd_kafka_metadata(s->kafka.rk, 0, rkt, &md, PROBE_MS);

	if (!err)
		rd_kafka_metadata_destroy(md);
	rd_kafka_topic_destroy(rkt);
	return !err;
}

static void
tick(Loop *l)
{
	TxpStream *s = l->s;
	bool over = false;

	if (txp_kafka_is_lasting(s->kafka.trouble))
	{
		txp_kafka_fail(&s->kafka, s->kafka.trouble, s->topic);
		s->failed = true;
		return;
	}
	if (txp_now_ms() < l->next_tick)
		return;
	if (s->kafka.trouble != RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		tell_trouble(l, s->kafka.trouble_text);
		over = brokers_answer(s);
		if (over)
		{
			s->kafka.trouble = RD_KAFKA_RESP_ERR_NO_ERROR;
			l->trouble_told = false;
		}
	}
	tell_ends(l, over);
	l->next_tick = txp_now_ms() + TICK_MS;
}

static bool
assign(TxpStream *s, const TxpMail *start)
{
	TxpReader r = txp_reader(start->data, start->header.size);
	uint32_t n = txp_read_count(&r, 32);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int) n);
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;

	for (uint32_t i = 0; i < n; i++)
	{
		uint32_t topic = txp_read_u32(&r);
		int32_t partition = txp_read_i32(&r);
		int64_t next = txp_read_i64(&r);

		for (int skipped = 0; skipped < 2; skipped++)
			(void) txp_read_i64(&r);
		if (topic != 0 || partition < 0 || partition >= s->npartitions || next < 0)
		{
			err = RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
			break;
		}
		s->partition[partition].next = next;
		rd_kafka_topic_partition_list_add(list, s->topic, partition)->offset = next;
	}
	rd_kafka_poll_set_consumer(s->kafka.rk);
	s->queue = rd_kafka_queue_get_consumer(s->kafka.rk);
	if (!err)
		err = rd_kafka_assign(s->kafka.rk, list);
	if (err)
		txp_kafka_fail(&s->kafka, err, s->topic);
	rd_kafka_topic_partition_list_destroy(list);
	return !err;
}

/* How long the next fetch may wait. */
static int
patience(const Loop *l)
{
	int64_t left;

	if (l->batch_since == 0)
		return TICK_MS;
	if (l->s->window.unacked > 0)
		return GATHER_MS;
	left = l->batch_since + l->s->linger_ms - txp_now_ms();
	return left < 0 ? 0 : left < TICK_MS ? (int) left : TICK_MS;
}

static bool
is_due(const Loop *l)
{
	const TxpWindow *w = &l->s->window;

	if (l->batch_since == 0)
		return false;
	return txp_window_full(w) || l->stopping ||
		   (w->unacked == 0 && txp_now_ms() >= l->batch_since + l->s->linger_ms);
}

static void
step(Loop *l)
{
	bool window_full = l->s->window.unacked == TXP_WINDOW || l->stopped;

	take_mail(l, window_full ? TICK_MS : 0);
	if (l->s->failed || l->stopped || l->s->window.unacked == TXP_WINDOW)
	{
		/* Nothing to do before the server has committed, or at all. */
	}
	else if (is_due(l))
		emit(l);
	else if (l->taken < l->nfetched)
	{
		while (l->taken < l->nfetched && !l->s->failed && !l->stopping &&
			   !txp_window_full(&l->s->window))
			take(l, l->fetched[l->taken++]);
	}
	else
		fetch(l, patience(l));
	if (!l->s->failed)
		tick(l);
}

void
txp_stream_consume(TxpStream *s, const TxpMail *start)
{
	Loop l = {.s = s};

	if (!assign(s, start))
		s->failed = true;
	else
		txp_channel_set_wake(s->channel, wake_queue, s->queue);
	while (!s->failed && !txp_channel_ended(s->channel))
		step(&l);
	txp_channel_set_wake(s->channel, NULL, NULL);
	while (l.taken < l.nfetched)
		rd_kafka_message_destroy(l.fetched[l.taken++]);
	if (s->queue != NULL)
		rd_kafka_queue_destroy(s->queue);
}
