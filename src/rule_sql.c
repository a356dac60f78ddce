/*
 * rule_sql.c — the SQL functions about cleaning rules.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "args.h"
#include "feed.h"
#include "rights.h"
#include "rules.h"
#include "spi.h"

PG_FUNCTION_INFO_V1(txpipe_set_rule);
PG_FUNCTION_INFO_V1(txpipe_set_rule_action);
PG_FUNCTION_INFO_V1(txpipe_drop_rule);
PG_FUNCTION_INFO_V1(txpipe_rule_statement);

static void
check_action(const char *action)
{
	if (strcmp(action, "reject") != 0 && strcmp(action, "warn") != 0 && strcmp(action, "off") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a rule cannot have the action \"%s\"", action),
						errhint("Actions: reject, warn, off.")));
}

/* Does the rule fit the feed's batches? It is tried with the owner's rights, whoever defines it. */
static void
check_fits(TxpFeed *feed, TxpRule *rule)
{
	Relation target = NULL;
	TxpFeedPlan plan;
	TxpRights saved;
	Oid relid;
	bool found = rule->column == NULL;

	(void) txp_rights_resolve(feed->owner, feed->owner_name, psprintf("feed \"%s\"", feed->name));
	txp_rights_owner(feed->owner, &saved);
	relid = txp_feed_target(feed);
	if (OidIsValid(relid))
		target = table_open(relid, AccessShareLock);
	feed->rules = list_make1(rule);
	txp_feed_plan(feed, target, "0", "", &plan);
	for (int i = 0; i < plan.rows->ncolumns && !found; i++)
		found = strcmp(plan.rows->columns[i].name, rule->column) == 0;
	if (!found)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("feed \"%s\" has no column \"%s\"", feed->name, rule->column),
						errhint("A rule may name a column of \"batch\", or none.")));
	txp_rules_try(feed->rules, feed->trusted, plan.rows->desc);
	if (target != NULL)
		table_close(target, NoLock);
	txp_rights_restore(&saved);
	txp_rights_refuse_temporary(feed->owner);
}

static void
store_rule(int32 feed_id, const TxpRule *rule, const char *action, const int32 *ordinal)
{
	static TxpStatement taken = {
		"SELECT rule FROM txpipe.feed_rule_store WHERE feed_id = $1 AND rule <> $2 AND "
		"ordinal = $3",
		3,
		{INT4OID, TEXTOID, INT4OID}};
	static TxpStatement upsert = {
		"INSERT INTO txpipe.feed_rule_store AS r "
		"(feed_id, rule, ordinal, expression, action, column_name, message) "
		"VALUES ($1, $2, coalesce($3, (SELECT max(ordinal) FROM txpipe.feed_rule_store "
		"WHERE feed_id = $1) + 100, 100), $4, coalesce($5, 'reject'), $6, $7) "
		"ON CONFLICT (feed_id, rule) DO UPDATE SET expression = EXCLUDED.expression, "
		"action = coalesce($5, r.action), column_name = EXCLUDED.column_name, "
		"message = EXCLUDED.message, ordinal = coalesce($3, r.ordinal)",
		7,
		{INT4OID, TEXTOID, INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}};
	char nulls[] = "       ";
	Datum values[] = {
		Int32GetDatum(feed_id),
		CStringGetTextDatum(rule->name),
		Int32GetDatum(ordinal ? *ordinal : 0),
		CStringGetTextDatum(rule->expression),
		action ? CStringGetTextDatum(action) : (Datum) 0,
		rule->column ? CStringGetTextDatum(rule->column) : (Datum) 0,
		rule->message ? CStringGetTextDatum(rule->message) : (Datum) 0,
	};

	nulls[2] = ordinal ? ' ' : 'n';
	nulls[4] = action ? ' ' : 'n';
	nulls[5] = rule->column ? ' ' : 'n';
	nulls[6] = rule->message ? ' ' : 'n';
	SPI_connect();
	if (ordinal != NULL && txp_spi_run(&taken, values, NULL) > 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("ordinal %d belongs to rule \"%s\"", *ordinal, txp_spi_text(0, 1)),
						errhint("Every rule of a feed has an ordinal of its own.")));
	(void) txp_spi_run(&upsert, values, nulls);
	SPI_finish();
}

Datum
txpipe_set_rule(PG_FUNCTION_ARGS)
{
	TxpFeed *feed = txp_feed_owned(txp_arg_text(fcinfo, 0, "feed"));
	char *action = txp_arg_text_or_null(fcinfo, 3);
	int32 ordinal = PG_ARGISNULL(6) ? 0 : PG_GETARG_INT32(6);
	TxpRule rule = {
		.name = txp_arg_text(fcinfo, 1, "rule"),
		.expression = txp_arg_text(fcinfo, 2, "expression"),
		.column = txp_arg_text_or_null(fcinfo, 4),
		.message = txp_arg_text_or_null(fcinfo, 5),
	};

	if (rule.name[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME), errmsg("a rule needs a name"),
						errhint("It becomes the code of the lines the rule rejects.")));
	if (action != NULL)
		check_action(action);
	txp_rule_check(&rule);
	check_fits(feed, &rule);
	store_rule(feed->feed_id, &rule, action, PG_ARGISNULL(6) ? NULL : &ordinal);
	PG_RETURN_VOID();
}

static void
no_such_rule(const char *rule)
{
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no rule \"%s\"", rule),
					errhint("Rules are listed in txpipe.feed_rule; those of kind conversion are "
							"changed with the feed's columns.")));
}

Datum
txpipe_set_rule_action(PG_FUNCTION_ARGS)
{
	static TxpStatement update = {
		"UPDATE txpipe.feed_rule_store SET action = $3 WHERE feed_id = $1 AND rule = $2",
		3,
		{INT4OID, TEXTOID, TEXTOID}};
	int32 feed_id = txp_feed_owned(txp_arg_text(fcinfo, 0, "feed"))->feed_id;
	char *rule = txp_arg_text(fcinfo, 1, "rule");
	char *action = txp_arg_text(fcinfo, 2, "action");
	Datum values[] = {Int32GetDatum(feed_id), CStringGetTextDatum(rule),
					  CStringGetTextDatum(action)};

	check_action(action);
	if (txp_spi_do(&update, values, NULL) == 0)
		no_such_rule(rule);
	PG_RETURN_VOID();
}

Datum
txpipe_drop_rule(PG_FUNCTION_ARGS)
{
	static TxpStatement statement = {
		"DELETE FROM txpipe.feed_rule_store WHERE feed_id = $1 AND rule = $2",
		2,
		{INT4OID, TEXTOID}};
	int32 feed_id = txp_feed_owned(txp_arg_text(fcinfo, 0, "feed"))->feed_id;
	char *rule = txp_arg_text(fcinfo, 1, "rule");
	Datum values[] = {Int32GetDatum(feed_id), CStringGetTextDatum(rule)};

	if (txp_spi_do(&statement, values, NULL) == 0)
		no_such_rule(rule);
	PG_RETURN_VOID();
}

Datum
txpipe_rule_statement(PG_FUNCTION_ARGS)
{
	int32 feed_id = txp_feed_find(txp_arg_text(fcinfo, 0, "feed"), NULL);
	MemoryContext context = CurrentMemoryContext;
	List *rules;

	SPI_connect();
	rules = txp_rules_read(feed_id, context);
	SPI_finish();
	if (rules == NIL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(txp_rules_statement(rules)));
}
