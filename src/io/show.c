/*
 * show.c — asking brokers for topics.
 */
#include <stdlib.h>
#include <string.h>

#include "../decode/buf.h"
#include "show.h"

#define FIRST_WITH_IDS 0x020300ff
#define METADATA_KEY 3 /* of the protocol's requests */

bool
txp_topic_id_is_known(const TxpTopicId *id)
{
	static const TxpTopicId none;

	return memcmp(id, &none, sizeof(none)) != 0;
}

/* Who answered, if it is known by its id yet, else any. */
static int32_t
choose_broker(const struct rd_kafka_metadata *md)
{
	static atomic_uint turn;

	if (md->orig_broker_id >= 0 || md->broker_cnt == 0)
		return md->orig_broker_id;
	return md->brokers[atomic_fetch_add(&turn, 1) % (unsigned) md->broker_cnt].id;
}

rd_kafka_resp_err_t
txp_show_list(rd_kafka_t *rk, bool all, int timeout_ms, TxpShow *show)
{
	rd_kafka_resp_err_t err;

	*show = (TxpShow){.all = all};
	err = rd_kafka_metadata(rk, all, NULL, &show->md, timeout_ms);
	if (err)
		return err;
	show->broker = choose_broker(show->md);
	show->n = show->md->topic_cnt;
	show->topic = txd_alloc(((size_t) show->n + 1) * sizeof(TxpShown));
	for (int i = 0; i < show->n; i++)
	{
		const struct rd_kafka_metadata_topic *t = &show->md->topics[i];

		show->topic[i] = (TxpShown){t->topic, t->err, t->partition_cnt, {{0}}};
	}
	return err;
}

void
txp_show_free(TxpShow *show)
{
	if (show->md != NULL)
		rd_kafka_metadata_destroy(show->md);
	if (show->event != NULL)
		rd_kafka_event_destroy(show->event);
	free(show->topic);
	*show = (TxpShow){0};
}

#if RD_KAFKA_VERSION >= FIRST_WITH_IDS

bool
txp_show_has_ids(void)
{
	return rd_kafka_version() >= FIRST_WITH_IDS;
}

/* An answer passes the thread of its broker and then librdkafka's main thread, which takes it in: it counts in the first. */
static _Thread_local bool is_main;

static rd_kafka_resp_err_t
on_thread(rd_kafka_t *rk, rd_kafka_thread_type_t type, const char *name, void *heard)
{
	(void) rk, (void) name, (void) heard;
	is_main = type == RD_KAFKA_THREAD_MAIN;
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t
on_response(rd_kafka_t *rk, int sockfd, const char *broker_name, int32_t broker, int16_t key,
			int16_t version, int32_t correlation, size_t size, int64_t rtt, rd_kafka_resp_err_t err,
			void *heard)
{
	(void) rk, (void) sockfd, (void) broker_name, (void) broker, (void) version;
	(void) correlation, (void) size, (void) rtt, (void) err;
	if (key == METADATA_KEY && !is_main)
		atomic_fetch_add((atomic_uint *) heard, 1);
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t
on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *heard, char *reason, size_t size)
{
	rd_kafka_resp_err_t err;

	(void) conf, (void) reason, (void) size;
	err = rd_kafka_interceptor_add_on_thread_start(rk, "txpipe", on_thread, heard);
	return err ? err
			   : rd_kafka_interceptor_add_on_response_received(rk, "txpipe", on_response, heard);
}

void
txp_show_count(rd_kafka_conf_t *conf, atomic_uint *heard)
{
	(void) rd_kafka_conf_interceptor_add_on_new(conf, "txpipe", on_new, heard);
}

static TxpTopicId
id_of(const rd_kafka_Uuid_t *uuid)
{
	uint64_t half[] = {(uint64_t) rd_kafka_Uuid_most_significant_bits(uuid),
					   (uint64_t) rd_kafka_Uuid_least_significant_bits(uuid)};
	TxpTopicId id;

	for (int i = 0; i < TXP_TOPIC_ID_BYTES; i++)
		id.byte[i] = (unsigned char) (half[i / 8] >> (56 - 8 * (i % 8)));
	return id;
}

/* Waits for the answer, and keeps it. */
static rd_kafka_resp_err_t
take_answer(rd_kafka_queue_t *queue, int timeout_ms, TxpShow *show)
{
	rd_kafka_resp_err_t err;

	show->event = rd_kafka_queue_poll(queue, timeout_ms);
	if (show->event == NULL)
		return RD_KAFKA_RESP_ERR__TIMED_OUT;
	err = rd_kafka_event_error(show->event);
	if (err)
		txp_show_free(show);
	return err;
}

static void
read_answer(TxpShow *show)
{
	size_t n = 0;
	const rd_kafka_TopicDescription_t **topics = rd_kafka_DescribeTopics_result_topics(
		rd_kafka_event_DescribeTopics_result(show->event), &n);

	show->topic = txd_alloc((n + 1) * sizeof(TxpShown));
	for (size_t i = 0; i < n; i++)
	{
		TxpShown *shown = &show->topic[show->n];
		size_t partitions = 0;

		if (topics[i] == NULL)
			continue;
		(void) rd_kafka_TopicDescription_partitions(topics[i], &partitions);
		*shown = (TxpShown){
			.name = rd_kafka_TopicDescription_name(topics[i]),
			.err = rd_kafka_error_code(rd_kafka_TopicDescription_error(topics[i])),
			.partitions = (int) partitions,
			.id = id_of(rd_kafka_TopicDescription_topic_id(topics[i])),
		};
		show->n++;
	}
}

rd_kafka_resp_err_t
txp_show_named(rd_kafka_t *rk, int32_t broker, const char **names, size_t n, int timeout_ms,
			   TxpShow *show)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_AdminOptions_t *options =
		rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
	rd_kafka_TopicCollection_t *topics = rd_kafka_TopicCollection_of_topic_names(names, n);
	rd_kafka_resp_err_t err;

	*show = (TxpShow){.with_ids = true};
	(void) rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, NULL, 0);
	(void) rd_kafka_AdminOptions_set_broker(options, broker, NULL, 0);
	rd_kafka_DescribeTopics(rk, topics, options, queue);
	err = take_answer(queue, timeout_ms, show);
	if (!err)
		read_answer(show);
	rd_kafka_TopicCollection_destroy(topics);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(queue);
	return err;
}

#else

bool
txp_show_has_ids(void)
{
	return false;
}

void
txp_show_count(rd_kafka_conf_t *conf, atomic_uint *heard)
{
	(void) conf, (void) heard;
}

rd_kafka_resp_err_t
txp_show_named(rd_kafka_t *rk, int32_t broker, const char **names, size_t n, int timeout_ms,
			   TxpShow *show)
{
	(void) rk, (void) broker, (void) names, (void) n, (void) timeout_ms, (void) show;
	return RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE;
}

#endif
