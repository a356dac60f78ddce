/*
 * avro_message.c — Avro as a stream's format.
 *
 * With a registry, values of the schema that the message names. Without: values of the stream's own schema, bare or as single
 * objects (C3 01 and the schema's fingerprint, little-endian).
 */
#include <inttypes.h>

#include "avro_read.h"
#include "translate.h"
#include "value.h"

#define OBJECT_PREFIX 10 /* of single objects */

static void *
read_schema(const TxdSchema *stream, const char *const *names, const char *const *texts, int n,
			TxdError *err)
{
	(void) names;
	return txd_avro_new(texts, n, stream->avro_schema, err);
}

static void *
read_own(const TxdSchema *stream, TxdError *err)
{
	return txd_avro_new(&stream->avro_schema, 1, NULL, err);
}

static void
release(void *schema)
{
	txd_avro_free(schema);
}

static bool
put(void *schema, const char *data, size_t len, TxdBuf *json, TxdError *err)
{
	return txd_avro_json(schema, data, len, json, err);
}

/* The fingerprint of a single object. */
static bool
read_fingerprint(const char *data, size_t len, uint64_t *fingerprint)
{
	const unsigned char *p = (const unsigned char *) data;

	*fingerprint = 0;
	if (len < OBJECT_PREFIX || p[0] != 0xc3 || p[1] != 0x01)
		return false;
	for (int i = 0; i < 8; i++)
		*fingerprint |= (uint64_t) p[2 + i] << (8 * i);
	return true;
}

/* A value may begin like a single object by chance: only when it is none has the fingerprint to be the reason. */
static bool
put_own(void *schema, const char *data, size_t len, TxdBuf *json, TxdError *err)
{
	uint64_t fingerprint;
	bool object = read_fingerprint(data, len, &fingerprint);

	if (object && fingerprint == txd_avro_fingerprint(schema))
		return txd_avro_json(schema, data + OBJECT_PREFIX, len - OBJECT_PREFIX, json, err);
	if (txd_avro_json(schema, data, len, json, err))
		return true;
	if (object)
		txd_refuse(err, "unknown_schema", NULL,
				   "written with the schema of fingerprint %016" PRIx64
				   ", the stream's has %016" PRIx64,
				   fingerprint, txd_avro_fingerprint(schema));
	return false;
}

static bool
read_bound(void *schema, TxdBoundMessage *m)
{
	uint64_t fingerprint;

	if (m->own && read_fingerprint(m->data, m->len, &fingerprint))
	{
		if (fingerprint != txd_avro_fingerprint(schema))
			return false;
		m->data += OBJECT_PREFIX;
		m->len -= OBJECT_PREFIX;
	}
	return txd_avro_read_bound(schema, m);
}

static void
describe(void *schema, TxdBuf *json)
{
	txd_avro_describe(schema, json);
}

const TxdLanguage txd_avro_language = {.name = "Avro",
									   .refusal = "bad_avro",
									   .read = read_schema,
									   .read_own = read_own,
									   .release = release,
									   .put = put,
									   .put_own = put_own,
									   .read_bound = read_bound,
									   .describe = describe};
