/*
 * export_parquet.c — the rows of a query as a data set of Parquet files, row by row from the executor to the files.
 *
 * Rows that are to be in partitions or sorted go through PostgreSQL's sort first, so that one file is written at a
 * time. Memory is that of the sort (work_mem) and of one row group, however many rows and partitions there are.
 */
#include "postgres.h"

#include <limits.h>

#include "access/tupdesc.h"
#include "catalog/pg_collation.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"
#include "utils/typcache.h"

#include "args.h"
#include "dataset.h"
#include "export_query.h"
#include "parquet_column.h"

PG_FUNCTION_INFO_V1(txpipe_export_parquet);

/* A part ends behind the row group with which it is as large: the metadata at its end are kept until then. */
#define PART_BYTES UINT64CONST(1073741824)
#define NULL_PARTITION "__HIVE_DEFAULT_PARTITION__"
/* What Hive writes as %XX in names of directories. */
#define ESCAPED "\"#%'*/:=?\\{}[]^\x7f"

typedef struct Names
{
	char **names;
	int n;
} Names;

typedef struct ParquetReceiver
{
	DestReceiver pub;
	MemoryContext context;
	MemoryContext row_context;
	TxpDataset *dataset;
	Names partition_by;
	Names sort_by;
	int *keys; /* attributes: those of the partitions, then those of the order */
	int ncolumns;
	TxpParquetColumn *columns; /* of all attributes */
	int nstored;
	int *stored; /* attributes that are in the files */
	TxdParquetValue *values;
	Tuplesortstate *sort; /* NULL: rows come as they are to be */
	TupleTableSlot *sorted_slot;
	char *partition; /* of the part being written */
	TxdParquet *writer;
	int64 part_rows;
} ParquetReceiver;

/* --- parts --- */

static bool
send_bytes(void *arg, const void *bytes, size_t len)
{
	txp_dataset_write(arg, bytes, len);
	return true;
}

/* The first columns of the order, as far as Parquet has the same one. */
static int
sorted_columns(const ParquetReceiver *receiver, int *sorted)
{
	int n = 0;

	for (int i = 0; i < receiver->sort_by.n; i++)
	{
		int key = receiver->keys[receiver->partition_by.n + i];

		if (!txp_parquet_is_ordered(&receiver->columns[key]))
			break;
		for (int j = 0; j < receiver->nstored; j++)
		{
			if (receiver->stored[j] == key)
				sorted[n++] = j;
		}
	}
	return n;
}

static void
begin_part(ParquetReceiver *receiver, const char *partition)
{
	TxdParquetColumn *columns = palloc(sizeof(TxdParquetColumn) * receiver->nstored);
	int *sorted = palloc(sizeof(int) * (receiver->sort_by.n + 1));
	TxdParquetOptions options = {.created_by = "txpipe version " TXP_VERSION, .sorted = sorted};

	for (int i = 0; i < receiver->nstored; i++)
		columns[i] = receiver->columns[receiver->stored[i]].column;
	options.nsorted = sorted_columns(receiver, sorted);
	txp_dataset_begin_part(receiver->dataset, partition);
	if (receiver->partition != NULL)
		pfree(receiver->partition);
	receiver->partition = MemoryContextStrdup(receiver->context, partition);
	receiver->part_rows = 0;
	receiver->writer =
		txd_parquet_new(columns, receiver->nstored, &options, send_bytes, receiver->dataset);
	if (receiver->writer == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
						errdetail("A Parquet file could not be begun.")));
}

static void
check_result(const ParquetReceiver *receiver, TxdParquetResult result)
{
	int bad;

	switch (result)
	{
		case TXD_PARQUET_OK:
			return;
		case TXD_PARQUET_BAD_VALUE:
			bad = receiver->stored[txd_parquet_bad_column(receiver->writer)];
			ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
							errmsg("column \"%s\" has a value that does not fit it in Parquet",
								   receiver->columns[bad].column.name),
							errhint("A decimal must be of the column's precision and scale, a text "
									"or binary of at most 256 MB.")));
			break;
		case TXD_PARQUET_NO_MEMORY:
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
							errdetail("A row group of a Parquet file could not be kept.")));
			break;
		case TXD_PARQUET_FAILED:
			ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
							errmsg("could not compress a page of a Parquet file"),
							errhint("Is libzstd of this server in order?")));
			break;
	}
}

static void
end_part(ParquetReceiver *receiver)
{
	if (receiver->writer == NULL)
		return;
	check_result(receiver, txd_parquet_finish(receiver->writer));
	txd_parquet_free(receiver->writer);
	receiver->writer = NULL;
	txp_dataset_end_part(receiver->dataset, receiver->part_rows);
}

/* --- the partition of a row --- */

static void
append_escaped(StringInfo text, const char *value)
{
	for (; *value != '\0'; value++)
	{
		if ((unsigned char) *value < ' ' || strchr(ESCAPED, *value) != NULL)
			appendStringInfo(text, "%%%02X", (unsigned char) *value);
		else
			appendStringInfoChar(text, *value);
	}
}

static const char *
partition_value(TxpParquetColumn *column, Datum datum)
{
	TxdParquetValue value = {0};
	const char *text;

	txp_parquet_value(column, datum, &value);
	if (column->column.type == TXD_PARQUET_BOOLEAN)
		return value.integer ? "true" : "false";
	if (column->column.type == TXD_PARQUET_TEXT)
		text = value.data;
	else
		text = OutputFunctionCall(&column->output, datum);
	if (text[0] == '\0' || strcmp(text, NULL_PARTITION) == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("column \"%s\" has the text \"%s\", which as a partition would be "
							   "read as NULL",
							   column->column.name, text),
						errhint("Give such rows another text, or NULL.")));
	return text;
}

/* column=value/column=value, as Hive has it. */
static const char *
partition_of(ParquetReceiver *receiver, const TupleTableSlot *slot)
{
	StringInfoData text;

	if (receiver->partition_by.n == 0)
		return "";
	initStringInfo(&text);
	for (int i = 0; i < receiver->partition_by.n; i++)
	{
		int key = receiver->keys[i];
		TxpParquetColumn *column = &receiver->columns[key];
		int begin;

		if (i > 0)
			appendStringInfoChar(&text, '/');
		begin = text.len;
		append_escaped(&text, column->column.name);
		appendStringInfoChar(&text, '=');
		append_escaped(&text, slot->tts_isnull[key]
								  ? NULL_PARTITION
								  : partition_value(column, slot->tts_values[key]));
		if (text.len - begin > NAME_MAX)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("column \"%s\" has a text that is too long for the name of a "
								   "directory",
								   column->column.name),
							errhint("With the column's name it may have %d bytes.", NAME_MAX)));
	}
	return text.data;
}

/* --- rows --- */

static void
write_row(ParquetReceiver *receiver, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(receiver->row_context);
	const char *partition;

	slot_getallattrs(slot);
	partition = partition_of(receiver, slot);
	if (receiver->writer == NULL || strcmp(partition, receiver->partition) != 0 ||
		txd_parquet_size(receiver->writer) >= PART_BYTES)
	{
		end_part(receiver);
		begin_part(receiver, partition);
	}
	for (int i = 0; i < receiver->nstored; i++)
	{
		int from = receiver->stored[i];

		receiver->values[i] = (TxdParquetValue){.is_null = slot->tts_isnull[from]};
		if (!slot->tts_isnull[from])
			txp_parquet_value(&receiver->columns[from], slot->tts_values[from],
							  &receiver->values[i]);
	}
	check_result(receiver, txd_parquet_row(receiver->writer, receiver->values));
	receiver->part_rows++;
	MemoryContextSwitchTo(old);
	MemoryContextReset(receiver->row_context);
}

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	ParquetReceiver *receiver = (ParquetReceiver *) self;

	if (receiver->sort != NULL)
		tuplesort_puttupleslot(receiver->sort, slot);
	else
		write_row(receiver, slot);
	return true;
}

/* While the query is still open: what its rows point to is there until it ends. */
static void
end_rows(DestReceiver *self)
{
	ParquetReceiver *receiver = (ParquetReceiver *) self;

	if (receiver->sort != NULL)
	{
		tuplesort_performsort(receiver->sort);
		while (tuplesort_gettupleslot(receiver->sort, true, false, receiver->sorted_slot, NULL))
		{
			CHECK_FOR_INTERRUPTS();
			write_row(receiver, receiver->sorted_slot);
		}
		ExecDropSingleTupleTableSlot(receiver->sorted_slot);
		tuplesort_end(receiver->sort);
		receiver->sort = NULL;
	}
	/* A file of no rows says which columns there are. */
	if (receiver->writer == NULL && receiver->partition_by.n == 0)
		begin_part(receiver, "");
	end_part(receiver);
}

static void
destroy(DestReceiver *self)
{
}

/* --- columns --- */

static void
check_names(TupleDesc columns)
{
	for (int i = 0; i < columns->natts; i++)
	{
		for (int j = 0; j < i; j++)
		{
			if (namestrcmp(&TupleDescAttr(columns, i)->attname,
						   NameStr(TupleDescAttr(columns, j)->attname)) == 0)
				ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN),
								errmsg("column \"%s\" is there twice",
									   NameStr(TupleDescAttr(columns, i)->attname)),
								errhint("Give the columns of the query names of their own.")));
		}
	}
}

static int
find_column(TupleDesc columns, const char *name)
{
	for (int i = 0; i < columns->natts; i++)
	{
		if (namestrcmp(&TupleDescAttr(columns, i)->attname, name) == 0)
			return i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN), errmsg("the query has no column \"%s\"", name),
			 errhint("partition_by and sort_by name columns of its result.")));
	return -1; /* not reached */
}

static void
find_keys(ParquetReceiver *receiver, TupleDesc columns)
{
	int npartitions = receiver->partition_by.n;
	int n = npartitions + receiver->sort_by.n;

	receiver->keys = palloc(sizeof(int) * (n + 1));
	for (int i = 0; i < n; i++)
	{
		int key = find_column(columns, i < npartitions ? receiver->partition_by.names[i]
													   : receiver->sort_by.names[i - npartitions]);

		for (int j = 0; j < i; j++)
		{
			if (receiver->keys[j] == key)
				ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
								errmsg("column \"%s\" is named twice in partition_by and sort_by",
									   NameStr(TupleDescAttr(columns, key)->attname)),
								errhint("Name it once.")));
		}
		if (i < npartitions && !txp_parquet_is_partition_type(&receiver->columns[key]))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("there are no partitions by column \"%s\", a %s",
								   NameStr(TupleDescAttr(columns, key)->attname),
								   format_type_be(receiver->columns[key].type)),
							errhint("Integers, dates, booleans and texts can be names of "
									"directories: cast it in the query.")));
		receiver->keys[i] = key;
	}
}

/* Those that are not in the names of directories. */
static void
find_stored(ParquetReceiver *receiver)
{
	receiver->stored = palloc(sizeof(int) * receiver->ncolumns);
	for (int i = 0; i < receiver->ncolumns; i++)
	{
		bool is_partition = false;

		for (int j = 0; j < receiver->partition_by.n; j++)
			is_partition |= receiver->keys[j] == i;
		if (!is_partition)
			receiver->stored[receiver->nstored++] = i;
	}
	if (receiver->nstored == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("every column is in partition_by"),
						errhint("Leave at least one for the files.")));
	receiver->values = palloc(sizeof(TxdParquetValue) * receiver->nstored);
}

/* Text by its bytes, as Parquet's readers compare it, NULL last. */
static void
begin_sort(ParquetReceiver *receiver, TupleDesc columns)
{
	int n = receiver->partition_by.n + receiver->sort_by.n;
	AttrNumber *attributes = palloc(sizeof(AttrNumber) * n);
	Oid *operators = palloc(sizeof(Oid) * n);
	Oid *collations = palloc(sizeof(Oid) * n);
	bool *nulls_first = palloc0(sizeof(bool) * n);

	for (int i = 0; i < n; i++)
	{
		Form_pg_attribute column = TupleDescAttr(columns, receiver->keys[i]);

		attributes[i] = column->attnum;
		operators[i] = lookup_type_cache(column->atttypid, TYPECACHE_LT_OPR)->lt_opr;
		collations[i] = OidIsValid(column->attcollation) ? C_COLLATION_OID : InvalidOid;
		if (!OidIsValid(operators[i]))
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
							errmsg("column \"%s\", a %s, has no order", NameStr(column->attname),
								   format_type_be(column->atttypid)),
							errhint("Leave it out of sort_by.")));
	}
	receiver->sort = tuplesort_begin_heap(columns, n, attributes, operators, collations,
										  nulls_first, work_mem, NULL, TUPLESORT_NONE);
	receiver->sorted_slot = MakeSingleTupleTableSlot(columns, &TTSOpsMinimalTuple);
}

static void
begin_rows(DestReceiver *self, int operation, TupleDesc columns)
{
	ParquetReceiver *receiver = (ParquetReceiver *) self;
	MemoryContext old = MemoryContextSwitchTo(receiver->context);

	check_names(columns);
	receiver->ncolumns = columns->natts;
	receiver->columns = palloc0(sizeof(TxpParquetColumn) * columns->natts);
	for (int i = 0; i < columns->natts; i++)
		txp_parquet_column(&receiver->columns[i], TupleDescAttr(columns, i));
	find_keys(receiver, columns);
	find_stored(receiver);
	if (receiver->partition_by.n + receiver->sort_by.n > 0)
		begin_sort(receiver, columns);
	MemoryContextSwitchTo(old);
}

/* --- the call --- */

static Names
names_argument(FunctionCallInfo fcinfo, int n, const char *argument)
{
	Names names;

	names.names = txp_arg_names(fcinfo, n, argument, "Leave it out for none.", &names.n);
	return names;
}

static const char *
manifest_facts(const ParquetReceiver *receiver)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, "\"format\": \"parquet\", \"partition_by\": [");
	for (int i = 0; i < receiver->partition_by.n; i++)
	{
		appendStringInfoString(&text, i > 0 ? ", " : "");
		escape_json(&text, receiver->partition_by.names[i]);
	}
	appendStringInfoChar(&text, ']');
	return text.data;
}

static ParquetReceiver *
create_receiver(FunctionCallInfo fcinfo)
{
	ParquetReceiver *receiver = palloc0(sizeof(ParquetReceiver));

	receiver->pub = (DestReceiver){receive_row, begin_rows, end_rows, destroy, DestNone};
	receiver->partition_by = names_argument(fcinfo, 2, "partition_by");
	receiver->sort_by = names_argument(fcinfo, 3, "sort_by");
	receiver->context = CurrentMemoryContext;
	receiver->row_context =
		AllocSetContextCreate(CurrentMemoryContext, "txpipe export row", ALLOCSET_DEFAULT_SIZES);
	return receiver;
}

/* export_parquet(query text, dataset text, partition_by text[], sort_by text[]) RETURNS text: path of the manifest. */
Datum
txpipe_export_parquet(PG_FUNCTION_ARGS)
{
	char *query = txp_arg_text(fcinfo, 0, "query");
	char *name = txp_arg_text(fcinfo, 1, "dataset");
	ParquetReceiver *receiver = create_receiver(fcinfo);
	char *volatile path = NULL;
	SPIPlanPtr plan;

	SPI_connect();
	plan = txp_export_prepare(query);
	MemoryContextSwitchTo(receiver->context);
	receiver->dataset = txp_dataset_begin(name, ".parquet");
	PG_TRY();
	{
		txp_export_run(plan, &receiver->pub);
		MemoryContextSwitchTo(receiver->context);
		path = txp_dataset_publish(receiver->dataset, manifest_facts(receiver));
	}
	PG_CATCH();
	{
		if (receiver->writer != NULL)
			txd_parquet_free(receiver->writer);
		txp_dataset_abandon(receiver->dataset);
		PG_RE_THROW();
	}
	PG_END_TRY();
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text(path));
}
