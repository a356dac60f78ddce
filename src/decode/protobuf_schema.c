/*
 * protobuf_schema.c — reads FileDescriptorProto, the form in which .proto files are passed on.
 */
#include <stdlib.h>
#include <string.h>

#include "proto_text.h"
#include "protobuf_schema.h"
#include "value.h"

#define MAX_DEPTH 64
#define MAX_TYPES 20000 /* of messages and enums */
#define MAX_PARTS 10000 /* fields and oneofs of a type, symbols of an enum */
#define MAX_SOURCES 5000

/* Of google.protobuf.FeatureSet, by its numbers, those that say how messages are read. */
typedef struct Features
{
	uint64_t presence;
	uint64_t encoding;
} Features;

#define EXPLICIT 1
#define IMPLICIT 2
#define LEGACY_REQUIRED 3
#define LENGTH_PREFIXED 1
#define DELIMITED 2

typedef struct Parser
{
	PbSchema *schema;
	TxdError *err;
	PbSource *source;
	bool proto3;
	bool edition;
	Features features; /* of files with an edition, where nothing within says otherwise */
	int depth;
} Parser;

bool
txd_pb_bad_schema(TxdError *err, const char *what, const char *name)
{
	return txd_refuse(err, "bad_schema", NULL, "schema: %s%s%.*s%s", what,
					  name != NULL ? " \"" : "", name != NULL ? 200 : 0, name != NULL ? name : "",
					  name != NULL ? "\"" : "");
}

bool
txd_pb_next_part(PbInput *in, PbPart *part)
{
	if (in->p == in->end || !txd_pb_tag(in, &part->number, &part->wire))
		return false;
	part->v = 0;
	part->within = (PbInput){0};
	if (part->wire == PB_VARINT)
		return txd_pb_varint(in, &part->v);
	return txd_pb_skip(in, part->number, part->wire, &part->within);
}

/* Have all fields been read? */
static bool
is_done(Parser *p, const PbInput *in)
{
	return in->why == NULL || txd_pb_bad_schema(p->err, "the descriptor is broken", NULL);
}

static int
count(PbInput in, uint32_t number)
{
	PbPart part;
	int n = 0;

	while (txd_pb_next_part(&in, &part))
		n += part.number == number && part.wire == PB_BYTES_OF;
	return n;
}

static const char *
text_of(Parser *p, const PbPart *part)
{
	return txd_arena_copy(&p->schema->memory, part->within.p,
						  (size_t) (part->within.end - part->within.p));
}

/* A name that can be written between quotes as it is. */
static bool
is_name(const char *name)
{
	return name != NULL && *name != '\0' &&
		   name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.")] ==
			   '\0';
}

/* Each type has its own copy of the scopes around it. */
static bool
full_name(Parser *p, const char *scope, const char *name, const char **to)
{
	size_t len = strlen(scope);
	size_t more = strlen(name);
	char *full;

	if (len + (len > 0) + more > PB_MAX_NAME)
		return txd_pb_bad_schema(p->err, "more than 1000 bytes in the name of", name);
	*to = full = txd_arena_alloc(&p->schema->memory, len + more + 2);
	if (len > 0)
	{
		memcpy(full, scope, len);
		full[len++] = '.';
	}
	memcpy(full + len, name, more);
	return true;
}

/* The name that a descriptor has in its field 1. */
static bool
read_name(Parser *p, PbInput in, const char *scope, const char **name)
{
	const char *own = NULL;
	PbPart part;

	while (txd_pb_next_part(&in, &part))
		if (part.number == 1 && part.wire == PB_BYTES_OF)
			own = text_of(p, &part);
	if (!is_name(own))
		return txd_pb_bad_schema(p->err, "the descriptor is broken", NULL);
	*name = own;
	return scope == NULL || full_name(p, scope, own, name);
}

static bool
is_room(Parser *p)
{
	return p->schema->ntypes + p->schema->nenums < MAX_TYPES ||
		   txd_pb_bad_schema(p->err, "more than 20000 types", NULL);
}

static bool
read_symbol(Parser *p, PbInput in, PbSymbol *symbol)
{
	PbPart part;

	if (!read_name(p, in, NULL, &symbol->name))
		return false;
	while (txd_pb_next_part(&in, &part))
		if (part.number == 2 && part.wire == PB_VARINT)
			symbol->number = (int32_t) part.v;
	return is_done(p, &in);
}

static bool
read_enum(Parser *p, PbInput in, const char *scope)
{
	PbSchema *s = p->schema;
	PbEnum *of = txd_arena_alloc(&s->memory, sizeof(*of));
	int n = count(in, 2);
	PbPart part;

	if (!is_room(p) || !read_name(p, in, scope, &of->name))
		return false;
	if (n == 0 || n > MAX_PARTS)
		return txd_pb_bad_schema(p->err, "no symbols, or more than 10000, in enum", of->name);
	of->source = p->source;
	of->symbol = txd_arena_alloc(&s->memory, (size_t) n * sizeof(PbSymbol));
	while (txd_pb_next_part(&in, &part))
	{
		if (part.number != 2 || part.wire != PB_BYTES_OF)
			continue;
		of->symbol[of->n].order = of->n;
		if (!read_symbol(p, part.within, &of->symbol[of->n++]))
			return false;
	}
	of->first = of->symbol[0].name;
	s->enums = txd_realloc(s->enums, ((size_t) s->nenums + 1) * sizeof(PbEnum *));
	s->enums[s->nenums++] = of;
	return is_done(p, &in);
}

/* Of bytes it is written with escapes. */
static bool
read_default(Parser *p, const PbPart *part, PbField *field)
{
	field->preset = text_of(p, part);
	return strlen(field->preset) == (size_t) (part->within.end - part->within.p) ||
		   txd_pb_bad_schema(p->err, "a NUL in the default of field", field->name);
}

/* Those that options, in which features have this number, say are other than what is around them. */
static void
read_features(PbInput options, uint32_t number, Features *features)
{
	PbPart part;
	PbPart feature;

	while (txd_pb_next_part(&options, &part))
		while (part.number == number && txd_pb_next_part(&part.within, &feature))
			if (feature.number == 1 && feature.wire == PB_VARINT)
				features->presence = feature.v;
			else if (feature.number == 5 && feature.wire == PB_VARINT)
				features->encoding = feature.v;
}

static void
set_presence(const Parser *p, PbField *field, uint64_t label, bool optional3,
			 const Features *features)
{
	bool single = label != 3 && field->oneof < 0;

	field->repeated = label == 3;
	field->required = label == 2;
	field->implicit = p->proto3 && !optional3 && single && label == 1;
	if (!p->edition)
		return;
	field->required |= single && features->presence == LEGACY_REQUIRED;
	field->implicit = single && features->presence == IMPLICIT;
	field->delimited = features->encoding == DELIMITED;
}

static bool
read_field(Parser *p, PbInput in, PbField *field)
{
	Features features = p->features;
	bool optional3 = false;
	uint64_t label = 1;
	PbPart part;

	*field = (PbField){.oneof = -1};
	if (!read_name(p, in, NULL, &field->name) || strchr(field->name, '.') != NULL)
		return txd_pb_bad_schema(p->err, "a field without a name", NULL);
	while (txd_pb_next_part(&in, &part))
	{
		if (part.number == 3 && part.v <= PB_MAX_NUMBER)
			field->number = (uint32_t) part.v;
		else if (part.number == 4)
			label = part.v;
		else if (part.number == 5 && part.v <= PB_SINT64)
			field->kind = (PbKind) part.v;
		else if (part.number == 6 && part.wire == PB_BYTES_OF)
			field->type_name = text_of(p, &part);
		else if (part.number == 7 && part.wire == PB_BYTES_OF && !read_default(p, &part, field))
			return false;
		else if (part.number == 8 && part.wire == PB_BYTES_OF)
			read_features(part.within, 21, &features);
		else if (part.number == 9 && part.v < MAX_PARTS)
			field->oneof = (int) part.v;
		else if (part.number == 17)
			optional3 = part.v != 0;
		else if (part.number == TXD_PROTO_DOC && part.wire == PB_BYTES_OF &&
				 txd_pb_is_doc((const char *) part.within.p,
							   (size_t) (part.within.end - part.within.p)))
			field->doc = text_of(p, &part);
	}
	set_presence(p, field, label, optional3, &features);
	if (field->number == 0)
		return txd_pb_bad_schema(p->err, "no number of field", field->name);
	return is_done(p, &in);
}

/* Of a message; they stand behind its fields. */
static void
read_options(Parser *p, PbInput in, PbType *type)
{
	PbPart part;
	PbPart option;

	while (txd_pb_next_part(&in, &part))
	{
		if (part.number != 7 || part.wire != PB_BYTES_OF)
			continue;
		read_features(part.within, 12, &p->features);
		while (txd_pb_next_part(&part.within, &option))
			if (option.number == 7 && option.wire == PB_VARINT)
				type->map_entry = option.v != 0;
	}
}

static bool read_message(Parser *p, PbInput in, const char *scope, PbType **to);

static bool
read_parts(Parser *p, PbInput in, PbType *type)
{
	PbPart part;
	bool ok = true;

	while (ok && txd_pb_next_part(&in, &part))
	{
		if (part.wire != PB_BYTES_OF)
			continue;
		if (part.number == 2)
			ok = read_field(p, part.within, &type->field[type->n++]);
		else if (part.number == 3)
			ok = read_message(p, part.within, type->name, &type->nested[type->nnested++]);
		else if (part.number == 4)
			ok = read_enum(p, part.within, type->name);
	}
	return ok && is_done(p, &in);
}

static bool
read_message(Parser *p, PbInput in, const char *scope, PbType **to)
{
	PbSchema *s = p->schema;
	PbType *type = txd_arena_alloc(&s->memory, sizeof(*type));
	Features around = p->features;
	size_t nfields = (size_t) count(in, 2);
	size_t nnested = (size_t) count(in, 3);
	int noneofs = count(in, 8);
	bool ok;

	*to = type;
	if (!is_room(p) || !read_name(p, in, scope, &type->name))
		return false;
	if (p->depth == MAX_DEPTH)
		return txd_pb_bad_schema(p->err, "more than 64 nested levels in", type->name);
	if (nfields > MAX_PARTS)
		return txd_pb_bad_schema(p->err, "more than 10000 fields in", type->name);
	if (noneofs > MAX_PARTS)
		return txd_pb_bad_schema(p->err, "more than 10000 oneofs in", type->name);
	type->source = p->source;
	type->noneofs = noneofs;
	type->field = txd_arena_alloc(&s->memory, (nfields + 1) * sizeof(PbField));
	type->nested = txd_arena_alloc(&s->memory, (nnested + 1) * sizeof(PbType *));
	s->types = txd_realloc(s->types, ((size_t) s->ntypes + 1) * sizeof(PbType *));
	s->types[s->ntypes++] = type;
	p->depth++;
	read_options(p, in, type);
	ok = read_parts(p, in, type);
	p->features = around;
	p->depth--;
	return ok;
}

/* Its name and what it imports; those that are public are told by their places. */
static bool
read_source(Parser *p, PbInput in)
{
	PbSchema *s = p->schema;
	PbSource *source = txd_arena_alloc(&s->memory, sizeof(*source));
	PbInput again = in;
	PbPart part;

	if (s->nsources == MAX_SOURCES)
		return txd_pb_bad_schema(p->err, "more than 5000 files", NULL);
	*source = (PbSource){.name = "", .place = s->nsources};
	source->import = txd_arena_alloc(&s->memory, ((size_t) count(in, 3) + 1) * sizeof(PbImport));
	while (txd_pb_next_part(&in, &part))
		if (part.number == 1 && part.wire == PB_BYTES_OF)
			source->name = text_of(p, &part);
		else if (part.number == 3 && part.wire == PB_BYTES_OF)
			source->import[source->nimports++].name = text_of(p, &part);
	while (txd_pb_next_part(&again, &part))
		if (part.number == 10 && part.wire == PB_VARINT && part.v < (uint64_t) source->nimports)
			source->import[part.v].is_public = true;
	s->sources = txd_realloc(s->sources, ((size_t) s->nsources + 1) * sizeof(PbSource *));
	s->sources[s->nsources++] = p->source = source;
	return is_done(p, &in);
}

/* What the rest is read by: the package, and how fields are present and written. */
static bool
read_head(Parser *p, PbInput in, const char **package)
{
	const char *syntax = "proto2";
	uint64_t edition = 0;
	PbPart part;

	*package = "";
	if (!read_source(p, in))
		return false;
	while (txd_pb_next_part(&in, &part))
	{
		if (part.number == 2 && part.wire == PB_BYTES_OF)
			*package = text_of(p, &part);
		else if (part.number == 8 && part.wire == PB_BYTES_OF)
			read_features(part.within, 50, &p->features);
		else if (part.number == 12 && part.wire == PB_BYTES_OF)
			syntax = text_of(p, &part);
		else if (part.number == 14 && part.wire == PB_VARINT)
			edition = part.v;
	}
	p->proto3 = strcmp(syntax, "proto3") == 0;
	p->edition = strcmp(syntax, "editions") == 0;
	if (p->edition && edition != TXD_PROTO_EDITION_2023 && edition != TXD_PROTO_EDITION_2024)
		return txd_pb_bad_schema(p->err, "neither edition 2023 nor 2024 is that of file",
								 p->source->name);
	if (!p->proto3 && !p->edition && strcmp(syntax, "proto2") != 0)
		return txd_pb_bad_schema(p->err, "neither proto2 nor proto3, but", syntax);
	if (**package != '\0' && !is_name(*package))
		return txd_pb_bad_schema(p->err, "the descriptor is broken", NULL);
	return is_done(p, &in);
}

bool
txd_pb_read_file(PbSchema *schema, PbInput in, TxdError *err)
{
	Parser p = {.schema = schema, .err = err, .features = {EXPLICIT, LENGTH_PREFIXED}};
	const char *package;
	PbInput info = {0};
	PbPart part;
	bool ok = read_head(&p, in, &package);

	schema->nfile = 0;
	schema->file = txd_arena_alloc(&schema->memory, ((size_t) count(in, 4) + 1) * sizeof(PbType *));
	while (ok && txd_pb_next_part(&in, &part))
	{
		if (part.wire == PB_BYTES_OF && part.number == 4)
			ok = read_message(&p, part.within, package, &schema->file[schema->nfile++]);
		else if (part.wire == PB_BYTES_OF && part.number == 5)
			ok = read_enum(&p, part.within, package);
		else if (part.wire == PB_BYTES_OF && part.number == 9)
			info = part.within;
	}
	if (ok)
		txd_pb_read_comments(schema, info);
	return ok;
}
