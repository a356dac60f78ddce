/*
 * mapping.c — reading column mappings ("columns") that users write as jsonb.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "args.h"
#include "rowplan.h"

static const struct
{
	const char *path;
	TxdSource source;
} special_paths[] = {
	{"$rest", TXD_FROM_REST},
	{"$value", TXD_FROM_VALUE},
	{"$key", TXD_FROM_KEY},
	{"kafka_topic", TXD_FROM_TOPIC},
	{"kafka_partition", TXD_FROM_PARTITION},
	{"kafka_offset", TXD_FROM_OFFSET},
	{"kafka_timestamp", TXD_FROM_TIMESTAMP},
	{"kafka_key", TXD_FROM_KEY},
	{"kafka_headers", TXD_FROM_HEADERS},
	{"kafka_row", TXD_FROM_ROW},
};

static void
bad_mapping(const TxdColumn *column, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("mapping of column \"%s\" %s", column->name, what), errhint("%s", hint)));
}

static char *
string_value(const TxdColumn *column, const JsonbValue *v, const char *member)
{
	if (v->type != jbvString)
		bad_mapping(
			column, psprintf("has a \"%s\" that is not a string", member),
			"Write {\"column\": \"path\"} or {\"column\": {\"path\": \"…\", \"as\": \"…\"}}.");
	return pnstrdup(v->val.string.val, v->val.string.len);
}

/* A column has one source; only fields, of one place, have alternatives. */
static void
set_source(TxdColumn *column, TxdSource source, bool *first)
{
	bool field = source == TXD_FROM_FIELD || source == TXD_FROM_KEY_FIELD ||
				 source == TXD_FROM_ENVELOPE_FIELD || source == TXD_FROM_HEADER;

	if (!*first && (column->source != source || !field))
		bad_mapping(column, "has alternatives from different places",
					"Alternatives are fields of the message, or all of them fields of the key, or "
					"of the envelope, or headers.");
	column->source = source;
	*first = false;
}

/* Where the path's field is; *path is moved behind the prefix that says so. */
static TxdSource
source_of_field(char **path)
{
	static const struct
	{
		const char *prefix;
		TxdSource source;
	} places[] = {{"$key.", TXD_FROM_KEY_FIELD},
				  {"$envelope.", TXD_FROM_ENVELOPE_FIELD},
				  {"$header.", TXD_FROM_HEADER}};

	for (int i = 0; i < (int) lengthof(places); i++)
	{
		size_t len = strlen(places[i].prefix);

		if (strncmp(*path, places[i].prefix, len) == 0)
		{
			*path += len;
			return places[i].source;
		}
	}
	return TXD_FROM_FIELD;
}

static void
add_path(TxdColumn *column, char *path, bool *first)
{
	TxdSource source;

	for (int i = 0; i < (int) lengthof(special_paths); i++)
	{
		if (strcmp(path, special_paths[i].path) == 0)
		{
			set_source(column, special_paths[i].source, first);
			return;
		}
	}
	source = source_of_field(&path);
	if (path[0] == '\0' || (path[0] == '$' && source == TXD_FROM_FIELD))
		bad_mapping(column, psprintf("has a path that cannot be: \"%s\"", path),
					"Paths are field names joined by dots, with [N] for an element of an array, or "
					"$rest, $value, $key, $key.field, $envelope.field, $header.name, or a kafka_… "
					"name; write \\. "
					"for a dot in a name, \\[ for a bracket and \\$ for a $ that begins one.");
	set_source(column, source, first);
	column->paths = column->paths ? repalloc(column->paths, sizeof(char *) * (column->npaths + 1))
								  : palloc(sizeof(char *));
	column->paths[column->npaths++] = path;
}

static void
set_paths(TxdColumn *column, JsonbValue *v)
{
	JsonbIterator *it;
	JsonbValue item;
	JsonbIteratorToken token;
	bool first = true;

	if (v->type != jbvBinary)
	{
		add_path(column, string_value(column, v, "path"), &first);
		return;
	}
	it = JsonbIteratorInit(v->val.binary.data);
	token = JsonbIteratorNext(&it, &item, true);
	if (token != WJB_BEGIN_ARRAY)
		bad_mapping(column, "has a \"path\" that is neither a string nor an array",
					"Alternatives are written as an array of strings.");
	while ((token = JsonbIteratorNext(&it, &item, true)) == WJB_ELEM)
		add_path(column, string_value(column, &item, "path"), &first);
}

/* A default is text in the type's own syntax; JSON null is SQL NULL. */
static const char *
default_text(JsonbValue *v)
{
	switch (v->type)
	{
		case jbvNull:
			return NULL;
		case jbvString:
			return pnstrdup(v->val.string.val, v->val.string.len);
		case jbvNumeric:
			return DatumGetCString(
				DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric)));
		case jbvBool:
			return v->val.boolean ? "true" : "false";
		default:
			return JsonbToCString(NULL, v->val.binary.data, v->val.binary.len);
	}
}

static void
set_member(TxdColumn *column, const char *member, JsonbValue *v, Oid *type, int32 *typmod)
{
	if (strcmp(member, "path") == 0)
		set_paths(column, v);
	else if (strcmp(member, "as") == 0)
	{
		char *name = string_value(column, v, "as");
		int convert = txd_convert_by_name(name);

		if (convert < 0)
			bad_mapping(column, psprintf("has the unknown conversion \"%s\"", name),
						"Conversions: whole, trim, email, address_street, address_city, "
						"address_state, address_postal_code, epoch_s, epoch_ms, epoch_us, "
						"pseudonym, encrypt.");
		column->convert = convert;
	}
	else if (strcmp(member, "type") == 0 && type != NULL)
		parseTypeString(string_value(column, v, "type"), type, typmod, false);
	else if (strcmp(member, "default") == 0)
		column->default_text = default_text(v);
	else if (strcmp(member, "required") == 0 && v->type == jbvBool)
		column->not_null = column->not_null || v->val.boolean;
	else
		bad_mapping(column, psprintf("has an unusable member \"%s\"", member),
					type ? "Members: path, type, as, default, required (true or false)."
						 : "Members: path, as, default, required (true or false).");
}

void
txp_mapping_column(TxdColumn *column, JsonbValue *spec, Oid *type, int32 *typmod)
{
	JsonbIterator *it;
	JsonbValue v;
	char *member;

	if (spec->type == jbvString)
	{
		set_paths(column, spec);
		return;
	}
	if (spec->type != jbvBinary || !JsonContainerIsObject(spec->val.binary.data))
		bad_mapping(column, "is neither a path nor an object",
					"Write {\"column\": \"path\"} or {\"column\": {\"path\": \"…\"}}.");
	it = JsonbIteratorInit(spec->val.binary.data);
	while ((member = txp_next_member(&it, &v)) != NULL)
		set_member(column, member, &v, type, typmod);
}
