/*
 * avro.c — reads Avro's binary encoding by the steps of a resolved schema, and writes JSON.
 */
#include <stdlib.h>
#include <string.h>

#include "avro_schema.h"
#include "connect.h"
#include "json.h"

/* Values that may take no bytes, as nulls and records of them do: more of them are no message but an attack. */
#define MAX_EMPTY 65536

struct TxdAvro
{
	AvroArena arena;
	const AvroType *writer;
	const AvroStep *top;
	bool is_read_as;      /* another schema */
	uint64_t fingerprint; /* of the writer's schema */
};

typedef struct Input
{
	const unsigned char *start;
	const unsigned char *p;
	const unsigned char *end;
	TxdBuf *json; /* NULL: the value is stepped over */
	size_t before;
	TxdError *err;
	int depth;
	int64_t
		values; /* that may still come: a schema alone can make any number of them out of no bytes */
} Input;

TxdAvro *
txd_avro_new(const char *const *writer, int n, const char *reader, TxdError *err)
{
	TxdAvro *avro = txd_alloc(sizeof(*avro));
	const AvroType *of_reader = NULL;

	*avro = (TxdAvro){0};
	avro->writer = txd_avro_parse(&avro->arena, writer, n, "", err);
	if (avro->writer != NULL && reader != NULL)
		of_reader = txd_avro_parse(&avro->arena, &reader, 1, "the stream's ", err);
	if (avro->writer == NULL || (reader != NULL && of_reader == NULL))
	{
		txd_avro_free(avro);
		return NULL;
	}
	avro->is_read_as = reader != NULL;
	avro->fingerprint = txd_avro_canonical_hash(avro->writer);
	avro->top = txd_avro_resolve(&avro->arena, avro->writer, of_reader);
	return avro;
}

void
txd_avro_free(TxdAvro *avro)
{
	if (avro == NULL)
		return;
	txd_avro_free_arena(&avro->arena);
	free(avro);
}

const AvroType *
txd_avro_top(const TxdAvro *avro)
{
	return avro->is_read_as ? NULL : avro->writer;
}

uint64_t
txd_avro_fingerprint(const TxdAvro *avro)
{
	return avro->fingerprint;
}

static bool
fail(Input *in, const char *what)
{
	return txd_refuse(in->err, "bad_avro", NULL, "%s at byte %zu", what,
					  (size_t) (in->p - in->start) + 1);
}

static bool read_value(Input *in, const AvroStep *step);

/* A number of up to 64 bits: seven a byte, the lowest first, the sign in the lowest of all. */
static inline bool
read_long(Input *in, int64_t *v)
{
	uint64_t raw = 0;

	for (int shift = 0; shift < 64; shift += 7)
	{
		unsigned char c;

		if (in->p == in->end)
			return fail(in, "message ends too early");
		c = *in->p++;
		if (shift == 63 && c > 1)
			break;
		raw |= (uint64_t) (c & 0x7f) << shift;
		if (c < 0x80)
		{
			*v = (int64_t) (raw >> 1 ^ -(raw & 1));
			return true;
		}
	}
	return fail(in, "a number of more than 64 bits");
}

static bool
read_int(Input *in, const AvroType *type, int64_t *v)
{
	if (!read_long(in, v))
		return false;
	if (type->kind == AVRO_INT && (*v < INT32_MIN || *v > INT32_MAX))
		return fail(in, "an int of more than 32 bits");
	return true;
}

/* A stretch of bytes, whose length comes first. */
static bool
read_bytes(Input *in, const unsigned char **p, size_t *len)
{
	int64_t n = 0;

	if (!read_long(in, &n))
		return false;
	if (n < 0 || n > in->end - in->p)
		return fail(in, "a length beyond the message's end");
	*p = in->p;
	*len = (size_t) n;
	in->p += n;
	return true;
}

static bool
read_real(Input *in, bool is_float)
{
	size_t size = is_float ? 4 : 8;
	uint64_t bits = 0;
	uint32_t low;
	float f;
	double d;

	if ((size_t) (in->end - in->p) < size)
		return fail(in, "message ends too early");
	for (size_t i = 0; i < size; i++)
		bits |= (uint64_t) in->p[i] << (8 * i);
	in->p += size;
	low = (uint32_t) bits;
	memcpy(&f, &low, sizeof(f));
	memcpy(&d, &bits, sizeof(d));
	if (in->json != NULL)
		txd_write_real(in->json, is_float ? f : d, is_float);
	return true;
}

static bool
read_text(Input *in, const AvroStep *step)
{
	const unsigned char *p;
	size_t len;
	bool bytes = step->type->kind == AVRO_BYTES;

	if (!read_bytes(in, &p, &len))
		return false;
	if (in->json == NULL)
		return true;
	if (step->type->logical == AVRO_DECIMAL && len > AVRO_MAX_DECIMAL)
		return fail(in, "a decimal of more than 4096 bytes");
	if ((bytes && !step->as_text) || step->as_bytes)
		txd_avro_put_bytes(in->json, step->type, p, len);
	else
		txd_avro_put_string(in->json, step->type, (const char *) p, len);
	return true;
}

static bool
read_fixed(Input *in, const AvroType *type)
{
	if ((size_t) (in->end - in->p) < type->size)
		return fail(in, "message ends too early");
	if (type->logical == AVRO_DECIMAL && type->size > AVRO_MAX_DECIMAL)
		return fail(in, "a decimal of more than 4096 bytes");
	if (in->json != NULL)
		txd_avro_put_bytes(in->json, type, in->p, type->size);
	in->p += type->size;
	return true;
}

static inline void
put(Input *in, const char *text, size_t len)
{
	if (in->json != NULL)
		txd_buf_append(in->json, text, len);
}

static inline void
put_byte(Input *in, char c)
{
	if (in->json != NULL)
		txd_buf_byte(in->json, c);
}

/* Each field is written with a comma before it; the first one's becomes the brace. */
static bool
read_record(Input *in, const AvroStep *step)
{
	TxdBuf *json = in->json;
	size_t start = json != NULL ? json->len : 0;

	for (int i = 0; i < step->type->n; i++)
	{
		bool ok;

		if (step->text[i].data == NULL)
			in->json = NULL;
		else
			put(in, step->text[i].data, step->text[i].len);
		ok = read_value(in, step->child[i]);
		in->json = json;
		if (!ok)
			return false;
	}
	if (step->tail.data != NULL)
		put(in, step->tail.data, step->tail.len);
	if (json != NULL && json->len > start)
		json->data[start] = '{';
	else
		put_byte(in, '{');
	put_byte(in, '}');
	return true;
}

/* Which symbol or branch of the type comes. */
static bool
read_choice(Input *in, const AvroType *type, int64_t *i)
{
	if (!read_long(in, i))
		return false;
	if (*i < 0 || *i >= type->n)
		return fail(in, type->kind == AVRO_ENUM ? "a symbol that the enum does not have"
												: "a branch that the union does not have");
	return true;
}

static bool
read_enum(Input *in, const AvroStep *step)
{
	int64_t i = 0;

	if (!read_choice(in, step->type, &i))
		return false;
	if (step->text[i].data == NULL && in->json != NULL)
		return txd_refuse(in->err, "bad_avro", NULL,
						  "a symbol that the stream's schema does not have, nor a default");
	if (in->json != NULL)
		put(in, step->text[i].data, step->text[i].len);
	return true;
}

static bool
read_union(Input *in, const AvroStep *step)
{
	int64_t i = 0;

	return read_choice(in, step->type, &i) && read_value(in, step->child[i]);
}

/* One item of an array, or a key and a value of a map. */
static bool
read_item(Input *in, const AvroStep *step)
{
	const unsigned char *key;
	size_t len;

	if (step->type->kind == AVRO_MAP)
	{
		if (!read_bytes(in, &key, &len))
			return false;
		if (in->json != NULL)
		{
			txd_write_quoted(in->json, (const char *) key, len);
			txd_buf_byte(in->json, ':');
		}
	}
	return read_value(in, step->child[0]);
}

/* Blocks of items; a negative number of them is followed by the block's size in bytes. */
static bool
read_items(Input *in, const AvroStep *step)
{
	bool map = step->type->kind == AVRO_MAP;
	int64_t size;
	int64_t n = 0;
	bool first = true;

	put_byte(in, map ? '{' : '[');
	for (;;)
	{
		if (!read_long(in, &n))
			return false;
		if (n == 0)
			break;
		if (n == INT64_MIN || (n < 0 && !read_long(in, &size)))
			return n == INT64_MIN ? fail(in, "a block without end") : false;
		for (n = n < 0 ? -n : n; n > 0; n--, first = false)
		{
			if (!first)
				put_byte(in, ',');
			if (!read_item(in, step))
				return false;
		}
	}
	put_byte(in, map ? '}' : ']');
	return true;
}

/* A decimal of Debezium that brings its scale. */
static bool
read_variable(Input *in)
{
	const unsigned char *p;
	int64_t scale = 0;
	size_t len;

	if (!read_long(in, &scale) || !read_bytes(in, &p, &len))
		return false;
	if (len > AVRO_MAX_DECIMAL)
		return fail(in, "a decimal of more than 4096 bytes");
	return in->json == NULL || txd_connect_put_decimal(in->json, (const char *) p, len, scale) ||
		   fail(in, "a decimal with a scale that none has");
}

static bool
read_container(Input *in, const AvroStep *step)
{
	bool ok;

	if (in->depth == TXD_JSON_DEPTH || step->too_deep)
		return txd_refuse(in->err, "too_deep", NULL, "more than 64 nested levels");
	in->depth++;
	if (step->type->logical == AVRO_VARIABLE_DECIMAL)
		ok = read_variable(in);
	else
		ok = step->type->kind == AVRO_RECORD ? read_record(in, step) : read_items(in, step);
	in->depth--;
	return ok;
}

static bool
read_number(Input *in, const AvroType *type)
{
	int64_t v = 0;

	if (!read_int(in, type, &v))
		return false;
	if (in->json != NULL)
		txd_avro_put_long(in->json, type, v);
	return true;
}

static bool
read_boolean(Input *in)
{
	if (in->p == in->end)
		return fail(in, "message ends too early");
	if (*in->p > 1)
		return fail(in, "a boolean that is neither 0 nor 1");
	put(in, *in->p ? "true" : "false", *in->p ? 4 : 5);
	in->p++;
	return true;
}

static bool
read_value(Input *in, const AvroStep *step)
{
	if (in->values-- == 0)
		return fail(in, "more values than bytes");
	if (in->json != NULL && in->json->len - in->before > TXD_MAX_ROW)
		return txd_refuse(in->err, "too_long", NULL, "more than %d bytes as JSON", TXD_MAX_ROW);
	if (step->why != NULL && in->json != NULL)
		return txd_refuse(in->err, "bad_avro", NULL, "%s", step->why);
	switch (step->type->kind)
	{
		case AVRO_NULL:
			put(in, "null", 4);
			return true;
		case AVRO_BOOLEAN:
			return read_boolean(in);
		case AVRO_INT:
		case AVRO_LONG:
			return read_number(in, step->type);
		case AVRO_FLOAT:
		case AVRO_DOUBLE:
			return read_real(in, step->type->kind == AVRO_FLOAT);
		case AVRO_BYTES:
		case AVRO_STRING:
			return read_text(in, step);
		case AVRO_FIXED:
			return read_fixed(in, step->type);
		case AVRO_ENUM:
			return read_enum(in, step);
		case AVRO_UNION:
			return read_union(in, step);
		default:
			return read_container(in, step);
	}
}

bool
txd_avro_json(const TxdAvro *avro, const char *data, size_t len, TxdBuf *json, TxdError *err)
{
	const unsigned char *p = (const unsigned char *) data;
	Input in = {p, p, p + len, json, json->len, err, 0, (int64_t) len * TXD_JSON_DEPTH + MAX_EMPTY};
	size_t before = json->len;

	if (read_value(&in, avro->top) && (in.p == in.end || fail(&in, "bytes after the value")))
		return true;
	json->len = before;
	return false;
}
