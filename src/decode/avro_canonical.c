/*
 * avro_canonical.c — the parsing canonical form of an Avro schema, and its fingerprint.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "avro_schema.h"

#define EMPTY UINT64_C(0xc15d213aa4d7a795)

/* What was written already is referred to by its name. */
typedef struct Form
{
	TxdBuf text;
	const AvroType **seen;
	size_t nseen;
	int depth;
} Form;

static void put_type(Form *f, const AvroType *type);

static void
put(Form *f, const char *text)
{
	txd_buf_append(&f->text, text, strlen(text));
}

static void
put_name(Form *f, const char *before, const char *name)
{
	put(f, before);
	put(f, "\"");
	put(f, name);
	put(f, "\"");
}

static void
put_fields(Form *f, const AvroType *type)
{
	put(f, ",\"type\":\"record\",\"fields\":[");
	for (int i = 0; i < type->n; i++)
	{
		put_name(f, i > 0 ? ",{\"name\":" : "{\"name\":", type->field[i].name);
		put(f, ",\"type\":");
		put_type(f, type->field[i].type);
		put(f, "}");
	}
	put(f, "]}");
}

static void
put_named(Form *f, const AvroType *type)
{
	char size[40];

	for (size_t i = 0; i < f->nseen; i++)
		if (f->seen[i] == type)
		{
			put_name(f, "", type->name);
			return;
		}
	f->seen = txd_realloc(f->seen, (f->nseen + 1) * sizeof(*f->seen));
	f->seen[f->nseen++] = type;
	put_name(f, "{\"name\":", type->name);
	if (type->kind == AVRO_RECORD)
		put_fields(f, type);
	else if (type->kind == AVRO_ENUM)
	{
		put(f, ",\"type\":\"enum\",\"symbols\":[");
		for (int i = 0; i < type->n; i++)
			put_name(f, i > 0 ? "," : "", type->symbol[i]);
		put(f, "]}");
	}
	else
	{
		snprintf(size, sizeof(size), ",\"type\":\"fixed\",\"size\":%zu}", type->size);
		put(f, size);
	}
}

static void
put_type(Form *f, const AvroType *type)
{
	static const char *const primitive[] = {"null",  "boolean", "int",   "long",
											"float", "double",  "bytes", "string"};

	/* No message has what is further within. */
	if (f->depth == AVRO_MAX_NESTED)
		return;
	f->depth++;
	switch (type->kind)
	{
		case AVRO_RECORD:
		case AVRO_ENUM:
		case AVRO_FIXED:
			put_named(f, type);
			break;
		case AVRO_ARRAY:
		case AVRO_MAP:
			put(f, type->kind == AVRO_ARRAY ? "{\"type\":\"array\",\"items\":"
											: "{\"type\":\"map\",\"values\":");
			put_type(f, type->branch[0]);
			put(f, "}");
			break;
		case AVRO_UNION:
			for (int i = 0; i < type->n; i++)
			{
				put(f, i > 0 ? "," : "[");
				put_type(f, type->branch[i]);
			}
			put(f, "]");
			break;
		default:
			put_name(f, "", primitive[type->kind]);
	}
	f->depth--;
}

uint64_t
txd_avro_canonical_hash(const AvroType *type)
{
	Form f = {0};
	uint64_t hash = EMPTY;

	put_type(&f, type);
	for (size_t i = 0; i < f.text.len; i++)
	{
		uint64_t low = (hash ^ (unsigned char) f.text.data[i]) & 0xff;

		for (int bit = 0; bit < 8; bit++)
			low = low >> 1 ^ (EMPTY & -(low & 1));
		hash = hash >> 8 ^ low;
	}
	txd_buf_free(&f.text);
	free(f.seen);
	return hash;
}
