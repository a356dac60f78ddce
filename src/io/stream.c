/*
 * stream.c — opening and ending a stream.
 */
#include <stdlib.h>

#include "handlers.h"
#include "link.h"
#include "put.h"
#include "stream.h"

/*
 * The local queue is limited by its bytes: with the usual limit of 100,000 messages a fetch pauses for a second
 * each time it is reached.
 */
static const TxpProperty own_properties[] = {
	{true, "queued.max.messages.kbytes", "32768"}, {false, "queued.min.messages", "10000000"},
	{true, "isolation.level", "read_committed"},   {false, "enable.auto.commit", "false"},
	{false, "enable.auto.offset.store", "false"},  {false, "auto.offset.reset", "error"},
	{false, "enable.partition.eof", "true"},       {false, "allow.auto.create.topics", "false"},
	{false, TXP_LIFE_PROPERTY, TXP_LIFE_MS},       {false, NULL, NULL}};

static bool
broken_frame(TxpStream *s)
{
	txp_error(s->channel, (TxpError){.fatal = true, .sqlstate = "08P01"},
			  "the frame that opens a stream is broken");
	return false;
}

/* What follows the topics in STREAM_OPEN; makes the decoder. */
static bool
unpack_rest(TxpStream *s, TxpReader *r)
{
	TxdError err = {0};
	uint32_t batch_rows;
	uint32_t batch_bytes;
	int64_t rows_per_second;

	s->start_kind = txp_read_i32(r);
	s->start_timestamp = txp_read_i64(r);
	s->timeout_ms = txp_read_u32(r);
	s->schema = txp_schema_read(r);
	batch_rows = txp_read_u32(r);
	batch_bytes = txp_read_u32(r);
	s->linger_ms = txp_read_u32(r);
	s->gather_ms = txp_read_u32(r);
	rows_per_second = txp_read_i64(r);
	txp_pace_init(&s->pace, rows_per_second, txp_read_i64(r));
	txp_window_init(&s->window, s->channel, batch_rows, batch_bytes);
	s->window.stop_at_reject = txp_read_u8(r) != 0;
	if (r->bad || r->p != r->end)
		return broken_frame(s);
	s->wants_headers = txp_schema_uses(s->schema, TXD_FROM_HEADERS) ||
					   txp_schema_uses(s->schema, TXD_FROM_HEADER) ||
					   s->schema->envelope == TXD_CLOUDEVENTS;
	s->decoder = txd_new(s->schema, &err);
	if (s->decoder != NULL)
	{
		s->window.pgp = txd_pgp_of(s->decoder);
		s->registry = txp_registry_new(s->schema->registry, s->channel);
		return true;
	}
	txp_error(s->channel, (TxpError){.fatal = true, .sqlstate = "22023", .detail = err.column},
			  "%s", err.message);
	return false;
}

/* Unpacks STREAM_OPEN and joins a client; the properties are wiped in any case. */
static bool
unpack(TxpStream *s, const TxpMail *mail)
{
	TxpReader r = txp_reader(mail->data, mail->header.size);
	TxpReader properties = txp_kafka_properties(&r);
	TxpSpan topics = txp_read_span(&r);
	bool ok = topics.data != NULL && topics.len > 0;

	if (ok)
	{
		s->topics = txd_alloc(topics.len + 1);
		memcpy(s->topics, topics.data, topics.len);
		s->topics[topics.len] = '\0';
		ok = unpack_rest(s, &r);
	}
	else
		broken_frame(s);
	if (ok)
	{
		s->use = txp_client_join(&s->kafka, s->channel, &properties, own_properties, s->topics);
		ok = s->use != NULL;
	}
	explicit_bzero((char *) properties.p, (size_t) (properties.end - properties.p));
	return ok;
}

/* In this order: messages and topics hold on to the client. */
static void
end_stream(TxpStream *s)
{
	txp_window_free(&s->window);
	if (s->queue != NULL)
		rd_kafka_queue_destroy(s->queue);
	for (int t = 0; t < s->ntopics; t++)
		free(s->topic[t].partition);
	free(s->topic);
	free(s->news.sight);
	if (s->use != NULL)
		txp_client_leave(s->use);
	txp_registry_free(s->registry);
	if (s->decoder != NULL)
		txd_free(s->decoder);
	if (s->schema != NULL)
		txp_schema_free(s->schema);
	free(s->topics);
}

void
txp_stream_main(TxpChannel *channel, TxpMail *opening)
{
	TxpStream s = {.channel = channel, .kafka = {.channel = channel}};

	if (unpack(&s, opening) && txp_topics_open(&s))
	{
		s.queue = rd_kafka_queue_new(s.kafka.rk);
		txp_stream_consume(&s);
	}
	end_stream(&s);
}
