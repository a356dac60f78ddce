/*
 * decode_request.c — DECODE: messages the server kept, decoded again.
 */
#include <stdlib.h>

#include "handlers.h"
#include "link.h"
#include "put.h"
#include "registry.h"
#include "schema.h"
#include "seal.h"

typedef struct Request
{
	TxpReader r;
	TxdSchema *schema;
	TxdDecoder *decoder;
	TxpRegistry *registry; /* of schemas; NULL: none */
	bool answered;         /* with an error */
	uint32_t ntopics;
	char **topics;
	TxdBuf results;
	TxdBuf block;
	TxdBuf plain; /* of a message that came sealed */
} Request;

static char *
read_text(TxpReader *r)
{
	TxpSpan span = txp_read_span(r);
	char *text = txd_alloc(span.len + 1);

	if (span.data != NULL)
		memcpy(text, span.data, span.len);
	text[span.len] = '\0';
	return text;
}

static void
read_topics(Request *q)
{
	uint32_t n = txp_read_count(&q->r, sizeof(uint32_t));

	q->topics = txd_alloc((n + 1) * sizeof(char *));
	while (q->ntopics < n)
		q->topics[q->ntopics++] = read_text(&q->r);
}

static bool
read_message(Request *q, TxdMessage *m, bool *sealed)
{
	TxpSpan key;
	TxpSpan headers;
	TxpSpan payload;

	*sealed = txp_read_u8(&q->r) != 0;
	*m = (TxdMessage){.topic_index = txp_read_u32(&q->r)};
	m->partition = txp_read_i32(&q->r);
	m->offset = txp_read_i64(&q->r);
	m->timestamp_ms = txp_read_i64(&q->r);
	key = txp_read_span(&q->r);
	headers = txp_read_span(&q->r);
	payload = txp_read_span(&q->r);
	if (q->r.bad || m->topic_index >= q->ntopics)
		return false;
	m->topic = q->topics[m->topic_index];
	m->key = key.data;
	m->key_len = key.len;
	m->headers = headers.data;
	m->headers_len = headers.len;
	m->payload = payload.data;
	m->payload_len = payload.len;
	return true;
}

static void
decode_one(Request *q, TxdMessage *m, bool sealed)
{
	size_t before = q->block.len;
	TxdError err = {0};

	bool plain = !sealed || txp_unseal(txd_pgp_of(q->decoder), m, &q->plain, &err);

	if (plain && !txp_registry_serve_request(q->registry, q->decoder, m))
	{
		q->answered = true;
		return;
	}
	if (plain && txd_decode(q->decoder, m, &q->block, &err))
	{
		txp_put_u32(&q->results, (uint32_t) (q->block.len - before));
		return;
	}
	txp_put_u32(&q->results, TXP_ABSENT);
	txp_put_str(&q->results, err.code);
	txp_put_str(&q->results, err.message);
	txp_put_str(&q->results, err.column);
}

static bool
decode_all(Request *q, TxpChannel *channel, TxdError *err)
{
	TxdMessage message;
	bool sealed;
	uint32_t n;

	q->schema = txp_schema_read(&q->r);
	read_topics(q);
	n = txp_read_count(&q->r, 37);
	if (q->r.bad)
		return false;
	q->decoder = txd_new(q->schema, err);
	if (q->decoder == NULL)
		return false;
	q->registry = txp_registry_new(q->schema->registry, channel);
	txp_put_u32(&q->results, n);
	for (uint32_t i = 0; i < n && !q->answered; i++)
	{
		if (!read_message(q, &message, &sealed))
			return false;
		decode_one(q, &message, sealed);
	}
	return q->answered || q->r.p == q->r.end;
}

void
txp_decode_main(TxpChannel *channel, TxpMail *opening)
{
	Request q = {.r = txp_reader(opening->data, opening->header.size)};
	TxdError err = {0};

	bool done = decode_all(&q, channel, &err);

	if (done && !q.answered)
	{
		txp_put_opt(&q.results, q.block.data == NULL ? "" : q.block.data, q.block.len);
		txp_answer(channel, TXP_DECODED, &q.results);
	}
	else if (!done && err.code != NULL)
		txp_error(
			channel,
			(TxpError){.fatal = true, .answer = true, .sqlstate = "22023", .detail = err.column},
			"%s", err.message);
	else if (!done)
		txp_error(channel, (TxpError){.fatal = true, .answer = true, .sqlstate = "08P01"},
				  "the frame of messages to decode is broken");
	txp_registry_free(q.registry);
	if (q.decoder != NULL)
		txd_free(q.decoder);
	if (q.schema != NULL)
		txp_schema_free(q.schema);
	for (uint32_t i = 0; i < q.ntopics; i++)
		free(q.topics[i]);
	free(q.topics);
	if (q.plain.data != NULL)
		explicit_bzero(q.plain.data, q.plain.cap);
	txd_buf_free(&q.plain);
	txd_buf_free(&q.results);
	txd_buf_free(&q.block);
}
