/*
 * translate.c — which schema a message was written with: a table of those that have a number, and the stream's own.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bind.h"
#include "translate.h"
#include "value.h"

#define MAX_MISSING 1000 /* numbers without a schema that are remembered */

typedef struct Numbered
{
	uint32_t id;
	bool missing;
	void *schema; /* NULL: refused with */
	TxdError why;
} Numbered;

struct TxdTranslator
{
	const TxdLanguage *language;
	const TxdSchema *stream;
	bool by_number;
	void *own;
	Numbered *numbered; /* in the order of their numbers */
	int n;
	int last;     /* index of the one used last */
	int nmissing; /* of those without a schema */
	void *latest; /* schema that was translated by */
	TxdBuf json;
};

TxdTranslator *
txd_translator_new(TxdFormat format, const TxdSchema *stream, TxdError *err)
{
	bool avro = format == TXD_AVRO;
	const TxdLanguage *language = avro ? &txd_avro_language : &txd_protobuf_language;
	const char *own = avro ? stream->avro_schema : stream->protobuf_schema;
	TxdTranslator *t;

	if (own == NULL && stream->registry == NULL)
	{
		txd_refuse(err, "bad_value", NULL, "%s needs a schema, or a registry of them",
				   language->name);
		return NULL;
	}
	t = txd_alloc(sizeof(*t));
	/* Where Avro's has a registry, too, it is what messages are read as: that it is none is told at once. */
	*t = (TxdTranslator){.language = language,
						 .stream = stream,
						 .by_number = stream->registry != NULL && (avro || own == NULL)};
	if (own != NULL)
		t->own = language->read_own(stream, err);
	if (t->own != NULL || own == NULL)
		return t;
	txd_translator_free(t);
	return NULL;
}

static void
release(const TxdTranslator *t, void *schema)
{
	if (schema != NULL)
		t->language->release(schema);
}

void
txd_translator_free(TxdTranslator *t)
{
	if (t == NULL)
		return;
	for (int i = 0; i < t->n; i++)
		release(t, t->numbered[i].schema);
	release(t, t->own);
	free(t->numbered);
	txd_buf_free(&t->json);
	free(t);
}

/* Index of the first that is not before id. */
static int
place_of(const TxdTranslator *t, uint32_t id)
{
	int low = 0;
	int high = t->n;

	while (low < high)
	{
		int mid = (low + high) / 2;

		if (t->numbered[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static Numbered *
find(const TxdTranslator *t, uint32_t id)
{
	int at = t->last < t->n && t->numbered[t->last].id == id ? t->last : place_of(t, id);

	return at < t->n && t->numbered[at].id == id ? &t->numbered[at] : NULL;
}

static bool
read_number(const char *data, size_t len, uint32_t *id)
{
	const unsigned char *p = (const unsigned char *) data;

	if (p == NULL || len < TXD_WIRE_PREFIX || p[0] != 0)
		return false;
	*id = (uint32_t) p[1] << 24 | (uint32_t) p[2] << 16 | (uint32_t) p[3] << 8 | p[4];
	return true;
}

bool
txd_translator_wants(const TxdTranslator *t, const char *data, size_t len, uint32_t *id)
{
	return t->by_number && read_number(data, len, id) && find(t, *id) == NULL;
}

/* Forgets all numbers without a schema: they are asked for again. */
static void
forget_missing(TxdTranslator *t)
{
	int kept = 0;

	for (int i = 0; i < t->n; i++)
		if (!t->numbered[i].missing)
			t->numbered[kept++] = t->numbered[i];
	t->n = kept;
	t->nmissing = 0;
}

/* The number's place, emptied. */
static Numbered *
take_place(TxdTranslator *t, uint32_t id)
{
	Numbered *place = find(t, id);

	if (place == NULL)
	{
		int at = place_of(t, id);

		t->numbered = txd_realloc(t->numbered, ((size_t) t->n + 1) * sizeof(Numbered));
		place = &t->numbered[at];
		memmove(place + 1, place, (size_t) (t->n++ - at) * sizeof(Numbered));
	}
	else
	{
		release(t, place->schema);
		t->nmissing -= place->missing;
	}
	*place = (Numbered){.id = id};
	return place;
}

void
txd_translator_add(TxdTranslator *t, uint32_t id, const char *const *names,
				   const char *const *texts, int n)
{
	Numbered *place;

	if (n == 0 && t->nmissing == MAX_MISSING)
		forget_missing(t);
	place = take_place(t, id);
	place->missing = n == 0;
	t->nmissing += place->missing;
	if (n == 0)
		txd_refuse(&place->why, "unknown_schema", NULL, "schema %" PRIu32 " is not in the registry",
				   id);
	else
		place->schema = t->language->read(t->stream, names, texts, n, &place->why);
}

void
txd_translator_refuse(TxdTranslator *t, uint32_t id, const char *why)
{
	txd_refuse(&take_place(t, id)->why, "bad_schema", NULL, "schema %" PRIu32 ": %s", id, why);
}

/* The schema a message names is the latest one from now on; false: there is none to read it by. */
static bool
choose_schema(TxdTranslator *t, const char *data, size_t len, TxdError *err)
{
	const Numbered *place;
	uint32_t id;

	t->latest = t->own;
	if (!t->by_number)
		return true;
	if (!read_number(data, len, &id))
	{
		txd_refuse(err, t->language->refusal, NULL,
				   "the message does not begin with byte 0 and the number of a schema");
		return false;
	}
	place = find(t, id);
	if (place == NULL)
	{
		txd_refuse(err, "unknown_schema", NULL, "schema %" PRIu32 " was not asked for", id);
		return false;
	}
	t->last = (int) (place - t->numbered);
	t->latest = place->schema;
	if (place->schema == NULL)
		*err = place->why;
	return place->schema != NULL;
}

const TxdBuf *
txd_translate(TxdTranslator *t, const char *data, size_t len, TxdError *err)
{
	bool done;

	txd_buf_clear(&t->json);
	if (!choose_schema(t, data, len, err))
		return NULL;
	done = t->by_number ? t->language->put(t->latest, data + TXD_WIRE_PREFIX, len - TXD_WIRE_PREFIX,
										   &t->json, err)
						: t->language->put_own(t->own, data, len, &t->json, err);
	return done ? &t->json : NULL;
}

bool
txd_translate_bound(TxdTranslator *t, TxdDecoder *d, const char *data, size_t len, TxdError *err)
{
	TxdBoundMessage m = {
		.d = d, .data = data, .len = len, .own = !t->by_number, .json = &t->json, .err = err};
	TxdError why;

	/* What may be too long as JSON is for the way by that to say, as is what cannot be read at all. */
	if (len > TXD_MAX_ROW / 8 || !choose_schema(t, data, len, &why))
		return false;
	if (t->by_number)
	{
		m.data += TXD_WIRE_PREFIX;
		m.len -= TXD_WIRE_PREFIX;
	}
	txd_buf_clear(&t->json);
	return t->language->read_bound(t->latest, &m);
}

void
txd_translator_describe(const TxdTranslator *t, TxdBuf *json)
{
	if (t->latest != NULL && t->language->describe != NULL)
		t->language->describe(t->latest, json);
}
