/*
 * kafka.h — a librdkafka client: its configuration, its troubles, questions to the brokers.
 */
#ifndef TXP_KAFKA_H
#define TXP_KAFKA_H

#include <librdkafka/rdkafka.h>

#include "channel.h"
#include "clock.h"
#include "life.h"
#include "show.h"
#include "wire.h"

/* Lives where it is made and must not move: librdkafka's callbacks point to it. */
typedef struct TxpKafka
{
	TxpChannel *channel;
	bool answers; /* errors are a request's answer */
	bool shared;  /* by streams: its log is the process's, and answers about metadata are counted */
	atomic_uint heard; /* of those, so far */
	TxpLife life;      /* of a shared one */
	void (*on_delivery)(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque); /* or NULL */
	rd_kafka_t *rk;
	char servers[200];           /* bootstrap.servers, for error messages */
	rd_kafka_resp_err_t trouble; /* last error of the client as a whole, 0: none */
	char trouble_text[500];      /* the last reason given, of one broker or of all */
} TxpKafka;

/* A property set over, or (when `weak`) under, those of the server side. */
typedef struct TxpProperty
{
	bool weak;
	const char *name;
	const char *value;
} TxpProperty;

/* The properties at the reader, which goes on behind them. */
extern TxpReader txp_kafka_properties(TxpReader *r);

/*
 * Makes a client from the properties at the reader, which are wiped from the frame, and from `own`, ended by
 * a NULL name. On failure an ERROR has been sent.
 */
extern bool txp_kafka_open(TxpKafka *k, TxpChannel *channel, rd_kafka_type_t type, TxpReader *r,
						   const TxpProperty *own);
extern void txp_kafka_close(TxpKafka *k);

/* Sends ERROR (fatal) for what librdkafka reported; topic may be NULL. */
extern void txp_kafka_fail(TxpKafka *k, rd_kafka_resp_err_t err, const char *topic);

/* True for errors that trying again does not cure. */
extern bool txp_kafka_is_lasting(rd_kafka_resp_err_t err);

/*
 * Metadata of all topics; with `topic`, *found is its entry, good to work with. Tries until the deadline.
 * NULL: an ERROR has been sent, or the channel has ended. All topics are asked for since a question for one
 * may create it: brokers before 0.11 ignore the wish that they do not. unseen.h tells why one is not there.
 */
extern const struct rd_kafka_metadata *
txp_kafka_metadata(TxpKafka *k, const char *topic, int64_t deadline,
				   const struct rd_kafka_metadata_topic **found);

/*
 * Sets every offset of the list to its partition's position: `at` is RD_KAFKA_OFFSET_BEGINNING, _END, or
 * Unix milliseconds (then -1 (END) where no message is that young). One request for each broker.
 */
extern rd_kafka_resp_err_t txp_kafka_positions(TxpKafka *k, rd_kafka_topic_partition_list_t *list,
											   int64_t at, int64_t deadline);

#endif
