/*
 * request.c — TOPICS, PRODUCE and PRODUCE_ALL: one question to the brokers, one answer.
 */
#include <stdlib.h>

#include "encode.h"
#include "handlers.h"
#include "kafka.h"
#include "link.h"
#include "put.h"

static const TxpProperty reader_properties[] = {{false, "allow.auto.create.topics", "false"},
												{false, "isolation.level", "read_uncommitted"},
												{false, NULL, NULL}};

/* Idempotence implies acks=all, and retries that neither duplicate nor reorder. */
static const TxpProperty writer_properties[] = {{false, "enable.idempotence", "true"},
												{false, "allow.auto.create.topics", "false"},
												{false, "linger.ms", "0"},
												{false, NULL, NULL}};

static void
broken_frame(TxpChannel *channel)
{
	txp_error(channel, (TxpError){.fatal = true, .answer = true, .sqlstate = "08P01"},
			  "the frame of a request is broken");
}

static char *
span_text(TxpSpan span)
{
	char *text = txd_alloc(span.len + 1);

	memcpy(text, span.data, span.len);
	text[span.len] = '\0';
	return text;
}

/* Topics of the brokers' own, such as __consumer_offsets, are not listed unless asked for. */
static bool
is_listed(const struct rd_kafka_metadata_topic *t, const char *wanted)
{
	if (wanted != NULL)
		return strcmp(t->topic, wanted) == 0;
	return strncmp(t->topic, "__", 2) != 0 && t->err == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* Messages of each listed topic: the sum of high - low, all partitions asked together. */
static bool
send_topics(TxpKafka *k, const struct rd_kafka_metadata *md, const char *wanted, int64_t deadline)
{
	rd_kafka_topic_partition_list_t *low = rd_kafka_topic_partition_list_new(64);
	rd_kafka_topic_partition_list_t *high;
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
	TxdBuf frame = {0};
	uint32_t n = 0;
	int at = 0;

	for (int t = 0; t < md->topic_cnt; t++)
	{
		for (int p = 0; is_listed(&md->topics[t], wanted) && p < md->topics[t].partition_cnt; p++)
			rd_kafka_topic_partition_list_add(low, md->topics[t].topic, p);
	}
	high = rd_kafka_topic_partition_list_copy(low);
	if (low->cnt > 0)
		err = txp_kafka_positions(k, low, RD_KAFKA_OFFSET_BEGINNING, deadline);
	if (low->cnt > 0 && !err)
		err = txp_kafka_positions(k, high, RD_KAFKA_OFFSET_END, deadline);
	txp_put_u32(&frame, 0);
	for (int t = 0; t < md->topic_cnt && !err; t++)
	{
		int64_t messages = 0;

		if (!is_listed(&md->topics[t], wanted))
			continue;
		for (int p = 0; p < md->topics[t].partition_cnt; p++, at++)
			messages += high->elems[at].offset - low->elems[at].offset;
		txp_put_str(&frame, md->topics[t].topic);
		txp_put_i32(&frame, md->topics[t].partition_cnt);
		txp_put_i64(&frame, messages);
		n++;
	}
	memcpy(frame.data, &n, sizeof(n));
	if (err)
	{
		txd_buf_free(&frame);
		txp_kafka_fail(k, err, wanted);
	}
	else
		txp_answer(k->channel, TXP_TOPIC_LIST, &frame);
	rd_kafka_topic_partition_list_destroy(low);
	rd_kafka_topic_partition_list_destroy(high);
	return !err;
}

void
txp_topics_main(TxpChannel *channel, TxpMail *opening)
{
	TxpReader r = txp_reader(opening->data, opening->header.size);
	TxpKafka k = {.answers = true};
	const struct rd_kafka_metadata_topic *found;
	const struct rd_kafka_metadata *md;
	char *wanted = NULL;
	int64_t deadline;
	TxpSpan topic;

	if (!txp_kafka_open(&k, channel, RD_KAFKA_CONSUMER, &r, reader_properties))
		return;
	topic = txp_read_span(&r);
	deadline = txp_now_ms() + txp_read_u32(&r);
	if (r.bad || r.p != r.end)
		broken_frame(channel);
	else
	{
		if (topic.data != NULL)
			wanted = span_text(topic);
		md = txp_kafka_metadata(&k, wanted, deadline, &found);
		if (md != NULL)
		{
			send_topics(&k, md, wanted, deadline);
			rd_kafka_metadata_destroy(md);
		}
	}
	free(wanted);
	txp_kafka_close(&k);
}

typedef struct Delivery
{
	bool done;
	rd_kafka_resp_err_t err;
	int32_t partition;
	int64_t offset;
	char *why; /* it was not sent, or NULL */
} Delivery;

typedef struct Produce
{
	TxpEncodings *encodings;
	char *topic;
	int32_t partition;
	TxpSpan key;
	TxpSpan value;
	rd_kafka_headers_t *headers;
	uint32_t timeout; /* ms, for the brokers */
} Produce;

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	Delivery *d = m->_private;

	(void) rk;
	(void) opaque;
	*d = (Delivery){.done = true, .err = m->err, .partition = m->partition, .offset = m->offset};
}

static rd_kafka_headers_t *
unpack_headers(TxpReader *r)
{
	uint32_t n = txp_read_count(r, 2 * sizeof(uint32_t));
	rd_kafka_headers_t *headers = rd_kafka_headers_new(n);

	for (uint32_t i = 0; i < n && !r->bad; i++)
	{
		TxpSpan name = txp_read_span(r);
		TxpSpan value = txp_read_span(r);

		r->bad |= name.data == NULL;
		if (!r->bad)
			rd_kafka_header_add(headers, name.data, name.len, value.data,
								value.data == NULL ? -1 : (ssize_t) value.len);
	}
	return headers;
}

static bool
unpack(Produce *p, TxpReader *r, TxpChannel *channel)
{
	TxpSpan topic;

	p->encodings = txp_encodings_read(r, channel);
	topic = txp_read_span(r);
	p->partition = txp_read_i32(r);
	p->key = txp_read_span(r);
	p->value = txp_read_span(r);
	p->headers = unpack_headers(r);
	p->timeout = txp_read_u32(r);
	if (r->bad || r->p != r->end || topic.data == NULL || p->partition < -1)
		return false;
	p->topic = span_text(topic);
	return true;
}

static void
not_acknowledged(TxpKafka *k, const char *topic)
{
	txp_error(k->channel,
			  (TxpError){.fatal = true,
						 .answer = true,
						 .sqlstate = "08006",
						 .hint = "It may have been written all the same: look with txpipe.peek "
								 "before it is sent again."},
			  "the Kafka brokers at \"%s\" did not acknowledge the message to topic \"%s\" in time",
			  k->servers, topic);
}

/* Sends the message and waits for the broker's word; a missing topic is found before, not made. */
static void
produce(TxpKafka *k, Produce *p)
{
	const struct rd_kafka_metadata_topic *found;
	int64_t deadline = txp_now_ms() + p->timeout;
	const struct rd_kafka_metadata *md = txp_kafka_metadata(k, p->topic, deadline, &found);
	Delivery d = {.err = RD_KAFKA_RESP_ERR__TIMED_OUT};
	TxdBuf frame = {0};
	rd_kafka_resp_err_t err;

	if (md == NULL)
		return;
	rd_kafka_metadata_destroy(md);
	err = rd_kafka_producev(k->rk, RD_KAFKA_V_TOPIC(p->topic), RD_KAFKA_V_PARTITION(p->partition),
							RD_KAFKA_V_KEY(p->key.data, p->key.len),
							RD_KAFKA_V_VALUE((void *) p->value.data, p->value.len),
							RD_KAFKA_V_HEADERS(p->headers), RD_KAFKA_V_OPAQUE(&d), RD_KAFKA_V_END);
	if (err)
	{
		txp_kafka_fail(k, err, p->topic);
		return;
	}
	p->headers = NULL; /* the message's now */
	while (!d.done && txp_now_ms() < deadline && !txp_channel_ended(k->channel))
		rd_kafka_poll(k->rk, 100);
	if (!d.done || d.err)
	{
		if (d.done || k->trouble)
			txp_kafka_fail(k, d.err, p->topic);
		else
			not_acknowledged(k, p->topic);
		/* The delivery report of a message given up must not find our stack gone. */
		rd_kafka_purge(k->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
		for (int i = 0; i < 50 && !d.done; i++)
			rd_kafka_poll(k->rk, 100);
		return;
	}
	txp_put_i32(&frame, d.partition);
	txp_put_i64(&frame, d.offset);
	txp_answer(k->channel, TXP_PRODUCED, &frame);
}

/* By the first encoding, where there is one. False: it is not to be sent, which has been answered. */
static bool
encode(TxpKafka *k, Produce *p)
{
	TxpUnsent why;

	if (!txp_encodings_open(p->encodings))
		return false;
	if (txp_encode(p->encodings, 0, &p->key, &p->value, &why))
		return true;
	txp_error(k->channel,
			  (TxpError){.fatal = true,
						 .answer = true,
						 .sqlstate = why.sqlstate,
						 .detail = why.detail[0] != '\0' ? why.detail : NULL,
						 .hint = why.hint},
			  "%s", why.message);
	return false;
}

void
txp_produce_main(TxpChannel *channel, TxpMail *opening)
{
	TxpReader r = txp_reader(opening->data, opening->header.size);
	TxpKafka k = {.answers = true, .on_delivery = on_delivery};
	Produce p = {0};

	if (!txp_kafka_open(&k, channel, RD_KAFKA_PRODUCER, &r, writer_properties))
		return;
	if (!unpack(&p, &r, channel))
		broken_frame(channel);
	else if (encode(&k, &p))
		produce(&k, &p);
	if (p.headers != NULL)
		rd_kafka_headers_destroy(p.headers);
	txp_encodings_free(p.encodings);
	free(p.topic);
	txp_kafka_close(&k);
}

/* Delivery reports of messages given up must not find the memory gone. */
static void
give_up(TxpKafka *k, const Delivery *deliveries, uint32_t n)
{
	rd_kafka_purge(k->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	for (uint32_t i = 0, polls = 0; i < n && polls < 50;)
	{
		if (deliveries[i].done)
			i++;
		else
		{
			rd_kafka_poll(k->rk, 100);
			polls++;
		}
	}
}

static TxpDelivered
verdict(const Delivery *d)
{
	if (d->why != NULL)
		return TXP_REFUSED;
	switch (d->err)
	{
		case RD_KAFKA_RESP_ERR_NO_ERROR:
			return TXP_DELIVERED;
		case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
		case RD_KAFKA_RESP_ERR_INVALID_MSG:
		case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
		case RD_KAFKA_RESP_ERR_INVALID_RECORD:
		case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
			return TXP_REFUSED;
		default:
			return TXP_NOT_NOW;
	}
}

static void
answer_all(TxpKafka *k, const Delivery *deliveries, uint32_t n)
{
	TxdBuf frame = {0};

	txp_put_u32(&frame, n);
	for (uint32_t i = 0; i < n; i++)
	{
		TxpDelivered how = verdict(&deliveries[i]);

		txp_put_u8(&frame, how);
		txp_put_str(&frame, how == TXP_DELIVERED        ? NULL
							: deliveries[i].why != NULL ? deliveries[i].why
														: rd_kafka_err2str(deliveries[i].err));
	}
	txp_answer(k->channel, TXP_PRODUCED_ALL, &frame);
}

/* Hands a message over, or notes why it is not to be sent. */
static void
send_one(TxpKafka *k, const char *topic, TxpEncodings *encodings, TxpReader *r, Delivery *delivery)
{
	TxpSpan key = txp_read_span(r);
	TxpSpan value = txp_read_span(r);
	uint32_t encoding = txp_read_u32(r);
	rd_kafka_headers_t *headers = unpack_headers(r);
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__INVALID_ARG;
	TxpUnsent why = {0};

	if (!r->bad && !txp_encode(encodings, encoding, &key, &value, &why))
	{
		size_t size = sizeof(why.message) + sizeof(why.detail) + 2;

		delivery->why = txd_alloc(size);
		snprintf(delivery->why, size, "%s%s%s", why.message, why.detail[0] != '\0' ? ": " : "",
				 why.detail);
	}
	else if (!r->bad)
		err =
			rd_kafka_producev(k->rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(key.data, key.len),
							  RD_KAFKA_V_VALUE((void *) value.data, value.len),
							  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_HEADERS(headers),
							  RD_KAFKA_V_OPAQUE(delivery), RD_KAFKA_V_END);
	if (err)
	{
		rd_kafka_headers_destroy(headers);
		delivery->done = true;
		delivery->err = err;
	}
}

/* Each message is its topic's next; those that were not taken are done, with the reason. */
static bool
send_all(TxpKafka *k, const char *topic, TxpEncodings *encodings, TxpReader *r,
		 Delivery *deliveries, uint32_t n, int64_t until)
{
	for (uint32_t i = 0; i < n; i++)
	{
		if (i > 0 && (txp_now_ms() >= until || txp_channel_ended(k->channel)))
			deliveries[i].done = true; /* another time */
		else
			send_one(k, topic, encodings, r, &deliveries[i]);
	}
	return !r->bad;
}

static void
wait_for_all(TxpKafka *k, const Delivery *deliveries, uint32_t n, int64_t deadline)
{
	for (uint32_t i = 0; i < n;)
	{
		if (deliveries[i].done)
			i++;
		else if (txp_now_ms() < deadline && !txp_channel_ended(k->channel))
			rd_kafka_poll(k->rk, 100);
		else
			return;
	}
}

/* The timeout stands behind the messages. */
static uint32_t
read_timeout(const TxpReader *r)
{
	TxpReader end = *r;
	uint32_t size = sizeof(uint32_t);

	if (end.end - end.p < (ptrdiff_t) size)
		return 0;
	end.p = end.end - size;
	return txp_read_u32(&end);
}

/* Sends what the frame has, waits, and answers. */
static void
produce_all(TxpKafka *k, const char *topic, TxpEncodings *encodings, TxpReader *r, uint32_t n,
			int64_t deadline)
{
	Delivery *deliveries = txd_alloc(sizeof(Delivery) * (n + 1));

	for (uint32_t i = 0; i < n; i++)
		deliveries[i] = (Delivery){.err = RD_KAFKA_RESP_ERR__TIMED_OUT};
	/* What is slow to encode leaves time for acknowledgements. */
	if (send_all(k, topic, encodings, r, deliveries, n, (txp_now_ms() + deadline) / 2))
	{
		wait_for_all(k, deliveries, n, deadline);
		answer_all(k, deliveries, n);
	}
	else
		broken_frame(k->channel);
	give_up(k, deliveries, n);
	for (uint32_t i = 0; i < n; i++)
		free(deliveries[i].why);
	free(deliveries);
}

void
txp_produce_all_main(TxpChannel *channel, TxpMail *opening)
{
	TxpReader r = txp_reader(opening->data, opening->header.size);
	TxpKafka k = {.answers = true, .on_delivery = on_delivery};
	const struct rd_kafka_metadata_topic *found;
	const struct rd_kafka_metadata *md = NULL;
	TxpEncodings *encodings;
	char *topic = NULL;
	uint32_t timeout;
	int64_t deadline = 0;
	TxpSpan span;
	uint32_t n;

	if (!txp_kafka_open(&k, channel, RD_KAFKA_PRODUCER, &r, writer_properties))
		return;
	encodings = txp_encodings_read(&r, channel);
	span = txp_read_span(&r);
	timeout = read_timeout(&r);
	n = txp_read_count(&r, 4 * sizeof(uint32_t));
	if (r.bad || span.data == NULL)
		broken_frame(channel);
	else if (txp_encodings_open(encodings))
	{
		/* The brokers have that time; a registry had its own. */
		deadline = txp_now_ms() + timeout;
		topic = span_text(span);
		md = txp_kafka_metadata(&k, topic, deadline, &found);
	}
	if (md != NULL)
	{
		rd_kafka_metadata_destroy(md);
		produce_all(&k, topic, encodings, &r, n, deadline);
	}
	txp_kafka_close(&k);
	txp_encodings_free(encodings);
	free(topic);
}
