/*
 * feed.c — definitions of feeds, in the catalog.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "regex/regex.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "feed.h"
#include "options.h"
#include "rights.h"
#include "rules.h"
#include "spi.h"
#include "step_check.h"
#include "steps.h"
#include "trust.h"
#include "version.h"

static const char *const phase_names[] = {"load", "end", "unload", "run"};

static void
check_pattern(const char *pattern)
{
	regex_t *re;

	if (pattern[0] == '/' || strncmp(pattern, "^/", 2) == 0 || strstr(pattern, "../") != NULL ||
		strstr(pattern, "\\.\\.") != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("file pattern \"%s\" leaves the landing directory", pattern),
						errhint("Patterns match paths below txpipe.landing_directory, such as "
								"\"(group[0-9]+)/sales_[^/]*\\.csv\".")));
	re = RE_compile_and_cache(cstring_to_text(psprintf("^(?:%s)$", pattern)), REG_ADVANCED,
							  DEFAULT_COLLATION_OID);
	if (re->re_nsub == 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("file pattern \"%s\" has no capture group", pattern),
			 errhint("Its first capture group is the group key: \"(group[0-9]+)/sales.*\"; other "
					 "parentheses are written (?:…).")));
}

static List *
trusted_roles(const TxpFeed *feed)
{
	return txp_trust_roles(txp_option_text(TXP_OPTION_FEED, feed->options, "trusted_roles"),
						   InvalidOid);
}

void
txp_feed_check(TxpFeed *feed)
{
	static const char name_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
										  "0123456789_.-";

	if (feed->name[0] == '\0' || feed->name[strspn(feed->name, name_characters)] != '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
						errmsg("\"%s\" cannot be the name of a feed", feed->name),
						errhint("Names consist of letters, digits, \"_\", \"-\" and \".\"; they "
								"become folders of the lake.")));
	if (strcmp(feed->format, "csv") != 0 && strcmp(feed->format, "json") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("files cannot have the format \"%s\"", feed->format),
						errhint("Formats: csv (with a header), json (one object a line).")));
	if (feed->columns != NULL && !JB_ROOT_IS_OBJECT(feed->columns))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("columns must be a JSON object"),
				 errhint("Write '{\"column\": \"field\"}'.")));
	if (feed->columns == NULL && !OidIsValid(feed->target))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("feed \"%s\" has neither a target nor columns", feed->name),
						errhint("Without a target say what \"batch\" has: columns => "
								"'{\"id\": {\"path\": \"id\", \"type\": \"integer\"}}'.")));
	txp_options_check(TXP_OPTION_FEED, feed->options);
	feed->trusted = trusted_roles(feed);
	txp_feed_check_reading(feed);
	check_pattern(feed->pattern);
}

/* A group loads as one role: a stranger's feed could hold it up. */
static void
check_group_owner(const TxpFeed *feed)
{
	static TxpStatement query = {
		"SELECT owner_name FROM txpipe.feed WHERE group_name = $1 AND owner_oid <> $2 LIMIT 1",
		2,
		{TEXTOID, OIDOID}};
	Datum values[] = {CStringGetTextDatum(feed->group_name), ObjectIdGetDatum(feed->owner)};

	SPI_connect();
	if (txp_spi_run(&query, values, NULL) > 0)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("group \"%s\" has feeds of role \"%s\"", feed->group_name,
							   txp_spi_text(0, 1)),
						errhint("Feeds of one group have one owner: use another group_name.")));
	SPI_finish();
}

void
txp_feed_check_plan(const TxpFeed *feed)
{
	TxpFeedPlan plan;
	Relation target = NULL;

	if (OidIsValid(feed->target))
		target = table_open(feed->target, AccessShareLock);
	txp_feed_plan(feed, target, "0", "", &plan);
	if (feed->rules != NIL)
		txp_rules_try(feed->rules, feed->trusted, plan.rows->desc);
	if (target != NULL)
		table_close(target, NoLock);
}

static void
insert_feed(TxpFeed *feed)
{
	static TxpStatement insert = {
		"INSERT INTO txpipe.feed (feed, owner_oid, owner_name, file_pattern, target_oid, "
		"target_schema, target_table, format, columns, group_name, required, ordinal, after_load, "
		"options) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) "
		"ON CONFLICT (feed) DO NOTHING RETURNING feed_id",
		14,
		{TEXTOID, OIDOID, TEXTOID, TEXTOID, OIDOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, TEXTOID,
		 BOOLOID, INT4OID, TEXTOID, JSONBOID}};
	bool has_target = OidIsValid(feed->target);
	char nulls[15] = "              ";
	Datum values[14] = {
		CStringGetTextDatum(feed->name),
		ObjectIdGetDatum(feed->owner),
		CStringGetTextDatum(feed->owner_name),
		CStringGetTextDatum(feed->pattern),
		ObjectIdGetDatum(feed->target),
		has_target ? CStringGetTextDatum(feed->target_schema) : (Datum) 0,
		has_target ? CStringGetTextDatum(feed->target_table) : (Datum) 0,
		CStringGetTextDatum(feed->format),
		PointerGetDatum(feed->columns),
		CStringGetTextDatum(feed->group_name),
		BoolGetDatum(feed->required),
		Int32GetDatum(txp_option_int(TXP_OPTION_FEED, feed->options, "ordinal")),
		CStringGetTextDatum(feed->archive ? "archive" : "keep"),
		PointerGetDatum(feed->options),
	};

	if (!has_target)
		nulls[4] = nulls[5] = nulls[6] = 'n';
	if (feed->columns == NULL)
		nulls[8] = 'n';
	SPI_connect();
	if (txp_spi_run(&insert, values, nulls) == 0)
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("feed \"%s\" exists already", feed->name),
						errhint("Drop it first, SELECT txpipe.drop_feed(%s), or use another name.",
								quote_literal_cstr(feed->name))));
	feed->feed_id = DatumGetInt32(txp_spi_datum(0, 1));
	SPI_finish();
}

void
txp_feed_create(TxpFeed *feed)
{
	ListCell *lc;

	feed->owner = GetUserId();
	feed->owner_name = GetUserNameFromId(feed->owner, false);
	if (OidIsValid(feed->target))
	{
		feed->target_table = get_rel_name(feed->target);
		if (feed->target_table == NULL)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
							errmsg("relation with OID %u does not exist", feed->target)));
		feed->target_schema = get_namespace_name(get_rel_namespace(feed->target));
	}
	txp_feed_check(feed);
	txp_options_check_roles(feed->options);
	check_group_owner(feed);
	foreach (lc, feed->steps)
		txp_step_check(((TxpStep *) lfirst(lc))->name, ((TxpStep *) lfirst(lc))->sql);
	txp_feed_check_plan(feed);
	insert_feed(feed);
	foreach (lc, feed->steps)
		txp_feed_set_step(feed->feed_id, TXP_PHASE_LOAD, ((TxpStep *) lfirst(lc))->name,
						  ((TxpStep *) lfirst(lc))->sql, NULL);
}

static void
raise_unknown(const char *name)
{
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("feed \"%s\" does not exist", name),
					errhint("Feeds are listed in txpipe.feed_status.")));
}

int32
txp_feed_find(const char *name, char **group_name)
{
	static TxpStatement query = {
		"SELECT feed_id, owner_oid, owner_name, group_name FROM txpipe.feed WHERE feed = $1",
		1,
		{TEXTOID}};
	MemoryContext context = CurrentMemoryContext;
	Datum values[] = {CStringGetTextDatum(name)};
	int32 feed_id;

	SPI_connect();
	if (txp_spi_run(&query, values, NULL) == 0)
		raise_unknown(name);
	feed_id = DatumGetInt32(txp_spi_datum(0, 1));
	if (group_name != NULL)
		*group_name = MemoryContextStrdup(context, txp_spi_text(0, 4));
	if (!txp_rights_is_owner(DatumGetObjectId(txp_spi_datum(0, 2)), txp_spi_text(0, 3)))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("feed \"%s\" belongs to role \"%s\"", name, txp_spi_text(0, 3)),
						errhint("Only members of that role and superusers may change it.")));
	SPI_finish();
	return feed_id;
}

void
txp_feed_drop(int32 feed_id)
{
	static TxpStatement statement = {"DELETE FROM txpipe.feed WHERE feed_id = $1", 1, {INT4OID}};
	Datum values[] = {Int32GetDatum(feed_id)};

	(void) txp_spi_do(&statement, values, NULL);
}

static void
remove_step(int32 feed_id, TxpPhase phase, const char *step)
{
	static TxpStatement statement = {
		"DELETE FROM txpipe.feed_step WHERE feed_id = $1 AND phase = $2 AND step = $3",
		3,
		{INT4OID, TEXTOID, TEXTOID}};
	Datum values[] = {Int32GetDatum(feed_id), CStringGetTextDatum(phase_names[phase]),
					  CStringGetTextDatum(step)};

	if (txp_spi_do(&statement, values, NULL) == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no step \"%s\"", step),
						errhint("Steps are listed in txpipe.feed_status.")));
}

void
txp_feed_set_step(int32 feed_id, TxpPhase phase, const char *step, const char *sql,
				  const int32 *ordinal)
{
	static TxpStatement taken = {
		"SELECT step FROM txpipe.feed_step WHERE feed_id = $1 AND phase = $2 AND step <> $3 "
		"AND ordinal = $4",
		4,
		{INT4OID, TEXTOID, TEXTOID, INT4OID}};
	static TxpStatement upsert = {
		"INSERT INTO txpipe.feed_step AS s (feed_id, phase, step, sql, ordinal) "
		"VALUES ($1, $2, $3, $5, coalesce($4, (SELECT max(ordinal) FROM txpipe.feed_step "
		"    WHERE feed_id = $1 AND phase = $2) + 100, 100)) "
		"ON CONFLICT (feed_id, phase, step) DO UPDATE SET sql = EXCLUDED.sql, "
		"ordinal = coalesce($4, s.ordinal)",
		5,
		{INT4OID, TEXTOID, TEXTOID, INT4OID, TEXTOID}};
	Datum values[] = {Int32GetDatum(feed_id), CStringGetTextDatum(phase_names[phase]),
					  CStringGetTextDatum(step), Int32GetDatum(ordinal ? *ordinal : 0),
					  sql ? CStringGetTextDatum(sql) : 0};

	if (sql == NULL)
	{
		remove_step(feed_id, phase, step);
		return;
	}
	txp_step_check(step, sql);
	SPI_connect();
	if (ordinal != NULL && txp_spi_run(&taken, values, NULL) > 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("ordinal %d belongs to step \"%s\"", *ordinal, txp_spi_text(0, 1)),
						errhint("Every step of a feed has an ordinal of its own.")));
	(void) txp_spi_run(&upsert, values, ordinal ? NULL : "   n ");
	SPI_finish();
}

/* Copies row `row` of SPI_tuptable into the current memory context. */
static TxpFeed *
read_feed(uint64 row, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	TxpFeed *feed = palloc0(sizeof(TxpFeed));
	bool isnull;
	Datum value;

	feed->feed_id = DatumGetInt32(txp_spi_datum(row, 1));
	feed->name = txp_spi_text(row, 2);
	feed->owner = DatumGetObjectId(txp_spi_datum(row, 3));
	feed->owner_name = txp_spi_text(row, 4);
	value = txp_spi_value(row, 5, &isnull);
	feed->target = isnull ? InvalidOid : DatumGetObjectId(value);
	feed->target_schema = txp_spi_text(row, 6);
	feed->target_table = txp_spi_text(row, 7);
	feed->format = txp_spi_text(row, 8);
	value = txp_spi_value(row, 9, &isnull);
	feed->columns = isnull ? NULL : DatumGetJsonbPCopy(value);
	feed->group_name = txp_spi_text(row, 10);
	feed->options = DatumGetJsonbPCopy(txp_spi_datum(row, 11));
	feed->trusted = trusted_roles(feed);
	feed->archive = strcmp(txp_spi_text(row, 12), "archive") == 0;
	feed->pattern = txp_spi_text(row, 13);
	MemoryContextSwitchTo(old);
	return feed;
}

static void
read_steps(TxpFeed *feed, MemoryContext context)
{
	static TxpStatement query = {
		"SELECT step, sql, phase FROM txpipe.feed_step WHERE feed_id = $1 ORDER BY ordinal",
		1,
		{INT4OID}};
	Datum values[] = {Int32GetDatum(feed->feed_id)};
	uint64 n = txp_spi_run(&query, values, NULL);
	MemoryContext old = MemoryContextSwitchTo(context);

	for (uint64 i = 0; i < n; i++)
	{
		TxpStep *step = palloc0(sizeof(TxpStep));

		step->name = txp_spi_text(i, 1);
		step->sql = txp_spi_text(i, 2);
		step->trusted = feed->trusted;
		if (strcmp(txp_spi_text(i, 3), phase_names[TXP_PHASE_LOAD]) == 0)
			feed->steps = lappend(feed->steps, step);
		else if (strcmp(txp_spi_text(i, 3), phase_names[TXP_PHASE_END]) == 0)
			feed->end_steps = lappend(feed->end_steps, step);
		else if (strcmp(txp_spi_text(i, 3), phase_names[TXP_PHASE_RUN]) == 0)
			feed->run_steps = lappend(feed->run_steps, step);
		else
			feed->unload_steps = lappend(feed->unload_steps, step);
	}
	MemoryContextSwitchTo(old);
}

void
txp_feed_lock_copies(int32 feed_id)
{
	Oid feeds = get_relname_relid("feed", get_namespace_oid("txpipe", false));

	LockDatabaseObject(feeds, feed_id, 0, ExclusiveLock);
}

/* Locked in the order of their numbers, as the ledger does: loads and discoveries do not deadlock. */
List *
txp_feeds_lock(const char *group_name)
{
	static TxpStatement query = {
		"WITH locked AS (SELECT * FROM txpipe.feed WHERE group_name = $1 "
		"                ORDER BY feed_id FOR NO KEY UPDATE) "
		"SELECT feed_id, feed, owner_oid, owner_name, target_oid, target_schema::text, "
		"target_table::text, format, columns, group_name, options, after_load, file_pattern FROM "
		"locked "
		"ORDER BY ordinal, feed_id",
		1,
		{TEXTOID}};
	Datum values[] = {CStringGetTextDatum(group_name)};
	MemoryContext context = CurrentMemoryContext;
	List *feeds = NIL;
	ListCell *lc;
	uint64 n;

	SPI_connect();
	n = txp_spi_run(&query, values, NULL);
	/* Whom an update of the extension kept waiting. */
	txp_version_check();
	for (uint64 i = 0; i < n; i++)
	{
		TxpFeed *feed = read_feed(i, context);
		MemoryContext old = MemoryContextSwitchTo(context);

		feeds = lappend(feeds, feed);
		MemoryContextSwitchTo(old);
	}
	foreach (lc, feeds)
	{
		TxpFeed *feed = lfirst(lc);

		txp_feed_lock_copies(feed->feed_id);
		read_steps(feed, context);
		feed->rules = txp_rules_read(feed->feed_id, context);
	}
	SPI_finish();
	return feeds;
}

static TxpFeed *
find_by_id(List *feeds, int32 feed_id)
{
	ListCell *lc;

	foreach (lc, feeds)
	{
		TxpFeed *feed = lfirst(lc);

		if (feed->feed_id == feed_id)
			return feed;
	}
	return NULL;
}

TxpFeed *
txp_feed_by_id(List *feeds, int32 feed_id)
{
	TxpFeed *feed = find_by_id(feeds, feed_id);

	if (feed == NULL)
		elog(ERROR, "feed %d is not in its group", feed_id);
	return feed;
}

TxpFeed *
txp_feed_owned(const char *name)
{
	char *group_name;
	int32 feed_id = txp_feed_find(name, &group_name);
	TxpFeed *feed = find_by_id(txp_feeds_lock(group_name), feed_id);

	/* It was dropped meanwhile. */
	if (feed == NULL)
		raise_unknown(name);
	return feed;
}

Oid
txp_feed_find_target(const TxpFeed *feed)
{
	char *now;
	Oid schema;
	Oid found = InvalidOid;

	if (feed->target_table == NULL)
		return InvalidOid;
	now = get_rel_name(feed->target);
	schema = get_namespace_oid(feed->target_schema, true);
	if (now != NULL && strcmp(now, feed->target_table) == 0 &&
		get_rel_namespace(feed->target) == schema)
		return feed->target;
	if (OidIsValid(schema))
		found = get_relname_relid(feed->target_table, schema);
	if (!OidIsValid(found))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("target \"%s.%s\" of feed \"%s\" does not exist any more",
							   feed->target_schema, feed->target_table, feed->name),
						errhint("Drop the feed and create it for another target.")));
	return found;
}

Oid
txp_feed_target(const TxpFeed *feed)
{
	Oid found = txp_feed_find_target(feed);

	if (found != feed->target)
		txp_rights_check_replacement(found, feed->owner,
									 psprintf("target \"%s.%s\" of feed \"%s\"",
											  feed->target_schema, feed->target_table, feed->name));
	return found;
}
