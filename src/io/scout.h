/*
 * scout.h — a shared client, as client.c and its scout (scout.c) see it.
 *
 * One lock covers the table of clients, the uses and what is told to them. It is never held while brokers are asked, nor
 * by callbacks of librdkafka.
 */
#ifndef TXP_SCOUT_H
#define TXP_SCOUT_H

#include "client.h"

#define TXP_CLIENT_DIGEST 32

struct TxpClient
{
	TxpClient *next;
	unsigned char digest[TXP_CLIENT_DIGEST]; /* of the properties */
	TxpKafka kafka; /* the scout's; its trouble is what the callbacks heard */
	rd_kafka_queue_t *callbacks;
	int64_t failing_since; /* no question has been answered; 0: the last one was */
	bool quick;
	int32_t broker;   /* the one that is asked for ids; -1: none is known to answer */
	atomic_uint sure; /* how many answers about metadata changed no topic's id */
	TxpUse *uses;     /* under lock, as all below */
	int nuses;
	int64_t made; /* when */
	bool listed;  /* in the table: open to further streams */
	bool ending;
	int64_t next_ask;
	int slice_ms;
	rd_kafka_resp_err_t trouble; /* as told to the uses */
	char trouble_text[sizeof(((TxpKafka *) NULL)->trouble_text)];
};

extern pthread_mutex_t txp_clients_lock;

/* Takes the client out of the table: no stream joins it any more. With the lock held. */
extern void txp_client_unlist(TxpClient *c);

/* Has no answer about metadata come that could have changed a topic's id? */
extern bool txp_client_is_sure(const TxpClient *c);

/* The scout's thread, which ends the client. */
extern void *txp_scout_main(void *client);

/* Lets it ask again at once. With the lock held. */
extern void txp_scout_hurry(TxpClient *c);

#endif
