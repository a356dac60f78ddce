/*
 * stream.c — opening a stream: client, decoder, partitions and where they start.
 */
#include <stdlib.h>

#include "handlers.h"
#include "link.h"
#include "put.h"
#include "stream.h"

/*
 * A dummy group: assign() needs the name, nothing joins or commits. The local queue is limited by its bytes:
 * with the usual limit of 100,000 messages a fetch pauses for a second each time it is reached.
 */
static const TxpProperty own_properties[] = {{true, "queued.max.messages.kbytes", "65536"},
											 {true, "isolation.level", "read_committed"},
											 {true, "group.id", "txpipe"},
											 {false, "enable.auto.commit", "false"},
											 {false, "enable.auto.offset.store", "false"},
											 {false, "auto.offset.reset", "error"},
											 {false, "enable.partition.eof", "true"},
											 {false, "allow.auto.create.topics", "false"},
											 {false, "statistics.interval.ms", "0"},
											 {false, NULL, NULL}};

static bool
broken_frame(TxpStream *s)
{
	txp_error(s->channel, (TxpError){.fatal = true, .sqlstate = "08P01"},
			  "the frame that opens a stream is broken");
	return false;
}

/* Unpacks STREAM_OPEN, makes client and decoder. */
static bool
unpack(TxpStream *s, const TxpMail *mail)
{
	TxpReader r = txp_reader(mail->data, mail->header.size);
	TxdError err = {0};
	TxpSpan topic;
	uint32_t batch_rows;
	uint32_t batch_bytes;

	if (!txp_kafka_open(&s->kafka, s->channel, RD_KAFKA_CONSUMER, &r, own_properties))
		return false;
	topic = txp_read_span(&r);
	s->start_kind = txp_read_i32(&r);
	s->start_timestamp = txp_read_i64(&r);
	s->timeout_ms = txp_read_u32(&r);
	s->schema = txp_schema_read(&r);
	batch_rows = txp_read_u32(&r);
	batch_bytes = txp_read_u32(&r);
	s->linger_ms = txp_read_u32(&r);
	(void) txp_read_i64(&r);
	(void) txp_read_i64(&r);
	s->stop_at_reject = txp_read_u8(&r) != 0;
	if (r.bad || topic.data == NULL || r.p != r.end)
		return broken_frame(s);
	s->topic = txd_alloc(topic.len + 1);
	memcpy(s->topic, topic.data, topic.len);
	s->topic[topic.len] = '\0';
	s->wants_headers = txp_schema_uses(s->schema, TXD_FROM_HEADERS);
	txp_window_init(&s->window, s->channel, batch_rows, batch_bytes);
	s->decoder = txd_new(s->schema, &err);
	if (s->decoder != NULL)
		return true;
	txp_error(s->channel, (TxpError){.fatal = true, .sqlstate = "22023", .detail = err.column},
			  "%s", err.message);
	return false;
}

static rd_kafka_topic_partition_list_t *
list_partitions(const TxpStream *s)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(s->npartitions);

	for (int i = 0; i < s->npartitions; i++)
		rd_kafka_topic_partition_list_add(list, s->topic, i);
	return list;
}

static void
send_partitions(TxpStream *s, const rd_kafka_topic_partition_list_t *low,
				const rd_kafka_topic_partition_list_t *high,
				const rd_kafka_topic_partition_list_t *start)
{
	TxdBuf frame = {0};

	txp_put_u32(&frame, 1);
	txp_put_str(&frame, s->topic);
	txp_put_u32(&frame, (uint32_t) s->npartitions);
	for (int i = 0; i < s->npartitions; i++)
	{
		int64_t at = start->elems[i].offset;

		txp_put_u32(&frame, 0);
		txp_put_i32(&frame, i);
		txp_put_i64(&frame, low->elems[i].offset);
		txp_put_i64(&frame, high->elems[i].offset);
		txp_put_i64(&frame, at >= 0 ? at : high->elems[i].offset);
		s->partition[i].end_told = high->elems[i].offset;
	}
	txp_send(s->channel, TXP_PARTITIONS, 0, &frame);
}

/* Asks for both ends and the start of every partition, and answers PARTITIONS. */
static bool
find_positions(TxpStream *s, int64_t deadline)
{
	rd_kafka_topic_partition_list_t *low = list_partitions(s);
	rd_kafka_topic_partition_list_t *high = list_partitions(s);
	rd_kafka_topic_partition_list_t *young = list_partitions(s);
	const rd_kafka_topic_partition_list_t *start;
	rd_kafka_resp_err_t err;

	err = txp_kafka_positions(&s->kafka, low, RD_KAFKA_OFFSET_BEGINNING, deadline);
	if (!err)
		err = txp_kafka_positions(&s->kafka, high, RD_KAFKA_OFFSET_END, deadline);
	if (!err && s->start_kind == TXP_START_TIMESTAMP)
		err = txp_kafka_positions(&s->kafka, young, s->start_timestamp, deadline);
	if (err)
		txp_kafka_fail(&s->kafka, err, s->topic);
	else
	{
		start = s->start_kind == TXP_START_TIMESTAMP ? young
				: s->start_kind == TXP_START_LATEST  ? high
													 : low;
		send_partitions(s, low, high, start);
	}
	rd_kafka_topic_partition_list_destroy(low);
	rd_kafka_topic_partition_list_destroy(high);
	rd_kafka_topic_partition_list_destroy(young);
	return !err;
}

static bool
find_partitions(TxpStream *s)
{
	int64_t deadline = txp_now_ms() + s->timeout_ms;
	const struct rd_kafka_metadata_topic *topic;
	const struct rd_kafka_metadata *md = txp_kafka_metadata(&s->kafka, s->topic, deadline, &topic);

	if (md == NULL)
		return false;
	s->npartitions = topic->partition_cnt;
	rd_kafka_metadata_destroy(md);
	s->partition = txd_alloc((size_t) s->npartitions * sizeof(TxpPartition));
	for (int i = 0; i < s->npartitions; i++)
		s->partition[i] = (TxpPartition){.partition = i, .next = -1, .end_told = -1};
	return find_positions(s, deadline);
}

void
txp_stream_main(TxpChannel *channel, TxpMail *opening)
{
	TxpStream s = {.channel = channel};
	TxpMail *mail = NULL;

	if (unpack(&s, opening) && find_partitions(&s))
	{
		while (mail == NULL && !txp_channel_ended(channel))
			mail = txp_channel_mail(channel, 60000);
		if (mail != NULL && mail->header.type == TXP_STREAM_START)
			txp_stream_consume(&s, mail);
		else if (mail != NULL)
			broken_frame(&s);
	}
	txp_mail_free(mail);
	txp_window_free(&s.window);
	txp_kafka_close(&s.kafka);
	if (s.decoder != NULL)
		txd_free(s.decoder);
	if (s.schema != NULL)
		txp_schema_free(s.schema);
	free(s.partition);
	free(s.topic);
}
