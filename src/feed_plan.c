/*
 * feed_plan.c — how the records of a feed's file become rows: its mapping, and where each came from.
 */
#include "postgres.h"

#include "catalog/pg_attribute.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "feed.h"
#include "options.h"
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
fill_target_step(Relation target, const TxpRowPlan *rows)
{
	TxpStep *step = palloc(sizeof(TxpStep));
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
	step->sql = psprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM batch", table,
						 columns.data, columns.data);
	return step;
}

static void
csv_options(Jsonb *options, TxdCsvOptions *csv)
{
	csv->delimiter = txp_option_text(TXP_OPTION_FEED, options, "delimiter")[0];
	csv->quote = txp_option_text(TXP_OPTION_FEED, options, "quote")[0];
	csv->null_text = txp_option_text(TXP_OPTION_FEED, options, "null");
	csv->ragged = txp_option_bool(TXP_OPTION_FEED, options, "ragged");
	csv->header = true;
}

void
txp_feed_plan(const TxpFeed *feed, Relation target, const char *file_id, const char *group_key,
			  TxpFeedPlan *plan)
{
	const char *values[] = {file_id, NULL, group_key};
	bool for_steps = feed->steps != NIL;
	TxdFormat format = txp_format_by_name(feed->format);
	TxdCsvOptions csv;

	csv_options(feed->options, &csv);
	plan->batch_rows = txp_option_int(TXP_OPTION_FEED, feed->options, "batch_rows");
	plan->batch_bytes = txp_option_int(TXP_OPTION_FEED, feed->options, "batch_bytes");
	plan->rows = target ? txp_rowplan_for_target(target, format, feed->columns, &csv)
						: txp_rowplan_for_mapping(format, feed->columns, &csv);
	if (target != NULL && for_steps)
		txp_sink_check(target, plan->rows);
	for (int i = 0; i < (int) lengthof(origin); i++)
		add_origin(feed, target, plan->rows, for_steps, i, values[i]);
	if (target != NULL && !for_steps)
		txp_sink_check(target, plan->rows);
	plan->line_column = find_column(plan->rows, "line_no");
	plan->steps = list_copy(feed->steps);
	if (target != NULL && for_steps)
		plan->steps = lappend(plan->steps, fill_target_step(target, plan->rows));
}
