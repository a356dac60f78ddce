/*
 * avro_schema.c — reads an Avro schema.
 *
 * Not by libavro, which keeps neither defaults nor aliases nor logical types.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "avro_schema.h"
#include "connect.h"
#include "value.h"

#define MAX_DEPTH 64
#define MAX_PARTS 10000 /* fields, symbols or branches of a type, */
#define MAX_NAMED 2000  /* and types with a name */
#define MAX_SCALE 16383 /* of numeric */

/* A named type, found by its full name. */
typedef struct Named
{
	struct Named *next;
	AvroType *type;
} Named;

typedef struct Parser
{
	AvroArena *arena;
	Named *named;
	int nnamed;
	const char *which;
	TxdError *err;
	int depth;
} Parser;

void
txd_avro_free_arena(AvroArena *arena)
{
	txd_arena_free(&arena->memory);
	for (int i = 0; i < arena->ntrees; i++)
		json_decref(arena->trees[i]);
	free(arena->trees);
	*arena = (AvroArena){0};
}

static AvroType *
fail(Parser *p, const char *what, const char *name)
{
	txd_refuse(p->err, "bad_schema", NULL, "%sschema: %s%s%.*s%s", p->which, what,
			   name != NULL ? " \"" : "", name != NULL ? 100 : 0, name != NULL ? name : "",
			   name != NULL ? "\"" : "");
	return NULL;
}

static const char *const primitive[] = {
	[AVRO_NULL] = "null",   [AVRO_BOOLEAN] = "boolean", [AVRO_INT] = "int",
	[AVRO_LONG] = "long",   [AVRO_FLOAT] = "float",     [AVRO_DOUBLE] = "double",
	[AVRO_BYTES] = "bytes", [AVRO_STRING] = "string",
};

static AvroType *
new_type(Parser *p, AvroKind kind)
{
	AvroType *type = txd_arena_alloc(&p->arena->memory, sizeof(*type));

	type->kind = kind;
	return type;
}

static const char *
text_member(const json_t *j, const char *name)
{
	return json_string_value(json_object_get(j, name));
}

/* `space`.name, unless the name is full already. */
static const char *
full_name(Parser *p, const char *name, const char *space)
{
	size_t len = strlen(name) + (space != NULL ? strlen(space) : 0) + 2;
	char *full;

	if (space == NULL || *space == '\0' || strchr(name, '.') != NULL)
		return txd_arena_copy(&p->arena->memory, name, strlen(name));
	full = txd_arena_alloc(&p->arena->memory, len);
	snprintf(full, len, "%s.%s", space, name);
	return full;
}

static AvroType *
find_named(Parser *p, const char *full)
{
	for (Named *n = p->named; n != NULL; n = n->next)
		if (strcmp(n->type->name, full) == 0)
			return n->type;
	return NULL;
}

static AvroType *
type_by_name(Parser *p, const char *name, const char *space)
{
	AvroType *type;

	for (int kind = AVRO_NULL; kind <= AVRO_STRING; kind++)
		if (strcmp(name, primitive[kind]) == 0)
			return new_type(p, (AvroKind) kind);
	type = find_named(p, full_name(p, name, space));
	return type != NULL ? type : fail(p, "unknown type", name);
}

/* A logical type that does not fit what it annotates is ignored. */
static void
set_logical(AvroType *type, const json_t *j)
{
	static const struct
	{
		const char *name;
		AvroKind kind;
		AvroLogical logical;
		int digits;
	} known[] = {{"date", AVRO_INT, AVRO_DATE, 0},
				 {"time-millis", AVRO_INT, AVRO_TIME, 3},
				 {"time-micros", AVRO_LONG, AVRO_TIME, 6},
				 {"timestamp-millis", AVRO_LONG, AVRO_INSTANT, 3},
				 {"timestamp-micros", AVRO_LONG, AVRO_INSTANT, 6},
				 {"timestamp-nanos", AVRO_LONG, AVRO_INSTANT, 9},
				 {"local-timestamp-millis", AVRO_LONG, AVRO_LOCAL, 3},
				 {"local-timestamp-micros", AVRO_LONG, AVRO_LOCAL, 6},
				 {"local-timestamp-nanos", AVRO_LONG, AVRO_LOCAL, 9}};
	const char *name = text_member(j, "logicalType");
	json_int_t scale = json_integer_value(json_object_get(j, "scale"));
	json_int_t precision = json_integer_value(json_object_get(j, "precision"));

	if (name == NULL)
		return;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(name, known[i].name) == 0 && type->kind == known[i].kind)
		{
			type->logical = known[i].logical;
			type->digits = known[i].digits;
		}
	if (strcmp(name, "decimal") == 0 && (type->kind == AVRO_BYTES || type->kind == AVRO_FIXED) &&
		precision > 0 && scale >= 0 && scale <= MAX_SCALE)
	{
		type->logical = AVRO_DECIMAL;
		type->digits = (int) scale;
		type->precision = precision < INT_MAX ? (int) precision : INT_MAX;
	}
	if (strcmp(name, "uuid") == 0 && type->kind == AVRO_FIXED && type->size == 16)
		type->logical = AVRO_UUID;
	if (strcmp(name, "duration") == 0 && type->kind == AVRO_FIXED && type->size == 12)
		type->logical = AVRO_DURATION;
}

static bool
is_field(const AvroType *record, int i, const char *name, AvroKind kind)
{
	return strcmp(record->field[i].name, name) == 0 && record->field[i].type->kind == kind;
}

/* Debezium's types have no logical type, but their name beside them. */
static void
set_connect(AvroType *type, const json_t *j)
{
	static const AvroLogical of_meaning[] = {
		[TXD_MEANS_DATE] = AVRO_DATE,       [TXD_MEANS_TIME] = AVRO_TIME,
		[TXD_MEANS_LOCAL] = AVRO_LOCAL,     [TXD_MEANS_INSTANT] = AVRO_INSTANT,
		[TXD_MEANS_ZONED] = AVRO_ZONED,     [TXD_MEANS_VARIABLE] = AVRO_VARIABLE_DECIMAL,
		[TXD_MEANS_DECIMAL] = AVRO_DECIMAL, [TXD_MEANS_JSON] = AVRO_JSON,
		[TXD_MEANS_UUID] = AVRO_UUID,
	};
	static const AvroKind of_base[] = {[TXD_CONNECT_INT32] = AVRO_INT,
									   [TXD_CONNECT_INT64] = AVRO_LONG,
									   [TXD_CONNECT_STRING] = AVRO_STRING,
									   [TXD_CONNECT_STRUCT] = AVRO_RECORD};
	const char *name = text_member(j, "connect.name");
	const TxdConnectType *connect = NULL;

	if (name == NULL || type->logical != AVRO_PLAIN)
		return;
	for (int base = 0; base <= TXD_CONNECT_STRUCT && connect == NULL; base++)
		if (base != TXD_CONNECT_BYTES && of_base[base] == type->kind)
			connect = txd_connect_type(name, (TxdConnectBase) base);
	if (connect == NULL || (connect->meaning == TXD_MEANS_VARIABLE &&
							!(type->n == 2 && is_field(type, 0, "scale", AVRO_INT) &&
							  is_field(type, 1, "value", AVRO_BYTES))))
		return;
	type->logical = of_meaning[connect->meaning];
	type->digits = connect->digits;
}

static AvroType *parse(Parser *p, const json_t *j, const char *space);

/* A type with a name, which what is in it can refer to already. */
static AvroType *
new_named(Parser *p, AvroKind kind, const json_t *j, const char *space)
{
	const char *name = text_member(j, "name");
	const char *own = text_member(j, "namespace");
	AvroType *type = new_type(p, kind);
	Named *named = txd_arena_alloc(&p->arena->memory, sizeof(*named));
	const char *dot;

	if (name == NULL || *name == '\0')
		return fail(p, "a record, enum or fixed has no name", NULL);
	type->name = full_name(p, name, own != NULL ? own : space);
	if (++p->nnamed > MAX_NAMED)
		return fail(p, "more than 2000 named types", NULL);
	if (find_named(p, type->name) != NULL)
		return fail(p, "two types are named", type->name);
	dot = strrchr(type->name, '.');
	type->space = dot == NULL
					  ? ""
					  : txd_arena_copy(&p->arena->memory, type->name, (size_t) (dot - type->name));
	type->aliases = json_object_get(j, "aliases");
	named->type = type;
	named->next = p->named;
	p->named = named;
	return type;
}

static AvroType *
parse_record(Parser *p, const json_t *j, const char *space)
{
	const json_t *fields = json_object_get(j, "fields");
	AvroType *type = new_named(p, AVRO_RECORD, j, space);

	if (type == NULL)
		return NULL;
	if (!json_is_array(fields))
		return fail(p, "no fields in record", type->name);
	if (json_array_size(fields) > MAX_PARTS)
		return fail(p, "more than 10000 fields in record", type->name);
	type->n = (int) json_array_size(fields);
	type->field = txd_arena_alloc(&p->arena->memory, ((size_t) type->n + 1) * sizeof(AvroField));
	for (int i = 0; i < type->n; i++)
	{
		const json_t *spec = json_array_get(fields, (size_t) i);
		AvroField *field = &type->field[i];

		field->name = text_member(spec, "name");
		if (field->name == NULL)
			return fail(p, "a field without a name in record", type->name);
		for (int k = 0; k < i; k++)
			if (strcmp(type->field[k].name, field->name) == 0)
				return fail(p, "two fields are named", field->name);
		field->aliases = json_object_get(spec, "aliases");
		field->preset = json_object_get(spec, "default");
		field->doc = text_member(spec, "doc");
		field->type = parse(p, json_object_get(spec, "type"), type->space);
		if (field->type == NULL)
			return NULL;
	}
	set_connect(type, j);
	return type;
}

static AvroType *
parse_enum(Parser *p, const json_t *j, const char *space)
{
	const json_t *symbols = json_object_get(j, "symbols");
	AvroType *type = new_named(p, AVRO_ENUM, j, space);

	if (type == NULL)
		return NULL;
	if (!json_is_array(symbols))
		return fail(p, "no symbols in enum", type->name);
	if (json_array_size(symbols) > MAX_PARTS)
		return fail(p, "more than 10000 symbols in enum", type->name);
	type->n = (int) json_array_size(symbols);
	type->symbol = txd_arena_alloc(&p->arena->memory, ((size_t) type->n + 1) * sizeof(char *));
	type->preset = json_object_get(j, "default");
	type->doc = text_member(j, "doc");
	for (int i = 0; i < type->n; i++)
	{
		type->symbol[i] = json_string_value(json_array_get(symbols, (size_t) i));
		if (type->symbol[i] == NULL)
			return fail(p, "a symbol that is no string in enum", type->name);
	}
	return type;
}

static AvroType *
parse_fixed(Parser *p, const json_t *j, const char *space)
{
	const json_t *size = json_object_get(j, "size");
	AvroType *type = new_named(p, AVRO_FIXED, j, space);

	if (type == NULL)
		return NULL;
	if (!json_is_integer(size) || json_integer_value(size) < 0 ||
		json_integer_value(size) > TXD_MAX_ROW)
		return fail(p, "no size of fixed", type->name);
	type->size = (size_t) json_integer_value(size);
	return type;
}

/* An array's items or a map's values. */
static AvroType *
parse_many(Parser *p, AvroKind kind, const json_t *of, const char *space)
{
	AvroType *type = new_type(p, kind);

	if (of == NULL)
		return fail(p, kind == AVRO_ARRAY ? "an array has no items" : "a map has no values", NULL);
	type->n = 1;
	type->branch = txd_arena_alloc(&p->arena->memory, sizeof(AvroType *));
	type->branch[0] = parse(p, of, space);
	return type->branch[0] != NULL ? type : NULL;
}

static AvroType *
parse_union(Parser *p, const json_t *j, const char *space)
{
	AvroType *type = new_type(p, AVRO_UNION);

	type->n = (int) json_array_size(j);
	if (type->n == 0)
		return fail(p, "a union has no branch", NULL);
	if (type->n > MAX_PARTS)
		return fail(p, "more than 10000 branches in a union", NULL);
	type->branch = txd_arena_alloc(&p->arena->memory, (size_t) type->n * sizeof(AvroType *));
	for (int i = 0; i < type->n; i++)
	{
		type->branch[i] = parse(p, json_array_get(j, (size_t) i), space);
		if (type->branch[i] == NULL)
			return NULL;
		if (type->branch[i]->kind == AVRO_UNION)
			return fail(p, "a union within a union", NULL);
	}
	return type;
}

static AvroType *
parse_object(Parser *p, const json_t *j, const char *space)
{
	const json_t *of = json_object_get(j, "type");
	const char *name = json_string_value(of);
	AvroType *type;

	if (name == NULL)
		return of != NULL ? parse(p, of, space) : fail(p, "an object without a type", NULL);
	if (strcmp(name, "record") == 0 || strcmp(name, "error") == 0)
		return parse_record(p, j, space);
	if (strcmp(name, "enum") == 0)
		return parse_enum(p, j, space);
	if (strcmp(name, "array") == 0)
		return parse_many(p, AVRO_ARRAY, json_object_get(j, "items"), space);
	if (strcmp(name, "map") == 0)
		return parse_many(p, AVRO_MAP, json_object_get(j, "values"), space);
	type = strcmp(name, "fixed") == 0 ? parse_fixed(p, j, space) : type_by_name(p, name, space);
	/* What a name refers to is as it was defined. */
	if (type != NULL && (type->kind <= AVRO_STRING || strcmp(name, "fixed") == 0))
	{
		set_logical(type, j);
		set_connect(type, j);
		type->doc = text_member(j, "doc");
	}
	return type;
}

static AvroType *
parse(Parser *p, const json_t *j, const char *space)
{
	AvroType *type;

	if (p->depth == MAX_DEPTH)
		return fail(p, "more than 64 nested levels", NULL);
	p->depth++;
	if (json_is_string(j))
		type = type_by_name(p, json_string_value(j), space);
	else if (json_is_array(j))
		type = parse_union(p, j, space);
	else if (json_is_object(j))
		type = parse_object(p, j, space);
	else
		type = fail(p, "a type is missing", NULL);
	p->depth--;
	return type;
}

static AvroType *
parse_text(Parser *p, const char *text)
{
	AvroArena *arena = p->arena;
	json_error_t error;
	json_t *tree =
		json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

	if (tree == NULL)
		return fail(p, error.text, NULL);
	arena->trees = txd_realloc(arena->trees, ((size_t) arena->ntrees + 1) * sizeof(json_t *));
	arena->trees[arena->ntrees++] = tree;
	return parse(p, tree, NULL);
}

AvroType *
txd_avro_parse(AvroArena *arena, const char *const *texts, int n, const char *which, TxdError *err)
{
	Parser p = {.arena = arena, .which = which, .err = err};
	AvroType *type = NULL;

	for (int i = 0; i < n; i++)
	{
		type = parse_text(&p, texts[i]);
		if (type == NULL)
			break;
	}
	return type;
}
