/*
 * avro_default.c — defaults of Avro's fields, which are written as JSON of another kind than values become here.
 */
#include <stdlib.h>
#include <string.h>

#include "avro_schema.h"
#include "connect.h"

#define MAX_DEPTH 64            /* a default of a recursive type may never end, */
#define MAX_BYTES (1024 * 1024) /* or grow with each level */

static bool put_default(TxdBuf *json, const AvroType *type, const json_t *preset, int depth);

/* Bytes are written as a string of the characters U+0000 to U+00FF. They are the caller's; NULL: it is none. */
static unsigned char *
read_bytes(const json_t *preset, size_t *n)
{
	const unsigned char *p = (const unsigned char *) json_string_value(preset);
	size_t len = json_string_length(preset);
	unsigned char *bytes = txd_alloc(len + 1);
	bool ok = p != NULL;

	*n = 0;
	for (size_t i = 0; ok && i < len; i++)
	{
		if (p[i] < 0x80)
			bytes[(*n)++] = p[i];
		else if ((ok = p[i] <= 0xc3 && i + 1 < len))
		{
			bytes[(*n)++] = (unsigned char) ((p[i] & 3) << 6 | (p[i + 1] & 0x3f));
			i++;
		}
	}
	if (ok)
		return bytes;
	free(bytes);
	return NULL;
}

static bool
put_bytes(TxdBuf *json, const AvroType *type, const json_t *preset)
{
	size_t n;
	unsigned char *bytes = read_bytes(preset, &n);
	bool ok = bytes != NULL && (type->kind != AVRO_FIXED || n == type->size) &&
			  (type->logical != AVRO_DECIMAL || n <= AVRO_MAX_DECIMAL);

	if (ok)
		txd_avro_put_bytes(json, type, bytes, n);
	free(bytes);
	return ok;
}

/* A decimal of Debezium that brings its scale. */
static bool
put_variable(TxdBuf *json, const json_t *preset)
{
	const json_t *scale = json_object_get(preset, "scale");
	size_t n;
	unsigned char *bytes = read_bytes(json_object_get(preset, "value"), &n);
	bool ok = bytes != NULL && json_is_integer(scale) && n <= AVRO_MAX_DECIMAL &&
			  txd_connect_put_decimal(json, (const char *) bytes, n, json_integer_value(scale));

	free(bytes);
	return ok;
}

static bool
put_record(TxdBuf *json, const AvroType *type, const json_t *preset, int depth)
{
	if (!json_is_object(preset))
		return false;
	txd_buf_byte(json, '{');
	for (int i = 0; i < type->n; i++)
	{
		const AvroField *field = &type->field[i];
		const json_t *value = json_object_get(preset, field->name);

		if (i > 0)
			txd_buf_byte(json, ',');
		txd_write_quoted(json, field->name, strlen(field->name));
		txd_buf_byte(json, ':');
		if (value == NULL)
			value = field->preset;
		if (value == NULL || !put_default(json, field->type, value, depth))
			return false;
	}
	txd_buf_byte(json, '}');
	return true;
}

static bool
put_array(TxdBuf *json, const AvroType *type, const json_t *preset, int depth)
{
	if (!json_is_array(preset))
		return false;
	txd_buf_byte(json, '[');
	for (size_t i = 0; i < json_array_size(preset); i++)
	{
		if (i > 0)
			txd_buf_byte(json, ',');
		if (!put_default(json, type->branch[0], json_array_get(preset, i), depth))
			return false;
	}
	txd_buf_byte(json, ']');
	return true;
}

static bool
put_map(TxdBuf *json, const AvroType *type, const json_t *preset, int depth)
{
	void *at = json_object_iter((json_t *) preset);
	bool first = true;

	if (!json_is_object(preset))
		return false;
	txd_buf_byte(json, '{');
	for (; at != NULL; at = json_object_iter_next((json_t *) preset, at), first = false)
	{
		const char *key = json_object_iter_key(at);

		if (!first)
			txd_buf_byte(json, ',');
		txd_write_quoted(json, key, strlen(key));
		txd_buf_byte(json, ':');
		if (!put_default(json, type->branch[0], json_object_iter_value(at), depth))
			return false;
	}
	txd_buf_byte(json, '}');
	return true;
}

/* Of the first branch, says the specification; of whichever takes it, say later ones. */
static bool
put_union(TxdBuf *json, const AvroType *type, const json_t *preset, int depth)
{
	size_t before = json->len;

	for (int i = 0; i < type->n; i++)
	{
		if (put_default(json, type->branch[i], preset, depth))
			return true;
		json->len = before;
	}
	return false;
}

static bool
put_simple(TxdBuf *json, const AvroType *type, const json_t *preset)
{
	switch (type->kind)
	{
		case AVRO_NULL:
			txd_buf_append(json, "null", 4);
			return json_is_null(preset);
		case AVRO_BOOLEAN:
			txd_buf_append(json, json_is_true(preset) ? "true" : "false",
						   json_is_true(preset) ? 4 : 5);
			return json_is_boolean(preset);
		case AVRO_INT:
		case AVRO_LONG:
			txd_avro_put_long(json, type, json_integer_value(preset));
			return json_is_integer(preset);
		case AVRO_FLOAT:
		case AVRO_DOUBLE:
			txd_write_real(json, json_number_value(preset), type->kind == AVRO_FLOAT);
			return json_is_number(preset);
		default:
			if (!json_is_string(preset))
				return false;
			txd_avro_put_string(json, type, json_string_value(preset), json_string_length(preset));
			return true;
	}
}

static bool
put_default(TxdBuf *json, const AvroType *type, const json_t *preset, int depth)
{
	if (depth > MAX_DEPTH || json->len > MAX_BYTES)
		return false;
	switch (type->kind)
	{
		case AVRO_RECORD:
			return type->logical == AVRO_VARIABLE_DECIMAL
					   ? put_variable(json, preset)
					   : put_record(json, type, preset, depth + 1);
		case AVRO_ARRAY:
			return put_array(json, type, preset, depth + 1);
		case AVRO_MAP:
			return put_map(json, type, preset, depth + 1);
		case AVRO_UNION:
			return put_union(json, type, preset, depth);
		case AVRO_BYTES:
		case AVRO_FIXED:
			return put_bytes(json, type, preset);
		default:
			return put_simple(json, type, preset);
	}
}

bool
txd_avro_put_default(TxdBuf *json, const AvroType *type, const json_t *preset)
{
	return put_default(json, type, preset, 0);
}
