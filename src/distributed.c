/*
 * distributed.c — rows into tables that Citus keeps elsewhere.
 *
 * The rows of a batch are one argument, an array of the target's row type: any column type can be in it, and Citus takes
 * INSERT … SELECT from it apart by shard. A relation of the session, as `batch` is for steps, it would not find.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_namespace.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/rel.h"

#include "distributed.h"
#include "error_class.h"
#include "rowkey.h"
#include "rowreader.h"
#include "spi.h"
#include "transaction.h"
#include "trust.h"

/* Of Citus' catalog of tables: its first column is the relation. */
#define CITUS_TABLES "pg_dist_partition"
#define CITUS_TABLE_RELATION 1

bool
txp_is_distributed(Oid relid)
{
	Oid catalog = get_relname_relid(CITUS_TABLES, PG_CATALOG_NAMESPACE);
	Relation tables;
	SysScanDesc scan;
	ScanKeyData key;
	bool found;

	if (!OidIsValid(catalog))
		return false;
	tables = table_open(catalog, AccessShareLock);
	ScanKeyInit(&key, CITUS_TABLE_RELATION, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(tables, InvalidOid, false, NULL, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(tables, AccessShareLock);
	return found;
}

bool
txp_names_distributed(const char *sql, const List *trusted)
{
	SPIPlanPtr plan;
	ListCell *source;
	ListCell *relid;
	bool found = false;

	if (!OidIsValid(get_relname_relid(CITUS_TABLES, PG_CATALOG_NAMESPACE)))
		return false;
	plan = txp_trust_prepare(sql, trusted);
	foreach (source, SPI_plan_get_plan_sources(plan))
	{
		foreach (relid, ((CachedPlanSource *) lfirst(source))->relationOids)
			found = found || txp_is_distributed(lfirst_oid(relid));
	}
	SPI_freeplan(plan);
	return found;
}

/* The plan for what the target has of a row, which comes first in it. */
static TxpRowPlan
plan_of_target(const TxpRowPlan *plan)
{
	TxpRowPlan of_target = *plan;

	of_target.ncolumns = list_length(plan->names);
	of_target.desc = CreateTemplateTupleDesc(of_target.ncolumns);
	for (int i = 1; i <= of_target.ncolumns; i++)
		TupleDescCopyEntry(of_target.desc, i, plan->desc, i);
	return of_target;
}

/* Row `row` as a value of the target's row type; columns that the plan does not have are NULL in it. */
static Datum
composite_of(Relation target, TxpRowReader *reader, TxpRows *rows, uint32 row,
			 const AttrNumber *places)
{
	TupleDesc from = txp_rowreader_desc(reader);
	TupleDesc to = RelationGetDescr(target);
	Datum *values = palloc0(sizeof(Datum) * to->natts);
	bool *nulls = palloc(sizeof(bool) * to->natts);
	HeapTupleData tuple;
	MinimalTuple minimal = txp_rows_tuple(reader, rows, row);
	Datum composite;
	HeapTuple formed;

	tuple.t_len = minimal->t_len + MINIMAL_TUPLE_OFFSET;
	tuple.t_data = (HeapTupleHeader) ((char *) minimal - MINIMAL_TUPLE_OFFSET);
	memset(nulls, true, sizeof(bool) * to->natts);
	for (int i = 0; i < from->natts; i++)
		values[places[i] - 1] = heap_getattr(&tuple, i + 1, from, &nulls[places[i] - 1]);
	formed = heap_form_tuple(to, values, nulls);
	composite = heap_copy_tuple_as_datum(formed, to);
	heap_freetuple(formed);
	pfree(values);
	pfree(nulls);
	return composite;
}

static Datum
array_of_rows(Relation target, const TxpRowPlan *plan, const char *block, size_t len, uint32 *count)
{
	TxpRowPlan of_target = plan_of_target(plan);
	TxpRowReader *reader = txp_rowreader_new(&of_target);
	AttrNumber *places = palloc(sizeof(AttrNumber) * of_target.ncolumns);
	Datum *elements;
	TxpRows rows;

	for (int i = 0; i < of_target.ncolumns; i++)
		places[i] = get_attnum(RelationGetRelid(target), strVal(list_nth(plan->names, i)));
	txp_rows_find(&of_target, block, len, txp_rows_count(&of_target, block, len), &rows);
	elements = palloc(sizeof(Datum) * rows.count);
	for (uint32 i = 0; i < rows.count; i++)
		elements[i] = composite_of(target, reader, &rows, i, places);
	*count = rows.count;
	return txp_spi_array(target->rd_rel->reltype, elements, NULL, rows.count);
}

char *
txp_distributed_rows(Relation target, const TxpRowPlan *plan)
{
	TupleDesc desc = RelationGetDescr(target);
	StringInfoData sql;
	ListCell *lc;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "(SELECT ");
	foreach (lc, plan->names)
		appendStringInfo(&sql, "a%d, ", get_attnum(RelationGetRelid(target), strVal(lfirst(lc))));
	appendStringInfoString(&sql, "n FROM pg_catalog.unnest($1) WITH ORDINALITY AS r (");
	for (int i = 1; i <= desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i - 1)->attisdropped)
			appendStringInfo(&sql, "a%d, ", i);
	}
	appendStringInfoString(&sql, "n))");
	return sql.data;
}

/* How many rows that were. */
static uint32
execute(Relation target, const TxpRowPlan *plan, const char *sql, const char *rows, size_t len,
		int wanted)
{
	Oid type = get_array_type(target->rd_rel->reltype);
	Datum argument;
	uint32 count;
	int code;

	SPI_connect();
	argument = array_of_rows(target, plan, rows, len, &count);
	code = SPI_execute_with_args(sql, 1, &type, &argument, NULL, false, 0);
	if (code != wanted)
		elog(ERROR, "an insert ended with %s", SPI_result_code_string(code));
	SPI_finish();
	return count;
}

void
txp_distributed_execute(Relation target, const TxpRowPlan *plan, const char *sql, const char *rows,
						size_t len)
{
	execute(target, plan, sql, rows, len, SPI_OK_INSERT);
}

static char *
insert_statement(Relation target, const TxpRowPlan *plan)
{
	StringInfoData sql;
	ListCell *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (", txp_rowkey_table(target));
	foreach (lc, plan->names)
		appendStringInfo(&sql, "%s%s", foreach_current_index(lc) > 0 ? ", " : "",
						 quote_identifier(strVal(lfirst(lc))));
	appendStringInfoString(&sql, ") OVERRIDING SYSTEM VALUE SELECT ");
	for (int i = 0; i < list_length(plan->names); i++)
		appendStringInfo(&sql, "%sc%d", i > 0 ? ", " : "", i);
	appendStringInfo(&sql, " FROM %s AS b (", txp_distributed_rows(target, plan));
	for (int i = 0; i < list_length(plan->names); i++)
		appendStringInfo(&sql, "c%d, ", i);
	appendStringInfoString(&sql, "n)");
	return sql.data;
}

typedef struct Attempt
{
	Relation target;
	const TxpRowPlan *plan;
	const char *sql;
	const char *rows;
	size_t len;
	uint32 count;
} Attempt;

static bool
attempt_insert(void *arg)
{
	Attempt *a = arg;

	a->count = execute(a->target, a->plan, a->sql, a->rows, a->len, SPI_OK_INSERT);
	return true;
}

/* Never stays: its commit may be of one phase. */
static bool
attempt_returning(void *arg)
{
	const Attempt *a = arg;

	execute(a->target, a->plan, psprintf("%s RETURNING true", a->sql), a->rows, a->len,
			SPI_OK_INSERT_RETURNING);
	return false;
}

/*
 * Citus sends the rows by COPY, and of an error of its workers tells no SQLSTATE then (XX000), by which rows at fault are
 * known. A statement that returns something goes another way, which does; any other error that it meets is its own.
 */
uint64
txp_distributed_insert(Relation target, const TxpRowPlan *plan, const char *rows, size_t len)
{
	Attempt attempt = {target, plan, insert_statement(target, plan), rows, len, 0};
	ErrorData *error = txp_subtransaction_try(attempt_insert, &attempt, CurrentMemoryContext);
	ErrorData *told = NULL;

	if (error != NULL && error->sqlerrcode == ERRCODE_INTERNAL_ERROR)
		told = txp_subtransaction_try(attempt_returning, &attempt, CurrentMemoryContext);
	if (told != NULL && txp_error_is_of_rows(told->sqlerrcode))
		ReThrowError(told);
	if (error != NULL)
		ReThrowError(error);
	return attempt.count;
}
