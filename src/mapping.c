/*
 * mapping.c — reading column mappings ("columns") that users write as jsonb.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

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

static void
add_path(TxdColumn *column, char *path)
{
	for (int i = 0; i < (int) lengthof(special_paths); i++)
	{
		if (strcmp(path, special_paths[i].path) == 0)
		{
			column->source = special_paths[i].source;
			return;
		}
	}
	if (path[0] == '\0' || path[0] == '$')
		bad_mapping(
			column, psprintf("has the path \"%s\"", path),
			"Paths are field names joined by dots, or $rest, $value, $key, or a kafka_… name; "
			"write \\. for a dot in a name.");
	column->source = TXD_FROM_FIELD;
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

	if (v->type != jbvBinary)
	{
		add_path(column, string_value(column, v, "path"));
		return;
	}
	it = JsonbIteratorInit(v->val.binary.data);
	token = JsonbIteratorNext(&it, &item, true);
	if (token != WJB_BEGIN_ARRAY)
		bad_mapping(column, "has a \"path\" that is neither a string nor an array",
					"Alternatives are written as an array of strings.");
	while ((token = JsonbIteratorNext(&it, &item, true)) == WJB_ELEM)
		add_path(column, string_value(column, &item, "path"));
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
						"address_state, address_postal_code, epoch_s, epoch_ms, epoch_us.");
		column->convert = convert;
	}
	else if (strcmp(member, "type") == 0 && type != NULL)
		parseTypeString(string_value(column, v, "type"), type, typmod, false);
	else if (strcmp(member, "default") == 0)
	{
		if (v->type == jbvNumeric)
			column->default_text =
				DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric)));
		else if (v->type == jbvBool)
			column->default_text = v->val.boolean ? "true" : "false";
		else
			column->default_text = string_value(column, v, "default");
	}
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
	JsonbIteratorToken token;

	if (spec->type == jbvString)
	{
		set_paths(column, spec);
		return;
	}
	if (spec->type != jbvBinary)
		bad_mapping(column, "is neither a path nor an object",
					"Write {\"column\": \"path\"} or {\"column\": {\"path\": \"…\"}}.");
	it = JsonbIteratorInit(spec->val.binary.data);
	if (JsonbIteratorNext(&it, &v, true) != WJB_BEGIN_OBJECT)
		bad_mapping(column, "is neither a path nor an object",
					"Write {\"column\": \"path\"} or {\"column\": {\"path\": \"…\"}}.");
	while ((token = JsonbIteratorNext(&it, &v, true)) == WJB_KEY)
	{
		char *member = pnstrdup(v.val.string.val, v.val.string.len);

		(void) JsonbIteratorNext(&it, &v, true);
		set_member(column, member, &v, type, typmod);
	}
}
