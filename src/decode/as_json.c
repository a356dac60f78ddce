/*
 * as_json.c — the JSON that messages and keys are decoded from, where that is not they themselves, and the schemas that
 * it takes.
 */
#include <string.h>

#include "decoder.h"

static TxdFormat
format_of(const TxdDecoder *d, const TxdMessage *m)
{
	for (int i = 0; i < d->schema.ntopics && m->topic != NULL; i++)
		if (strcmp(d->schema.topics[i].topic, m->topic) == 0)
			return d->schema.topics[i].format;
	return d->schema.format;
}

static bool
prepare_format(TxdDecoder *d, TxdFormat format, TxdError *err)
{
	if (!txd_is_translated(format) || d->translator[format] != NULL)
		return true;
	d->translator[format] = txd_translator_new(format, &d->schema, err);
	return d->translator[format] != NULL;
}

static bool
comes_from_key(const TxdColumn *column)
{
	return txd_column_takes(column, TXD_FROM_KEY_FIELD) || column->source == TXD_FROM_KEY_SCHEMA ||
		   (column->source == TXD_FROM_KEY && column->type != TXD_BYTEA);
}

static bool
prepare_key(TxdDecoder *d, TxdError *err)
{
	const TxdSchema *all = &d->schema;
	TxdKeyFormat format = all->key_format;

	if (format == TXD_KEY_TEXT)
		return true;
	for (int i = 0; i < all->ncolumns; i++)
		d->reads_key |= comes_from_key(&all->columns[i]);
	if (!d->reads_key || format == TXD_KEY_JSON)
		return true;
	d->key_schema = (TxdSchema){.format = format == TXD_KEY_AVRO ? TXD_AVRO : TXD_PROTOBUF,
								.avro_schema = all->key_avro_schema,
								.protobuf_schema = all->key_protobuf_schema,
								.protobuf_message = all->key_protobuf_message,
								.registry = all->registry};
	d->key_translator = txd_translator_new(d->key_schema.format, &d->key_schema, err);
	return d->key_translator != NULL || txd_refuse_key(err);
}

bool
txd_as_json_prepare(TxdDecoder *d, TxdError *err)
{
	for (int i = 0; i < d->schema.ntopics; i++)
		if (!prepare_format(d, d->schema.topics[i].format, err))
			return false;
	return prepare_format(d, d->schema.format, err) && prepare_key(d, err);
}

void
txd_as_json_end(TxdDecoder *d)
{
	for (int i = 0; i <= TXD_PROTOBUF; i++)
		txd_translator_free(d->translator[i]);
	txd_translator_free(d->key_translator);
}

/* Lets *text be its JSON. */
static bool
translate(TxdTranslator *t, const char **text, size_t *len, TxdError *err)
{
	const TxdBuf *json = txd_translate(t, *text, *len, err);

	if (json == NULL)
		return false;
	*text = json->data;
	*len = json->len;
	return true;
}

/* No JSON text begins with byte 0: what does has the number of its JSON Schema before it. */
static void
skip_number(const TxdMessage *m, const char **text, size_t *len)
{
	if (m->topic == NULL || *len <= TXD_WIRE_PREFIX || **text != '\0')
		return;
	*text += TXD_WIRE_PREFIX;
	*len -= TXD_WIRE_PREFIX;
}

static bool
read_value(TxdDecoder *d, TxdMessage *m, TxdError *err)
{
	TxdFormat format;

	d->reader = NULL;
	if (m->payload == NULL)
		return true;
	format = format_of(d, m);
	d->reader = d->translator[format];
	if (d->reader != NULL)
		return translate(d->reader, &m->payload, &m->payload_len, err);
	if (format == TXD_JSON)
		skip_number(m, &m->payload, &m->payload_len);
	return true;
}

/* A key of no bytes is none. */
static bool
read_key(TxdDecoder *d, TxdMessage *m, TxdError *err)
{
	if (!d->reads_key || m->key == NULL || m->key_len == 0)
		return true;
	if (d->key_translator != NULL)
		return translate(d->key_translator, &m->key, &m->key_len, err) || txd_refuse_key(err);
	skip_number(m, &m->key, &m->key_len);
	return true;
}

bool
txd_as_json(TxdDecoder *d, const TxdMessage **message, TxdMessage *copy, TxdError *err)
{
	*copy = **message;
	*message = copy;
	return read_value(d, copy, err) && read_key(d, copy, err);
}

bool
txd_bound_value(TxdDecoder *d, TxdMessage *m, TxdError *err)
{
	d->reader = d->translator[format_of(d, m)];
	return d->reader != NULL &&
		   txd_translate_bound(d->reader, d, m->payload, m->payload_len, err) &&
		   read_key(d, m, err);
}

bool
txd_wants_schema(const TxdDecoder *d, const TxdMessage *message, TxdWanted *wanted)
{
	TxdTranslator *translator;

	*wanted = (TxdWanted){.format = format_of(d, message)};
	translator = d->translator[wanted->format];
	if (translator != NULL &&
		txd_translator_wants(translator, message->payload, message->payload_len, &wanted->id))
		return true;
	*wanted = (TxdWanted){.format = d->key_schema.format, .of_key = true};
	return d->key_translator != NULL &&
		   txd_translator_wants(d->key_translator, message->key, message->key_len, &wanted->id);
}

static TxdTranslator *
translator_of(const TxdDecoder *d, const TxdWanted *wanted)
{
	return wanted->of_key ? d->key_translator : d->translator[wanted->format];
}

void
txd_add_schema(TxdDecoder *d, const TxdWanted *wanted, const char *const *names,
			   const char *const *texts, int n)
{
	txd_translator_add(translator_of(d, wanted), wanted->id, names, texts, n);
}

void
txd_refuse_schema(TxdDecoder *d, const TxdWanted *wanted, const char *why)
{
	txd_translator_refuse(translator_of(d, wanted), wanted->id, why);
}
