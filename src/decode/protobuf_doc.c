/*
 * protobuf_doc.c — what a schema says of a message's fields: their types as SQL names them, and the comments before them.
 */
#include <string.h>

#include "json_write.h"
#include "protobuf_schema.h"
#include "value.h"

#define MAX_DOC 4000

/* --- comments --- */

/* The field that a path of numbers leads to: a message, messages in it, a field. Each behind the number of the list that it is in. */
static PbField *
field_at(const PbSchema *schema, PbInput path)
{
	PbType *const *types = schema->file;
	int n = schema->nfile;
	PbType *type = NULL;
	uint64_t list;
	uint64_t i;

	while (txd_pb_varint(&path, &list) && txd_pb_varint(&path, &i))
	{
		if (type != NULL && list == 2)
			return path.p == path.end && i < (uint64_t) type->n ? &type->field[i] : NULL;
		if (list != (type == NULL ? 4 : 3) || i >= (uint64_t) n)
			return NULL;
		type = types[i];
		types = type->nested;
		n = type->nnested;
	}
	return NULL;
}

bool
txd_pb_is_doc(const char *text, size_t len)
{
	return len <= MAX_DOC && txd_utf8_prefix(text, len) == len;
}

/* Without the blanks at the ends of lines, and those that all lines begin with. */
static const char *
comment_text(PbSchema *schema, PbInput comment)
{
	const char *p = (const char *) comment.p;
	const char *end = (const char *) comment.end;
	TxdBuf text = {0};
	const char *kept = NULL;

	while (p < end)
	{
		const char *newline = memchr(p, '\n', (size_t) (end - p));
		const char *last = newline != NULL ? newline : end;

		while (p < last && strchr(" \t\r/*", *p) != NULL)
			p++;
		while (last > p && strchr(" \t\r", last[-1]) != NULL)
			last--;
		if (text.len > 0)
			txd_buf_byte(&text, '\n');
		txd_buf_append(&text, p, (size_t) (last - p));
		p = newline != NULL ? newline + 1 : end;
	}
	while (text.len > 0 && text.data[text.len - 1] == '\n')
		text.len--;
	if (text.len > 0 && txd_pb_is_doc(text.data, text.len))
		kept = txd_arena_copy(&schema->memory, text.data, text.len);
	txd_buf_free(&text);
	return kept;
}

void
txd_pb_read_comments(PbSchema *schema, PbInput info)
{
	PbPart location;

	while (info.p < info.end && txd_pb_next_part(&info, &location))
	{
		PbField *field = NULL;
		PbInput in = location.within;
		PbPart part;

		if (location.number != 1 || location.wire != PB_BYTES_OF)
			continue;
		while (txd_pb_next_part(&in, &part))
			if (part.number == 1 && part.wire == PB_BYTES_OF)
				field = field_at(schema, part.within);
			else if (part.number == 3 && part.wire == PB_BYTES_OF && field != NULL)
				field->doc = comment_text(schema, part.within);
	}
}

/* --- types --- */

static const char *const of_kind[] = {
	[PB_DOUBLE] = "double precision",
	[PB_FLOAT] = "real",
	[PB_INT64] = "bigint",
	[PB_UINT64] = "numeric(20,0)",
	[PB_INT32] = "integer",
	[PB_FIXED64] = "numeric(20,0)",
	[PB_FIXED32] = "bigint",
	[PB_BOOL] = "boolean",
	[PB_STRING] = "text",
	[PB_BYTES] = "bytea",
	[PB_UINT32] = "bigint",
	[PB_ENUM] = "text",
	[PB_SFIXED32] = "integer",
	[PB_SFIXED64] = "bigint",
	[PB_SINT32] = "integer",
	[PB_SINT64] = "bigint",
};

/* NULL: values of it may be of several types, as days that do not exist are no dates. */
static const char *
type_of_message(const PbType *type)
{
	switch (type->meaning)
	{
		case PB_TIMESTAMP:
			return "timestamptz";
		case PB_DURATION:
			return "interval";
		case PB_WRAPPER:
			return of_kind[type->field[0].kind];
		case PB_FIELD_MASK:
			return "text";
		case PB_DECIMAL:
			return "numeric";
		case PB_DATE:
		case PB_TIME_OF_DAY:
			return NULL;
		default:
			return "jsonb";
	}
}

static const char *
type_of(const PbField *field)
{
	if (field->repeated)
		return "jsonb";
	if (txd_pb_is_message(field))
		return type_of_message(field->type);
	return field->symbols != NULL && field->symbols->null ? "jsonb" : of_kind[field->kind];
}

/* Nothing where there is no type. */
static void
put_field(TxdBuf *json, const char *name, const char *type, const char *doc)
{
	if (type == NULL)
		return;
	txd_buf_append(json, json->len > 0 ? "," : "[", 1);
	txd_buf_append(json, "{\"name\":", 8);
	txd_write_quoted(json, name, strlen(name));
	txd_buf_append(json, ",\"type\":", 8);
	txd_write_text(json, type, strlen(type));
	if (doc != NULL)
	{
		txd_buf_append(json, ",\"doc\":", 7);
		txd_write_quoted(json, doc, strlen(doc));
	}
	txd_buf_byte(json, '}');
}

void
txd_pb_describe(const PbType *type, TxdBuf *json)
{
	TxdBuf fields = {0};

	if (type->meaning != PB_OBJECT)
		put_field(&fields, "", type_of_message(type), NULL);
	for (int i = 0; type->meaning == PB_OBJECT && i < type->n; i++)
		put_field(&fields, type->field[i].name, type_of(&type->field[i]), type->field[i].doc);
	if (fields.len > 0)
	{
		txd_buf_append(json, fields.data, fields.len);
		txd_buf_byte(json, ']');
	}
	txd_buf_free(&fields);
}
