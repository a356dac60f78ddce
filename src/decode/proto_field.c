/*
 * proto_field.c — fields of a .proto file: plain ones, maps, which are messages of a key and a value, and groups.
 */
#include <string.h>

#include "proto_parse.h"

#define OPTIONAL 1
#define REQUIRED 2
#define REPEATED 3

typedef struct Field
{
	int label; /* 0: none is written */
	ProtoType type;
	ProtoType key;     /* of a map, whose type is that of its values; PROTO_NAMED: it is none */
	TxdBuf *type_name; /* where the type is named, of a group its own */
	TxdBuf *name;
	ProtoToken first; /* which a comment is before */
	ProtoToken word;  /* the name as it is written */
	int32_t number;
} Field;

static bool
builtin_type(ProtoParser *p, ProtoType *type)
{
	static const struct
	{
		const char *name;
		ProtoType type;
	} known[] = {
		{"double", PROTO_DOUBLE},     {"float", PROTO_FLOAT},   {"int64", PROTO_INT64},
		{"uint64", PROTO_UINT64},     {"int32", PROTO_INT32},   {"fixed64", PROTO_FIXED64},
		{"fixed32", PROTO_FIXED32},   {"bool", PROTO_BOOL},     {"string", PROTO_TEXT},
		{"bytes", PROTO_BYTES},       {"uint32", PROTO_UINT32}, {"sfixed32", PROTO_SFIXED32},
		{"sfixed64", PROTO_SFIXED64}, {"sint32", PROTO_SINT32}, {"sint64", PROTO_SINT64},
		{"group", PROTO_GROUP}};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (txd_proto_take(p, known[i].name))
		{
			*type = known[i].type;
			return true;
		}
	return false;
}

static bool
read_label(ProtoParser *p, const ProtoPlace *place, Field *f)
{
	ProtoToken word = p->token;

	f->label = txd_proto_take(p, "optional")   ? OPTIONAL
			   : txd_proto_take(p, "required") ? REQUIRED
			   : txd_proto_take(p, "repeated") ? REPEATED
											   : 0;
	if (f->label != 0 && place->oneof >= 0)
		return txd_proto_fail_at(p, &word, "fields of a oneof have no label, but here is");
	if (f->label == REQUIRED && p->proto3)
		return txd_proto_fail_at(p, &word, "proto3 has no such label");
	if (f->label != REPEATED && f->label != 0 && p->edition)
		return txd_proto_fail_at(p, &word, "editions have no such label");
	return !p->failed;
}

/* What stands between map and the name. */
static bool
read_map_type(ProtoParser *p, const ProtoPlace *place, Field *f)
{
	ProtoToken word = p->token;

	if (f->label != 0 || place->oneof >= 0 || place->extendee != NULL)
		return txd_proto_fail(p, "a map has no label, and is no part of a oneof or extension");
	txd_proto_advance(p);
	word = p->token;
	if (!builtin_type(p, &f->key) || f->key == PROTO_FLOAT || f->key == PROTO_DOUBLE ||
		f->key == PROTO_BYTES || f->key == PROTO_GROUP)
		return txd_proto_fail_at(p, &word, "no map has keys of this type");
	if (!txd_proto_expect(p, ","))
		return false;
	word = p->token;
	if (!builtin_type(p, &f->type) && !txd_proto_full_name(p, true, f->type_name))
		return false;
	if (f->type == PROTO_GROUP)
		return txd_proto_fail_at(p, &word, "no map has values of this type");
	f->label = REPEATED;
	return txd_proto_expect(p, ">");
}

static bool
read_type(ProtoParser *p, const ProtoPlace *place, Field *f)
{
	ProtoToken word = p->token;

	if (txd_proto_take(p, "map"))
	{
		if (txd_proto_is(p, "<"))
			return read_map_type(p, place, f);
		/* A type of that name, or one in it. */
		txd_buf_append(f->type_name, word.text, word.len);
		if (txd_proto_take(p, "."))
		{
			txd_buf_byte(f->type_name, '.');
			if (!txd_proto_full_name(p, false, f->type_name))
				return false;
		}
	}
	else if (!builtin_type(p, &f->type) && !txd_proto_full_name(p, true, f->type_name))
		return false;
	if (f->type == PROTO_GROUP && (p->proto3 || p->edition))
		return txd_proto_fail_at(
			p, &word, p->proto3 ? "proto3 has no such type" : "editions have no such type");
	if (f->label == 0 && !p->proto3 && !p->edition && place->oneof < 0)
		return txd_proto_fail_at(p, &word, "proto2 wants optional, required or repeated before");
	return !p->failed;
}

static bool
read_number(ProtoParser *p, const ProtoPlace *place, Field *f)
{
	ProtoToken word;

	if (!txd_proto_expect(p, "="))
		return false;
	word = p->token;
	if (!txd_proto_int32(p, &f->number))
		return false;
	/* Extensions of message sets, which are the only ones, may have greater numbers. */
	if (f->number < 1 || (f->number > PROTO_MAX_NUMBER && place->extendee == NULL) ||
		(f->number >= 19000 && f->number <= 19999))
		return txd_proto_fail_at(p, &word, "no field has this number");
	if (place->extendee == NULL)
		txd_proto_number(p, f->number, word.line);
	return true;
}

/* A group has its type's name, in lower case. */
static bool
read_name(ProtoParser *p, Field *f)
{
	if (!txd_proto_word(p, &f->word))
		return false;
	txd_buf_append(f->name, f->word.text, f->word.len);
	if (f->type != PROTO_GROUP)
		return true;
	if (f->word.text[0] < 'A' || f->word.text[0] > 'Z')
		return txd_proto_fail_at(p, &f->word, "a group's name begins with a capital, not");
	txd_proto_declare(p, f->word.text, f->word.len, f->word.line);
	txd_buf_append(f->type_name, f->word.text, f->word.len);
	for (size_t i = 0; i < f->name->len; i++)
		if (f->name->data[i] >= 'A' && f->name->data[i] <= 'Z')
			f->name->data[i] = (char) (f->name->data[i] + 0x20);
	return true;
}

static void
put_type(TxdBuf *out, ProtoType type, const TxdBuf *name)
{
	if (type != PROTO_NAMED)
		txd_proto_put_integer(out, 5, type);
	if (type == PROTO_NAMED || type == PROTO_GROUP || type == PROTO_MESSAGE)
		txd_proto_put_text(out, 6, name->data, name->len);
}

static void
put_entry_field(TxdBuf *out, const char *name, int number, ProtoType type, const TxdBuf *type_name)
{
	size_t begun = txd_proto_begin(out, 2);

	txd_proto_put_text(out, 1, name, strlen(name));
	txd_proto_put_integer(out, 3, number);
	txd_proto_put_integer(out, 4, OPTIONAL);
	put_type(out, type, type_name);
	txd_proto_put_json_name(out, name, strlen(name));
	txd_proto_end(out, begun);
}

/* The message that a map's entries are. */
static void
put_entry(ProtoParser *p, const ProtoScope *scope, const Field *f, const TxdBuf *name)
{
	size_t begun = txd_proto_begin(p->out, scope->message);
	size_t options;

	txd_proto_declare(p, name->data, name->len, f->word.line);
	txd_proto_put_text(p->out, 1, name->data, name->len);
	put_entry_field(p->out, "key", 1, f->key, NULL);
	put_entry_field(p->out, "value", 2, f->type, f->type_name);
	options = txd_proto_begin(p->out, 7);
	txd_proto_put_integer(p->out, 7, 1);
	txd_proto_end(p->out, options);
	txd_proto_end(p->out, begun);
}

/* NameOfFieldEntry */
static void
entry_name(const Field *f, TxdBuf *name)
{
	bool raise = true;

	for (size_t i = 0; i < f->name->len; i++)
	{
		char c = f->name->data[i];

		if (c != '_')
			txd_buf_byte(name, (char) (raise && c >= 'a' && c <= 'z' ? c - 0x20 : c));
		raise = c == '_';
	}
	txd_buf_append(name, "Entry", 5);
}

/* The field itself, and its options, which are read meanwhile. */
static bool
put_field(ProtoParser *p, const ProtoPlace *place, const Field *f, const TxdBuf *entry)
{
	size_t begun = txd_proto_begin(p->out, place->field);
	bool optional = p->proto3 && f->label == OPTIONAL;

	txd_proto_put_text(p->out, 1, f->name->data, f->name->len);
	if (place->extendee != NULL)
		txd_proto_put_text(p->out, 2, place->extendee->data, place->extendee->len);
	txd_proto_put_integer(p->out, 3, f->number);
	txd_proto_put_integer(p->out, 4, f->label != 0 ? f->label : OPTIONAL);
	if (f->key != PROTO_NAMED)
		put_type(p->out, PROTO_MESSAGE, entry);
	else
		put_type(p->out, f->type, f->type_name);
	if (!txd_proto_field_options(p, f->key != PROTO_NAMED ? PROTO_MESSAGE : f->type, f->name->data,
								 f->name->len))
		return false;
	if (optional)
		txd_proto_put_integer(p->out, 17, 1);
	txd_proto_put_doc(p->out, &f->first);
	if (place->oneof >= 0)
		txd_proto_put_integer(p->out, 9, place->oneof);
	else if (optional && place->extendee == NULL)
		txd_proto_put_room(p->out, 9);
	txd_proto_end(p->out, begun);
	if (optional && place->extendee == NULL)
		txd_proto_optional(p, f->word.text, f->word.len);
	return true;
}

/* Everything behind the label. */
static bool
read_field(ProtoParser *p, ProtoScope *scope, const ProtoPlace *place, Field *f, TxdBuf *entry)
{
	size_t begun;

	if (!read_type(p, place, f) || !read_name(p, f) || !read_number(p, place, f))
		return false;
	txd_proto_declare(p, f->name->data, f->name->len, f->word.line);
	if (f->key != PROTO_NAMED)
		entry_name(f, entry);
	if (!put_field(p, place, f, entry))
		return false;
	if (f->key != PROTO_NAMED)
		put_entry(p, scope, f, entry);
	if (f->type != PROTO_GROUP)
		return txd_proto_expect(p, ";");
	begun = txd_proto_begin(p->out, scope->message);
	txd_proto_put_text(p->out, 1, f->word.text, f->word.len);
	if (!txd_proto_message_body(p))
		return false;
	txd_proto_end(p->out, begun);
	return true;
}

bool
txd_proto_field(ProtoParser *p, ProtoScope *scope, const ProtoPlace *place)
{
	TxdBuf name = {0};
	TxdBuf type_name = {0};
	TxdBuf entry = {0};
	Field f = {.name = &name, .type_name = &type_name, .first = p->token};
	bool ok = read_label(p, place, &f) && read_field(p, scope, place, &f, &entry);

	txd_buf_free(&name);
	txd_buf_free(&type_name);
	txd_buf_free(&entry);
	return ok;
}
