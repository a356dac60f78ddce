/*
 * infer.c — the columns of the table a stream without a target gets.
 */
#include "postgres.h"

#include "catalog/heap.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "decode/fieldname.h"
#include "infer.h"
#include "infer_sample.h"
#include "json_facts.h"
#include "rowplan.h"

/* Rows must fit on a page even when all their values are stored elsewhere. */
#define MAX_FIELD_COLUMNS 250
#define MAX_NAMES_SHOWN 10
#define MAX_PATH 1000
#define REST_NAME "rest"
#define KEY_NAME "kafka_key"
#define ROW_NAME "kafka_row"

/* The message's own data: a mapping reaches no field of these names, and no field's column gets one of them. */
static const char *const own_names[] = {"kafka_topic",     "kafka_partition", "kafka_offset",
										"kafka_timestamp", "kafka_key",       "kafka_headers",
										ROW_NAME};

static bool
is_own_name(const char *name)
{
	for (int i = 0; i < (int) lengthof(own_names); i++)
	{
		if (strcmp(name, own_names[i]) == 0)
			return true;
	}
	return false;
}

static bool
is_taken(List *columns, const char *name)
{
	ListCell *lc;

	foreach (lc, columns)
	{
		if (strcmp(((TxpInferredColumn *) lfirst(lc))->name, name) == 0)
			return true;
	}
	return SystemAttributeByName(name) != NULL || is_own_name(name) || strcmp(name, REST_NAME) == 0;
}

/* The name, as it is or with the first number behind it that makes it unique. */
static char *
unique_name(List *columns, const char *name)
{
	char *unique = pnstrdup(name, pg_mbcliplen(name, strlen(name), NAMEDATALEN - 1));

	for (int i = 2; is_taken(columns, unique); i++)
	{
		char *number = psprintf("_%d", i);
		int room = NAMEDATALEN - 1 - strlen(number);

		unique = psprintf("%.*s%s", pg_mbcliplen(name, strlen(name), room), name, number);
	}
	return unique;
}

static List *
add_column(List *columns, const char *name, const char *type, const char *path)
{
	TxpInferredColumn *column = palloc0(sizeof(TxpInferredColumn));

	column->name = pstrdup(name);
	column->type = type;
	column->path = pstrdup(path);
	return lappend(columns, column);
}

/* A field's name as a path: a backslash before dots, brackets, backslashes, and a "$" that begins it. */
static char *
path_of_name(const char *name)
{
	StringInfoData path;

	initStringInfo(&path);
	for (const char *p = name; *p != '\0'; p++)
	{
		if (*p == '.' || *p == '[' || *p == '\\' || (*p == '$' && p == name))
			appendStringInfoChar(&path, '\\');
		appendStringInfoChar(&path, *p);
	}
	return path.data;
}

/* snake_case of letters, digits and underscores; letters beyond ASCII stay. */
static char *
column_name(const char *path)
{
	char *name = palloc(2 * strlen(path) + 2);

	name[0] = '_';
	txd_snake_case(path, name + 1);
	for (char *p = name + 1; *p != '\0'; p++)
	{
		if (!IS_HIGHBIT_SET(*p) && !isalnum((unsigned char) *p))
			*p = '_';
	}
	return isdigit((unsigned char) name[1]) || name[1] == '\0' ? name : name + 1;
}

/* A field that a mapping can reach, and whose type the sample tells. */
static bool
is_usable(const TxpJsonFact *fact)
{
	return (fact->kinds != 0 || fact->type != NULL) && fact->name[0] != '\0' &&
		   strlen(fact->name) <= MAX_PATH && !is_own_name(fact->name);
}

static int
by_count(const ListCell *a, const ListCell *b)
{
	const TxpJsonFact *x = lfirst(a);
	const TxpJsonFact *y = lfirst(b);

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return x->position < y->position ? -1 : 1;
}

static int
by_position(const ListCell *a, const ListCell *b)
{
	const TxpJsonFact *x = lfirst(a);
	const TxpJsonFact *y = lfirst(b);

	return x->position < y->position ? -1 : x->position > y->position;
}

/* There is one, at least, that gets a column. */
static void
check_facts(const TxpStream *stream, const TxpInferSample *sample)
{
	ListCell *lc;

	foreach (lc, sample->fields)
	{
		if (is_usable(lfirst(lc)))
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("none of %u sampled messages of topic \"%s\" is an object with a field that "
					"is not null",
					sample->messages, stream->topic),
			 errhint("txpipe.peek shows what they are, txpipe.test_stream why they are refused. "
					 "Other formats are json, avro, protobuf, csv, text and bytea; or create the "
					 "table and name it as the target.")));
}

/* The fields that get no column, most of them or the first few by name. */
static void
tell_left_out(const TxpStream *stream, List *facts, List *chosen)
{
	StringInfoData names;
	ListCell *lc;
	int n = 0;

	initStringInfo(&names);
	foreach (lc, facts)
	{
		const TxpJsonFact *fact = lfirst(lc);

		if (list_member_ptr(chosen, fact) || n++ >= MAX_NAMES_SHOWN)
			continue;
		appendStringInfo(&names, "%s\"%.*s\"", n > 1 ? ", " : "",
						 pg_mbcliplen(fact->name, strlen(fact->name), NAMEDATALEN), fact->name);
	}
	if (n == 0)
		return;
	ereport(NOTICE,
			(errmsg_plural("%d field of topic \"%s\" gets no column, but goes into \"%s\"",
						   "%d fields of topic \"%s\" get no column, but go into \"%s\"", n, n,
						   stream->topic, REST_NAME),
			 errdetail("%s%s.", names.data, n > MAX_NAMES_SHOWN ? ", …" : ""),
			 errhint("Columns are made for the %d most frequent fields; not for those that were "
					 "null in every sampled message, have no name, or one of the message's own "
					 "data such as kafka_offset.",
					 MAX_FIELD_COLUMNS)));
}

static List *
field_columns(const TxpStream *stream, const TxpInferSample *sample)
{
	List *facts = sample->fields;
	List *chosen = NIL;
	List *columns = NIL;
	ListCell *lc;

	check_facts(stream, sample);
	foreach (lc, facts)
	{
		if (is_usable(lfirst(lc)))
			chosen = lappend(chosen, lfirst(lc));
	}
	list_sort(chosen, by_count);
	chosen = list_truncate(chosen, MAX_FIELD_COLUMNS);
	list_sort(chosen, by_position);
	tell_left_out(stream, facts, chosen);
	foreach (lc, chosen)
	{
		const TxpJsonFact *fact = lfirst(lc);
		char *path = path_of_name(fact->name);

		columns = add_column(columns, unique_name(columns, column_name(path)),
							 txp_json_fact_type(fact), path);
		((TxpInferredColumn *) llast(columns))->doc = fact->doc;
	}
	return columns;
}

/* What a mapping calls the place that the column is filled from. */
static const char *
path_of_column(const TxdColumn *column)
{
	switch (column->source)
	{
		case TXD_FROM_FIELD:
			return column->npaths > 0 ? column->paths[0] : column->name;
		case TXD_FROM_KEY_FIELD:
			return psprintf("%s.%s", TXP_KEY_PATH, column->paths[0]);
		case TXD_FROM_ENVELOPE_FIELD:
			return psprintf("$envelope.%s", column->paths[0]);
		case TXD_FROM_HEADER:
			return psprintf("$header.%s", column->paths[0]);
		case TXD_FROM_ROW:
			return ROW_NAME;
		case TXD_FROM_KEY:
			return TXP_KEY_PATH;
		case TXD_FROM_REST:
			return "$rest";
		case TXD_FROM_VALUE:
			return "$value";
		default:
			return own_names[column->source - TXD_FROM_TOPIC];
	}
}

/* Columns of a mapping that the user wrote. */
static List *
mapped_columns(const TxpStream *stream)
{
	static const TxdCsvOptions csv = {',', '"', false, false, ""};
	TxpRowPlan *plan =
		txp_rowplan_for_mapping(txp_format_by_name(stream->format), stream->columns, &csv);
	List *columns = NIL;

	for (int i = 0; i < plan->ncolumns; i++)
	{
		Form_pg_attribute att = TupleDescAttr(plan->desc, i);

		columns =
			add_column(columns, plan->columns[i].name,
					   format_type_extended(att->atttypid, att->atttypmod,
											FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY),
					   path_of_column(&plan->columns[i]));
	}
	return columns;
}

/* The message's own data. */
static List *
add_metadata(List *columns, const TxpStream *stream)
{
	if (stream->topic[0] == '^' || strchr(stream->topic, ',') != NULL)
		columns = add_column(columns, "kafka_topic", "pg_catalog.text", "kafka_topic");
	columns = add_column(columns, "kafka_partition", "pg_catalog.int4", "kafka_partition");
	columns = add_column(columns, "kafka_offset", "pg_catalog.int8", "kafka_offset");
	if (stream->rows[0] != '\0')
		columns = add_column(columns, ROW_NAME, "pg_catalog.int4", ROW_NAME);
	return add_column(columns, "kafka_timestamp", "pg_catalog.timestamptz", "kafka_timestamp");
}

/* What is known of a field of the key, by its path, or, where the key is no object, of it: then the path is empty. NULL: nothing. */
static const TxpJsonFact *
key_fact(const TxpInferSample *sample, const char *path)
{
	ListCell *lc;

	foreach (lc, sample->key)
	{
		const TxpJsonFact *fact = lfirst(lc);

		if ((fact->kinds != 0 || fact->type != NULL) && strcmp(path_of_name(fact->name), path) == 0)
			return fact;
	}
	return NULL;
}

/* A bytea has the key's bytes as they came, and whatever is no single value is JSON: of these $key is the text. */
static bool
is_single(const char *type)
{
	return strcmp(type, "pg_catalog.bytea") != 0 && strcmp(type, "pg_catalog.jsonb") != 0;
}

/* The message's key, or a field of it, which is no column yet. */
static List *
add_message_key(List *columns, const char *path, const TxpInferSample *sample)
{
	const char *field = path + strlen(TXP_KEY_PATH);
	bool whole = *field != '.' || field[1] == '\0';
	const TxpJsonFact *fact = key_fact(sample, whole ? "" : field + 1);
	const char *type = fact != NULL ? txp_json_fact_type(fact) : "pg_catalog.text";

	if (whole)
		columns =
			add_column(columns, KEY_NAME, is_single(type) ? type : "pg_catalog.text", TXP_KEY_PATH);
	else
		columns = add_column(columns, unique_name(columns, column_name(field + 1)), type, path);
	if (fact != NULL)
		((TxpInferredColumn *) llast(columns))->doc = fact->doc;
	return columns;
}

/* Marks the columns of the key, which may be named by column or path. */
static List *
mark_keys(List *columns, const TxpStream *stream, const TxpInferSample *sample)
{
	for (int i = 0; i < stream->nkey_columns; i++)
	{
		const char *key = stream->key_columns[i];
		bool found = false;
		ListCell *lc;

		if (stream->columns == NULL && strcmp(key, KEY_NAME) == 0)
			key = TXP_KEY_PATH;
		if (stream->columns == NULL && strncmp(key, TXP_KEY_PATH, strlen(TXP_KEY_PATH)) == 0)
			columns = add_message_key(columns, key, sample);
		foreach (lc, columns)
		{
			TxpInferredColumn *column = lfirst(lc);

			if (strcmp(column->name, key) != 0 && strcmp(column->path, key) != 0)
				continue;
			column->key = true;
			found = true;
		}
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("key column \"%s\" is no field of the sampled messages", key),
					 errhint("Name a field, a column, or $key, which is the messages' key.")));
	}
	return columns;
}

static List *
inferred_columns(const TxpStream *stream, const TxpInferSample *sample)
{
	List *columns;

	switch (txp_format_by_name(stream->format))
	{
		case TXD_JSON:
		case TXD_AVRO:
		case TXD_PROTOBUF:
			columns =
				add_column(field_columns(stream, sample), REST_NAME, "pg_catalog.jsonb", "$rest");
			break;
		case TXD_PLAIN_TEXT:
			columns = add_column(NIL, "value", "pg_catalog.text", "$value");
			break;
		case TXD_BYTES:
			columns = add_column(NIL, "value", "pg_catalog.bytea", "$value");
			break;
		default:
			ereport(
				ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("no table can be inferred from messages of the format %s", stream->format),
				 errhint("Their fields have no names: create the table and name it as the target, "
						 "or map "
						 "columns => '{\"name\": {\"path\": \"1\", \"type\": \"text\"}}'.")));
	}
	return add_metadata(columns, stream);
}

/* Is there a column from the key, of a format that says of what type it is? */
static bool
wants_key(const TxpStream *stream)
{
	bool named = false;

	for (int i = 0; i < stream->nkey_columns; i++)
		named |= strncmp(stream->key_columns[i], TXP_KEY_PATH, strlen(TXP_KEY_PATH)) == 0 ||
				 strcmp(stream->key_columns[i], KEY_NAME) == 0;
	return named && strcmp(stream->schemas.key_format, "text") != 0;
}

List *
txp_infer_columns(TxpIo *io, const TxpStream *stream)
{
	TxpInferSample sample = {0};
	List *columns;

	if (strcmp(stream->mode, "append") != 0 && stream->nkey_columns == 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("mode %s needs key_columns when the table is inferred", stream->mode),
			 errhint("Name the fields that identify a row, or $key, which is the messages' key.")));
	if (stream->columns != NULL)
		return mark_keys(mapped_columns(stream), stream, &sample);
	txp_infer_sample(io, stream, wants_key(stream), &sample);
	columns = inferred_columns(stream, &sample);
	return mark_keys(columns, stream, &sample);
}
