/*
 * encode.c — how values that are sent are written: by schemas, which a registry may have.
 *
 * With a registry a value is preceded by byte 0 and its schema's number in four bytes, big-endian (Confluent's wire format).
 */
#include <stdio.h>
#include <stdlib.h>

#include "../decode/avro_write.h"
#include "encode.h"
#include "link.h"
#include "registry_ask.h"
#include "schema.h"

typedef struct Encoding
{
	TxdFormat format;
	char *schema; /* NULL: the subject's latest */
	char *subject;
	bool registers; /* the schema, if it is not there */
	bool numbered;
	uint32_t id;
	TxdAvroWriter *writer; /* NULL: values are as they are */
	TxpUnsent *why;        /* nothing can be sent by it; NULL: it can */
} Encoding;

struct TxpEncodings
{
	TxpChannel *channel;
	const TxdRegistry *where;
	TxpRegistry *registry;
	Encoding *all;
	uint32_t n;
	TxdBuf value;
};

TxpEncodings *
txp_encodings_read(TxpReader *r, TxpChannel *channel)
{
	TxpEncodings *e = txd_alloc(sizeof(*e));

	*e = (TxpEncodings){.channel = channel, .where = txp_where_read(r)};
	e->n = txp_read_count(r, 10);
	e->all = txd_alloc(((size_t) e->n + 1) * sizeof(Encoding));
	for (uint32_t i = 0; i < e->n; i++)
	{
		e->all[i] = (Encoding){.format = (TxdFormat) txp_read_u8(r)};
		e->all[i].schema = txp_text_read(r);
		e->all[i].subject = txp_text_read(r);
		e->all[i].registers = txp_read_u8(r) != 0;
		r->bad |= (e->all[i].format != TXD_AVRO && e->all[i].format != TXD_JSON) ||
				  (e->where != NULL && e->all[i].subject == NULL);
	}
	return e;
}

void
txp_encodings_free(TxpEncodings *e)
{
	if (e == NULL)
		return;
	for (uint32_t i = 0; i < e->n; i++)
	{
		free(e->all[i].schema);
		free(e->all[i].subject);
		free(e->all[i].why);
		txd_avro_writer_free(e->all[i].writer);
	}
	free(e->all);
	txp_registry_free(e->registry);
	txp_where_free(e->where);
	txd_buf_free(&e->value);
	free(e);
}

/* Nothing can be sent by it; that it is so is no error of the request. */
static bool
cannot(Encoding *encoding, const char *sqlstate, const char *message, const char *detail,
	   const char *hint)
{
	encoding->why = txd_alloc(sizeof(*encoding->why));
	*encoding->why = (TxpUnsent){.sqlstate = sqlstate, .hint = hint};
	snprintf(encoding->why->message, sizeof(encoding->why->message), "%s", message);
	snprintf(encoding->why->detail, sizeof(encoding->why->detail), "%s", detail);
	return true;
}

static bool
no_such_schema(const TxpEncodings *e, Encoding *encoding)
{
	char message[400];

	snprintf(message, sizeof(message), "the schema registry at \"%.100s\" has no %s \"%.200s\"",
			 e->where->url,
			 encoding->schema == NULL ? "schema of subject" : "such schema under subject",
			 encoding->subject);
	return cannot(encoding, "42704", message, "",
				  encoding->schema == NULL
					  ? "Register one, or give the options avro_schema and \"register\": true."
					  : "Register it, or give the option \"register\": true.");
}

/* What the registry's answer makes of the encoding. False: there is none, which is the request's error. */
static bool
settle(const TxpEncodings *e, Encoding *encoding, TxpAnswer answer)
{
	char message[400];

	if (answer == TXP_ANSWER_YES)
		return true;
	if (answer == TXP_ANSWER_MISSING)
		return no_such_schema(e, encoding);
	if (answer == TXP_ANSWER_USELESS)
	{
		snprintf(message, sizeof(message),
				 "no value can be written by the schema of subject \"%.200s\"", encoding->subject);
		return cannot(encoding, "22023", message, e->registry->why, NULL);
	}
	txp_error(e->channel,
			  (TxpError){.fatal = true,
						 .answer = true,
						 .sqlstate = e->registry->sqlstate,
						 .detail = e->registry->why,
						 .hint = "Nothing was sent."},
			  "the schema registry at \"%s\" does not give the schema of subject \"%s\"",
			  e->where->url, encoding->subject);
	return false;
}

static bool
read_schema(Encoding *encoding, const char *const *texts, int n)
{
	TxdError err = {0};

	if (encoding->format == TXD_JSON)
		return true;
	encoding->writer = txd_avro_writer_new(texts, n, &err);
	return encoding->writer != NULL ||
		   cannot(encoding, "22023", "the schema is none of Avro", err.message, NULL);
}

/* The number of the schema in an answer. */
static TxpAnswer
take_number(TxpEncodings *e, Encoding *encoding, const json_t *object)
{
	const json_t *id = json_object_get(object, "id");

	if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > UINT32_MAX)
	{
		e->registry->sqlstate = "08006";
		snprintf(e->registry->why, sizeof(e->registry->why), "its answer has no number");
		return TXP_ANSWER_NONE;
	}
	encoding->id = (uint32_t) json_integer_value(id);
	return TXP_ANSWER_YES;
}

/* The subject's latest version. */
static bool
find_latest(TxpEncodings *e, Encoding *encoding)
{
	TxpTexts texts = txp_texts_new(encoding->format);
	char path[TXP_MAX_PATH];
	TxpAnswer answer;
	bool answered;

	txp_registry_path(path, encoding->subject, "/versions/latest");
	answer = txp_registry_collect(e->registry, path, "schema", &texts);
	if (answer == TXP_ANSWER_YES)
		answer = take_number(e, encoding, json_object_get(texts.answers, path));
	answered = settle(e, encoding, answer);
	if (answer == TXP_ANSWER_YES)
		(void) read_schema(encoding, texts.text, texts.n);
	json_decref(texts.answers);
	return answered;
}

/* The number of a schema under its subject: it is registered, or has to be there. */
static bool
find_given(TxpEncodings *e, Encoding *encoding)
{
	json_t *body = json_pack("{s:s}", "schema", encoding->schema);
	char *post = json_dumps(body, JSON_COMPACT);
	char path[TXP_MAX_PATH];
	json_t *found = NULL;
	TxpAnswer answer;

	json_decref(body);
	if (post == NULL)
		return cannot(encoding, "22023", "the schema is no text of UTF-8", "", NULL);
	txp_registry_path(path, encoding->subject, encoding->registers ? "/versions" : "");
	answer = txp_registry_ask(e->registry, path, post, "id", &found);
	free(post);
	if (answer == TXP_ANSWER_YES)
	{
		answer = take_number(e, encoding, found);
		json_decref(found);
	}
	return settle(e, encoding, answer);
}

/* A schema of its own, by which bytes are bare where no registry was named when the message was made. */
static bool
needs_no_registry(const Encoding *encoding)
{
	return encoding->subject == NULL && (encoding->schema != NULL || encoding->format == TXD_JSON);
}

/* It was named when the message was put into the outbox. */
static bool
no_registry(Encoding *encoding)
{
	return cannot(encoding, "22023",
				  "its format needs a schema registry, and the server names none",
				  "give the server the option schema_registry_url back", NULL);
}

static bool
open_one(TxpEncodings *e, Encoding *encoding)
{
	const char *schema = encoding->schema;

	/* What cannot be read is not registered. */
	if (schema != NULL && (!read_schema(encoding, &schema, 1) || encoding->why != NULL))
		return true;
	encoding->numbered = e->where != NULL;
	if (e->where == NULL)
		return needs_no_registry(encoding) || no_registry(encoding);
	if (e->registry == NULL)
		e->registry = txp_registry_new(e->where, e->channel);
	return schema != NULL ? find_given(e, encoding) : find_latest(e, encoding);
}

bool
txp_encodings_open(TxpEncodings *e)
{
	for (uint32_t i = 0; i < e->n; i++)
		if (!open_one(e, &e->all[i]))
			return false;
	return true;
}

bool
txp_encode(TxpEncodings *e, uint32_t number, TxpSpan value, TxpSpan *encoded, TxpUnsent *why)
{
	const Encoding *encoding = number < e->n ? &e->all[number] : NULL;
	TxdError err = {0};

	*encoded = value;
	if (encoding == NULL || value.data == NULL)
		return true;
	if (encoding->why != NULL)
	{
		*why = *encoding->why;
		return false;
	}
	e->value.len = 0;
	if (encoding->numbered)
	{
		txd_buf_byte(&e->value, 0);
		txd_buf_be32(&e->value, encoding->id);
	}
	if (encoding->writer == NULL)
		txd_buf_append(&e->value, value.data, value.len);
	else if (!txd_avro_write(encoding->writer, value.data, value.len, &e->value, &err))
	{
		*why = (TxpUnsent){.sqlstate = "22023", .message = "the value does not fit its schema"};
		memcpy(why->detail, err.message, sizeof(why->detail));
		why->hint = "Nothing was sent.";
		return false;
	}
	/* Of a value without bytes there is a place, too: it is no tombstone. */
	*encoded = (TxpSpan){txd_buf_reserve(&e->value, 0) - e->value.len, (uint32_t) e->value.len};
	return true;
}
