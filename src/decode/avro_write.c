/*
 * avro_write.c — writes JSON values as a schema of Avro has them.
 */
#include <stdlib.h>
#include <string.h>

#include "avro_put.h"
#include "avro_write.h"
#include "field.h"
#include "json.h"

#define MAX_PATH 200

struct TxdAvroWriter
{
	AvroArena arena;
	const AvroType *type;
};

typedef struct Output
{
	TxdBuf *out;
	TxdError *err;
	int64_t left; /* values that may still be tried: unions within unions could try any number */
	size_t path_len;
	char path[MAX_PATH]; /* of the value at hand, and of the one that was refused */
} Output;

/* An object's member, or an array's element without a name. */
typedef struct Member
{
	TxdBuf name;
	TxdJsonValue value;
} Member;

typedef struct Members
{
	Member *all;
	size_t n;
} Members;

TxdAvroWriter *
txd_avro_writer_new(const char *const *texts, int n, TxdError *err)
{
	TxdAvroWriter *writer = txd_alloc(sizeof(*writer));

	*writer = (TxdAvroWriter){0};
	writer->type = txd_avro_parse(&writer->arena, texts, n, "", err);
	if (writer->type != NULL)
		return writer;
	txd_avro_writer_free(writer);
	return NULL;
}

void
txd_avro_writer_free(TxdAvroWriter *writer)
{
	if (writer == NULL)
		return;
	txd_avro_free_arena(&writer->arena);
	free(writer);
}

static bool write_value(Output *o, const AvroType *type, const TxdJsonValue *v);

static bool
refuse(Output *o, const char *code, const char *what, const TxdJsonValue *v)
{
	return txd_refuse_value(o->err, code, NULL, what, v->text, v->len);
}

/* One within the place at hand: a member, or an element. */
static void
enter(Output *o, const char *name, size_t len, size_t i)
{
	char *to = o->path + o->path_len;
	size_t room = sizeof(o->path) - o->path_len;
	int n = name != NULL ? snprintf(to, room, "%s%.*s", o->path_len > 0 ? "." : "", (int) len, name)
						 : snprintf(to, room, "[%zu]", i);

	o->path_len += (size_t) n < room ? (size_t) n : room - 1;
}

/* Back, unless something was refused there. */
static void
leave(Output *o, size_t path_len)
{
	o->path_len = path_len;
	o->path[path_len] = '\0';
}

static void
free_members(Members *m)
{
	for (size_t i = 0; i < m->n; i++)
		txd_buf_free(&m->all[i].name);
	free(m->all);
}

/* What is in an object or array, which is known to be JSON. */
static bool
read_members(Output *o, const TxdJsonValue *v, Members *m)
{
	TxdJson j = {v->text, v->text + 1, v->text + v->len, o->err, false};
	bool object = *v->text == '{';
	size_t room = 0;

	*m = (Members){0};
	for (txd_json_space(&j); txd_json_peek(&j) != (object ? '}' : ']'); txd_json_space(&j))
	{
		TxdJsonValue name;
		Member *member;

		if (m->n == room)
		{
			room = 2 * room + 8;
			m->all = txd_realloc(m->all, room * sizeof(Member));
		}
		member = &m->all[m->n++];
		*member = (Member){0};
		if (m->n > 1)
			j.p++; /* the comma */
		txd_json_space(&j);
		if (object && !txd_json_name(&j, &name))
			return false;
		if (object)
			(void) txd_json_unescape(name.text, name.len, &member->name);
		if (!txd_json_value(&j, 0, &member->value))
			return false;
	}
	return true;
}

/* --- containers --- */

static int
field_of(const AvroType *type, const TxdBuf *name)
{
	for (int i = 0; i < type->n; i++)
		if (strlen(type->field[i].name) == name->len &&
			(name->len == 0 || memcmp(type->field[i].name, name->data, name->len) == 0))
			return i;
	return -1;
}

/* Finds each member's field. */
static bool
match_fields(Output *o, const AvroType *type, const Members *m, const TxdJsonValue **values)
{
	for (size_t k = 0; k < m->n; k++)
	{
		const TxdBuf *name = &m->all[k].name;
		int i = field_of(type, name);

		if (i < 0)
			return txd_refuse_value(o->err, "extra_field", NULL, "the schema has no field",
									name->len > 0 ? name->data : "", name->len);
		if (values[i] != NULL)
			return txd_refuse_value(o->err, "duplicate_field", NULL, "there is twice", name->data,
									name->len);
		values[i] = &m->all[k].value;
	}
	return true;
}

/* A default is written as the JSON that readers would find. */
static bool
write_default(Output *o, const AvroField *field)
{
	TxdBuf json = {0};
	TxdJsonValue v;
	TxdJson j;
	bool ok;

	if (field->preset == NULL)
		return txd_refuse(o->err, "missing_field", NULL,
						  "it is missing, and the schema has no default for it");
	ok = txd_avro_put_default(&json, field->type, field->preset);
	j = (TxdJson){json.data, json.data, json.data + json.len, o->err, false};
	ok = ok && txd_json_value(&j, 0, &v) && write_value(o, field->type, &v);
	txd_buf_free(&json);
	return ok || txd_refuse(o->err, "bad_schema", NULL, "its default does not fit the schema");
}

static bool
write_record(Output *o, const AvroType *type, const Members *m)
{
	const TxdJsonValue **values = txd_alloc(((size_t) type->n + 1) * sizeof(*values));
	bool ok;

	memset(values, 0, ((size_t) type->n + 1) * sizeof(*values));
	ok = match_fields(o, type, m, values);
	for (int i = 0; ok && i < type->n; i++)
	{
		const AvroField *field = &type->field[i];
		size_t path_len = o->path_len;

		enter(o, field->name, strlen(field->name), 0);
		ok = values[i] != NULL ? write_value(o, field->type, values[i]) : write_default(o, field);
		if (ok)
			leave(o, path_len);
	}
	free(values);
	return ok;
}

/* An array or a map: one block, and the end. */
static bool
write_items(Output *o, const AvroType *type, const Members *m)
{
	if (m->n > 0)
		txd_avro_append_long(o->out, (int64_t) m->n);
	for (size_t i = 0; i < m->n; i++)
	{
		const Member *member = &m->all[i];
		size_t path_len = o->path_len;

		enter(o, type->kind == AVRO_MAP ? (member->name.len > 0 ? member->name.data : "") : NULL,
			  member->name.len, i);
		if (type->kind == AVRO_MAP)
		{
			txd_avro_append_long(o->out, (int64_t) member->name.len);
			txd_buf_append(o->out, member->name.data, member->name.len);
		}
		if (!write_value(o, type->branch[0], &member->value))
			return false;
		leave(o, path_len);
	}
	txd_avro_append_long(o->out, 0);
	return true;
}

static bool
write_container(Output *o, const AvroType *type, const TxdJsonValue *v)
{
	bool array = type->kind == AVRO_ARRAY;
	Members m;
	bool ok;

	if (v->kind != TXD_KIND_JSON || (*v->text == '[') != array)
		return refuse(o, "wrong_type", array ? "not an array" : "not an object", v);
	ok = read_members(o, v, &m);
	if (ok)
		ok = type->kind == AVRO_RECORD ? write_record(o, type, &m) : write_items(o, type, &m);
	free_members(&m);
	return ok;
}

/* --- the others --- */

static bool
write_branch(Output *o, const AvroType *type, int i, const TxdJsonValue *v)
{
	txd_avro_append_long(o->out, i);
	return write_value(o, type->branch[i], v);
}

/* The first branch that takes it; where there is one beside null, that one says why it does not. */
static bool
write_union(Output *o, const AvroType *type, const TxdJsonValue *v)
{
	size_t before = o->out->len;
	size_t path_len = o->path_len;
	int tried = 0;

	for (int i = 0; i < type->n; i++)
	{
		if ((type->branch[i]->kind == AVRO_NULL) != v->null)
			continue;
		tried++;
		leave(o, path_len);
		o->out->len = before;
		if (write_branch(o, type, i, v))
			return true;
		if (o->left < 0)
			return false;
	}
	if (tried == 1)
		return false;
	leave(o, path_len);
	return refuse(o, v->null ? "missing_value" : "bad_value", "no branch of the union takes it", v);
}

static bool
write_enum(Output *o, const AvroType *type, TxdKind kind, const char *text, size_t len)
{
	for (int i = 0; kind == TXD_KIND_TEXT && i < type->n; i++)
		if (strlen(type->symbol[i]) == len && (len == 0 || memcmp(type->symbol[i], text, len) == 0))
		{
			txd_avro_append_long(o->out, i);
			return true;
		}
	return txd_refuse_value(o->err, "bad_value", NULL, "the enum has no such symbol", text, len);
}

static bool
write_plain(Output *o, const AvroType *type, TxdKind kind, const char *text, size_t len)
{
	switch (type->kind)
	{
		case AVRO_BOOLEAN:
			if (kind != TXD_KIND_BOOL)
				return txd_refuse_value(o->err, "wrong_type", NULL, "not a boolean", text, len);
			txd_buf_byte(o->out, *text == 't');
			return true;
		case AVRO_INT:
		case AVRO_LONG:
			return txd_avro_put_integer(type, kind, text, len, o->out, o->err);
		case AVRO_FLOAT:
		case AVRO_DOUBLE:
			return txd_avro_put_real(type, kind, text, len, o->out, o->err);
		case AVRO_ENUM:
			return write_enum(o, type, kind, text, len);
		case AVRO_STRING:
			if (kind != TXD_KIND_TEXT)
				return txd_refuse_value(o->err, "wrong_type", NULL, "not a string", text, len);
			txd_avro_append_long(o->out, (int64_t) len);
			txd_buf_append(o->out, text, len);
			return true;
		default:
			return txd_avro_put_octets(type, kind, text, len, o->out, o->err);
	}
}

/* A string that is JSON: the value as it stands, a string with its quotes. */
static bool
write_json(Output *o, const TxdJsonValue *v)
{
	size_t quotes = v->kind == TXD_KIND_TEXT;

	txd_avro_append_long(o->out, (int64_t) (v->len + 2 * quotes));
	txd_buf_append(o->out, v->text - quotes, v->len + 2 * quotes);
	return true;
}

static bool
is_container(const AvroType *type)
{
	return (type->kind == AVRO_RECORD && type->logical != AVRO_VARIABLE_DECIMAL) ||
		   type->kind == AVRO_ARRAY || type->kind == AVRO_MAP;
}

static bool
write_value(Output *o, const AvroType *type, const TxdJsonValue *v)
{
	TxdBuf text = {0};
	bool ok;

	if (o->left-- <= 0)
		return txd_refuse(o->err, "too_deep", NULL, "unions within unions have too many branches");
	if (type->kind == AVRO_UNION)
		return write_union(o, type, v);
	if (type->kind == AVRO_NULL)
		return v->null || refuse(o, "wrong_type", "not null", v);
	if (v->null)
		return txd_refuse(o->err, "missing_value", NULL,
						  "it is null, which the schema does not allow");
	if (type->logical == AVRO_JSON)
		return write_json(o, v);
	if (is_container(type))
		return write_container(o, type, v);
	if (v->kind == TXD_KIND_JSON)
		return refuse(o, "wrong_type", "not a single value", v);
	if (!v->escaped)
		return write_plain(o, type, v->kind, v->text, v->len);
	(void) txd_json_unescape(v->text, v->len, &text);
	ok = write_plain(o, type, v->kind, text.data, text.len);
	txd_buf_free(&text);
	return ok;
}

/* Says where. */
static void
name_place(Output *o)
{
	char message[sizeof(o->err->message)];

	o->err->column = NULL;
	if (o->path_len == 0)
		return;
	memcpy(message, o->err->message, sizeof(message));
	txd_refuse(o->err, o->err->code, NULL, "field \"%s\": %s", o->path, message);
}

bool
txd_avro_write(const TxdAvroWriter *writer, const char *json, size_t len, TxdBuf *out,
			   TxdError *err)
{
	TxdJson j = {json, json, json + len, err, false};
	Output o = {.out = out, .err = err, .left = 100000 + 20 * (int64_t) len};
	size_t before = out->len;
	TxdJsonValue v;

	txd_json_space(&j);
	if (!txd_json_value(&j, 0, &v) || !txd_json_end(&j))
		return false;
	if (write_value(&o, writer->type, &v))
		return true;
	out->len = before;
	name_place(&o);
	return false;
}
