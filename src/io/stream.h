/*
 * stream.h — a stream of one topic: from STREAM_OPEN to PARTITIONS (stream.c), then its batches (consume.c).
 */
#ifndef TXP_STREAM_H
#define TXP_STREAM_H

#include "batch.h"
#include "kafka.h"
#include "schema.h"

typedef struct TxpPartition
{
	int32_t partition;
	int64_t next;       /* first offset in no batch yet; -1: not assigned */
	int64_t end_told;   /* end last told to the server */
	uint32_t range;     /* index in the open batch */
	uint32_t range_seq; /* of which batch that index is; 0: none */
} TxpPartition;

typedef struct TxpStream
{
	TxpChannel *channel;
	TxpKafka kafka;
	char *topic;
	int32_t start_kind;
	int64_t start_timestamp;
	uint32_t timeout_ms;
	uint32_t linger_ms;
	bool wants_headers;
	bool stop_at_reject;
	TxdSchema *schema;
	TxdDecoder *decoder;
	TxpWindow window;
	int npartitions;
	TxpPartition *partition; /* index = partition number */
	rd_kafka_queue_t *queue;
	bool failed;
} TxpStream;

/* Assigns what STREAM_START names and sends batches until the channel ends or fails. */
extern void txp_stream_consume(TxpStream *s, const TxpMail *start);

#endif
