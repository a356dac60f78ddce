/*
 * avro_message.c — which schema an Avro message was written with.
 *
 * With a registry: byte 0 and the schema's number in four bytes, big-endian (Confluent's wire format). Without: values of the
 * stream's own schema, bare or as single objects (C3 01 and the schema's fingerprint, little-endian).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "avro.h"
#include "decoder.h"

#define PREFIX 5         /* of the wire format */
#define OBJECT_PREFIX 10 /* of single objects */
#define KEEP_BYTES (1024 * 1024)
#define MAX_MISSING 1000 /* numbers without a schema that are remembered */

typedef struct Numbered
{
	uint32_t id;
	bool missing;
	TxdAvro *avro; /* NULL: refused with */
	TxdError why;
} Numbered;

/* In the order of their numbers; the stream's own schema apart. */
typedef struct TxdAvroSchemas
{
	TxdAvro *own;
	uint64_t fingerprint; /* of it */
	int n;
	Numbered *numbered;
	int last;     /* index of the one used last */
	int nmissing; /* of those without a schema */
} TxdAvroSchemas;

bool
txd_avro_prepare(TxdDecoder *d, TxdError *err)
{
	TxdAvroSchemas *s = txd_alloc(sizeof(*s));

	*s = (TxdAvroSchemas){0};
	d->schemas = s;
	if (d->schema.avro_schema == NULL && d->schema.registry == NULL)
		return txd_refuse(err, "bad_value", NULL, "Avro needs a schema, or a registry of them");
	/* With a registry, too: that it is no schema is told at once. */
	if (d->schema.avro_schema != NULL)
		s->own = txd_avro_new(&d->schema.avro_schema, 1, NULL, err);
	if (s->own != NULL)
		s->fingerprint = txd_avro_fingerprint(s->own);
	return s->own != NULL || d->schema.avro_schema == NULL;
}

void
txd_avro_end(TxdDecoder *d)
{
	TxdAvroSchemas *s = d->schemas;

	if (s == NULL)
		return;
	for (int i = 0; i < s->n; i++)
		txd_avro_free(s->numbered[i].avro);
	txd_avro_free(s->own);
	free(s->numbered);
	free(s);
}

/* Index of the first that is not before id. */
static int
place_of(const TxdAvroSchemas *s, uint32_t id)
{
	int low = 0;
	int high = s->n;

	while (low < high)
	{
		int mid = (low + high) / 2;

		if (s->numbered[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static Numbered *
find(TxdAvroSchemas *s, uint32_t id)
{
	if (s->last >= s->n || s->numbered[s->last].id != id)
		s->last = place_of(s, id);
	return s->last < s->n && s->numbered[s->last].id == id ? &s->numbered[s->last] : NULL;
}

static bool
read_number(const TxdMessage *m, uint32_t *id)
{
	const unsigned char *p = (const unsigned char *) m->payload;

	if (p == NULL || m->payload_len < PREFIX || p[0] != 0)
		return false;
	*id = (uint32_t) p[1] << 24 | (uint32_t) p[2] << 16 | (uint32_t) p[3] << 8 | p[4];
	return true;
}

bool
txd_wants_schema(const TxdDecoder *d, const TxdMessage *message, uint32_t *id)
{
	return d->schemas != NULL && d->schema.registry != NULL && read_number(message, id) &&
		   find(d->schemas, *id) == NULL;
}

/* Forgets all numbers without a schema: they are asked for again. */
static void
forget_missing(TxdAvroSchemas *s)
{
	int kept = 0;

	for (int i = 0; i < s->n; i++)
		if (!s->numbered[i].missing)
			s->numbered[kept++] = s->numbered[i];
	s->n = kept;
	s->nmissing = 0;
}

void
txd_add_schema(TxdDecoder *d, uint32_t id, const char *const *texts, int n)
{
	TxdAvroSchemas *s = d->schemas;
	Numbered *schema;

	if (n == 0 && s->nmissing == MAX_MISSING)
		forget_missing(s);
	schema = find(s, id);

	if (schema == NULL)
	{
		int at = place_of(s, id);

		s->numbered = txd_realloc(s->numbered, ((size_t) s->n + 1) * sizeof(Numbered));
		schema = &s->numbered[at];
		memmove(schema + 1, schema, (size_t) (s->n++ - at) * sizeof(Numbered));
	}
	else
	{
		txd_avro_free(schema->avro);
		s->nmissing -= schema->missing;
	}
	*schema = (Numbered){.id = id, .missing = n == 0};
	s->nmissing += schema->missing;
	if (n == 0)
		txd_refuse(&schema->why, "unknown_schema", NULL,
				   "schema %" PRIu32 " is not in the registry", id);
	else
		schema->avro = txd_avro_new(texts, n, d->schema.avro_schema, &schema->why);
}

/* The schema of a message that names it, and what it applies to. */
static const TxdAvro *
schema_of(TxdDecoder *d, const TxdMessage *m, TxdError *err)
{
	const Numbered *schema;
	uint32_t id;

	if (!read_number(m, &id))
	{
		txd_refuse(err, "bad_avro", NULL,
				   "the message does not begin with byte 0 and the number of a schema");
		return NULL;
	}
	schema = find(d->schemas, id);
	if (schema == NULL)
		txd_refuse(err, "unknown_schema", NULL, "schema %" PRIu32 " was not asked for", id);
	else if (schema->avro == NULL)
		*err = schema->why;
	return schema != NULL ? schema->avro : NULL;
}

/* The fingerprint of a single object. */
static bool
read_fingerprint(const TxdMessage *m, uint64_t *fingerprint)
{
	const unsigned char *p = (const unsigned char *) m->payload;

	*fingerprint = 0;
	if (m->payload_len < OBJECT_PREFIX || p[0] != 0xc3 || p[1] != 0x01)
		return false;
	for (int i = 0; i < 8; i++)
		*fingerprint |= (uint64_t) p[2 + i] << (8 * i);
	return true;
}

/* A value may begin like a single object by chance: only when it is none has the fingerprint to be the reason. */
static bool
own_message(TxdDecoder *d, const TxdMessage *m, TxdError *err)
{
	const TxdAvroSchemas *s = d->schemas;
	uint64_t fingerprint;
	bool object = read_fingerprint(m, &fingerprint);

	if (object && fingerprint == s->fingerprint)
		return txd_avro_json(s->own, m->payload + OBJECT_PREFIX, m->payload_len - OBJECT_PREFIX,
							 &d->json, err);
	if (txd_avro_json(s->own, m->payload, m->payload_len, &d->json, err))
		return true;
	if (object)
		txd_refuse(err, "unknown_schema", NULL,
				   "written with the schema of fingerprint %016" PRIx64
				   ", the stream's has %016" PRIx64,
				   fingerprint, s->fingerprint);
	return false;
}

bool
txd_avro_message(TxdDecoder *d, const TxdMessage *message, TxdError *err)
{
	const TxdAvro *avro;

	if (d->json.cap > KEEP_BYTES)
		txd_buf_free(&d->json);
	d->json.len = 0;
	if (d->schema.registry == NULL)
		return own_message(d, message, err);
	avro = schema_of(d, message, err);
	return avro != NULL && txd_avro_json(avro, message->payload + PREFIX,
										 message->payload_len - PREFIX, &d->json, err);
}
