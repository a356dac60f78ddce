/*
 * fake_kafka.c — what of librdkafka the child's requests call, for fuzz_frame.c: two topics whose messages are all
 * delivered, no thread, no socket. In the place of the child's own modules it has streams that get no messages.
 */
#include <stdarg.h>
#include <stdlib.h>

#include "io/put.h"
#include "io/stream.h"
#include "io/unseen.h"

#define FAKE_TOPICS 2
#define FAKE_PARTITIONS 3

struct rd_kafka_s
{
	void *opaque;
	void (*on_delivery)(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque);
};

struct rd_kafka_conf_s
{
	struct rd_kafka_s made;
};

struct rd_kafka_headers_s
{
	TxdBuf bytes;
};

struct rd_kafka_topic_s
{
	const char *name;
};

static struct rd_kafka_metadata_partition partitions[FAKE_PARTITIONS] = {
	{.id = 0}, {.id = 1}, {.id = 2}};
static struct rd_kafka_metadata_topic topics[FAKE_TOPICS] = {
	{.topic = "a", .partition_cnt = FAKE_PARTITIONS, .partitions = partitions},
	{.topic = "b", .partition_cnt = 1, .partitions = partitions}};
static struct rd_kafka_metadata metadata = {.topic_cnt = FAKE_TOPICS, .topics = topics};
static struct rd_kafka_topic_s handles[FAKE_TOPICS] = {{"a"}, {"b"}};

/* --- configuration and clients --- */

rd_kafka_conf_t *
rd_kafka_conf_new(void)
{
	return calloc(1, sizeof(rd_kafka_conf_t));
}

void
rd_kafka_conf_destroy(rd_kafka_conf_t *conf)
{
	free(conf);
}

rd_kafka_conf_t *
rd_kafka_conf_dup(const rd_kafka_conf_t *conf)
{
	rd_kafka_conf_t *copy = rd_kafka_conf_new();

	*copy = *conf;
	return copy;
}

int
rd_kafka_version(void)
{
	return RD_KAFKA_VERSION;
}

bool
txp_show_has_ids(void)
{
	return false;
}

rd_kafka_conf_res_t
rd_kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value, char *reason,
				  size_t size)
{
	(void) conf;
	if (name[0] == 'x')
		return RD_KAFKA_CONF_UNKNOWN;
	if (value == NULL || value[0] != 'x')
		return RD_KAFKA_CONF_OK;
	snprintf(reason, size, "Invalid value \"%s\" for \"%s\"", value, name);
	return RD_KAFKA_CONF_INVALID;
}

void
rd_kafka_conf_set_opaque(rd_kafka_conf_t *conf, void *opaque)
{
	conf->made.opaque = opaque;
}

void
rd_kafka_conf_set_log_cb(rd_kafka_conf_t *conf,
						 void (*log_cb)(const rd_kafka_t *, int, const char *, const char *))
{
	(void) conf;
	(void) log_cb;
}

void
rd_kafka_conf_set_error_cb(rd_kafka_conf_t *conf,
						   void (*error_cb)(rd_kafka_t *, int, const char *, void *))
{
	(void) conf;
	(void) error_cb;
}

void
rd_kafka_conf_set_dr_msg_cb(rd_kafka_conf_t *conf,
							void (*dr_msg_cb)(rd_kafka_t *, const rd_kafka_message_t *, void *))
{
	conf->made.on_delivery = dr_msg_cb;
}

rd_kafka_t *
rd_kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *reason, size_t size)
{
	rd_kafka_t *rk = malloc(sizeof(*rk));

	(void) type;
	(void) reason;
	(void) size;
	*rk = conf->made;
	free(conf);
	return rk;
}

void
rd_kafka_destroy_flags(rd_kafka_t *rk, int flags)
{
	(void) flags;
	free(rk);
}

void
rd_kafka_destroy(rd_kafka_t *rk)
{
	free(rk);
}

void *
rd_kafka_opaque(const rd_kafka_t *rk)
{
	return rk->opaque;
}

int
rd_kafka_poll(rd_kafka_t *rk, int timeout_ms)
{
	(void) rk;
	(void) timeout_ms;
	return 0;
}

rd_kafka_resp_err_t
rd_kafka_purge(rd_kafka_t *rk, int flags)
{
	(void) rk;
	(void) flags;
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

const char *
rd_kafka_err2str(rd_kafka_resp_err_t err)
{
	return err == RD_KAFKA_RESP_ERR_NO_ERROR ? "Success" : "Failure";
}

rd_kafka_resp_err_t
rd_kafka_fatal_error(rd_kafka_t *rk, char *text, size_t size)
{
	(void) rk;
	snprintf(text, size, "none");
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t
rd_kafka_last_error(void)
{
	return RD_KAFKA_RESP_ERR__INVALID_ARG;
}

/* --- questions --- */

rd_kafka_resp_err_t
rd_kafka_metadata(rd_kafka_t *rk, int all, rd_kafka_topic_t *only,
				  const struct rd_kafka_metadata **found, int timeout_ms)
{
	(void) rk;
	(void) all;
	(void) only;
	(void) timeout_ms;
	*found = &metadata;
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

void
rd_kafka_metadata_destroy(const struct rd_kafka_metadata *md)
{
	(void) md;
}

rd_kafka_resp_err_t
txp_unseen_reason(rd_kafka_t *rk, const char *topic, int timeout_ms)
{
	(void) rk;
	(void) topic;
	(void) timeout_ms;
	return RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

rd_kafka_topic_partition_list_t *
rd_kafka_topic_partition_list_new(int size)
{
	(void) size;
	return calloc(1, sizeof(rd_kafka_topic_partition_list_t));
}

rd_kafka_topic_partition_t *
rd_kafka_topic_partition_list_add(rd_kafka_topic_partition_list_t *list, const char *topic,
								  int32_t partition)
{
	list->elems = txd_realloc(list->elems, (size_t) (list->cnt + 1) * sizeof(*list->elems));
	list->elems[list->cnt] =
		(rd_kafka_topic_partition_t){.topic = strdup(topic), .partition = partition};
	return &list->elems[list->cnt++];
}

rd_kafka_topic_partition_list_t *
rd_kafka_topic_partition_list_copy(const rd_kafka_topic_partition_list_t *from)
{
	rd_kafka_topic_partition_list_t *copy = rd_kafka_topic_partition_list_new(from->cnt);

	for (int i = 0; i < from->cnt; i++)
		rd_kafka_topic_partition_list_add(copy, from->elems[i].topic, from->elems[i].partition);
	return copy;
}

void
rd_kafka_topic_partition_list_destroy(rd_kafka_topic_partition_list_t *list)
{
	for (int i = 0; i < list->cnt; i++)
		free(list->elems[i].topic);
	free(list->elems);
	free(list);
}

rd_kafka_resp_err_t
rd_kafka_offsets_for_times(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list, int timeout_ms)
{
	(void) rk;
	(void) timeout_ms;
	for (int i = 0; i < list->cnt; i++)
		list->elems[i].offset += 10;
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t
rd_kafka_query_watermark_offsets(rd_kafka_t *rk, const char *topic, int32_t partition, int64_t *low,
								 int64_t *high, int timeout_ms)
{
	(void) timeout_ms;
	return rd_kafka_get_watermark_offsets(rk, topic, partition, low, high);
}

rd_kafka_resp_err_t
rd_kafka_get_watermark_offsets(rd_kafka_t *rk, const char *topic, int32_t partition, int64_t *low,
							   int64_t *high)
{
	(void) rk;
	(void) topic;
	(void) partition;
	*low = 0;
	*high = 10;
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* --- messages --- */

rd_kafka_headers_t *
rd_kafka_headers_new(size_t n)
{
	(void) n;
	return calloc(1, sizeof(rd_kafka_headers_t));
}

rd_kafka_resp_err_t
rd_kafka_header_add(rd_kafka_headers_t *headers, const char *name, ssize_t name_len,
					const void *value, ssize_t len)
{
	txd_buf_append(&headers->bytes, name, (size_t) name_len);
	txd_buf_append(&headers->bytes, value, len > 0 ? (size_t) len : 0);
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

void
rd_kafka_headers_destroy(rd_kafka_headers_t *headers)
{
	txd_buf_free(&headers->bytes);
	free(headers);
}

/* Reads all of the message; delivers it at once, unless its value begins with an x. */
rd_kafka_resp_err_t
rd_kafka_producev(rd_kafka_t *rk, ...)
{
	rd_kafka_message_t m = {.err = RD_KAFKA_RESP_ERR_NO_ERROR};
	rd_kafka_headers_t *headers = NULL;
	TxdBuf read = {0};
	va_list args;
	int what;

	va_start(args, rk);
	while ((what = va_arg(args, int)) != RD_KAFKA_VTYPE_END)
	{
		if (what == RD_KAFKA_VTYPE_TOPIC)
			(void) va_arg(args, const char *);
		else if (what == RD_KAFKA_VTYPE_PARTITION)
			m.partition = va_arg(args, int32_t);
		else if (what == RD_KAFKA_VTYPE_MSGFLAGS)
			(void) va_arg(args, int);
		else if (what == RD_KAFKA_VTYPE_HEADERS)
			headers = va_arg(args, rd_kafka_headers_t *);
		else if (what == RD_KAFKA_VTYPE_OPAQUE)
			m._private = va_arg(args, void *);
		else
		{
			m.payload = va_arg(args, void *);
			m.len = va_arg(args, size_t);
			txd_buf_append(&read, m.payload, m.len);
		}
	}
	va_end(args);
	txd_buf_free(&read);
	if (m.len > 0 && *(char *) m.payload == 'x')
		return RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
	rd_kafka_headers_destroy(headers);
	rk->on_delivery(rk, &m, NULL);
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

void
rd_kafka_message_destroy(rd_kafka_message_t *m)
{
	(void) m;
}

int64_t
rd_kafka_message_timestamp(const rd_kafka_message_t *m, rd_kafka_timestamp_type_t *type)
{
	(void) m;
	(void) type;
	return -1;
}

size_t
txp_headers_bytes(const rd_kafka_message_t *m)
{
	(void) m;
	return 0;
}

bool
txp_headers_json(const rd_kafka_message_t *m, TxdBuf *out)
{
	(void) m;
	(void) out;
	return false;
}

const char *
rd_kafka_topic_name(const rd_kafka_topic_t *topic)
{
	return topic->name;
}

/* --- streams --- */

rd_kafka_queue_t *
rd_kafka_queue_new(rd_kafka_t *rk)
{
	(void) rk;
	return NULL;
}

void
rd_kafka_queue_destroy(rd_kafka_queue_t *queue)
{
	(void) queue;
}

int
rd_kafka_consume_start_queue(rd_kafka_topic_t *topic, int32_t partition, int64_t offset,
							 rd_kafka_queue_t *queue)
{
	(void) topic;
	(void) queue;
	return partition > FAKE_PARTITIONS || offset < 0 ? -1 : 0;
}

int
rd_kafka_consume_stop(rd_kafka_topic_t *topic, int32_t partition)
{
	(void) topic;
	(void) partition;
	return 0;
}

TxpUse *
txp_client_join(TxpKafka *k, TxpChannel *channel, TxpReader *properties, const TxpProperty *own,
				const char *names)
{
	(void) names;
	return txp_kafka_open(k, channel, RD_KAFKA_CONSUMER, properties, own) ? (TxpUse *) k : NULL;
}

void
txp_client_leave(TxpUse *use)
{
	txp_kafka_close((TxpKafka *) use);
}

bool
txp_topics_open(TxpStream *s)
{
	s->ntopics = FAKE_TOPICS;
	s->topic = calloc(FAKE_TOPICS, sizeof(TxpTopic));
	for (int t = 0; t < FAKE_TOPICS; t++)
	{
		s->topic[t] = (TxpTopic){
			.name = topics[t].topic, .rkt = &handles[t], .npartitions = topics[t].partition_cnt};
		s->topic[t].partition = calloc((size_t) topics[t].partition_cnt, sizeof(TxpPartition));
	}
	return true;
}

void
txp_stream_fail(TxpStream *s, rd_kafka_resp_err_t err, const char *topic)
{
	txp_kafka_fail(&s->kafka, err, topic);
	s->failed = true;
}

void
txp_topics_ask_later(TxpStream *s, int64_t asked)
{
	(void) s;
	(void) asked;
}

void
txp_stream_consume(TxpStream *s)
{
	while (!s->failed && !txp_channel_ended(s->channel))
	{
		TxpMail *mail = txp_channel_mail(s->channel, 60000);

		if (mail != NULL && mail->header.type == TXP_STREAM_START)
			s->failed = !txp_places_start(s, mail);
		else if (mail != NULL)
			s->failed = !txp_window_mail(&s->window, mail);
		if (!s->failed && s->window.unacked < TXP_WINDOW)
			txp_window_emit(&s->window, s->decoder, true);
		txp_mail_free(mail);
	}
	txp_places_stop(s);
}
