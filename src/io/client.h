/*
 * client.h — librdkafka clients that streams share, and the topics those streams read.
 *
 * One client serves all streams with equal properties, as long as no two of them read one topic; a stream
 * with a pattern has a client of its own. A thread for each client, its scout, asks for metadata, hears of
 * the client's troubles, and tells each stream what changed by waking its channel's thread; it also ends the
 * client, so that nobody else waits for brokers that do not answer.
 */
#ifndef TXP_CLIENT_H
#define TXP_CLIENT_H

#include "use.h"

typedef struct TxpClient TxpClient;

/* What txp_use_news copies for the stream's thread. */
typedef struct TxpNews
{
	bool answered;
	bool is_back;
	int nsights;
	TxpSight *sight;
} TxpNews;

/*
 * Finds or makes the client for the properties at the reader (which are wiped from the frame) and joins it:
 * topics is a list "a,b" or a pattern "^…". `k` becomes the stream's view of it. NULL: an ERROR has been sent.
 */
extern TxpUse *txp_client_join(TxpKafka *k, TxpChannel *channel, TxpReader *properties,
							   const TxpProperty *own, const char *topics);

/* All partitions have been stopped, all messages are destroyed. Never waits for brokers. */
extern void txp_client_leave(TxpUse *use);

/*
 * Brokers tell of the stream's topics, but what its client is asked about their partitions is never answered: librdkafka 2.4 to 2.9
 * may lose a topic whose id has changed (its issue 4964). Streams that open from now on get another client, unless this one is new.
 */
extern void txp_client_distrust(TxpUse *use);

/*
 * Is all that was fetched until now of the topics whose ids were told? False while librdkafka may have taken up another
 * topic of the same name, which the brokers are asked then: news come when it has not. Always true where nobody tells ids.
 */
extern bool txp_use_is_sure(TxpUse *use);

/* Copies what is new, and the client's trouble into k; false when nothing is. */
extern bool txp_use_news(TxpUse *use, TxpKafka *k, TxpNews *news);

#endif
