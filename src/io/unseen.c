/*
 * unseen.c — why a topic is not among those the brokers list: it is missing, or the user may not see it.
 *
 * The list leaves out what the user may not see; the answer to a question for one topic tells. But brokers
 * before 0.11 may create the topic they are asked for, so they are not: the same version brought the request
 * for a topic's configuration, which creates nothing.
 */
#include "unseen.h"

/* True when the brokers refuse to tell the topic's configuration, which those before 0.11 cannot. */
static bool
is_refused(rd_kafka_t *rk, const char *topic, int timeout_ms)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_AdminOptions_t *options =
		rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	rd_kafka_ConfigResource_t *question =
		rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
	const rd_kafka_ConfigResource_t **answers;
	rd_kafka_event_t *event;
	bool refused = false;
	size_t n = 0;

	rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, NULL, 0);
	rd_kafka_DescribeConfigs(rk, &question, 1, options, queue);
	event = rd_kafka_queue_poll(queue, timeout_ms);
	if (event != NULL && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		answers = rd_kafka_DescribeConfigs_result_resources(
			rd_kafka_event_DescribeConfigs_result(event), &n);
		refused = n == 1 && rd_kafka_ConfigResource_error(answers[0]) ==
								RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
	}
	if (event != NULL)
		rd_kafka_event_destroy(event);
	rd_kafka_ConfigResource_destroy(question);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(queue);
	return refused;
}

rd_kafka_resp_err_t
txp_unseen_reason(rd_kafka_t *rk, const char *topic, int timeout_ms)
{
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
	const struct rd_kafka_metadata *md;
	rd_kafka_topic_t *rkt;

	if (!is_refused(rk, topic, timeout_ms) || (rkt = rd_kafka_topic_new(rk, topic, NULL)) == NULL)
		return err;
	if (rd_kafka_metadata(rk, 0, rkt, &md, timeout_ms) == RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		if (md->topic_cnt == 1 && md->topics[0].err != RD_KAFKA_RESP_ERR_NO_ERROR)
			err = md->topics[0].err;
		rd_kafka_metadata_destroy(md);
	}
	rd_kafka_topic_destroy(rkt);
	return err;
}
