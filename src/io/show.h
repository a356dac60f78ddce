/*
 * show.h — what brokers show of topics: whether they are there, how many partitions they have, and their ids.
 *
 * A topic that is deleted and created anew has another id. librdkafka tells ids from 2.3 on, brokers have them from 2.8 on.
 * From Kafka 3.1 on librdkafka names what it fetches by its topic's id, and learns another id only from an answer to a
 * question for metadata: so these are counted.
 */
#ifndef TXP_SHOW_H
#define TXP_SHOW_H

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>
#include <stdbool.h>

#define TXP_TOPIC_ID_BYTES 16

/* As Kafka writes it, all 0: not known. */
typedef struct TxpTopicId
{
	unsigned char byte[TXP_TOPIC_ID_BYTES];
} TxpTopicId;

typedef struct TxpShown
{
	const char *name;
	rd_kafka_resp_err_t err;
	int partitions;
	TxpTopicId id;
} TxpShown;

typedef struct TxpShow
{
	bool all;       /* it lists every topic there is */
	bool with_ids;  /* as far as the brokers have some */
	int32_t broker; /* one to be asked more: who answered, where that is known; -1: there is none */
	int n;
	TxpShown *topic;
	const struct rd_kafka_metadata *md; /* the names are of this, */
	rd_kafka_event_t *event;            /* or of this */
} TxpShow;

/* Does librdkafka tell ids? */
extern bool txp_show_has_ids(void);

extern bool txp_topic_id_is_known(const TxpTopicId *id);

/* Counts in *heard the answers about metadata that a client made of conf gets, before it takes them in. */
extern void txp_show_count(rd_kafka_conf_t *conf, atomic_uint *heard);

/* The topics librdkafka knows, or all; without ids. To be freed when there was no error. */
extern rd_kafka_resp_err_t txp_show_list(rd_kafka_t *rk, bool all, int timeout_ms, TxpShow *show);

/* The topics named, each once, with their ids: one question to one broker, since not all clusters have a controller to ask. */
extern rd_kafka_resp_err_t txp_show_named(rd_kafka_t *rk, int32_t broker, const char **names,
										  size_t n, int timeout_ms, TxpShow *show);

extern void txp_show_free(TxpShow *show);

#endif
