/*
 * avro.c — reads Avro's binary encoding by the steps of a resolved schema, and writes JSON.
 */
#include <stdlib.h>
#include <string.h>

#include "avro_read.h"
#include "connect.h"
#include "json.h"

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
	txd_binding_free(&avro->binding);
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
read_real(AvroInput *in, bool is_float)
{
	double v;

	if (!txd_avro_real(in, is_float, &v))
		return false;
	if (in->json != NULL)
		txd_write_real(in->json, v, is_float);
	return true;
}

static bool
read_text(AvroInput *in, const AvroStep *step)
{
	const unsigned char *p;
	size_t len;

	if (!txd_avro_bytes(in, &p, &len))
		return false;
	if (in->json == NULL)
		return true;
	if (step->type->logical == AVRO_DECIMAL && len > AVRO_MAX_DECIMAL)
		return txd_avro_fail(in, "a decimal of more than 4096 bytes");
	if (txd_avro_is_bytes(step))
		txd_avro_put_bytes(in->json, step->type, p, len);
	else
		txd_avro_put_string(in->json, step->type, (const char *) p, len);
	return true;
}

static bool
read_fixed(AvroInput *in, const AvroType *type)
{
	const unsigned char *p;

	if (!txd_avro_fixed(in, type->size, &p))
		return false;
	if (type->logical == AVRO_DECIMAL && type->size > AVRO_MAX_DECIMAL)
		return txd_avro_fail(in, "a decimal of more than 4096 bytes");
	if (in->json != NULL)
		txd_avro_put_bytes(in->json, type, p, type->size);
	return true;
}

static inline void
put(AvroInput *in, const char *text, size_t len)
{
	if (in->json != NULL)
		txd_buf_append(in->json, text, len);
}

static inline void
put_byte(AvroInput *in, char c)
{
	if (in->json != NULL)
		txd_buf_byte(in->json, c);
}

/* Each field is written with a comma before it; the first one's becomes the brace. */
static bool
read_record(AvroInput *in, const AvroStep *step)
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
		ok = txd_avro_read(in, step->child[i]);
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

static bool
read_enum(AvroInput *in, const AvroStep *step)
{
	int64_t i = 0;

	if (!txd_avro_choice(in, step->type, &i))
		return false;
	if (step->text[i].data == NULL && in->json != NULL)
		return txd_refuse(in->err, "bad_avro", NULL,
						  "a symbol that the stream's schema does not have, nor a default");
	if (in->json != NULL)
		put(in, step->text[i].data, step->text[i].len);
	return true;
}

static bool
read_union(AvroInput *in, const AvroStep *step)
{
	int64_t i = 0;

	return txd_avro_choice(in, step->type, &i) && txd_avro_read(in, step->child[i]);
}

/* One item of an array, or a key and a value of a map. */
static bool
read_item(AvroInput *in, const AvroStep *step)
{
	const unsigned char *key;
	size_t len;

	if (step->type->kind == AVRO_MAP)
	{
		if (!txd_avro_bytes(in, &key, &len))
			return false;
		if (in->json != NULL)
		{
			txd_write_quoted(in->json, (const char *) key, len);
			txd_buf_byte(in->json, ':');
		}
	}
	return txd_avro_read(in, step->child[0]);
}

/* Blocks of items; a negative number of them is followed by the block's size in bytes. */
static bool
read_items(AvroInput *in, const AvroStep *step)
{
	bool map = step->type->kind == AVRO_MAP;
	int64_t size;
	int64_t n = 0;
	bool first = true;

	put_byte(in, map ? '{' : '[');
	for (;;)
	{
		if (!txd_avro_long(in, &n))
			return false;
		if (n == 0)
			break;
		if (n == INT64_MIN || (n < 0 && !txd_avro_long(in, &size)))
			return n == INT64_MIN ? txd_avro_fail(in, "a block without end") : false;
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
read_variable(AvroInput *in)
{
	const unsigned char *p;
	int64_t scale = 0;
	size_t len;

	if (!txd_avro_long(in, &scale) || !txd_avro_bytes(in, &p, &len))
		return false;
	if (len > AVRO_MAX_DECIMAL)
		return txd_avro_fail(in, "a decimal of more than 4096 bytes");
	return in->json == NULL || txd_connect_put_decimal(in->json, (const char *) p, len, scale) ||
		   txd_avro_fail(in, "a decimal with a scale that none has");
}

static bool
read_container(AvroInput *in, const AvroStep *step)
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
read_number(AvroInput *in, const AvroType *type)
{
	int64_t v = 0;

	if (!txd_avro_int(in, type, &v))
		return false;
	if (in->json != NULL)
		txd_avro_put_long(in->json, type, v);
	return true;
}

static bool
read_boolean(AvroInput *in)
{
	bool v;

	if (!txd_avro_boolean(in, &v))
		return false;
	put(in, v ? "true" : "false", v ? 4 : 5);
	return true;
}

bool
txd_avro_read(AvroInput *in, const AvroStep *step)
{
	if (in->values-- == 0)
		return txd_avro_fail(in, "more values than bytes");
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
	AvroInput in = txd_avro_input(data, len, json, err);

	if (txd_avro_read(&in, avro->top) && txd_avro_is_over(&in))
		return true;
	json->len = in.before;
	return false;
}
