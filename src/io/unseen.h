/*
 * unseen.h — why a topic is not among those the brokers list.
 */
#ifndef TXP_UNSEEN_H
#define TXP_UNSEEN_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

/* RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, or what the brokers say when asked for this topic. */
extern rd_kafka_resp_err_t txp_unseen_reason(rd_kafka_t *rk, const char *topic, int timeout_ms);

#endif
