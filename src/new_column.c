/*
 * new_column.c — columns for new fields.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "batch_read.h"
#include "decode/fieldname.h"
#include "event.h"
#include "new_column.h"
#include "rights.h"
#include "spi.h"

bool
txp_path_is_within(const char *inner, const char *outer)
{
	size_t len = strlen(outer);

	return strncmp(inner, outer, len) == 0 && (inner[len] == '\0' || txd_path_goes_on(inner[len]));
}

/* A column without a path takes a top-level field of its name. */
static bool
matches_by_name(const TxdColumn *column, const char *path)
{
	return txd_name_match(path, txd_first_name(path), column->name) != TXD_NAME_NONE;
}

bool
txp_path_is_covered(const TxpRowPlan *plan, const char *path)
{
	for (int i = 0; i < plan->ncolumns; i++)
	{
		const TxdColumn *column = &plan->columns[i];

		if (column->source != TXD_FROM_FIELD)
			continue;
		if (column->npaths == 0 && matches_by_name(column, path))
			return true;
		for (int j = 0; j < column->npaths; j++)
		{
			if (txp_path_is_within(path, column->paths[j]) ||
				txp_path_is_within(column->paths[j], path))
				return true;
		}
	}
	return false;
}

static const char *
sql_type(uint32 json_types)
{
	switch (json_types & ~(1u << TXD_FIELD_NULL))
	{
		case 0:
			return NULL;
		case 1u << TXD_FIELD_STRING:
			return "pg_catalog.text";
		case 1u << TXD_FIELD_NUMBER:
			return "pg_catalog.numeric";
		case 1u << TXD_FIELD_BOOLEAN:
			return "pg_catalog.bool";
		default:
			return "pg_catalog.jsonb";
	}
}

/* NULL: it was dropped since the stream was opened, which the batch will find out. */
static char *
target_table(const TxpStream *stream)
{
	char *name = get_rel_name(stream->target);
	char *schema = name ? get_namespace_name(get_rel_namespace(stream->target)) : NULL;

	return schema ? quote_qualified_identifier(schema, name) : NULL;
}

/* As the owner: it is his table. */
static void
alter_target(const TxpStream *stream, const char *table, const char *name, const char *type)
{
	char *sql = psprintf("ALTER TABLE %s ADD COLUMN %s %s", table, quote_identifier(name), type);
	TxpRights saved;
	int code;

	txp_rights_owner(stream->owner, &saved);
	SPI_connect();
	code = SPI_execute(sql, false, 0);
	if (code != SPI_OK_UTILITY)
		elog(ERROR, "%s returned %s", sql, SPI_result_code_string(code));
	SPI_finish();
	txp_rights_restore(&saved);
}

/* A stream with a mapping must name the new column there; the epoch tells other workers. */
static void
extend_mapping(const TxpStream *stream, const char *name, const char *path)
{
	static TxpStatement statement = {
		"UPDATE txpipe.stream SET epoch = epoch + 1, columns = columns || "
		"pg_catalog.jsonb_build_object($2::text, $3::text) WHERE stream_id = $1",
		3,
		{INT4OID, TEXTOID, TEXTOID}};
	Datum values[3] = {Int32GetDatum(stream->id), CStringGetTextDatum(name),
					   CStringGetTextDatum(path)};

	(void) txp_spi_do(&statement, values, NULL);
}

bool
txp_new_column_add(TxpLink *link, const char *path, uint32 json_types)
{
	TxpStream *stream = link->stream;
	const char *type = sql_type(json_types);
	char *table = target_table(stream);
	char *name = palloc(2 * strlen(path) + 1);

	txd_snake_case(path, name);
	name[pg_mbcliplen(name, strlen(name), NAMEDATALEN - 1)] = '\0';
	/* By name only a top-level field can fill a column. */
	if (table == NULL || type == NULL || name[0] == '\0' ||
		get_attnum(stream->target, name) != InvalidAttrNumber)
		return false;
	if (stream->columns == NULL && !txd_path_is_name(path))
		return false;
	alter_target(stream, table, name, type);
	extend_mapping(stream, name, path);
	txp_event_log(stream->id, "new_field",
				  psprintf("field \"%s\" got the column \"%s\" of type %s", path, name,
						   type + strlen("pg_catalog.")),
				  NULL);
	return true;
}
