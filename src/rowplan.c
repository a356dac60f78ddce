/*
 * rowplan.c — how messages or file records become rows.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "args.h"
#include "io_client.h"
#include "rowplan.h"

#define MAX_COLUMNS 1600

TxdFormat
txp_format_by_name(const char *name)
{
	static const char *const names[] = {"json", "csv", "text", "bytea", "avro", "protobuf"};

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		if (strcmp(name, names[i]) == 0)
			return (TxdFormat) i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("format \"%s\" is not known", name),
			 errhint("Formats: json, csv, text, bytea, avro, protobuf.")));
}

static TxpRowPlan *
new_plan(TxdFormat format, const TxdCsvOptions *csv)
{
	TxpRowPlan *plan = palloc0(sizeof(TxpRowPlan));

	plan->format = format;
	plan->form = TXD_BINARY;
	plan->csv = *csv;
	plan->columns = palloc0(sizeof(TxdColumn) * MAX_COLUMNS);
	plan->desc = CreateTemplateTupleDesc(0);
	return plan;
}

/* The number of attributes decides where they are in a descriptor: one more means a copy. */
static TupleDesc
widen(TupleDesc desc)
{
	TupleDesc wider = CreateTemplateTupleDesc(desc->natts + 1);

	for (int i = 1; i <= desc->natts; i++)
		TupleDescCopyEntry(wider, i, desc, i);
	pfree(desc);
	return wider;
}

/* Next free column of the plan, its name and type set. */
static TxdColumn *
append_column(TxpRowPlan *plan, const char *name, Oid type, int32 typmod, Oid collation)
{
	TxdColumn *column;

	if (plan->ncolumns == MAX_COLUMNS)
		ereport(ERROR, (errcode(ERRCODE_TOO_MANY_COLUMNS), errmsg("too many mapped columns")));
	column = &plan->columns[plan->ncolumns++];
	column->name = pstrdup(name);
	txp_column_set_type(column, type, typmod);
	if (column->type == TXD_OTHER)
		plan->form = TXD_TEXT;
	plan->desc = widen(plan->desc);
	TupleDescInitEntry(plan->desc, plan->ncolumns, name, type, typmod, 0);
	TupleDescInitEntryCollation(plan->desc, plan->ncolumns, collation);
	plan->names = lappend(plan->names, makeString(pstrdup(name)));
	return column;
}

static void
finish_plan(TxpRowPlan *plan, const char *whose)
{
	if (plan->ncolumns == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("no column of %s would be filled", whose),
						errhint("Map columns to fields: columns => '{\"column\": \"path\"}'.")));
}

/* A message's own data. */
static const struct
{
	const char *name;
	Oid type;
	TxdSource source;
} kafka_columns[] = {{"kafka_topic", TEXTOID, TXD_FROM_TOPIC},
					 {"kafka_partition", INT4OID, TXD_FROM_PARTITION},
					 {"kafka_offset", INT8OID, TXD_FROM_OFFSET},
					 {"kafka_timestamp", TIMESTAMPTZOID, TXD_FROM_TIMESTAMP},
					 {"kafka_key", BYTEAOID, TXD_FROM_KEY},
					 {"kafka_headers", JSONBOID, TXD_FROM_HEADERS},
					 {"kafka_row", INT4OID, TXD_FROM_ROW}};

static bool
is_kafka_name(const char *name, TxdSource *source)
{
	for (int i = 0; i < (int) lengthof(kafka_columns); i++)
	{
		if (strcmp(name, kafka_columns[i].name) == 0)
		{
			*source = kafka_columns[i].source;
			return true;
		}
	}
	return false;
}

static JsonbValue *
mapping_of(Jsonb *columns, const char *name, JsonbValue *v)
{
	return getKeyJsonValueFromContainer(&columns->root, name, strlen(name), v);
}

/* A member with a type is a column of its own where the target has none of that name. */
static bool
has_type(const JsonbValue *spec)
{
	JsonbValue v;

	return spec->type == jbvBinary && JsonContainerIsObject(spec->val.binary.data) &&
		   getKeyJsonValueFromContainer(spec->val.binary.data, "type", strlen("type"), &v) != NULL;
}

/* Every member of a mapping, or every other, must name a column that can be written. */
static void
check_mapping_names(Relation target, Jsonb *columns, bool may_be_more)
{
	JsonbIterator *it = JsonbIteratorInit(&columns->root);
	JsonbValue v;
	char *name;

	while ((name = txp_next_member(&it, &v)) != NULL)
	{
		AttrNumber attnum = get_attnum(RelationGetRelid(target), name);

		if (may_be_more && attnum == InvalidAttrNumber && has_type(&v))
			continue;
		if (attnum <= 0)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
							errmsg("column \"%s\" of relation \"%s\" does not exist", name,
								   RelationGetRelationName(target)),
							errhint("The members of \"columns\" are columns of the target.")));
		if (TupleDescAttr(RelationGetDescr(target), attnum - 1)->attgenerated)
			ereport(ERROR, (errcode(ERRCODE_GENERATED_ALWAYS),
							errmsg("column \"%s\" is generated and cannot be mapped", name),
							errhint("Leave it out of \"columns\".")));
	}
}

/* Does the column take part, and from where? */
static bool
plan_attribute(TxpRowPlan *plan, Form_pg_attribute att, Jsonb *columns)
{
	const char *name = NameStr(att->attname);
	TxdSource source = TXD_FROM_FIELD;
	bool filled_by_server = att->atthasdef || att->attidentity || att->attgenerated;
	TxdColumn *column;
	JsonbValue v;

	if (att->attisdropped || (columns ? mapping_of(columns, name, &v) == NULL : filled_by_server))
		return false;
	column = append_column(plan, name, att->atttypid, att->atttypmod, att->attcollation);
	column->not_null = att->attnotnull;
	if (columns)
		txp_mapping_column(column, &v, NULL, NULL);
	else if (is_kafka_name(name, &source))
		column->source = source;
	txp_column_check_type(column);
	return true;
}

/* text and bytea messages are one value: it goes to the only column that takes a field. */
static void
use_whole_message(TxpRowPlan *plan)
{
	int fields = 0;

	for (int i = 0; i < plan->ncolumns; i++)
	{
		if (plan->columns[i].source == TXD_FROM_FIELD)
		{
			plan->columns[i].source = TXD_FROM_VALUE;
			fields++;
		}
	}
	if (fields > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a message of this format is one value, but %d columns want one", fields),
				 errhint("Say which: columns => '{\"column\": \"$value\"}'.")));
}

/* Bytes of any content fit nothing but bytea. */
static void
check_whole_message(const TxpRowPlan *plan)
{
	for (int i = 0; plan->format == TXD_BYTES && i < plan->ncolumns; i++)
	{
		if (plan->columns[i].source == TXD_FROM_VALUE && plan->columns[i].type != TXD_BYTEA)
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
							errmsg("column \"%s\" cannot hold messages of the format bytea",
								   plan->columns[i].name),
							errhint("Give it the type bytea, or use the format text.")));
	}
}

TxpRowPlan *
txp_rowplan_for_target(Relation target, TxdFormat format, Jsonb *columns, bool may_be_more,
					   const TxdCsvOptions *csv)
{
	TxpRowPlan *plan = new_plan(format, csv);
	TupleDesc desc = RelationGetDescr(target);

	if (columns)
		check_mapping_names(target, columns, may_be_more);
	for (int i = 0; i < desc->natts; i++)
		(void) plan_attribute(plan, TupleDescAttr(desc, i), columns);
	if (format == TXD_PLAIN_TEXT || format == TXD_BYTES)
		use_whole_message(plan);
	check_whole_message(plan);
	finish_plan(plan, psprintf("table \"%s\"", RelationGetRelationName(target)));
	return plan;
}

/* A column of a mapping that says its own type. */
static void
append_mapped(TxpRowPlan *plan, char *name, JsonbValue *v)
{
	TxdColumn spec = {.name = name};
	TxdColumn *column;
	Oid type = TEXTOID;
	int32 typmod = -1;

	txp_mapping_column(&spec, v, &type, &typmod);
	column = append_column(plan, name, type, typmod, get_typcollation(type));
	spec.type = column->type;
	spec.length = column->length;
	spec.precision = column->precision;
	spec.scale = column->scale;
	*column = spec;
	txp_column_check_type(column);
}

TxpRowPlan *
txp_rowplan_for_mapping(TxdFormat format, Jsonb *columns, const TxdCsvOptions *csv)
{
	TxpRowPlan *plan = new_plan(format, csv);
	JsonbIterator *it = JsonbIteratorInit(&columns->root);
	JsonbValue v;
	char *name;

	while ((name = txp_next_member(&it, &v)) != NULL)
		append_mapped(plan, name, &v);
	finish_plan(plan, "the mapping");
	return plan;
}

void
txp_rowplan_set_shape(TxpRowPlan *plan, const char *envelope, const char *rows)
{
	if (strcmp(envelope, "debezium") == 0)
		plan->envelope = TXD_DEBEZIUM;
	else if (strcmp(envelope, "cloudevents") == 0)
		plan->envelope = TXD_CLOUDEVENTS;
	if (rows[0] != '\0')
		plan->rows = rows;
	if ((plan->envelope != TXD_NO_ENVELOPE || plan->rows != NULL) &&
		!txd_has_json_fields(plan->format))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("options envelope and rows need messages with JSON fields"),
						errhint("Formats with them are json, avro and protobuf.")));
}

void
txp_rowplan_add(TxpRowPlan *plan, const char *name, Oid type, TxdSource source,
				const char *constant)
{
	TxdColumn *column = append_column(plan, name, type, -1, get_typcollation(type));

	column->source = source;
	column->default_text = constant;
}

void
txp_rowplan_add_hidden(TxpRowPlan *plan, const char *name, Oid type, TxdSource source)
{
	txp_rowplan_add(plan, name, type, source, NULL);
	plan->names = list_delete_last(plan->names);
}

static bool
has_column(const TxpRowPlan *plan, const char *name)
{
	for (int i = 0; i < plan->ncolumns; i++)
	{
		if (strcmp(plan->columns[i].name, name) == 0)
			return true;
	}
	return false;
}

/* The members of the mapping that are not the target's. */
static void
add_further(TxpRowPlan *plan, Jsonb *columns)
{
	JsonbIterator *it = JsonbIteratorInit(&columns->root);
	JsonbValue v;
	char *name;

	while ((name = txp_next_member(&it, &v)) != NULL)
	{
		if (has_column(plan, name))
			continue;
		append_mapped(plan, name, &v);
		plan->names = list_delete_last(plan->names);
	}
}

/* Steps shall not see in clear what a column encrypts. */
static bool
encrypts_key(const TxpRowPlan *plan)
{
	for (int i = 0; i < plan->ncolumns; i++)
	{
		const TxdColumn *column = &plan->columns[i];

		if (column->convert == TXD_AS_ENCRYPTED &&
			(column->source == TXD_FROM_KEY || column->source == TXD_FROM_KEY_FIELD))
			return true;
	}
	return false;
}

void
txp_rowplan_add_for_steps(TxpRowPlan *plan, Jsonb *columns)
{
	if (columns != NULL)
		add_further(plan, columns);
	for (int i = 0; i < (int) lengthof(kafka_columns); i++)
	{
		TxdSource source = kafka_columns[i].source;

		if (has_column(plan, kafka_columns[i].name) ||
			(source == TXD_FROM_ROW && plan->rows == NULL))
			continue;
		txp_rowplan_add_hidden(plan, kafka_columns[i].name, kafka_columns[i].type, source);
		if (source == TXD_FROM_KEY && encrypts_key(plan))
			plan->columns[plan->ncolumns - 1].convert = TXD_AS_ENCRYPTED;
	}
}

void
txp_rowplan_leave_out(TxpRowPlan *plan, const Bitmapset *needs)
{
	for (int i = list_length(plan->names); i < plan->ncolumns; i++)
	{
		TxdColumn *column = &plan->columns[i];

		if (!bms_is_member(i, needs) &&
			((column->source >= TXD_FROM_TOPIC && column->source <= TXD_FROM_HEADERS) ||
			 column->source == TXD_FROM_ROW))
			column->source = TXD_FROM_CONSTANT;
	}
}

static void
pack_column(StringInfo buf, const TxdColumn *column)
{
	txp_put_str(buf, column->name);
	txp_put_u8(buf, column->type);
	txp_put_i32(buf, column->length);
	txp_put_i32(buf, column->precision);
	txp_put_i32(buf, column->scale);
	txp_put_u8(buf, column->not_null);
	txp_put_u8(buf, column->source);
	txp_put_u8(buf, column->convert);
	txp_put_u32(buf, column->npaths);
	for (int i = 0; i < column->npaths; i++)
		txp_put_str(buf, column->paths[i]);
	txp_put_str(buf, column->default_text);
	txp_put_u8(buf, column->or_key);
}

void
txp_rowplan_pack(const TxpRowPlan *plan, StringInfo buf)
{
	txp_put_u8(buf, plan->format);
	txp_put_u8(buf, plan->form);
	txp_put_u8(buf, plan->csv.delimiter);
	txp_put_u8(buf, plan->csv.quote);
	txp_put_u8(buf, plan->csv.header);
	txp_put_u8(buf, plan->csv.ragged);
	txp_put_u8(buf, plan->tombstones);
	txp_put_u8(buf, plan->track_fields);
	txp_put_u8(buf, plan->envelope);
	txp_put_str(buf, plan->rows);
	txp_put_str(buf, plan->csv.null_text);
	txp_pack_keys(plan, buf);
	txp_pack_schemas(plan, buf);
	txp_pack_zone(plan, buf);
	txp_put_u32(buf, plan->ncolumns);
	for (int i = 0; i < plan->ncolumns; i++)
		pack_column(buf, &plan->columns[i]);
}
