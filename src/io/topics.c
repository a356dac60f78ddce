/*
 * topics.c — the topics of a stream: found, numbered, told to the server, and gone.
 */
#include <stdlib.h>
#include <syslog.h>

#include "link.h"
#include "put.h"
#include "stream.h"
#include "unseen.h"

#define ASK_MS 5000    /* for an answer about partitions that are new */
#define RETRY_MS 1000  /* then later, */
#define REST 4         /* times as long as the question took at least */
#define SICK_MS 3000   /* of errors before they are told, */
#define AGAIN_MS 10000 /* and between two times; so long without any, and they are over */
#define PAUSE_MS 100   /* between questions of a stream that is being opened */

void
txp_stream_fail(TxpStream *s, rd_kafka_resp_err_t err, const char *topic)
{
	txp_kafka_fail(&s->kafka, err, topic);
	s->failed = true;
}

/* The partitions of the topics seen that the server was not told of. */
static rd_kafka_topic_partition_list_t *
list_new_places(const TxpStream *s)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);

	for (int t = 0; t < s->news.nsights; t++)
	{
		int told = t < s->ntopics ? s->topic[t].npartitions : 0;

		for (int p = told; p < s->news.sight[t].partitions; p++)
			rd_kafka_topic_partition_list_add(list, s->news.sight[t].name, p);
	}
	return list;
}

/* Makes the stream's topics what was seen: numbered as they are there. */
static void
adopt_places(TxpStream *s)
{
	s->topic = txd_realloc(s->topic, ((size_t) s->news.nsights + 1) * sizeof(TxpTopic));
	for (int t = 0; t < s->news.nsights; t++)
	{
		const TxpSight *sight = &s->news.sight[t];
		TxpTopic *topic = &s->topic[t];

		if (t >= s->ntopics)
			*topic = (TxpTopic){.name = sight->name};
		topic->rkt = sight->rkt;
		topic->partition =
			txd_realloc(topic->partition, ((size_t) sight->partitions + 1) * sizeof(TxpPartition));
		for (; topic->npartitions < sight->partitions; topic->npartitions++)
			topic->partition[topic->npartitions] = (TxpPartition){.last = -1, .end_told = -1};
	}
	s->ntopics = s->news.nsights;
}

static void
send_partitions(TxpStream *s, const rd_kafka_topic_partition_list_t *low,
				const rd_kafka_topic_partition_list_t *high,
				const rd_kafka_topic_partition_list_t *start)
{
	TxdBuf frame = {0};
	uint32_t topic = 0;

	txp_put_u32(&frame, (uint32_t) s->ntopics);
	for (int t = 0; t < s->ntopics; t++)
	{
		const TxpTopicId *id = &s->news.sight[t].id;
		bool known = txp_topic_id_is_known(id);

		txp_put_str(&frame, s->topic[t].name);
		txp_put_opt(&frame, known ? id->byte : NULL, known ? sizeof(id->byte) : 0);
	}
	txp_put_u32(&frame, (uint32_t) low->cnt);
	for (int i = 0; i < low->cnt; i++)
	{
		int32_t partition = low->elems[i].partition;
		int64_t at = start->elems[i].offset;

		while (strcmp(s->topic[topic].name, low->elems[i].topic) != 0)
			topic++;
		txp_put_u32(&frame, topic);
		txp_put_i32(&frame, partition);
		txp_put_i64(&frame, low->elems[i].offset);
		txp_put_i64(&frame, high->elems[i].offset);
		txp_put_i64(&frame, at >= 0 ? at : high->elems[i].offset);
		s->topic[topic].partition[partition].end_told = high->elems[i].offset;
	}
	txp_send(s->channel, TXP_PARTITIONS, 0, &frame);
}

typedef struct Question
{
	TxpKafka *k;
	rd_kafka_topic_partition_list_t *list;
	int64_t deadline;
	rd_kafka_resp_err_t err;
} Question;

static void *
ask_high(void *arg)
{
	Question *q = arg;

	q->err = txp_kafka_positions(q->k, q->list, RD_KAFKA_OFFSET_END, q->deadline);
	return NULL;
}

/* Both at once: each answer comes after the fetch that is under way. */
static rd_kafka_resp_err_t
ask_ends(TxpKafka *k, rd_kafka_topic_partition_list_t *low, rd_kafka_topic_partition_list_t *high,
		 int64_t deadline)
{
	Question question = {k, high, deadline, RD_KAFKA_RESP_ERR_NO_ERROR};
	rd_kafka_resp_err_t err;
	pthread_t thread;

	if (pthread_create(&thread, NULL, ask_high, &question) != 0)
		txp_give_up("cannot create a thread");
	err = txp_kafka_positions(k, low, RD_KAFKA_OFFSET_BEGINNING, deadline);
	pthread_join(thread, NULL);
	return err ? err : question.err;
}

/* Asks for both ends and the start of all partitions in the list, and sends PARTITIONS. */
static rd_kafka_resp_err_t
tell_places(TxpStream *s, rd_kafka_topic_partition_list_t *low, int64_t deadline)
{
	rd_kafka_topic_partition_list_t *high = rd_kafka_topic_partition_list_copy(low);
	rd_kafka_topic_partition_list_t *young = rd_kafka_topic_partition_list_copy(low);
	/* What appears while the stream runs is new: all of it is read. */
	int32_t kind = s->told ? TXP_START_EARLIEST : s->start_kind;
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;

	if (low->cnt > 0)
		err = ask_ends(&s->kafka, low, high, deadline);
	if (low->cnt > 0 && !err && kind == TXP_START_TIMESTAMP)
		err = txp_kafka_positions(&s->kafka, young, s->start_timestamp, deadline);
	if (!err)
	{
		adopt_places(s);
		send_partitions(s, low, high,
						kind == TXP_START_TIMESTAMP ? young
						: kind == TXP_START_LATEST  ? high
													: low);
		s->told = true;
	}
	rd_kafka_topic_partition_list_destroy(high);
	rd_kafka_topic_partition_list_destroy(young);
	return err;
}

/* Why a topic cannot be read, of the first such; no error when all can. */
static rd_kafka_resp_err_t
first_error(const TxpStream *s, const char **topic)
{
	*topic = s->topics;
	for (int t = 0; t < s->news.nsights; t++)
	{
		if (s->news.sight[t].partitions > 0)
			continue;
		*topic = s->news.sight[t].name;
		return s->news.sight[t].err;
	}
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* Waits for the scout's answer. */
static bool
await_answer(TxpStream *s, int64_t deadline)
{
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__TIMED_OUT;
	const char *topic = s->topics;
	int64_t left;

	while (!s->news.answered && (left = deadline - txp_now_ms()) > 0)
	{
		txp_mail_free(txp_channel_mail(s->channel, (int) left));
		if (txp_channel_ended(s->channel))
			return false;
		(void) txp_use_news(s->use, &s->kafka, &s->news);
		if (txp_kafka_is_lasting(s->kafka.trouble))
			break;
	}
	if (s->news.answered)
		err = first_error(s, &topic);
	if (err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		err = txp_unseen_reason(s->kafka.rk, topic, ASK_MS);
	if (!err)
		return true;
	txp_stream_fail(s, txp_kafka_is_lasting(s->kafka.trouble) ? RD_KAFKA_RESP_ERR__TRANSPORT : err,
					topic);
	return false;
}

bool
txp_topics_open(TxpStream *s)
{
	int64_t deadline = txp_now_ms() + s->timeout_ms;
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t err;

	if (!await_answer(s, deadline))
		return false;
	list = list_new_places(s);
	while ((err = tell_places(s, list, deadline)) != RD_KAFKA_RESP_ERR_NO_ERROR &&
		   !txp_kafka_is_lasting(err) && txp_now_ms() < deadline)
	{
		txp_mail_free(txp_channel_mail(s->channel, PAUSE_MS));
		if (txp_channel_ended(s->channel))
			break;
	}
	rd_kafka_topic_partition_list_destroy(list);
	if (err == RD_KAFKA_RESP_ERR__TIMED_OUT)
		txp_client_distrust(s->use);
	if (err && !txp_channel_ended(s->channel))
		txp_stream_fail(s, err, s->topics);
	return !err;
}

/* A topic that vanished, or that was made anew after the last look. */
static void
look_at_topic(TxpStream *s, TxpTopic *topic, const TxpSight *sight)
{
	if (sight->anew)
	{
		txp_error(s->channel,
				  (TxpError){.fatal = true,
							 .sqlstate = "55000",
							 .hint = "The stream is opened again, and compares what it finds with "
									 "what it has read."},
				  "topic \"%s\" was deleted and created anew", topic->name);
		s->failed = true;
	}
	else if (sight->gone && !topic->gone_told && !s->use->is_pattern)
	{
		txp_error(s->channel,
				  (TxpError){.sqlstate = "42704",
							 .hint = "The stream goes on when the topic is there again; name the "
									 "stream's topics without it, or drop the stream."},
				  "topic \"%s\" does not exist any more", topic->name);
	}
	topic->gone_told = sight->gone;
}

/* A state worth showing: once until it is over. */
static void
tell_trouble(TxpStream *s)
{
	if (txp_kafka_is_lasting(s->kafka.trouble))
		txp_stream_fail(s, s->kafka.trouble, s->topics);
	else if (!s->trouble_told)
		txp_error(s->channel,
				  (TxpError){.sqlstate = "08006",
							 .detail = s->kafka.trouble_text,
							 .hint = "The stream goes on by itself when the brokers answer again."},
				  "the Kafka brokers at \"%s\" do not answer", s->kafka.servers);
	s->trouble_told = true;
}

void
txp_topics_tell_again(TxpStream *s)
{
	if (!s->trouble_told)
		return;
	s->trouble_told = false;
	tell_trouble(s);
}

int64_t
txp_topics_known_end(const TxpStream *s, uint32_t topic, int32_t partition)
{
	int64_t low;
	int64_t high = -1;

	if (rd_kafka_get_watermark_offsets(s->kafka.rk, s->topic[topic].name, partition, &low, &high) ||
		high < 0 || !txp_use_is_sure(s->use))
		return -1;
	return high;
}

/* Tells the ends that moved without a batch; all of them when a trouble is over. */
static void
tell_ends(TxpStream *s, bool all)
{
	TxdBuf frame = {0};
	uint32_t n = 0;

	txp_put_u32(&frame, 0);
	for (int t = 0; t < s->ntopics; t++)
	{
		for (int i = 0; i < s->topic[t].npartitions; i++)
		{
			TxpPartition *p = &s->topic[t].partition[i];
			int64_t end =
				p->state == TXP_PLACE_READING ? txp_topics_known_end(s, (uint32_t) t, i) : -1;

			if (end < 0 || (end == p->end_told && !all))
				continue;
			txp_put_u32(&frame, (uint32_t) t);
			txp_put_i32(&frame, i);
			txp_put_i64(&frame, end);
			p->end_told = end;
			n++;
		}
	}
	memcpy(frame.data, &n, sizeof(n));
	txp_put_u8(&frame, !txp_registry_is_awaited(s->registry));
	if (n > 0 || all)
		txp_send(s->channel, TXP_ENDS, 0, &frame);
	else
		txd_buf_free(&frame);
}

void
txp_topics_ask_later(TxpStream *s, int64_t asked)
{
	int64_t now = txp_now_ms();

	s->retry = now + RETRY_MS + REST * (now - asked);
}

void
txp_topics_sick(TxpStream *s, const rd_kafka_message_t *m)
{
	const char *topic = m->rkt == NULL ? s->topics : rd_kafka_topic_name(m->rkt);
	int64_t now = txp_now_ms();

	if (s->sick_since == 0)
	{
		s->sick_since = now;
		txp_log(s->channel, LOG_WARNING, "librdkafka: %s", rd_kafka_message_errstr(m));
	}
	s->sick_seen = now;
	if (now < s->sick_since + SICK_MS || (s->sick_told != 0 && now < s->sick_told + AGAIN_MS))
		return;
	s->sick_told = now;
	txp_error(s->channel,
			  (TxpError){.sqlstate = "08006",
						 .detail = rd_kafka_message_errstr(m),
						 .hint = "It is tried again and again. When the messages there are broken, "
								 "seek_stream goes on behind them."},
			  "partition %d of topic \"%s\" cannot be read from offset %lld", m->partition, topic,
			  (long long) m->offset);
}

/* No error for a while: they are over. */
static void
look_whether_well(TxpStream *s)
{
	if (s->sick_since == 0 || txp_now_ms() < s->sick_seen + AGAIN_MS)
		return;
	if (s->sick_told != 0)
		tell_ends(s, true);
	s->sick_since = s->sick_told = 0;
}

int64_t
txp_topics_due(const TxpStream *s)
{
	int64_t due = s->retry;

	if (s->sick_since != 0 && (due == 0 || s->sick_seen + AGAIN_MS < due))
		due = s->sick_seen + AGAIN_MS;
	return due;
}

/* Partitions found while the stream runs; what the brokers do not answer now is asked again later. */
static void
look_for_places(TxpStream *s)
{
	rd_kafka_topic_partition_list_t *list = list_new_places(s);
	int64_t asked = txp_now_ms();

	if (list->cnt > 0 && tell_places(s, list, asked + ASK_MS))
		txp_topics_ask_later(s, asked);
	rd_kafka_topic_partition_list_destroy(list);
}

void
txp_topics_news(TxpStream *s)
{
	bool news = txp_use_news(s->use, &s->kafka, &s->news);
	bool due = s->retry != 0 && txp_now_ms() >= s->retry;

	look_whether_well(s);
	if (!news && !due)
		return;
	/* A question that waits is not asked with each news. */
	if (due || (news && s->news.is_back))
		s->retry = 0;
	if (s->retry == 0)
		look_for_places(s);
	for (int t = 0; t < s->ntopics && !s->failed; t++)
		look_at_topic(s, &s->topic[t], &s->news.sight[t]);
	if (!news || s->failed)
		return;
	if (s->kafka.trouble != RD_KAFKA_RESP_ERR_NO_ERROR)
		tell_trouble(s);
	tell_ends(s, s->news.is_back && s->trouble_told);
	if (s->kafka.trouble == RD_KAFKA_RESP_ERR_NO_ERROR)
		s->trouble_told = false;
}
