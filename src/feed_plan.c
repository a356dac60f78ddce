/*
 * feed_plan.c — how the records of a feed's file become rows: its mapping, and where each came from.
 */
#include "postgres.h"

#include <iconv.h>

#include "catalog/pg_attribute.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "feed.h"
#include "options.h"
#include "properties.h"
#include "rights.h"
#include "rules.h"
#include "sink.h"
#include "steps.h"

/* Columns every row of a batch has; a target gets them where it has columns of these names. */
static const struct
{
	const char *name;
	Oid type;
	TxdType decoded;
	TxdSource source;
} origin[] = {
	{"file_id", INT8OID, TXD_INT8, TXD_FROM_CONSTANT},
	{"line_no", INT8OID, TXD_INT8, TXD_FROM_LINE},
	{"group_key", TEXTOID, TXD_STRING, TXD_FROM_CONSTANT},
};

static int
find_column(const TxpRowPlan *rows, const char *name)
{
	for (int i = 0; i < rows->ncolumns; i++)
	{
		if (strcmp(rows->columns[i].name, name) == 0)
			return i;
	}
	return -1;
}

/* The target's column of that name when rows can be given a value for it. */
static Form_pg_attribute
writable_column(Relation target, const char *name)
{
	AttrNumber attnum = target ? get_attnum(RelationGetRelid(target), name) : InvalidAttrNumber;
	Form_pg_attribute att;

	if (attnum <= 0)
		return NULL;
	att = TupleDescAttr(RelationGetDescr(target), attnum - 1);
	return att->attgenerated ? NULL : att;
}

bool
txp_feed_keeps_file(Relation target)
{
	return writable_column(target, "file_id") != NULL;
}

/* Steps see the origin under its own types, whatever the target's column has. */
static void
set_origin_type(TxpRowPlan *rows, int i, Oid type, TxdType decoded)
{
	TxdColumn *column = &rows->columns[i];

	column->type = decoded;
	column->length = column->precision = column->scale = 0;
	TupleDescInitEntry(rows->desc, i + 1, column->name, type, -1, 0);
	TupleDescInitEntryCollation(rows->desc, i + 1, get_typcollation(type));
}

static void
add_origin(const TxpFeed *feed, Relation target, TxpRowPlan *rows, bool for_steps, int which,
		   const char *value)
{
	const char *name = origin[which].name;
	Form_pg_attribute att = writable_column(target, name);
	int i = find_column(rows, name);

	if (i >= 0 && feed->columns != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("column \"%s\" cannot be mapped", name),
						errhint("file_id, line_no and group_key say where a row comes from.")));
	if (i >= 0)
	{
		rows->columns[i].source = origin[which].source;
		rows->columns[i].default_text = value;
		if (for_steps)
			set_origin_type(rows, i, origin[which].type, origin[which].decoded);
	}
	else if (for_steps || att != NULL)
		txp_rowplan_add(rows, name, for_steps ? origin[which].type : att->atttypid,
						origin[which].source, value);
}

/* With a target, the rows that the steps have left are inserted by a last step of ours. */
static TxpStep *
fill_target_step(const TxpFeed *feed, Relation target, const TxpRowPlan *rows)
{
	TxpStep *step = palloc0(sizeof(TxpStep));
	StringInfoData columns;
	char *table = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(target)),
											 RelationGetRelationName(target));

	initStringInfo(&columns);
	for (int i = 0; i < rows->ncolumns; i++)
	{
		const char *name = rows->columns[i].name;

		if (writable_column(target, name) != NULL)
			appendStringInfo(&columns, "%s%s", columns.len > 0 ? ", " : "", quote_identifier(name));
	}
	step->name = "target";
	step->fills_target = true;
	/* Whose triggers run without steps, too. */
	step->trusted = lappend_oid(list_copy(feed->trusted), target->rd_rel->relowner);
	step->sql = psprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM batch", table,
						 columns.data, columns.data);
	return step;
}

static TxpStep *
rules_step(const TxpFeed *feed)
{
	TxpStep *step = palloc0(sizeof(TxpStep));

	step->name = "rules";
	step->sql = txp_rules_statement(feed->rules);
	step->trusted = feed->trusted;
	return step;
}

static void
csv_options(Jsonb *options, TxdCsvOptions *csv)
{
	csv->delimiter = txp_option_text(TXP_OPTION_FEED, options, "delimiter")[0];
	csv->quote = txp_option_text(TXP_OPTION_FEED, options, "quote")[0];
	csv->null_text = txp_option_text(TXP_OPTION_FEED, options, "null");
	csv->ragged = txp_option_bool(TXP_OPTION_FEED, options, "ragged");
	/* Where files have none the option `fields` is read in its place. */
	csv->header = true;
}

/* The option `fields` as the header that the files lack; NULL where they have one. */
static char *
header_record(Jsonb *options, const TxdCsvOptions *csv)
{
	char *names = txp_option_text(TXP_OPTION_FEED, options, "fields");
	StringInfoData record;

	if (txp_option_bool(TXP_OPTION_FEED, options, "header"))
		return NULL;
	initStringInfo(&record);
	for (char *p = names; *p; p++)
	{
		if (p == names)
			appendStringInfoChar(&record, csv->quote);
		if (*p == csv->quote)
			appendStringInfoChar(&record, csv->quote);
		if (*p == ',')
			appendStringInfo(&record, "%c%c%c", csv->quote, csv->delimiter, csv->quote);
		else
			appendStringInfoChar(&record, *p);
	}
	appendStringInfoChar(&record, csv->quote);
	return record.data;
}

static char *
strip(char *name)
{
	int len;

	name += strspn(name, " \t");
	for (len = strlen(name); len > 0 && strchr(" \t", name[len - 1]) != NULL; len--)
		name[len - 1] = '\0';
	return name;
}

/* Fields are named by a header or by `fields`, each by one name. */
static void
check_fields(const TxpFeed *feed)
{
	bool header = txp_option_bool(TXP_OPTION_FEED, feed->options, "header");
	char *fields = txp_option_text(TXP_OPTION_FEED, feed->options, "fields");
	List *names = NIL;
	char *next;

	if (header && fields[0] == '\0')
		return;
	if (header || fields[0] == '\0' || strcmp(feed->format, "csv") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the options header and fields do not fit together"),
						errhint("For CSV files without header: '{\"header\": false, \"fields\": "
								"\"id,name,price\"}'.")));
	for (char *name = fields; name != NULL; name = next)
	{
		next = strchr(name, ',');
		if (next != NULL)
			*next++ = '\0';
		name = strip(name);
		if (name[0] == '\0' || list_member(names, makeString(name)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("field \"%s\" of the option fields is empty or there twice", name),
					 errhint("Every field has a name of its own.")));
		names = lappend(names, makeString(name));
	}
}

/* A "/" would begin iconv's own options, some of which drop what cannot be converted. */
static void
check_encoding(const char *encoding)
{
	iconv_t cd = (iconv_t) -1;

	if (encoding[0] != '\0' && strchr(encoding, '/') == NULL)
		cd = iconv_open("UTF-8", pg_strcasecmp(encoding, "UTF8") == 0 ? "UTF-8" : encoding);
	if (cd == (iconv_t) -1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("encoding \"%s\" is not known", encoding),
						errhint("\"iconv -l\" on the server's machine lists what is, such as UTF8, "
								"LATIN1, CP1252, UTF-16 and SHIFT_JIS.")));
	iconv_close(cd);
}

void
txp_feed_check_reading(const TxpFeed *feed)
{
	check_fields(feed);
	check_encoding(txp_option_text(TXP_OPTION_FEED, feed->options, "encoding"));
}

static char *
encryption_server(const TxpFeed *feed)
{
	return txp_option_text(TXP_OPTION_FEED, feed->options, "encryption_server");
}

bool
txp_feed_encrypts(const TxpFeed *feed)
{
	return encryption_server(feed)[0] != '\0';
}

char *
txp_feed_encryption_keys(const TxpFeed *feed)
{
	char *server = encryption_server(feed);
	TxpRights saved;
	char *keys;

	if (server[0] == '\0')
		return NULL;
	txp_rights_owner(feed->owner, &saved);
	keys = txp_mapping_key(TXP_KEY_OF_ENCRYPTION, txp_server_by_name(server), feed->owner);
	txp_rights_restore(&saved);
	if (keys == NULL)
		txp_mapping_lacks_key(TXP_KEY_OF_ENCRYPTION, NULL);
	return keys;
}

void
txp_feed_plan(const TxpFeed *feed, Relation target, const char *file_id, const char *group_key,
			  TxpFeedPlan *plan)
{
	const char *values[] = {file_id, NULL, group_key};
	bool for_steps = feed->steps != NIL || feed->rules != NIL;
	TxdFormat format = txp_format_by_name(feed->format);
	TxdCsvOptions csv;

	csv_options(feed->options, &csv);
	plan->encoding = txp_option_text(TXP_OPTION_FEED, feed->options, "encoding");
	plan->header = format == TXD_CSV ? header_record(feed->options, &csv) : NULL;
	plan->only = NULL;
	plan->batch_rows = txp_option_int(TXP_OPTION_FEED, feed->options, "batch_rows");
	plan->batch_bytes = txp_option_int(TXP_OPTION_FEED, feed->options, "batch_bytes");
	plan->rows = target ? txp_rowplan_for_target(target, format, feed->columns, false, &csv)
						: txp_rowplan_for_mapping(format, feed->columns, &csv);
	/* Feeds have no server of their own: one they name lends them its mapping. */
	txp_rowplan_set_keys(
		plan->rows,
		&(TxpPlanKeys){txp_option_text(TXP_OPTION_FEED, feed->options, "pseudonym_server"),
					   encryption_server(feed), txp_feed_encrypts(feed), GetUserId()});
	if (target != NULL && for_steps)
		txp_sink_check(target, plan->rows);
	for (int i = 0; i < (int) lengthof(origin); i++)
		add_origin(feed, target, plan->rows, for_steps, i, values[i]);
	if (target != NULL && !for_steps)
		txp_sink_check(target, plan->rows);
	plan->line_column = find_column(plan->rows, "line_no");
	plan->steps = list_copy(feed->steps);
	if (feed->rules != NIL)
		plan->steps = lcons(rules_step(feed), plan->steps);
	if (target != NULL && for_steps)
		plan->steps = lappend(plan->steps, fill_target_step(feed, target, plan->rows));
}
