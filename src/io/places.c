/*
 * places.c — partitions of a stream: where reading begins, whether what is there is what was read before, and
 * what became of those whose offsets are gone.
 */
#include "link.h"
#include "put.h"
#include "stream.h"

#define ASK_MS 5000 /* for the watermarks of a partition that is lost */
#define ENTRY_BYTES 32
#define NUDGED 8 /* places asked for at once to wake brokers */

static void
fetch_from(TxpStream *s, uint32_t topic, int32_t partition, int64_t offset)
{
	TxpPartition *p = txp_stream_place(s, topic, partition);

	if (rd_kafka_consume_start_queue(s->topic[topic].rkt, partition, offset, s->queue))
		txp_stream_fail(s, rd_kafka_last_error(), s->topic[topic].name);
	else
		p->state = TXP_PLACE_READING;
}

/* Messages of it that librdkafka still holds are dropped there. */
static void
stop(TxpStream *s, uint32_t topic, int32_t partition, TxpPlaceState state)
{
	TxpPartition *p = txp_stream_place(s, topic, partition);

	if (p->state == TXP_PLACE_READING)
		rd_kafka_consume_stop(s->topic[topic].rkt, partition);
	if (p->state == TXP_PLACE_LOST || p->state == TXP_PLACE_OTHER)
		s->unsettled--;
	if (state == TXP_PLACE_LOST || state == TXP_PLACE_OTHER)
		s->unsettled++;
	p->state = state;
}

bool
txp_places_start(TxpStream *s, const TxpMail *mail)
{
	TxpReader r = txp_reader(mail->data, mail->header.size);
	uint32_t n = txp_read_count(&r, ENTRY_BYTES);

	for (uint32_t i = 0; i < n && !s->failed; i++)
	{
		uint32_t topic = txp_read_u32(&r);
		int32_t partition = txp_read_i32(&r);
		int64_t next = txp_read_i64(&r);
		int64_t last = txp_read_i64(&r);
		int64_t hash = txp_read_i64(&r);
		TxpPartition *p = txp_stream_place(s, topic, partition);

		if (p == NULL || next < 0 || last >= next)
			return false;
		stop(s, topic, partition, TXP_PLACE_IDLE);
		p->next = next;
		p->last = last >= 0 ? last : -1;
		p->last_hash = hash;
		fetch_from(s, topic, partition, last >= 0 ? last : next);
	}
	return !r.bad && r.p == r.end;
}

void
txp_places_stop(TxpStream *s)
{
	for (int t = 0; t < s->ntopics; t++)
	{
		for (int p = 0; p < s->topic[t].npartitions; p++)
			stop(s, (uint32_t) t, p, TXP_PLACE_IDLE);
	}
}

TxpPartition *
txp_places_of(TxpStream *s, const rd_kafka_message_t *m, uint32_t *topic)
{
	const char *name = m->rkt == NULL ? NULL : rd_kafka_topic_name(m->rkt);
	TxpPartition *p;

	/* Messages come in runs of one topic. */
	for (int i = 0; i < s->ntopics && name != NULL; i++)
	{
		int t = (s->last_topic + i) % s->ntopics;

		if (strcmp(s->topic[t].name, name) != 0)
			continue;
		s->last_topic = t;
		*topic = (uint32_t) t;
		p = txp_stream_place(s, (uint32_t) t, m->partition);
		return p != NULL && p->state == TXP_PLACE_READING ? p : NULL;
	}
	return NULL;
}

static void
send_verdict(TxpStream *s, uint32_t topic, int32_t partition, TxpVerdict verdict, int64_t low,
			 int64_t high)
{
	TxdBuf frame = {0};

	txp_put_u32(&frame, topic);
	txp_put_i32(&frame, partition);
	txp_put_u8(&frame, (uint8_t) verdict);
	txp_put_i64(&frame, low);
	txp_put_i64(&frame, high);
	txp_send(s->channel, TXP_VERIFIED, 0, &frame);
}

/* A verdict with the watermarks as the last fetch told them. */
static void
settle(TxpStream *s, uint32_t topic, int32_t partition, TxpVerdict verdict)
{
	int64_t low = -1;
	int64_t high = -1;

	(void) rd_kafka_get_watermark_offsets(s->kafka.rk, s->topic[topic].name, partition, &low,
										  &high);
	send_verdict(s, topic, partition, verdict, low, high);
	txp_stream_place(s, topic, partition)->last = -1;
}

bool
txp_places_verify(TxpStream *s, uint32_t topic, const rd_kafka_message_t *m)
{
	TxpPartition *p = txp_stream_place(s, topic, m->partition);
	TxpVerdict verdict = TXP_GONE;

	if (p->last >= 0)
	{
		if (m->offset == p->last)
			verdict = txp_message_hash(m) == p->last_hash ? TXP_SAME : TXP_OTHER;
		if (verdict == TXP_OTHER)
		{
			stop(s, topic, m->partition, TXP_PLACE_OTHER);
			return false;
		}
		settle(s, topic, m->partition, verdict);
	}
	return m->offset >= p->next;
}

void
txp_places_verify_end(TxpStream *s, uint32_t topic, int32_t partition)
{
	if (txp_stream_place(s, topic, partition)->last >= 0)
		settle(s, topic, partition, TXP_GONE);
}

void
txp_places_out_of_range(TxpStream *s, uint32_t topic, int32_t partition)
{
	TxpPartition *p = txp_stream_place(s, topic, partition);

	if (p->last < 0)
	{
		stop(s, topic, partition, TXP_PLACE_LOST);
		return;
	}
	/* Only the record read last is known to be gone; the next may be there. */
	settle(s, topic, partition, TXP_GONE);
	stop(s, topic, partition, TXP_PLACE_IDLE);
	fetch_from(s, topic, partition, p->next);
}

/* The watermarks as they are now; false when the brokers do not tell. */
static bool
ask_watermarks(TxpStream *s, uint32_t topic, int32_t partition, int64_t *low, int64_t *high)
{
	int64_t asked = txp_now_ms();
	rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(s->kafka.rk, s->topic[topic].name,
															   partition, low, high, ASK_MS);

	if (err)
		txp_topics_ask_later(s, asked);
	return !err;
}

static void
tell_fate(TxpStream *s, uint32_t topic, int32_t partition)
{
	TxpPartition *p = txp_stream_place(s, topic, partition);
	TxdBuf frame = {0};
	int64_t low;
	int64_t high;

	if (!ask_watermarks(s, topic, partition, &low, &high))
		return;
	if (p->state == TXP_PLACE_OTHER)
		send_verdict(s, topic, partition, TXP_OTHER, low, high);
	else
	{
		txp_put_u32(&frame, topic);
		txp_put_i32(&frame, partition);
		txp_put_i64(&frame, p->next);
		txp_put_i64(&frame, low);
		txp_put_i64(&frame, high);
		txp_send(s->channel, TXP_LOST, 0, &frame);
	}
	stop(s, topic, partition, TXP_PLACE_IDLE);
}

/* Is no record of it in a batch that is open or unacknowledged? */
static bool
is_settled(const TxpStream *s, const TxpPartition *p)
{
	return p->range_seq + (uint32_t) s->window.unacked <= s->window.last_seq;
}

void
txp_places_tell(TxpStream *s)
{
	for (int t = 0; t < s->ntopics && s->unsettled > 0; t++)
	{
		for (int i = 0; i < s->topic[t].npartitions && s->retry == 0; i++)
		{
			const TxpPartition *p = &s->topic[t].partition[i];

			if (p->state == TXP_PLACE_OTHER || (p->state == TXP_PLACE_LOST && is_settled(s, p)))
				tell_fate(s, (uint32_t) t, i);
		}
	}
}

void
txp_places_nudge(TxpStream *s)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(NUDGED);
	unsigned n = 0;
	unsigned first;

	for (int t = 0; t < s->ntopics; t++)
		n += (unsigned) s->topic[t].npartitions;
	first = n == 0 ? 0 : s->nudged % n;
	n = 0;
	for (int t = 0; t < s->ntopics; t++)
	{
		for (int p = 0; p < s->topic[t].npartitions; p++, n++)
		{
			if (n >= first && list->cnt < NUDGED &&
				s->topic[t].partition[p].state == TXP_PLACE_READING)
				rd_kafka_topic_partition_list_add(list, s->topic[t].name, p)->offset =
					RD_KAFKA_OFFSET_END;
		}
	}
	s->nudged = first + NUDGED;
	/* One request for each leader; the answers are of no interest. */
	if (list->cnt > 0)
		(void) rd_kafka_offsets_for_times(s->kafka.rk, list, 0);
	rd_kafka_topic_partition_list_destroy(list);
}
