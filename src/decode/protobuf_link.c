/*
 * protobuf_link.c — finds the types that fields name, and computes what decoding needs of each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protobuf_schema.h"
#include "value.h"

typedef struct Linker
{
	PbSchema *schema;
	TxdError *err;
	TxdBuf text;
} Linker;

static int
by_type_name(const void *a, const void *b)
{
	const PbType *left = *(PbType *const *) a;
	const PbType *right = *(PbType *const *) b;
	int order = strcmp(left->name, right->name);

	/* What everybody knows stands before a type of the same name. */
	return order != 0 ? order : (left->source != NULL) - (right->source != NULL);
}

static int
by_enum_name(const void *a, const void *b)
{
	const PbEnum *left = *(PbEnum *const *) a;
	const PbEnum *right = *(PbEnum *const *) b;
	int order = strcmp(left->name, right->name);

	return order != 0 ? order : right->null - left->null;
}

static int
by_symbol(const void *a, const void *b)
{
	const PbSymbol *left = a;
	const PbSymbol *right = b;

	if (left->number != right->number)
		return left->number < right->number ? -1 : 1;
	return left->order - right->order;
}

static int
by_number(const void *a, const void *b)
{
	uint32_t left = (*(const PbField *const *) a)->number;
	uint32_t right = (*(const PbField *const *) b)->number;

	return left < right ? -1 : left > right;
}

static int
by_field_name(const void *a, const void *b)
{
	return strcmp((*(const PbField *const *) a)->name, (*(const PbField *const *) b)->name);
}

PbType *
txd_pb_find_type(const PbSchema *s, const char *name)
{
	int low = 0;
	int high = s->ntypes;

	while (low < high)
	{
		int mid = (low + high) / 2;

		if (strcmp(s->types[mid]->name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->ntypes && strcmp(s->types[low]->name, name) == 0 ? s->types[low] : NULL;
}

static PbEnum *
find_enum(const PbSchema *s, const char *name)
{
	int low = 0;
	int high = s->nenums;

	while (low < high)
	{
		int mid = (low + high) / 2;

		if (strcmp(s->enums[mid]->name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->nenums && strcmp(s->enums[low]->name, name) == 0 ? s->enums[low] : NULL;
}

/* `from` may be NULL: for a name that is full anyway. */
static bool
find_named(PbSchema *s, PbSource *from, PbField *field, const char *name)
{
	PbType *type = field->kind != PB_ENUM ? txd_pb_find_type(s, name) : NULL;
	PbEnum *symbols = type == NULL && !txd_pb_is_message(field) ? find_enum(s, name) : NULL;

	if (type != NULL && (from == NULL || txd_pb_sees(s, from, type->source)))
		field->type = type;
	else if (symbols != NULL && (from == NULL || txd_pb_sees(s, from, symbols->source)))
		field->symbols = symbols;
	return field->type != NULL || field->symbols != NULL;
}

/*
 * A name that begins with a dot is full, another one is looked for in the scopes around the field, the innermost first, as
 * far as its file knows them. A descriptor that nobody has linked does not even say whether it is a message's or an enum's.
 */
static bool
resolve(Linker *l, const PbType *type, PbField *field)
{
	const char *name = field->type_name;
	char full[2 * PB_MAX_NAME + 2];
	size_t scope = strlen(type->name);

	if (name == NULL || strlen(name) > PB_MAX_NAME || scope > PB_MAX_NAME)
		return txd_pb_bad_schema(l->err, "no type of field", field->name);
	if (*name == '.')
		return find_named(l->schema, NULL, field, name + 1) ||
			   txd_pb_bad_schema(l->err, "unknown type", name + 1);
	for (;;)
	{
		snprintf(full, sizeof(full), "%.*s%s%s", (int) scope, type->name, scope > 0 ? "." : "",
				 name);
		if (find_named(l->schema, type->source, field, full))
			return true;
		if (scope == 0)
			return txd_pb_bad_schema(l->err, "unknown type", name);
		while (scope > 0 && type->name[--scope] != '.')
			;
	}
}

static PbWire
wire_of(PbKind kind)
{
	switch (kind)
	{
		case PB_DOUBLE:
		case PB_FIXED64:
		case PB_SFIXED64:
			return PB_64BIT;
		case PB_FLOAT:
		case PB_FIXED32:
		case PB_SFIXED32:
			return PB_32BIT;
		case PB_STRING:
		case PB_BYTES:
		case PB_MESSAGE:
			return PB_BYTES_OF;
		case PB_GROUP:
			return PB_GROUP_BEGINS;
		default:
			return PB_VARINT;
	}
}

static PbText
kept_text(Linker *l)
{
	return (PbText){txd_arena_copy(&l->schema->memory, l->text.data, l->text.len), l->text.len};
}

/* The JSON around a value, and instead of one. */
static bool
write_texts(Linker *l, PbField *field)
{
	TxdBuf *text = &l->text;
	size_t lead;

	text->len = 0;
	txd_buf_append(text, ",\"", 2);
	txd_buf_append(text, field->name, strlen(field->name));
	txd_buf_append(text, "\":", 2);
	field->lead = kept_text(l);
	lead = text->len;
	if (field->repeated)
		txd_buf_append(text, txd_pb_is_map(field) ? "{}" : "[]", 2);
	else if (txd_pb_is_message(field))
		return true;
	else if (!txd_pb_put_preset(text, field))
		return txd_pb_bad_schema(l->err, "a default that does not fit field", field->name);
	if (field->repeated || field->implicit || field->preset != NULL)
		field->absent = kept_text(l);
	memmove(text->data, text->data + lead, text->len -= lead);
	field->zero = kept_text(l);
	return true;
}

static bool
link_field(Linker *l, const PbType *type, PbField *field)
{
	bool named = field->kind == 0 || txd_pb_is_message(field) || field->kind == PB_ENUM;

	if (named && !resolve(l, type, field))
		return false;
	if (field->kind == 0)
		field->kind = field->type != NULL ? PB_MESSAGE : PB_ENUM;
	/* Entries of maps are not, and what is in them is not either. */
	if (field->delimited && field->kind == PB_MESSAGE && !field->type->map_entry &&
		!type->map_entry)
		field->kind = PB_GROUP;
	field->wire = wire_of(field->kind);
	if (txd_pb_is_message(field))
		field->implicit = false;
	if (field->oneof >= type->noneofs)
		return txd_pb_bad_schema(l->err, "no oneof of field", field->name);
	return write_texts(l, field);
}

/* Can messages of the type be written while they are read? */
static bool
is_quick(const PbType *type)
{
	for (int i = 0; i < type->n; i++)
		if (type->field[i].repeated || type->field[i].kind == PB_GROUP ||
			(i > 0 && type->field[i].number <= type->field[i - 1].number))
			return false;
	return type->meaning == PB_OBJECT && type->noneofs <= 64;
}

/* By their numbers, which are small as a rule. */
static bool
index_fields(Linker *l, PbType *type)
{
	TxdArena *memory = &l->schema->memory;
	size_t n = (size_t) type->n;

	type->by_number = txd_arena_alloc(memory, (n + 1) * sizeof(PbField *));
	for (size_t i = 0; i < n; i++)
		type->by_number[i] = &type->field[i];
	qsort(type->by_number, n, sizeof(PbField *), by_field_name);
	for (size_t i = 1; i < n; i++)
		if (by_field_name(&type->by_number[i - 1], &type->by_number[i]) == 0)
			return txd_pb_bad_schema(l->err, "two fields are named", type->by_number[i]->name);
	qsort(type->by_number, n, sizeof(PbField *), by_number);
	for (size_t i = 1; i < n; i++)
		if (by_number(&type->by_number[i - 1], &type->by_number[i]) == 0)
			return txd_pb_bad_schema(l->err, "two fields have one number in", type->name);
	type->ndense = n > 0 ? type->by_number[n - 1]->number + 1 : 0;
	if (type->ndense > 4 * n + 64)
		type->ndense = (uint32_t) (4 * n + 64);
	type->dense = txd_arena_alloc(memory, (type->ndense + 1) * sizeof(PbField *));
	for (size_t i = 0; i < n && type->by_number[i]->number < type->ndense; i++)
		type->dense[type->by_number[i]->number] = type->by_number[i];
	return true;
}

/* An entry has a key, which JSON can have for a name, and a value. */
static bool
check_entry(Linker *l, PbType *type)
{
	PbField *key = &type->field[0];
	PbField *value = &type->field[1];

	if (type->n != 2 || key->number != 1 || value->number != 2 || key->repeated ||
		value->repeated || key->kind <= PB_FLOAT || key->kind == PB_BYTES || key->kind == PB_ENUM ||
		txd_pb_is_message(key))
		return txd_pb_bad_schema(l->err, "no entry of a map is", type->name);
	for (int i = 0; i < 2; i++)
	{
		type->field[i].required = false;
		type->field[i].implicit = true;
		type->field[i].oneof = -1;
		type->field[i].preset = NULL;
	}
	return true;
}

static bool
link_type(Linker *l, PbType *type)
{
	for (int i = 0; i < type->n; i++)
		if (!link_field(l, type, &type->field[i]))
			return false;
	type->quick = is_quick(type);
	return index_fields(l, type);
}

static bool
sort_names(Linker *l)
{
	PbSchema *s = l->schema;

	qsort(s->types, (size_t) s->ntypes, sizeof(PbType *), by_type_name);
	qsort(s->enums, (size_t) s->nenums, sizeof(PbEnum *), by_enum_name);
	for (int i = 1; i < s->ntypes; i++)
		if (by_type_name(&s->types[i - 1], &s->types[i]) == 0)
			return txd_pb_bad_schema(l->err, "two types are named", s->types[i]->name);
	for (int i = 1; i < s->nenums; i++)
		if (by_enum_name(&s->enums[i - 1], &s->enums[i]) == 0)
			return txd_pb_bad_schema(l->err, "two types are named", s->enums[i]->name);
	for (int i = 0; i < s->nenums; i++)
		qsort(s->enums[i]->symbol, (size_t) s->enums[i]->n, sizeof(PbSymbol), by_symbol);
	return true;
}

bool
txd_pb_link(PbSchema *schema, TxdError *err)
{
	Linker l = {.schema = schema, .err = err};
	bool ok = sort_names(&l);

	txd_pb_sort_sources(schema);
	for (int i = 0; ok && i < schema->ntypes; i++)
		ok = !schema->types[i]->map_entry || check_entry(&l, schema->types[i]);
	for (int i = 0; ok && i < schema->ntypes; i++)
		ok = link_type(&l, schema->types[i]);
	txd_buf_free(&l.text);
	return ok;
}
