/*
 * schema_facts.c — what the schemas of messages say of their top-level fields.
 */
#include "postgres.h"

#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "args.h"
#include "schema_facts.h"

/* Two types, and one that holds the values of both. */
static const char *const wider[][3] = {
	{"pg_catalog.int4", "pg_catalog.int8", "pg_catalog.int8"},
	{"pg_catalog.float4", "pg_catalog.float8", "pg_catalog.float8"},
};

/* Never what a schema wrote, but what a type has of that name. */
static char *
checked_type(char *name)
{
	Oid type;
	int32 typmod;

	parseTypeString(name, &type, &typmod, false);
	return format_type_extended(type, typmod,
								FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

/* NULL: there is none. */
static const char *
common_type(const char *a, const char *b)
{
	if (strcmp(a, b) == 0)
		return a;
	for (int i = 0; i < (int) lengthof(wider); i++)
	{
		if ((strcmp(a, wider[i][0]) == 0 && strcmp(b, wider[i][1]) == 0) ||
			(strcmp(a, wider[i][1]) == 0 && strcmp(b, wider[i][0]) == 0))
			return wider[i][2];
	}
	return NULL;
}

static void
add_field(TxpJsonFacts *facts, JsonbContainer *field)
{
	JsonbIterator *it = JsonbIteratorInit(field);
	TxpJsonFact *fact;
	char *name = NULL;
	char *type = NULL;
	char *doc = NULL;
	char *member;
	JsonbValue v;

	while ((member = txp_next_member(&it, &v)) != NULL)
	{
		char **to = strcmp(member, "name") == 0   ? &name
					: strcmp(member, "type") == 0 ? &type
												  : &doc;

		if (v.type == jbvString)
			*to = pnstrdup(v.val.string.val, v.val.string.len);
	}
	fact = name != NULL && type != NULL ? txp_json_facts_of(facts, name) : NULL;
	if (fact == NULL)
		return;
	type = checked_type(type);
	if (!fact->in_schema)
		fact->type = type;
	else if (fact->type != NULL)
		fact->type = common_type(fact->type, type);
	fact->in_schema = true;
	if (doc != NULL)
		fact->doc = doc;
}

void
txp_schema_facts_add(TxpJsonFacts *facts, const char *json, uint32 len)
{
	Jsonb *fields =
		DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(pnstrdup(json, len))));
	JsonbIterator *it = JsonbIteratorInit(&fields->root);
	JsonbValue v;

	(void) JsonbIteratorNext(&it, &v, false);
	while (JsonbIteratorNext(&it, &v, true) == WJB_ELEM)
	{
		if (v.type == jbvBinary)
			add_field(facts, v.val.binary.data);
	}
}
