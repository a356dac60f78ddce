/*
 * avro_resolve.c — how a value written by one Avro schema is read by another: the specification's schema resolution.
 *
 * Names of records, enums and fixed types count only where a union has to be decided; fields count by theirs.
 */
#include <stdio.h>
#include <string.h>

#include "avro_schema.h"

/* A pair that has its step already, which recursive types come back to. */
typedef struct Pair
{
	struct Pair *next;
	const AvroType *writer;
	const AvroType *reader;
	AvroStep *step;
} Pair;

typedef struct Resolver
{
	AvroArena *arena;
	Pair *pairs;
	int depth;
} Resolver;

static AvroStep *resolve(Resolver *r, const AvroType *writer, const AvroType *reader);

static bool
has_alias(const json_t *aliases, const char *name)
{
	for (size_t i = 0; i < json_array_size(aliases); i++)
	{
		const char *alias = json_string_value(json_array_get(aliases, i));

		if (alias != NULL && strcmp(alias, name) == 0)
			return true;
	}
	return false;
}

static const char *
unqualified(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot != NULL ? dot + 1 : name;
}

static bool
same_name(const AvroType *writer, const AvroType *reader)
{
	return strcmp(unqualified(writer->name), unqualified(reader->name)) == 0 ||
		   has_alias(reader->aliases, writer->name) ||
		   has_alias(reader->aliases, unqualified(writer->name));
}

static bool
promotes(AvroKind from, AvroKind to)
{
	switch (to)
	{
		case AVRO_LONG:
			return from == AVRO_INT;
		case AVRO_FLOAT:
			return from == AVRO_INT || from == AVRO_LONG;
		case AVRO_DOUBLE:
			return from == AVRO_INT || from == AVRO_LONG || from == AVRO_FLOAT;
		case AVRO_STRING:
			return from == AVRO_BYTES;
		case AVRO_BYTES:
			return from == AVRO_STRING;
		default:
			return false;
	}
}

/* Which branch of the reader's union a value is read as: of the same type and name, of the same type, a promotion. */
static const AvroType *
branch_for(const AvroType *writer, const AvroType *reader)
{
	const AvroType *same = NULL;
	const AvroType *promoted = NULL;

	for (int i = 0; i < reader->n; i++)
	{
		const AvroType *branch = reader->branch[i];

		if (branch->kind == writer->kind && (branch->name == NULL || same_name(writer, branch)))
			return branch;
		if (branch->kind == writer->kind && same == NULL)
			same = branch;
		if (promotes(writer->kind, branch->kind) && promoted == NULL)
			promoted = branch;
	}
	return same != NULL ? same : promoted;
}

static AvroText
keep(Resolver *r, TxdBuf *buf)
{
	AvroText text = {0};

	if (buf->len > 0)
		text = (AvroText){txd_arena_copy(&r->arena->memory, buf->data, buf->len), buf->len};
	txd_buf_free(buf);
	return text;
}

static void
put_name(TxdBuf *json, const char *name)
{
	txd_buf_byte(json, ',');
	txd_write_quoted(json, name, strlen(name));
	txd_buf_byte(json, ':');
}

static AvroText
name_text(Resolver *r, const char *name)
{
	TxdBuf buf = {0};

	put_name(&buf, name);
	return keep(r, &buf);
}

static AvroText
symbol_text(Resolver *r, const char *symbol)
{
	TxdBuf buf = {0};

	txd_write_quoted(&buf, symbol, strlen(symbol));
	return keep(r, &buf);
}

static void
cannot(Resolver *r, AvroStep *step, const char *format, const char *name)
{
	char why[200];

	snprintf(why, sizeof(why), format, name);
	step->why = txd_arena_copy(&r->arena->memory, why, strlen(why));
}

static bool
has_field(const AvroType *record, const char *name)
{
	for (int i = 0; i < record->n; i++)
		if (strcmp(record->field[i].name, name) == 0)
			return true;
	return false;
}

/* The reader's field that takes a writer's, or -1: by its alias only where the writer has none of its name. */
static int
field_for(const AvroType *writer, const AvroType *reader, const char *name)
{
	for (int i = 0; i < reader->n; i++)
		if (strcmp(reader->field[i].name, name) == 0)
			return i;
	for (int i = 0; i < reader->n; i++)
		if (has_alias(reader->field[i].aliases, name) && !has_field(writer, reader->field[i].name))
			return i;
	return -1;
}

/* What only the reader has: its defaults. */
static void
resolve_tail(Resolver *r, AvroStep *step, const AvroType *reader, const bool *taken)
{
	TxdBuf tail = {0};

	for (int i = 0; i < reader->n; i++)
	{
		const AvroField *field = &reader->field[i];

		if (taken[i])
			continue;
		put_name(&tail, field->name);
		if (field->preset == NULL)
			cannot(r, step, "field \"%.100s\" is not there and has no default", field->name);
		else if (!txd_avro_put_default(&tail, field->type, field->preset))
			cannot(r, step, "the default of field \"%.100s\" does not fit it", field->name);
	}
	step->tail = keep(r, &tail);
}

static void
resolve_record(Resolver *r, AvroStep *step, const AvroType *reader)
{
	const AvroType *writer = step->type;
	bool *taken = txd_arena_alloc(&r->arena->memory, reader != NULL ? (size_t) reader->n + 1 : 1);

	step->child = txd_arena_alloc(&r->arena->memory, ((size_t) writer->n + 1) * sizeof(AvroStep *));
	step->text = txd_arena_alloc(&r->arena->memory, ((size_t) writer->n + 1) * sizeof(AvroText));
	for (int i = 0; i < writer->n; i++)
	{
		const AvroField *field = &writer->field[i];
		int at = reader != NULL ? field_for(writer, reader, field->name) : -1;

		if (reader == NULL)
			step->text[i] = name_text(r, field->name);
		else if (at >= 0)
		{
			step->text[i] = name_text(r, reader->field[at].name);
			taken[at] = true;
		}
		step->child[i] = resolve(r, field->type, at >= 0 ? reader->field[at].type : NULL);
	}
	if (reader != NULL)
		resolve_tail(r, step, reader, taken);
}

static bool
has_symbol(const AvroType *type, const char *symbol)
{
	for (int i = 0; i < type->n; i++)
		if (strcmp(type->symbol[i], symbol) == 0)
			return true;
	return false;
}

static void
resolve_enum(Resolver *r, AvroStep *step, const AvroType *reader)
{
	const char *other = reader != NULL ? json_string_value(reader->preset) : NULL;

	step->text =
		txd_arena_alloc(&r->arena->memory, ((size_t) step->type->n + 1) * sizeof(AvroText));
	for (int i = 0; i < step->type->n; i++)
	{
		const char *symbol = step->type->symbol[i];

		if (reader != NULL && !has_symbol(reader, symbol))
			symbol = other;
		if (symbol != NULL)
			step->text[i] = symbol_text(r, symbol);
	}
}

static void
resolve_children(Resolver *r, AvroStep *step, const AvroType *reader)
{
	const AvroType *writer = step->type;

	step->child = txd_arena_alloc(&r->arena->memory, (size_t) writer->n * sizeof(AvroStep *));
	for (int i = 0; i < writer->n; i++)
		step->child[i] =
			resolve(r, writer->branch[i],
					reader == NULL || writer->kind == AVRO_UNION ? reader : reader->branch[0]);
}

static void
fill(Resolver *r, AvroStep *step, const AvroType *reader)
{
	static const char *const name[] = {"null",     "a boolean", "an int",   "a long",   "a float",
									   "a double", "bytes",     "a string", "a record", "an enum",
									   "an array", "a map",     "a fixed",  "a union"};
	const AvroType *writer = step->type;

	if (reader != NULL && writer->kind != AVRO_UNION && writer->kind != reader->kind)
	{
		step->as_text = writer->kind == AVRO_BYTES;
		step->as_bytes = writer->kind == AVRO_STRING;
		if (!promotes(writer->kind, reader->kind))
			cannot(r, step, "%s cannot be read as what the schema of the stream has there",
				   name[writer->kind]);
		return;
	}
	if (writer->kind == AVRO_RECORD)
		resolve_record(r, step, reader);
	else if (writer->kind == AVRO_ENUM)
		resolve_enum(r, step, reader);
	else if (writer->n > 0)
		resolve_children(r, step, reader);
	else if (reader != NULL && writer->kind == AVRO_FIXED && writer->size != reader->size)
		cannot(r, step, "%s of another size", "a fixed");
}

/* Only records lead back to themselves. */
static void
remember(Resolver *r, AvroStep *step, const AvroType *reader)
{
	Pair *pair;

	if (step->type->kind != AVRO_RECORD)
		return;
	pair = txd_arena_alloc(&r->arena->memory, sizeof(*pair));
	*pair = (Pair){r->pairs, step->type, reader, step};
	r->pairs = pair;
}

static AvroStep *
resolve(Resolver *r, const AvroType *writer, const AvroType *reader)
{
	const AvroType *given = reader;
	AvroStep *step;

	for (const Pair *pair = r->pairs; pair != NULL && writer->kind == AVRO_RECORD;
		 pair = pair->next)
		if (pair->writer == writer && pair->reader == given)
			return pair->step;
	step = txd_arena_alloc(&r->arena->memory, sizeof(*step));
	step->type = writer;
	remember(r, step, given);
	if (reader != NULL && reader->kind == AVRO_UNION && writer->kind != AVRO_UNION)
		reader = branch_for(writer, reader);
	if (reader == NULL && given != NULL)
		cannot(r, step, "%s of the reader's union takes it", "no branch");
	else if (r->depth == AVRO_MAX_NESTED)
		step->too_deep = true;
	else
	{
		r->depth++;
		fill(r, step, reader);
		r->depth--;
	}
	return step;
}

AvroStep *
txd_avro_resolve(AvroArena *arena, const AvroType *writer, const AvroType *reader)
{
	Resolver r = {.arena = arena};

	return resolve(&r, writer, reader);
}
