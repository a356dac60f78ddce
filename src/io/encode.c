/*
 * encode.c — how values and keys that are sent are written: by schemas, which a registry may have.
 *
 * With a registry one of them is preceded by byte 0 and its schema's number in four bytes, big-endian (Confluent's wire format).
 */
#include <stdio.h>
#include <stdlib.h>

#include "../decode/avro_write.h"
#include "encode.h"
#include "link.h"
#include "registry_ask.h"
#include "schema.h"

/* How values are written, or keys. */
typedef struct Writing
{
	bool of_keys;
	TxdFormat format; /* TXD_PLAIN_TEXT: they are as they are */
	char *schema;     /* NULL: the subject's latest */
	char *subject;
	bool registers; /* the schema, if it is not there */
	bool numbered;
	uint32_t id;
	TxdAvroWriter *writer; /* NULL: behind the number they are as they are */
	TxpUnsent *why;        /* nothing can be sent by it; NULL: it can */
	TxdBuf bytes;          /* of the last one */
} Writing;

typedef struct Encoding
{
	Writing value;
	Writing key;
} Encoding;

struct TxpEncodings
{
	TxpChannel *channel;
	const TxdRegistry *where;
	TxpRegistry *registry;
	Encoding *all;
	uint32_t n;
};

static void
read_writing(TxpReader *r, bool numbered, Writing *w)
{
	w->format = (TxdFormat) txp_read_u8(r);
	w->schema = txp_text_read(r);
	w->subject = txp_text_read(r);
	w->registers = txp_read_u8(r) != 0;
	if (w->format == TXD_AVRO || w->format == TXD_JSON)
		r->bad |= numbered && w->subject == NULL;
	else
		r->bad |= w->format != TXD_PLAIN_TEXT;
}

TxpEncodings *
txp_encodings_read(TxpReader *r, TxpChannel *channel)
{
	TxpEncodings *e = txd_alloc(sizeof(*e));

	*e = (TxpEncodings){.channel = channel, .where = txp_where_read(r)};
	e->n = txp_read_count(r, 20);
	e->all = txd_alloc(((size_t) e->n + 1) * sizeof(Encoding));
	for (uint32_t i = 0; i < e->n; i++)
	{
		e->all[i] = (Encoding){.key = {.of_keys = true}};
		read_writing(r, e->where != NULL, &e->all[i].value);
		read_writing(r, e->where != NULL, &e->all[i].key);
	}
	return e;
}

static void
free_writing(Writing *w)
{
	free(w->schema);
	free(w->subject);
	free(w->why);
	txd_avro_writer_free(w->writer);
	txd_buf_free(&w->bytes);
}

void
txp_encodings_free(TxpEncodings *e)
{
	if (e == NULL)
		return;
	for (uint32_t i = 0; i < e->n; i++)
	{
		free_writing(&e->all[i].value);
		free_writing(&e->all[i].key);
	}
	free(e->all);
	txp_registry_free(e->registry);
	txp_where_free(e->where);
	free(e);
}

/* Nothing can be sent by it; that it is so is no error of the request. */
static bool
cannot(Writing *w, const char *sqlstate, const char *message, const char *detail, const char *hint)
{
	w->why = txd_alloc(sizeof(*w->why));
	*w->why = (TxpUnsent){.sqlstate = sqlstate, .hint = hint};
	snprintf(w->why->message, sizeof(w->why->message), "%s", message);
	snprintf(w->why->detail, sizeof(w->why->detail), "%s", detail);
	return true;
}

static bool
no_such_schema(const TxpEncodings *e, Writing *w)
{
	char message[400];

	snprintf(message, sizeof(message), "the schema registry at \"%.100s\" has no %s \"%.200s\"",
			 e->where->url, w->schema == NULL ? "schema of subject" : "such schema under subject",
			 w->subject);
	return cannot(w, "42704", message, "",
				  w->schema != NULL ? "Register it, or give the option \"register\": true."
				  : w->of_keys
					  ? "Register one, or give the options key_avro_schema and \"register\": true."
					  : "Register one, or give the options avro_schema and \"register\": true.");
}

/* What the registry's answer makes of the encoding. False: there is none, which is the request's error. */
static bool
settle(const TxpEncodings *e, Writing *w, TxpAnswer answer)
{
	char message[400];

	if (answer == TXP_ANSWER_YES)
		return true;
	if (answer == TXP_ANSWER_MISSING)
		return no_such_schema(e, w);
	if (answer == TXP_ANSWER_USELESS)
	{
		snprintf(message, sizeof(message),
				 "no %s can be written by the schema of subject \"%.200s\"",
				 w->of_keys ? "key" : "value", w->subject);
		return cannot(w, "22023", message, e->registry->why, NULL);
	}
	txp_error(e->channel,
			  (TxpError){.fatal = true,
						 .answer = true,
						 .sqlstate = e->registry->sqlstate,
						 .detail = e->registry->why,
						 .hint = "Nothing was sent."},
			  "the schema registry at \"%s\" does not give the schema of subject \"%s\"",
			  e->where->url, w->subject);
	return false;
}

static bool
read_schema(Writing *w, const char *const *texts, int n)
{
	TxdError err = {0};

	if (w->format == TXD_JSON)
		return true;
	w->writer = txd_avro_writer_new(texts, n, &err);
	return w->writer != NULL || cannot(w, "22023", "the schema is none of Avro", err.message, NULL);
}

/* The number of the schema in an answer. */
static TxpAnswer
take_number(TxpEncodings *e, Writing *w, const json_t *object)
{
	const json_t *id = json_object_get(object, "id");

	if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > UINT32_MAX)
	{
		e->registry->sqlstate = "08006";
		snprintf(e->registry->why, sizeof(e->registry->why), "its answer has no number");
		return TXP_ANSWER_NONE;
	}
	w->id = (uint32_t) json_integer_value(id);
	return TXP_ANSWER_YES;
}

/* The subject's latest version. */
static bool
find_latest(TxpEncodings *e, Writing *w)
{
	TxpTexts texts = txp_texts_new(w->format);
	char path[TXP_MAX_PATH];
	TxpAnswer answer;
	bool answered;

	txp_registry_path(path, w->subject, "/versions/latest");
	answer = txp_registry_collect(e->registry, path, "schema", &texts);
	if (answer == TXP_ANSWER_YES)
		answer = take_number(e, w, json_object_get(texts.answers, path));
	answered = settle(e, w, answer);
	if (answer == TXP_ANSWER_YES)
		(void) read_schema(w, texts.text, texts.n);
	json_decref(texts.answers);
	return answered;
}

/* The number of a schema under its subject: it is registered, or has to be there. */
static bool
find_given(TxpEncodings *e, Writing *w)
{
	json_t *body = json_pack("{s:s}", "schema", w->schema);
	char *post = json_dumps(body, JSON_COMPACT);
	char path[TXP_MAX_PATH];
	json_t *found = NULL;
	TxpAnswer answer;

	json_decref(body);
	if (post == NULL)
		return cannot(w, "22023", "the schema is no text of UTF-8", "", NULL);
	txp_registry_path(path, w->subject, w->registers ? "/versions" : "");
	answer = txp_registry_ask(e->registry, path, post, "id", &found);
	free(post);
	if (answer == TXP_ANSWER_YES)
	{
		answer = take_number(e, w, found);
		json_decref(found);
	}
	return settle(e, w, answer);
}

/* A schema of its own, by which bytes are bare where no registry was named when the message was made. */
static bool
needs_no_registry(const Writing *w)
{
	return w->subject == NULL && w->schema != NULL;
}

/* It was named when the message was put into the outbox. */
static bool
no_registry(Writing *w)
{
	return cannot(w, "22023", "its format needs a schema registry, and the server names none",
				  "give the server the option schema_registry_url back", NULL);
}

static bool
open_one(TxpEncodings *e, Writing *w)
{
	const char *schema = w->schema;

	if (w->format == TXD_PLAIN_TEXT)
		return true;
	/* What cannot be read is not registered. */
	if (schema != NULL && (!read_schema(w, &schema, 1) || w->why != NULL))
		return true;
	w->numbered = e->where != NULL;
	if (e->where == NULL)
		return needs_no_registry(w) || no_registry(w);
	if (e->registry == NULL)
		e->registry = txp_registry_new(e->where, e->channel);
	return schema != NULL ? find_given(e, w) : find_latest(e, w);
}

bool
txp_encodings_open(TxpEncodings *e)
{
	for (uint32_t i = 0; i < e->n; i++)
		if (!open_one(e, &e->all[i].value) || !open_one(e, &e->all[i].key))
			return false;
	return true;
}

static bool
encode_one(Writing *w, TxpSpan *span, TxpUnsent *why)
{
	TxdError err = {0};

	if (w->format == TXD_PLAIN_TEXT || span->data == NULL)
		return true;
	if (w->why != NULL)
	{
		*why = *w->why;
		return false;
	}
	w->bytes.len = 0;
	if (w->numbered)
	{
		txd_buf_byte(&w->bytes, 0);
		txd_buf_be32(&w->bytes, w->id);
	}
	if (w->writer == NULL)
		txd_buf_append(&w->bytes, span->data, span->len);
	else if (!txd_avro_write(w->writer, span->data, span->len, &w->bytes, &err))
	{
		*why = (TxpUnsent){.sqlstate = "22023", .hint = "Nothing was sent."};
		snprintf(why->message, sizeof(why->message), "the %s does not fit its schema",
				 w->of_keys ? "key" : "value");
		memcpy(why->detail, err.message, sizeof(why->detail));
		return false;
	}
	/* Of one without bytes there is a place, too: it is no tombstone. */
	*span = (TxpSpan){txd_buf_reserve(&w->bytes, 0) - w->bytes.len, (uint32_t) w->bytes.len};
	return true;
}

bool
txp_encode(TxpEncodings *e, uint32_t number, TxpSpan *key, TxpSpan *value, TxpUnsent *why)
{
	return number >= e->n || (encode_one(&e->all[number].value, value, why) &&
							  encode_one(&e->all[number].key, key, why));
}
