/*
 * row_version.c — events of rows in the order of their versions.
 *
 * Debezium sends a tombstone, which has no version, behind each deletion. It counts as the deletion of its key that came before it; where
 * none is known, after compaction, it deletes what is there. Each rule is one of single events in order: how they are cut into
 * batches makes no difference.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "row_version.h"
#include "spi.h"

#define GONE_NAME "gone"
#define GONE_KB 1024
/*
 * Another worker's batch is over long before; what holds it for longer is somebody's open transaction with a replay, for
 * which the worker's other streams shall not wait.
 */
#define TURN_TIMEOUT "5s"

/* Around a column: SQL that makes it what is compared. */
typedef struct Form
{
	Oid type;
	const char *before;
	const char *after;
} Form;

/* As numbers, which keep their order whatever the settings are. */
static const Form numbers[] = {
	{INT2OID, "", "::numeric"},
	{INT4OID, "", "::numeric"},
	{INT8OID, "", "::numeric"},
	{NUMERICOID, "", ""},
	{DATEOID, "extract(epoch FROM ", ")"},
	{TIMESTAMPOID, "extract(epoch FROM ", ")"},
	{TIMESTAMPTZOID, "extract(epoch FROM ", ")"},
	{PG_LSNOID, "(", " - '0/0'::pg_lsn)"},
};

/* As texts that are the same exactly for the same key, whatever the settings are. */
static const Form texts[] = {
	{BOOLOID, "", "::text"},
	{INT2OID, "", "::text"},
	{INT4OID, "", "::text"},
	{INT8OID, "", "::text"},
	{NUMERICOID, "trim_scale(", ")::text"},
	{TEXTOID, "", ""},
	{VARCHAROID, "", "::text"},
	{BPCHAROID, "", "::text"},
	{BYTEAOID, "encode(", ", 'hex')"},
	{UUIDOID, "", "::text"},
	{DATEOID, "extract(epoch FROM ", ")::text"},
	{TIMESTAMPOID, "extract(epoch FROM ", ")::text"},
	{TIMESTAMPTZOID, "extract(epoch FROM ", ")::text"},
};

static const Form *
form_of(Relation target, const char *column, const Form *forms, int n)
{
	Oid relid = RelationGetRelid(target);
	Oid type = getBaseType(get_atttype(relid, get_attnum(relid, column)));

	for (int i = 0; i < n; i++)
	{
		if (forms[i].type == type)
			return &forms[i];
	}
	return NULL;
}

static int
find_column(const TxpStream *stream, const TxpRowPlan *plan, const TxpKeyColumn *keys, int nkeys)
{
	for (int i = 0; i < list_length(plan->names); i++)
	{
		if (strcmp(plan->columns[i].name, stream->version_column) != 0)
			continue;
		for (int k = 0; k < nkeys; k++)
		{
			if (keys[k].column == i)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
						 errmsg("version column \"%s\" is part of the key", stream->version_column),
						 errhint("Name a column that grows with each change of a row.")));
		}
		return i;
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					errmsg("version column \"%s\" is not filled from the messages",
						   stream->version_column),
					errhint("Name a column of the target, and map it: \"columns\" says which path "
							"fills which column.")));
}

/* A deletion has to bring it, too, or tombstones would be all there is. */
static void
check_source(const TxpRowVersion *version, const TxpRowPlan *plan)
{
	const TxdColumn *column = &plan->columns[version->column];

	if (txp_rowkey_goes_with_value(column))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				 errmsg("version column \"%s\" is filled from what deletions do not have",
						column->name),
				 errdetail("In mode upsert_delete a deletion has a version, too."),
				 errhint("Map it to kafka_timestamp, to a field of the key, or with an envelope to "
						 "\"$envelope.source.lsn\", say.")));
}

static void
set_number(TxpRowVersion *version, Relation target, const char *name)
{
	const Form *form = form_of(target, name, numbers, lengthof(numbers));

	if (form == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("version column \"%s\" is of no type that versions may have", name),
				 errhint("Let it be bigint, numeric, pg_lsn, timestamptz, or one like them.")));
	version->number = psprintf("%sb.c%d%s", form->before, version->column, form->after);
	version->target_number =
		psprintf("%st.%s%s", form->before, quote_identifier(name), form->after);
}

static void
set_key(TxpRowVersion *version, Relation target, const TxpRowPlan *plan, const TxpKeyColumn *keys,
		int nkeys)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "sha256(convert_to(ARRAY[");
	for (int i = 0; i < nkeys; i++)
	{
		const char *name = plan->columns[keys[i].column].name;
		const Form *form = form_of(target, name, texts, lengthof(texts));

		if (form == NULL ||
			(OidIsValid(keys[i].collation) && !get_collation_isdeterministic(keys[i].collation)))
			ereport(
				ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg(
					 "mode upsert_delete with version_column does not remember key column \"%s\"",
					 name),
				 errdetail("The same key may be written in several ways."),
				 errhint("Let it be a number, a text with a deterministic collation, a uuid, or a "
						 "time.")));
		appendStringInfo(&sql, "%s%sb.c%d%s", i > 0 ? ", " : "", form->before, keys[i].column,
						 form->after);
	}
	appendStringInfoString(&sql, "]::text, 'UTF8'))");
	version->key = sql.data;
}

TxpRowVersion *
txp_row_version(const TxpStream *stream, Relation target, TxpRowPlan *plan,
				const TxpKeyColumn *keys, int nkeys)
{
	TxpRowVersion *version;

	if (stream->version_column[0] == '\0')
		return NULL;
	version = palloc0(sizeof(TxpRowVersion));
	version->stream_id = stream->id;
	/* The unique index of a table that others inherit from says nothing about their rows. */
	version->target = psprintf("%s%s", target->rd_rel->relkind == RELKIND_RELATION ? "ONLY " : "",
							   txp_rowkey_table(target));
	version->column = find_column(stream, plan, keys, nkeys);
	plan->columns[version->column].not_null = true;
	set_number(version, target, plan->columns[version->column].name);
	if (strcmp(stream->mode, "upsert_delete") == 0)
	{
		check_source(version, plan);
		set_key(version, target, plan, keys, nkeys);
	}
	return version;
}

/* What is known of a row's key before it: the last deletion, and the greatest version of a row that is there. */
static void
put_known(StringInfo sql, const TxpRowVersion *version, const char *batch, const char *keys,
		  const char *same_key)
{
	appendStringInfo(sql,
					 "SELECT b.*, g.version AS gone, %s AS own, "
					 "greatest(g.version, max(%s) FILTER (WHERE b.c%d) OVER w) AS deleted, "
					 "greatest(max(%s) FILTER (WHERE NOT b.c%d) OVER w, t.version) AS there "
					 "FROM (SELECT *, %s AS h FROM %s) AS b LEFT JOIN " GONE_NAME
					 " AS g ON g.key = b.h "
					 "LEFT JOIN LATERAL (SELECT coalesce(%s, '-Infinity') AS version FROM %s AS t "
					 "WHERE %s) AS t "
					 "ON b.c%d AND %s IS NULL AND g.key IS NULL "
					 "WINDOW w AS (PARTITION BY %s ORDER BY n)",
					 version->number, version->number, version->tombstone, version->number,
					 version->tombstone, version->key, batch, version->target_number,
					 version->target, same_key, version->tombstone, version->number, keys);
}

void
txp_row_version_put(const TxpRowVersion *version, StringInfo sql, const char *batch,
					const char *keys, const char *same_key)
{
	appendStringInfo(sql,
					 "(SELECT * FROM (SELECT *, CASE WHEN own IS NOT NULL THEN own "
					 "WHEN deleted IS NOT NULL THEN deleted WHEN there IS NOT NULL THEN "
					 "first_value(there) OVER (PARTITION BY %s ORDER BY NOT c%d OR own IS NOT NULL "
					 "OR deleted IS NOT NULL OR there IS NULL, n) END AS version FROM (",
					 keys, version->tombstone);
	put_known(sql, version, batch, keys, same_key);
	appendStringInfoString(sql, ") AS k) AS v WHERE version IS NOT NULL) AS v");
}

/* --- what is remembered --- */

static TupleDesc
gone_desc(void)
{
	TupleDesc desc = CreateTemplateTupleDesc(2);

	TupleDescInitEntry(desc, 1, "key", BYTEAOID, -1, 0);
	TupleDescInitEntry(desc, 2, "version", NUMERICOID, -1, 0);
	return desc;
}

/*
 * Two workers may have events of one key, and neither sees what the other has not committed. They take turns, which is nothing that the
 * short lock_timeout of workers is for.
 */
static void
lock_versions(const TxpRowVersion *version)
{
	Oid schema = get_namespace_oid("txpipe", false);
	int level = NewGUCNestLevel();

	if (IsolationUsesXactSnapshot())
		ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
						errmsg("a stream with version_column is written in READ COMMITTED only"),
						errdetail("An older snapshot does not show what was deleted meanwhile."),
						errhint("Begin the transaction with ISOLATION LEVEL READ COMMITTED.")));
	(void) set_config_option("lock_timeout", TURN_TIMEOUT, PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	LockDatabaseObject(get_relname_relid("deleted_key", schema), version->stream_id, 0,
					   ExclusiveLock);
	AtEOXact_GUC(true, level);
}

void
txp_recalled_begin(TxpRecalled *recalled, const TxpRowVersion *version, const char *batch,
				   const char *events)
{
	int code;

	lock_versions(version);
	recalled->version = version;
	recalled->gone.md.name = GONE_NAME;
	recalled->gone.md.reliddesc = InvalidOid;
	recalled->gone.md.tupdesc = gone_desc();
	recalled->gone.md.enrtype = ENR_NAMED_TUPLESTORE;
	recalled->gone.md.enrtuples = 1;
	code = SPI_register_relation(&recalled->gone);
	if (code < 0)
		elog(ERROR, "SPI_register_relation returned %s", SPI_result_code_string(code));
	recalled->keys =
		txp_spi_prepare(psprintf("SELECT array_agg(DISTINCT %s) FROM %s", version->key, batch));
	recalled->deleted = txp_spi_prepare(
		psprintf("SELECT array_agg(h), array_agg(version) FROM (SELECT h, max(version) AS "
				 "version FROM %s WHERE c%d AND (gone IS NULL OR version > gone) GROUP BY h) AS d",
				 events, version->tombstone));
}

static bool
remembers_any(int32 stream_id)
{
	static TxpStatement statement = {
		"SELECT EXISTS (SELECT FROM txpipe.deleted_key WHERE stream_id = $1)", 1, {INT4OID}};
	Datum values[1] = {Int32GetDatum(stream_id)};

	return DatumGetBool(txp_spi_ask(&statement, values, NULL));
}

/* One row of arrays, NULL where there is nothing; false then. */
static bool
ask_arrays(SPIPlanPtr plan, Datum *values, int n)
{
	int code = SPI_execute_plan(plan, NULL, NULL, false, 0);
	bool isnull = false;

	if (code != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "keys of a batch ended with %s", SPI_result_code_string(code));
	for (int i = 0; i < n && !isnull; i++)
		values[i] = txp_spi_value(0, i + 1, &isnull);
	return !isnull;
}

void
txp_recalled_fill(TxpRecalled *recalled)
{
	static TxpStatement statement = {
		"SELECT key, version FROM txpipe.deleted_key WHERE stream_id = $1 AND key = ANY ($2)",
		2,
		{INT4OID, BYTEAARRAYOID}};
	Datum values[2] = {Int32GetDatum(recalled->version->stream_id)};

	recalled->gone.reldata = tuplestore_begin_heap(false, false, GONE_KB);
	if (!remembers_any(recalled->version->stream_id) || !ask_arrays(recalled->keys, &values[1], 1))
		return;
	(void) txp_spi_run(&statement, values, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(recalled->gone.reldata, SPI_tuptable->vals[i]);
}

void
txp_recalled_remember(TxpRecalled *recalled)
{
	static TxpStatement statement = {
		"INSERT INTO txpipe.deleted_key AS d (stream_id, key, version) "
		"SELECT $1, u.key, u.version FROM unnest($2, $3) AS u (key, version) "
		"ON CONFLICT (stream_id, key) DO UPDATE SET deleted_at = excluded.deleted_at, "
		"version = excluded.version",
		3,
		{INT4OID, BYTEAARRAYOID, NUMERICARRAYOID}};
	Datum values[3] = {Int32GetDatum(recalled->version->stream_id)};

	if (ask_arrays(recalled->deleted, &values[1], 2))
		(void) txp_spi_run(&statement, values, NULL);
}

void
txp_recalled_drop(TxpRecalled *recalled)
{
	tuplestore_end(recalled->gone.reldata);
}
