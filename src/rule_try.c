/*
 * rule_try.c — queries of rules before they are switched on: their check, and SQL function test_rule.
 *
 * A try on history raises real alerts, under a name no rule can have, and undoes them: what it returns is what the rule
 * would do, cool-down included.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "alerts.h"
#include "args.h"
#include "link.h"
#include "rights.h"
#include "rule_try.h"
#include "spi.h"
#include "step_check.h"
#include "steps.h"
#include "transaction.h"
#include "trust.h"

#define TRIED_RULE ""
#define PLANNED_ROWS 1000
#define MAX_BATCH_ROWS 1000000

typedef struct Try
{
	TxpStream *stream;
	TupleDesc desc; /* of `batch` */
	const char *query;
	const char *wanted_column; /* or NULL */
	const char *time_column;
	Datum from; /* timestamptz */
	Datum to;
	bool from_open;
	bool to_open;
	int batch_rows;
	TxpAlertRule rule;
	ReturnSetInfo *rsinfo;
} Try;

/* What `batch` looks like to the stream's steps. */
static TupleDesc
batch_desc(TxpStream *stream)
{
	TxpLink *link = txp_link_plan(stream);

	if (link->steps == NIL)
		txp_rowplan_add_for_steps(link->plan, link->stream->columns);
	return link->plan->desc;
}

static void
check_is_select(const char *rule, const char *query)
{
	List *statements;

	txp_step_check(rule, query);
	statements = raw_parser(query, RAW_PARSE_DEFAULT);
	if (!IsA(linitial_node(RawStmt, statements)->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of rule \"%s\" is not a SELECT", rule),
				 errhint("Its rows become alerts; what else is to be done on every batch is a "
						 "step, see txpipe.on_batch.")));
}

static void
check_query(const TxpStream *stream, TupleDesc desc, const char *rule, const char *query)
{
	SPIPlanPtr plan;
	TxpRights saved;

	check_is_select(rule, query);
	txp_rights_owner(stream->owner, &saved);
	SPI_connect();
	txp_batch_register(desc, NULL, PLANNED_ROWS);
	plan = txp_trust_prepare(query, stream->trusted);
	txp_alerts_check_shape(
		rule, ((CachedPlanSource *) linitial(SPI_plan_get_plan_sources(plan)))->resultDesc);
	SPI_finish();
	txp_rights_restore(&saved);
}

void
txp_rule_try_check(TxpStream *stream, const char *rule, const char *query)
{
	check_query(stream, batch_desc(stream), rule, query);
}

/* --- test_rule --- */

/* The column the history is ordered by: the one that was named, or the only one of its type. */
static const char *
choose_time_column(const Try *try, Relation target)
{
	const char *wanted = try->wanted_column;
	TupleDesc desc = RelationGetDescr(target);
	const char *found = NULL;
	bool several = false;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute a = TupleDescAttr(desc, i);

		if (a->attisdropped || a->atttypid != TIMESTAMPTZOID)
			continue;
		if (wanted != NULL && strcmp(NameStr(a->attname), wanted) == 0)
			return wanted;
		several |= found != NULL;
		found = NameStr(a->attname);
	}
	if (wanted == NULL && found != NULL && !several)
		return pstrdup(found);
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
					wanted ? errmsg("%s has no column \"%s\" of type timestamp with time zone",
									try->stream->target_name, wanted)
						   : errmsg("which column of %s tells the time?", try->stream->target_name),
					errhint("Name a column of that type in time_column.")));
}

/* The target's rows as `batch` had them; what the target does not keep is NULL. */
static char *
history_query(const Try *try, Relation target)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < try->desc->natts; i++)
	{
		Form_pg_attribute a = TupleDescAttr(try->desc, i);
		AttrNumber there = get_attnum(RelationGetRelid(target), NameStr(a->attname));
		const char *name = quote_identifier(NameStr(a->attname));

		appendStringInfoString(&sql, i > 0 ? ", " : "");
		if (there > 0)
			appendStringInfo(&sql, "t.%s", name);
		else
			appendStringInfo(&sql, "NULL::%s AS %s", format_type_be_qualified(a->atttypid), name);
	}
	appendStringInfo(&sql, " FROM %s t WHERE true",
					 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(target)),
												RelationGetRelationName(target)));
	if (!try->from_open)
		appendStringInfo(&sql, " AND t.%s >= $1", quote_identifier(try->time_column));
	if (!try->to_open)
		appendStringInfo(&sql, " AND t.%s < $2", quote_identifier(try->time_column));
	appendStringInfo(&sql, " ORDER BY t.%s", quote_identifier(try->time_column));
	return sql.data;
}

static void
run_query(const Try *try, Tuplestorestate *store, uint32 count)
{
	SPI_connect();
	txp_batch_register(try->desc, store, count);
	txp_step_check_code("test_rule",
						txp_trust_execute(txp_trust_prepare(try->query, try->stream->trusted),
										  try->stream->trusted, NULL));
	txp_alerts_take(try->stream, &try->rule, SPI_tuptable, SPI_processed);
	SPI_finish();
}

/* One batch of history; false: there is no more. */
static bool
try_batch(const Try *try, Portal portal)
{
	Tuplestorestate *store;
	uint64 n;

	CHECK_FOR_INTERRUPTS();
	SPI_cursor_fetch(portal, true, try->batch_rows);
	n = SPI_processed;
	if (n > 0)
	{
		store = tuplestore_begin_heap(false, false, work_mem);
		for (uint64 i = 0; i < n; i++)
			tuplestore_puttuple(store, SPI_tuptable->vals[i]);
		SPI_freetuptable(SPI_tuptable);
		run_query(try, store, (uint32) n);
		tuplestore_end(store);
	}
	return n == (uint64) try->batch_rows;
}

static void
return_alerts(const Try *try)
{
	static TxpStatement statement = {
		"SELECT severity, subject, transaction_id, event_time, reason, evidence, kafka_topic, "
		"kafka_partition, kafka_offset FROM txpipe.alert_store WHERE stream_id = $1 AND rule = "
		"'" TRIED_RULE "' ORDER BY event_time, alert_id",
		1,
		{INT4OID}};
	Datum values[1] = {Int32GetDatum(try->stream->id)};
	uint64 n = txp_spi_run(&statement, values, NULL);

	for (uint64 i = 0; i < n; i++)
		tuplestore_puttuple(try->rsinfo->setResult, SPI_tuptable->vals[i]);
}

static void
run_history(Try *try)
{
	Oid types[2] = {TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum values[2] = {try->from, try->to};
	char nulls[2] = {try->from_open ? 'n' : ' ', try->to_open ? 'n' : ' '};
	Relation target = table_open(try->stream->target, AccessShareLock);
	TxpRights saved;
	Portal portal;

	try->time_column = choose_time_column(try, target);
	txp_rights_owner(try->stream->owner, &saved);
	SPI_connect();
	portal = SPI_cursor_open_with_args(NULL, history_query(try, target), 2, types, values, nulls,
									   true, 0);
	while (try_batch(try, portal))
		;
	SPI_cursor_close(portal);
	return_alerts(try);
	SPI_finish();
	txp_rights_restore(&saved);
	table_close(target, NoLock);
}

/* All as it would be, and undone. */
static bool
run_to_undo(void *arg)
{
	run_history(arg);
	return false;
}

static void
run_and_undo(Try *try)
{
	ErrorData *error = txp_subtransaction_try(run_to_undo, try, CurrentMemoryContext);

	if (error != NULL)
		ReThrowError(error);
}

PG_FUNCTION_INFO_V1(txpipe_test_rule);
Datum
txpipe_test_rule(PG_FUNCTION_ARGS)
{
	Interval *cooldown = PG_ARGISNULL(6) ? NULL : PG_GETARG_INTERVAL_P(6);
	Try try = {.stream = txp_stream_of_user(txp_arg_text(fcinfo, 0, "stream")),
			   .query = txp_arg_text(fcinfo, 1, "query"),
			   .from = PG_GETARG_DATUM(2),
			   .from_open = PG_ARGISNULL(2),
			   .to = PG_GETARG_DATUM(3),
			   .to_open = PG_ARGISNULL(3),
			   .batch_rows = txp_arg_count(fcinfo, 4, "batch_rows", MAX_BATCH_ROWS),
			   .wanted_column = PG_ARGISNULL(5) ? NULL : NameStr(*PG_GETARG_NAME(5)),
			   .rule = {.name = TRIED_RULE, .severity = "medium"},
			   .rsinfo = (ReturnSetInfo *) fcinfo->resultinfo};

	if (cooldown != NULL)
		try.rule.cooldown_us = txp_alerts_cooldown(cooldown);
	InitMaterializedSRF(fcinfo, 0);
	txp_stream_check_owner(try.stream);
	try.desc = batch_desc(try.stream);
	check_query(try.stream, try.desc, "test_rule", try.query);
	run_and_undo(&try);
	txp_rights_refuse_temporary(try.stream->owner);
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(txpipe_rule_target);
Datum
txpipe_rule_target(PG_FUNCTION_ARGS)
{
	const TxpStream *stream = txp_stream_of_user(txp_arg_text(fcinfo, 0, "stream"));

	/* Casts and functions of the target's types are its owner's code, and run as the caller. */
	txp_stream_require_owner(stream, "measure its rules");
	if (!OidIsValid(stream->target))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("target %s of stream \"%s\" does not exist", stream->target_name,
							   stream->name),
						errhint("Give the table its name back, or drop the stream.")));
	txp_stream_check_target(stream);
	PG_RETURN_TEXT_P(cstring_to_text(quote_qualified_identifier(
		get_namespace_name(get_rel_namespace(stream->target)), get_rel_name(stream->target))));
}
