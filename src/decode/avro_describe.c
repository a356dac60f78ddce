/*
 * avro_describe.c — what a schema says of a record's fields: their types as SQL names them, and their docs.
 */
#include <stdio.h>
#include <string.h>

#include "avro_schema.h"

#define MAX_PRECISION 1000 /* of PostgreSQL's numeric(p,s) */

static const char *const of_kind[] = {
	[AVRO_BOOLEAN] = "boolean",
	[AVRO_INT] = "integer",
	[AVRO_LONG] = "bigint",
	[AVRO_FLOAT] = "real",
	[AVRO_DOUBLE] = "double precision",
	[AVRO_BYTES] = "bytea",
	[AVRO_STRING] = "text",
	[AVRO_RECORD] = "jsonb",
	[AVRO_ENUM] = "text",
	[AVRO_ARRAY] = "jsonb",
	[AVRO_MAP] = "jsonb",
	[AVRO_FIXED] = "bytea",
};

static const char *const of_logical[] = {
	[AVRO_DATE] = "date",
	[AVRO_TIME] = "time",
	[AVRO_INSTANT] = "timestamptz",
	[AVRO_LOCAL] = "timestamp",
	[AVRO_UUID] = "uuid",
	[AVRO_DURATION] = "interval",
	[AVRO_VARIABLE_DECIMAL] = "numeric",
	[AVRO_ZONED] = "timestamptz",
	[AVRO_JSON] = "jsonb",
};

static void
put_decimal(TxdBuf *json, const AvroType *type)
{
	char text[64];

	if (type->precision > MAX_PRECISION)
		snprintf(text, sizeof(text), "numeric");
	else
		snprintf(text, sizeof(text), "numeric(%d,%d)", type->precision, type->digits);
	txd_write_text(json, text, strlen(text));
}

/* The only type beside null, or NULL. */
static const AvroType *
only_branch(const AvroType *type)
{
	const AvroType *only = NULL;

	for (int i = 0; i < type->n; i++)
	{
		if (type->branch[i]->kind == AVRO_NULL)
			continue;
		if (only != NULL)
			return NULL;
		only = type->branch[i];
	}
	return only;
}

/* Values of several kinds are whatever they are. */
static void
put_type(TxdBuf *json, const AvroType *type)
{
	const char *name;

	if (type->kind == AVRO_UNION)
		type = only_branch(type);
	if (type != NULL && type->logical == AVRO_DECIMAL)
	{
		put_decimal(json, type);
		return;
	}
	if (type == NULL || type->kind == AVRO_NULL)
		name = "jsonb";
	else
		name = type->logical != AVRO_PLAIN ? of_logical[type->logical] : of_kind[type->kind];
	txd_write_text(json, name, strlen(name));
}

static void
put_field(TxdBuf *json, const char *name, const AvroType *type, const char *doc)
{
	txd_buf_append(json, "{\"name\":", 8);
	txd_write_quoted(json, name, strlen(name));
	txd_buf_append(json, ",\"type\":", 8);
	put_type(json, type);
	if (doc != NULL)
	{
		txd_buf_append(json, ",\"doc\":", 7);
		txd_write_quoted(json, doc, strlen(doc));
	}
	txd_buf_byte(json, '}');
}

void
txd_avro_describe(const TxdAvro *avro, TxdBuf *json)
{
	const AvroType *type = txd_avro_top(avro);
	const AvroType *only = type != NULL && type->kind == AVRO_UNION ? only_branch(type) : type;

	if (type == NULL)
		return;
	txd_buf_byte(json, '[');
	if (type->kind != AVRO_RECORD)
		put_field(json, "", type, only != NULL ? only->doc : NULL);
	for (int i = 0; type->kind == AVRO_RECORD && i < type->n; i++)
	{
		if (i > 0)
			txd_buf_byte(json, ',');
		put_field(json, type->field[i].name, type->field[i].type, type->field[i].doc);
	}
	txd_buf_byte(json, ']');
}
