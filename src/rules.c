/*
 * rules.c — cleaning rules: their grammar, and the statement they make together.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "rules.h"
#include "spi.h"
#include "steps.h"
#include "trust.h"

List *
txp_rules_read(int32 feed_id, MemoryContext context)
{
	static TxpStatement query = {
		"SELECT rule, expression, column_name, message, action = 'warn' "
		"FROM txpipe.feed_rule_store WHERE feed_id = $1 AND action <> 'off' ORDER BY ordinal",
		1,
		{INT4OID}};
	Datum values[] = {Int32GetDatum(feed_id)};
	uint64 n = txp_spi_run(&query, values, NULL);
	MemoryContext old = MemoryContextSwitchTo(context);
	List *rules = NIL;

	for (uint64 i = 0; i < n; i++)
	{
		TxpRule *rule = palloc(sizeof(TxpRule));

		rule->name = txp_spi_text(i, 1);
		rule->expression = txp_spi_text(i, 2);
		rule->column = txp_spi_text(i, 3);
		rule->message = txp_spi_text(i, 4);
		rule->warns = DatumGetBool(txp_spi_datum(i, 5));
		rules = lappend(rules, rule);
	}
	MemoryContextSwitchTo(old);
	return rules;
}

const TxpRule *
txp_rules_find(const List *rules, const char *name)
{
	ListCell *lc;

	foreach (lc, rules)
	{
		const TxpRule *rule = lfirst(lc);

		if (strcmp(rule->name, name) == 0)
			return rule;
	}
	return NULL;
}

/* The syntax error is the expression's, not the statement's that called us. */
static void
add_rule_context(void *arg)
{
	int position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(arg);
	}
}

static List *
parse(const char *sql)
{
	ErrorContextCallback context = {error_context_stack, add_rule_context, (void *) sql};
	List *statements;

	error_context_stack = &context;
	statements = raw_parser(sql, RAW_PARSE_DEFAULT);
	error_context_stack = context.previous;
	return statements;
}

/* But for its one target, is the statement SELECT … FROM batch and nothing else? */
static bool
selects_one_value(const char *sql)
{
	List *given = parse(sql);
	List *wanted = parse("SELECT NULL FROM batch");
	SelectStmt *select;
	SelectStmt *plain = castNode(SelectStmt, linitial_node(RawStmt, wanted)->stmt);

	if (list_length(given) != 1 || !IsA(linitial_node(RawStmt, given)->stmt, SelectStmt))
		return false;
	select = castNode(SelectStmt, linitial_node(RawStmt, given)->stmt);
	if (list_length(select->targetList) != 1)
		return false;
	linitial_node(ResTarget, plain->targetList)->val =
		linitial_node(ResTarget, select->targetList)->val;
	return equal(select, plain);
}

/*
 * It goes into parentheses on lines of its own: so it must be whole inside them, where a comment could hide
 * the closing one, and without them, where one that closes ours early is left over.
 */
static void
check_expression(const char *rule, const char *expression)
{
	if (!selects_one_value(psprintf("SELECT\n%s\nFROM batch", expression)) ||
		!selects_one_value(psprintf("SELECT (\n%s\n) FROM batch", expression)))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("rule \"%s\" is not one expression: %s", rule, expression),
						errhint("Write a condition over the columns of \"batch\", such as "
								"units < 1.")));
}

/* Takes the template apart: literal text, and expressions in braces. */
static void
read_message(const TxpRule *rule, StringInfo format, List **expressions)
{
	const char *p;

	for (p = rule->message; *p != '\0'; p++)
	{
		const char *end = strchr(p, '}');

		if ((*p == '{' || *p == '}') && p[1] == *p)
			appendStringInfoChar(format, *p++);
		else if (*p == '{' && end != NULL)
		{
			appendStringInfoString(format, "%s");
			*expressions = lappend(*expressions, pnstrdup(p + 1, end - p - 1));
			p = end;
		}
		else if (*p == '{' || *p == '}')
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("message of rule \"%s\" has a brace without its counterpart",
								   rule->name),
							errhint("Write {expression} for a value of the row, and {{ or }} for a "
									"brace.")));
		else if (*p == '%')
			appendStringInfoString(format, "%%");
		else
			appendStringInfoChar(format, *p);
	}
}

void
txp_rule_check(const TxpRule *rule)
{
	StringInfoData format;
	List *expressions = NIL;
	ListCell *lc;

	check_expression(rule->name, rule->expression);
	initStringInfo(&format);
	if (rule->message != NULL)
		read_message(rule, &format, &expressions);
	foreach (lc, expressions)
		check_expression(rule->name, lfirst(lc));
}

/* An SQL expression: the message about a row. */
static char *
message_sql(const TxpRule *rule)
{
	StringInfoData format;
	StringInfoData sql;
	List *expressions = NIL;
	ListCell *lc;

	if (rule->message == NULL)
		return quote_literal_cstr(psprintf("violates rule \"%s\"", rule->name));
	initStringInfo(&format);
	read_message(rule, &format, &expressions);
	initStringInfo(&sql);
	appendStringInfo(&sql, "format(%s", quote_literal_cstr(format.data));
	foreach (lc, expressions)
		appendStringInfo(&sql, ", (\n%s\n)", (char *) lfirst(lc));
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

static void
add_rejects(StringInfo sql, const List *rules)
{
	ListCell *lc;

	foreach (lc, rules)
	{
		const TxpRule *rule = lfirst(lc);

		if (!rule->warns)
			appendStringInfo(sql, " WHEN (\n%s\n) THEN ARRAY['rejected', %s, %s, %s]::text[]",
							 rule->expression, quote_literal_cstr(rule->name), message_sql(rule),
							 rule->column ? quote_literal_cstr(rule->column) : "NULL");
	}
}

static void
add_warnings(StringInfo sql, const List *rules)
{
	ListCell *lc;

	foreach (lc, rules)
	{
		const TxpRule *rule = lfirst(lc);

		if (rule->warns)
			appendStringInfo(sql, ", CASE WHEN (\n%s\n) THEN %s END", rule->expression,
							 quote_literal_cstr(rule->name));
	}
}

/* True as soon as a rule is; those that reject come first. */
static void
add_condition(StringInfo sql, const List *rules, bool warns)
{
	ListCell *lc;

	foreach (lc, rules)
	{
		const TxpRule *rule = lfirst(lc);

		if (rule->warns == warns)
			appendStringInfo(sql, " OR (\n%s\n)", rule->expression);
	}
}

/*
 * Most rows violate nothing: for them the condition is all that is evaluated, in a CASE because that keeps the
 * order. Which rules it was is asked once more of the others; rules that reject guard those that warn. OFFSET 0
 * keeps the planner from asking for each use of the result. A rejected line's array is its row, a warned one's
 * names the rules.
 */
char *
txp_rules_statement(const List *rules)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql,
						   "SELECT line_no, found[1] AS outcome, "
						   "unnest(CASE found[1] WHEN 'rejected' THEN found[2:2] ELSE found[2:] "
						   "END) AS code, "
						   "CASE found[1] WHEN 'rejected' THEN found[3] END AS message, "
						   "CASE found[1] WHEN 'rejected' THEN found[4] END AS column_name "
						   "FROM (SELECT line_no, CASE WHEN false THEN NULL");
	add_rejects(&sql, rules);
	appendStringInfoString(&sql, " ELSE array_remove(ARRAY['warning'");
	add_warnings(&sql, rules);
	appendStringInfoString(&sql, "], NULL) END AS found FROM batch WHERE CASE WHEN false");
	add_condition(&sql, rules, false);
	add_condition(&sql, rules, true);
	appendStringInfoString(&sql, " THEN true END OFFSET 0) l");
	return sql.data;
}

/* As a condition it can hold neither aggregates nor anything that returns several rows. */
static void
try_rule(const TxpRule *rule, const List *trusted, TupleDesc batch)
{
	MemoryContext context = CurrentMemoryContext;
	Tuplestorestate *empty = tuplestore_begin_heap(false, false, 64);
	char *sql = psprintf("SELECT FROM batch WHERE (\n%s\n) AND %s IS NOT NULL", rule->expression,
						 message_sql(rule));

	PG_TRY();
	{
		SPI_connect();
		txp_batch_register(batch, empty, 0);
		if (txp_trust_execute(txp_trust_prepare(sql, trusted), trusted, NULL) != SPI_OK_SELECT)
			elog(ERROR, "rule \"%s\" is no SELECT", rule->name);
		SPI_finish();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		error->message = psprintf("rule \"%s\" cannot be checked: %s", rule->name, error->message);
		ReThrowError(error);
	}
	PG_END_TRY();
	tuplestore_end(empty);
}

/*
 * Planning evaluates functions. They are the owner's, and the session may be another's: so they may leave nothing in
 * it, and put nothing off to its commit. An error restores the context with the (sub)transaction.
 */
void
txp_rules_try(const List *rules, const List *trusted, TupleDesc batch)
{
	int sec_context;
	ListCell *lc;
	Oid user;

	GetUserIdAndSecContext(&user, &sec_context);
	SetUserIdAndSecContext(user, sec_context | SECURITY_RESTRICTED_OPERATION);
	PushActiveSnapshot(GetTransactionSnapshot());
	foreach (lc, rules)
		try_rule(lfirst(lc), trusted, batch);
	PopActiveSnapshot();
	SetUserIdAndSecContext(user, sec_context);
}
