/*
 * infer_table.c — inferred columns as a mapping and as a table.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

#include "infer.h"
#include "rights.h"

static void
push_string(JsonbParseState **state, JsonbIteratorToken token, const char *text)
{
	JsonbValue v = {.type = jbvString, .val.string = {strlen(text), unconstify(char *, text)}};

	pushJsonbValue(state, token, &v);
}

/* What the user wrote, without the types. */
static Jsonb *
without_types(Jsonb *columns)
{
	JsonbIterator *it = JsonbIteratorInit(&columns->root);
	JsonbParseState *state = NULL;
	JsonbValue *result = NULL;
	JsonbIteratorToken token;
	JsonbValue v;
	int depth = 0;

	while ((token = JsonbIteratorNext(&it, &v, false)) != WJB_DONE)
	{
		depth += token == WJB_BEGIN_OBJECT || token == WJB_BEGIN_ARRAY;
		depth -= token == WJB_END_OBJECT || token == WJB_END_ARRAY;
		if (token == WJB_KEY && depth == 2 && v.val.string.len == 4 &&
			memcmp(v.val.string.val, "type", 4) == 0)
		{
			(void) JsonbIteratorNext(&it, &v, true);
			continue;
		}
		result = pushJsonbValue(&state, token, token < WJB_BEGIN_ARRAY ? &v : NULL);
	}
	return JsonbValueToJsonb(result);
}

Jsonb *
txp_infer_mapping(const TxpStream *stream, List *columns, bool types)
{
	JsonbParseState *state = NULL;
	ListCell *lc;

	if (stream->columns != NULL)
		return types ? stream->columns : without_types(stream->columns);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	foreach (lc, columns)
	{
		const TxpInferredColumn *column = lfirst(lc);

		push_string(&state, WJB_KEY, column->name);
		if (!types)
		{
			push_string(&state, WJB_VALUE, column->path);
			continue;
		}
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		push_string(&state, WJB_KEY, "path");
		push_string(&state, WJB_VALUE, column->path);
		push_string(&state, WJB_KEY, "type");
		push_string(&state, WJB_VALUE, column->type);
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* --- the table --- */

void
txp_infer_check(const TxpStream *stream, const char *schema)
{
	if (schema == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_SCHEMA),
			 errmsg("no schema has been selected to create the table of stream \"%s\" in",
					stream->name),
			 errhint("Set search_path, name the schema as target_schema, or name a table as the "
					 "target.")));
	if (strlen(stream->name) >= NAMEDATALEN)
		ereport(ERROR, (errcode(ERRCODE_NAME_TOO_LONG),
						errmsg("name of stream \"%s\" is too long for a table", stream->name),
						errhint("Choose one of at most %d bytes, or name a table as the target.",
								NAMEDATALEN - 1)));
	if (OidIsValid(get_relname_relid(stream->name, get_namespace_oid(schema, false))))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists in schema \"%s\"", stream->name, schema),
				 errhint("Name it as the target, or choose another name for the stream.")));
}

static void
execute(const char *sql)
{
	int code = SPI_execute(sql, false, 0);

	if (code != SPI_OK_UTILITY)
		elog(ERROR, "%s returned %s", sql, SPI_result_code_string(code));
}

/* Names of the key's columns, quoted, with commas between; they become those of the stream. */
static char *
primary_key(TxpStream *stream, List *columns)
{
	StringInfoData names;
	ListCell *lc;
	int n = 0;

	initStringInfo(&names);
	if (stream->nkey_columns > 0)
		stream->key_columns = palloc(sizeof(char *) * list_length(columns));
	foreach (lc, columns)
	{
		const TxpInferredColumn *column = lfirst(lc);

		if (!column->key)
			continue;
		appendStringInfo(&names, "%s%s", n ? ", " : "", quote_identifier(column->name));
		stream->key_columns[n++] = column->name;
	}
	stream->nkey_columns = n;
	return names.data;
}

static char *
column_comment(const TxpInferredColumn *column)
{
	return column->doc != NULL ? psprintf("%s (mapped from %s)", column->doc, column->path)
							   : psprintf("Mapped from %s", column->path);
}

static void
comment(const TxpStream *stream, const char *table, List *columns)
{
	ListCell *lc;

	execute(psprintf("COMMENT ON TABLE %s IS %s", table,
					 quote_literal_cstr(psprintf("Messages of the Kafka topic %s, by the stream %s",
												 stream->topic, stream->name))));
	foreach (lc, columns)
	{
		const TxpInferredColumn *column = lfirst(lc);

		execute(psprintf("COMMENT ON COLUMN %s.%s IS %s", table, quote_identifier(column->name),
						 quote_literal_cstr(column_comment(column))));
	}
}

void
txp_infer_create(TxpStream *stream, List *columns, const char *schema)
{
	char *table = quote_qualified_identifier(schema, stream->name);
	char *key = primary_key(stream, columns);
	StringInfoData sql;
	TxpRights saved;
	ListCell *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s (", table);
	foreach (lc, columns)
	{
		const TxpInferredColumn *column = lfirst(lc);

		appendStringInfo(&sql, "%s%s %s", lc == list_head(columns) ? "" : ", ",
						 quote_identifier(column->name), column->type);
	}
	if (key[0] != '\0')
		appendStringInfo(&sql, ", PRIMARY KEY (%s)", key);
	appendStringInfoChar(&sql, ')');

	txp_rights_owner(GetUserId(), &saved);
	SPI_connect();
	execute(sql.data);
	comment(stream, table, columns);
	SPI_finish();
	txp_rights_restore(&saved);
	stream->columns = txp_infer_mapping(stream, columns, false);
	stream->target = get_relname_relid(stream->name, get_namespace_oid(schema, false));
	stream->target_name = table;
}
