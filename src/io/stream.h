/*
 * stream.h — a stream in the child: opened (stream.c), its topics found (topics.c), its partitions started
 * and compared (places.c), its messages made batches (consume.c).
 */
#ifndef TXP_STREAM_H
#define TXP_STREAM_H

#include "batch.h"
#include "client.h"
#include "pace.h"
#include "registry.h"
#include "schema.h"

typedef enum TxpPlaceState
{
	TXP_PLACE_IDLE,    /* not read */
	TXP_PLACE_READING, /* being fetched */
	TXP_PLACE_LOST,    /* its next offset is not there: to be told */
	TXP_PLACE_OTHER    /* the record read last is another: to be told */
} TxpPlaceState;

typedef struct TxpPartition
{
	TxpPlaceState state;
	int64_t next;       /* first offset in no batch yet */
	int64_t last;       /* offset of the record that is to be compared first; -1: none */
	int64_t last_hash;  /* and what it is to be */
	int64_t end_told;   /* end last told to the server */
	uint32_t range;     /* index in the open batch */
	uint32_t range_seq; /* of which batch that index is; 0: none */
} TxpPartition;

typedef struct TxpTopic
{
	const char *name;
	rd_kafka_topic_t *rkt;
	bool gone_told;
	int npartitions; /* told to the server */
	TxpPartition *partition;
} TxpTopic;

typedef struct TxpStream
{
	TxpChannel *channel;
	TxpKafka kafka; /* its view of the shared client */
	TxpUse *use;
	TxpNews news; /* as last read from the use */
	char *topics; /* as named by the server */
	int32_t start_kind;
	int64_t start_timestamp;
	uint32_t timeout_ms;
	uint32_t linger_ms;
	uint32_t gather_ms;
	bool wants_headers;
	TxdSchema *schema;
	TxdDecoder *decoder;
	TxpRegistry *registry; /* of schemas; NULL: none */
	TxpWindow window;
	TxpPace pace;
	int ntopics;
	TxpTopic *topic;    /* index = the topic's number */
	int last_topic;     /* of the message found last */
	int unsettled;      /* partitions LOST or OTHER, which the server does not know yet */
	int64_t retry;      /* when the brokers are to be asked again; 0: nothing to ask */
	int64_t sick_since; /* errors of partitions come since then; 0: none */
	int64_t sick_seen;  /* the last of them */
	int64_t sick_told;  /* to the server; 0: not yet */
	rd_kafka_queue_t *queue;
	unsigned nudged; /* places asked for to wake brokers, of all */
	bool told;       /* PARTITIONS was sent, once at least */
	bool trouble_told;
	bool failed;
} TxpStream;

static inline TxpPartition *
txp_stream_place(const TxpStream *s, uint32_t topic, int32_t partition)
{
	if (topic >= (uint32_t) s->ntopics || partition < 0 || partition >= s->topic[topic].npartitions)
		return NULL;
	return &s->topic[topic].partition[partition];
}

/* --- topics.c --- */

/* Waits for the client's first answer, and sends PARTITIONS; false when an ERROR has been sent. */
extern bool txp_topics_open(TxpStream *s);
/* Looks at what the scout told: new partitions, topics that vanished, troubles. */
extern void txp_topics_news(TxpStream *s);
/* Behind a batch: what was fetched before the brokers went away does not show that they are back. */
extern void txp_topics_tell_again(TxpStream *s);
/* An error of a partition that librdkafka goes on trying to read: told when it does not pass. */
extern void txp_topics_sick(TxpStream *s, const rd_kafka_message_t *m);
/* When txp_topics_news has something to do without news; 0: never. */
extern int64_t txp_topics_due(const TxpStream *s);
/* Brokers did not answer what was asked then. While they are asked nothing is read: so all the later. */
extern void txp_topics_ask_later(TxpStream *s, int64_t asked);
/* End of a partition as the last fetch told it; -1: not known, or perhaps another topic's. */
extern int64_t txp_topics_known_end(const TxpStream *s, uint32_t topic, int32_t partition);
/* Sends ERROR and fails the stream. */
extern void txp_stream_fail(TxpStream *s, rd_kafka_resp_err_t err, const char *topic);

/* --- places.c --- */

/* STREAM_START; false when the frame is broken. */
extern bool txp_places_start(TxpStream *s, const TxpMail *mail);
extern void txp_places_stop(TxpStream *s);
/* The topic's number and partition of a message; NULL when it is not being read. */
extern TxpPartition *txp_places_of(TxpStream *s, const rd_kafka_message_t *m, uint32_t *topic);
/* Wakes the threads of brokers by asking for a few of the places being read, others each time; waits for nothing. */
extern void txp_places_nudge(TxpStream *s);
/* Compares the first record; true when the message is to be taken. */
extern bool txp_places_verify(TxpStream *s, uint32_t topic, const rd_kafka_message_t *m);
/* The partition's end was reached before any record. */
extern void txp_places_verify_end(TxpStream *s, uint32_t topic, int32_t partition);
/* The offset to be read is not there. */
extern void txp_places_out_of_range(TxpStream *s, uint32_t topic, int32_t partition);
/* Tells what became of partitions that are not read on, with their watermarks. */
extern void txp_places_tell(TxpStream *s);

/* --- consume.c --- */

/* Reads what STREAM_START names and sends batches until the channel ends or fails. */
extern void txp_stream_consume(TxpStream *s);

#endif
