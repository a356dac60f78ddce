/*
 * window_events.c — how many events the newest windows of a stream have, for the dashboard. The window's table is read as the
 * stream's owner, because what stands there is his, for those who may read it themselves.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "rights.h"
#include "spi.h"
#include "trust.h"

PG_FUNCTION_INFO_V1(txpipe_window_events);

/* The window, as far as the caller may know it. */
typedef struct Window
{
	char *schema;
	char *name;
	char *count_column;
	char *kind_column;
	Oid owner;
	Datum bounds[2]; /* the newest windows begin behind the first, and not behind the second */
} Window;

static bool
find_window(Datum *arguments, Window *window)
{
	static TxpStatement statement = {
		"SELECT w.table_schema, w.name, a.key, w.group_by[1], s.owner_oid, s.owner_name, "
		"date_bin(w.slide, w.watermark, w.origin) - $2 * w.slide, w.watermark "
		"FROM txpipe.window_store w JOIN txpipe.stream s USING (stream_id) "
		"CROSS JOIN LATERAL jsonb_each_text(w.aggregates) a "
		"WHERE w.window_id = $1 AND w.slide IS NOT NULL AND w.watermark IS NOT NULL "
		"AND a.value ~* '^\\s*count\\s*\\(\\s*\\*\\s*\\)\\s*$' ORDER BY a.key LIMIT 1",
		2,
		{INT4OID, INT4OID}};
	char *owner_name, *owner_now;

	if (txp_spi_run(&statement, arguments, NULL) == 0)
		return false;
	window->schema = txp_spi_text(0, 1);
	window->name = txp_spi_text(0, 2);
	window->count_column = txp_spi_text(0, 3);
	window->kind_column = txp_spi_text(0, 4);
	window->owner = DatumGetObjectId(txp_spi_datum(0, 5));
	owner_name = txp_spi_text(0, 6);
	window->bounds[0] = txp_spi_datum(0, 7);
	window->bounds[1] = txp_spi_datum(0, 8);
	owner_now = GetUserNameFromId(window->owner, true);
	return owner_now != NULL && strcmp(owner_now, owner_name) == 0 &&
		   (txp_rights_is_owner(window->owner, owner_name) ||
			txp_rights_may_read(window->schema, window->name));
}

/* Nothing where there are so many rows that the page would take long, or the table is no longer what was created. */
static void
read_window(const Window *window, ReturnSetInfo *result)
{
	static const char *const sql =
		"WITH recent AS MATERIALIZED (SELECT w.window_start, %s AS kind, w.%s AS events FROM %s w "
		"WHERE w.window_start > $1 AND w.window_start <= $2 LIMIT 20001), "
		"kinds AS (SELECT r.kind, row_number() OVER (ORDER BY sum(r.events) DESC, r.kind COLLATE "
		"\"C\") AS place FROM recent r GROUP BY r.kind) "
		"SELECT r.window_start, CASE WHEN k.place <= 8 THEN r.kind END, sum(r.events)::bigint "
		"FROM recent r JOIN kinds k ON k.kind = r.kind "
		"WHERE (SELECT count(*) FROM recent) <= 20000 GROUP BY 1, 2";
	Oid namespace = get_namespace_oid(window->schema, true);
	Oid relid = OidIsValid(namespace) ? get_relname_relid(window->name, namespace) : InvalidOid;
	Oid argtypes[] = {TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum bounds[] = {window->bounds[0], window->bounds[1]};
	char *kind = "''";
	TxpRights saved;

	if (!OidIsValid(relid) || get_rel_relkind(relid) != RELKIND_RELATION ||
		!txp_trust_owns(relid, window->owner))
		return;
	if (window->kind_column != NULL)
		kind = psprintf("format('%%s', w.%s)", quote_identifier(window->kind_column));
	txp_rights_owner_restricted(window->owner, &saved);
	if (SPI_execute_with_args(psprintf(sql, kind, quote_identifier(window->count_column),
									   quote_qualified_identifier(window->schema, window->name)),
							  2, argtypes, bounds, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "reading a window failed");
	txp_rights_restore(&saved);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		Datum values[3];
		bool nulls[3];

		for (int column = 0; column < 3; column++)
			values[column] = txp_spi_value(i, column + 1, &nulls[column]);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

Datum
txpipe_window_events(PG_FUNCTION_ARGS)
{
	Datum arguments[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	Window window = {0};

	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	if (find_window(arguments, &window))
		read_window(&window, (ReturnSetInfo *) fcinfo->resultinfo);
	SPI_finish();
	return (Datum) 0;
}
