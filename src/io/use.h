/*
 * use.h — a stream's part in a shared client: the topics it asked for, and what metadata show of them.
 *
 * All of it belongs to the lock of client.c.
 */
#ifndef TXP_USE_H
#define TXP_USE_H

#include <regex.h>
#include <stdatomic.h>

#include "kafka.h"

/* What is known of a topic. */
typedef struct TxpSight
{
	char *name;
	rd_kafka_topic_t *rkt;
	rd_kafka_resp_err_t err; /* while there are no partitions */
	int partitions;          /* the most ever told; 0: none yet */
	int missed;              /* metadata in a row without it */
	bool gone;               /* missed too often: it was deleted */
	bool anew;               /* it came back after that, with fewer partitions or another id */
	TxpTopicId id;           /* as first told */
	int64_t end;             /* sum of its partitions' ends as last heard */
} TxpSight;

typedef struct TxpUse
{
	struct TxpUse *next;
	struct TxpClient *client;
	TxpChannel *channel;
	int64_t joined; /* when */
	bool is_pattern;
	regex_t pattern;
	atomic_bool news;
	bool asked;  /* brokers were asked since it joined */
	bool unsure; /* it is to be told when the client is sure again */
	bool answered;
	bool is_back;    /* a trouble of the client is over */
	int nsights;     /* in the order of discovery; those of a list are all there from the start */
	TxpSight *sight; /* names and handles live as long as the use */
} TxpUse;

/* topics is a list "a,b" or a pattern "^…". NULL: an ERROR has been sent. */
extern TxpUse *txp_use_make(TxpChannel *channel, const char *topics);
extern void txp_use_free(TxpUse *use);

extern bool txp_use_has(const TxpUse *use, const char *topic);

/* Takes in what brokers show. True when that is news. */
extern bool txp_use_show(TxpUse *use, rd_kafka_t *rk, const TxpShow *show);

#endif
