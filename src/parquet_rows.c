/*
 * parquet_rows.c — the rows of a query as Parquet files of a data set, row by row from the executor to the files.
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

#include "dataset.h"
#include "parquet_column.h"
#include "parquet_rows.h"

/* A part ends behind the row group with which it is as large: the metadata at its end are kept until then. */
#define PART_BYTES UINT64CONST(1073741824)
#define NULL_PARTITION "__HIVE_DEFAULT_PARTITION__"
/* What Hive writes as %XX in names of directories. */
#define ESCAPED "\"#%'*/:=?\\{}[]^\x7f"

struct TxpParquetRows
{
	DestReceiver pub;
	MemoryContext context;
	MemoryContext row_context;
	TxpDataset *dataset;
	TxpNames partition_by;
	TxpNames sort_by;
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
};

/* --- parts --- */

static bool
send_bytes(void *arg, const void *bytes, size_t len)
{
	txp_dataset_write(arg, bytes, len);
	return true;
}

/* The first columns of the order, as far as Parquet has the same one. */
static int
sorted_columns(const TxpParquetRows *rows, int *sorted)
{
	int n = 0;

	for (int i = 0; i < rows->sort_by.n; i++)
	{
		int key = rows->keys[rows->partition_by.n + i];

		if (!txp_parquet_is_ordered(&rows->columns[key]))
			break;
		for (int j = 0; j < rows->nstored; j++)
		{
			if (rows->stored[j] == key)
				sorted[n++] = j;
		}
	}
	return n;
}

static void
begin_part(TxpParquetRows *rows, const char *partition)
{
	TxdParquetColumn *columns = palloc(sizeof(TxdParquetColumn) * rows->nstored);
	int *sorted = palloc(sizeof(int) * (rows->sort_by.n + 1));
	TxdParquetOptions options = {.created_by = "txpipe version " TXP_VERSION, .sorted = sorted};

	for (int i = 0; i < rows->nstored; i++)
		columns[i] = rows->columns[rows->stored[i]].column;
	options.nsorted = sorted_columns(rows, sorted);
	txp_dataset_begin_part(rows->dataset, partition);
	if (rows->partition != NULL)
		pfree(rows->partition);
	rows->partition = MemoryContextStrdup(rows->context, partition);
	rows->part_rows = 0;
	rows->writer = txd_parquet_new(columns, rows->nstored, &options, send_bytes, rows->dataset);
	if (rows->writer == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
						errdetail("A Parquet file could not be begun.")));
}

static void
check_result(const TxpParquetRows *rows, TxdParquetResult result)
{
	int bad;

	switch (result)
	{
		case TXD_PARQUET_OK:
			return;
		case TXD_PARQUET_BAD_VALUE:
			bad = rows->stored[txd_parquet_bad_column(rows->writer)];
			ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
							errmsg("column \"%s\" has a value that does not fit it in Parquet",
								   rows->columns[bad].column.name),
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
end_part(TxpParquetRows *rows)
{
	if (rows->writer == NULL)
		return;
	check_result(rows, txd_parquet_finish(rows->writer));
	txd_parquet_free(rows->writer);
	rows->writer = NULL;
	txp_dataset_end_part(rows->dataset, rows->part_rows);
}

/* --- the partition of a row --- */

void
txp_partition_put(StringInfo text, const char *value)
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
partition_of(TxpParquetRows *rows, const TupleTableSlot *slot)
{
	StringInfoData text;

	if (rows->partition_by.n == 0)
		return "";
	initStringInfo(&text);
	for (int i = 0; i < rows->partition_by.n; i++)
	{
		int key = rows->keys[i];
		TxpParquetColumn *column = &rows->columns[key];
		int begin;

		if (i > 0)
			appendStringInfoChar(&text, '/');
		begin = text.len;
		txp_partition_put(&text, column->column.name);
		appendStringInfoChar(&text, '=');
		txp_partition_put(&text, slot->tts_isnull[key]
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
write_row(TxpParquetRows *rows, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(rows->row_context);
	const char *partition;

	slot_getallattrs(slot);
	partition = partition_of(rows, slot);
	if (rows->writer == NULL || strcmp(partition, rows->partition) != 0 ||
		txd_parquet_size(rows->writer) >= PART_BYTES)
	{
		end_part(rows);
		begin_part(rows, partition);
	}
	for (int i = 0; i < rows->nstored; i++)
	{
		int from = rows->stored[i];

		rows->values[i] = (TxdParquetValue){.is_null = slot->tts_isnull[from]};
		if (!slot->tts_isnull[from])
			txp_parquet_value(&rows->columns[from], slot->tts_values[from], &rows->values[i]);
	}
	check_result(rows, txd_parquet_row(rows->writer, rows->values));
	rows->part_rows++;
	MemoryContextSwitchTo(old);
	MemoryContextReset(rows->row_context);
}

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	TxpParquetRows *rows = (TxpParquetRows *) self;

	if (rows->sort != NULL)
		tuplesort_puttupleslot(rows->sort, slot);
	else
		write_row(rows, slot);
	return true;
}

/* While the query is still open: what its rows point to is there until it ends. */
static void
end_rows(DestReceiver *self)
{
	TxpParquetRows *rows = (TxpParquetRows *) self;

	if (rows->sort != NULL)
	{
		tuplesort_performsort(rows->sort);
		while (tuplesort_gettupleslot(rows->sort, true, false, rows->sorted_slot, NULL))
		{
			CHECK_FOR_INTERRUPTS();
			write_row(rows, rows->sorted_slot);
		}
		ExecDropSingleTupleTableSlot(rows->sorted_slot);
		tuplesort_end(rows->sort);
		rows->sort = NULL;
	}
	/* A file of no rows says which columns there are. */
	if (rows->writer == NULL && rows->partition_by.n == 0)
		begin_part(rows, "");
	end_part(rows);
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
find_keys(TxpParquetRows *rows, TupleDesc columns)
{
	int npartitions = rows->partition_by.n;
	int n = npartitions + rows->sort_by.n;

	rows->keys = palloc(sizeof(int) * (n + 1));
	for (int i = 0; i < n; i++)
	{
		int key = find_column(columns, i < npartitions ? rows->partition_by.names[i]
													   : rows->sort_by.names[i - npartitions]);

		for (int j = 0; j < i; j++)
		{
			if (rows->keys[j] == key)
				ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
								errmsg("column \"%s\" is named twice in partition_by and sort_by",
									   NameStr(TupleDescAttr(columns, key)->attname)),
								errhint("Name it once.")));
		}
		if (i < npartitions && !txp_parquet_is_partition_type(&rows->columns[key]))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("there are no partitions by column \"%s\", a %s",
								   NameStr(TupleDescAttr(columns, key)->attname),
								   format_type_be(rows->columns[key].type)),
							errhint("Integers, dates, booleans and texts can be names of "
									"directories: cast it in the query.")));
		rows->keys[i] = key;
	}
}

/* Those that are not in the names of directories. */
static void
find_stored(TxpParquetRows *rows)
{
	rows->stored = palloc(sizeof(int) * rows->ncolumns);
	for (int i = 0; i < rows->ncolumns; i++)
	{
		bool is_partition = false;

		for (int j = 0; j < rows->partition_by.n; j++)
			is_partition |= rows->keys[j] == i;
		if (!is_partition)
			rows->stored[rows->nstored++] = i;
	}
	if (rows->nstored == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("every column is in partition_by"),
						errhint("Leave at least one for the files.")));
	rows->values = palloc(sizeof(TxdParquetValue) * rows->nstored);
}

/* Text by its bytes, as Parquet's readers compare it, NULL last. */
static void
begin_sort(TxpParquetRows *rows, TupleDesc columns)
{
	int n = rows->partition_by.n + rows->sort_by.n;
	AttrNumber *attributes = palloc(sizeof(AttrNumber) * n);
	Oid *operators = palloc(sizeof(Oid) * n);
	Oid *collations = palloc(sizeof(Oid) * n);
	bool *nulls_first = palloc0(sizeof(bool) * n);

	for (int i = 0; i < n; i++)
	{
		Form_pg_attribute column = TupleDescAttr(columns, rows->keys[i]);

		attributes[i] = column->attnum;
		operators[i] = lookup_type_cache(column->atttypid, TYPECACHE_LT_OPR)->lt_opr;
		collations[i] = OidIsValid(column->attcollation) ? C_COLLATION_OID : InvalidOid;
		if (!OidIsValid(operators[i]))
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
							errmsg("column \"%s\", a %s, has no order", NameStr(column->attname),
								   format_type_be(column->atttypid)),
							errhint("Leave it out of sort_by.")));
	}
	rows->sort = tuplesort_begin_heap(columns, n, attributes, operators, collations, nulls_first,
									  work_mem, NULL, TUPLESORT_NONE);
	rows->sorted_slot = MakeSingleTupleTableSlot(columns, &TTSOpsMinimalTuple);
}

static void
begin_rows(DestReceiver *self, int operation, TupleDesc columns)
{
	TxpParquetRows *rows = (TxpParquetRows *) self;
	MemoryContext old = MemoryContextSwitchTo(rows->context);

	check_names(columns);
	rows->ncolumns = columns->natts;
	rows->columns = palloc0(sizeof(TxpParquetColumn) * columns->natts);
	for (int i = 0; i < columns->natts; i++)
		txp_parquet_column(&rows->columns[i], TupleDescAttr(columns, i));
	find_keys(rows, columns);
	find_stored(rows);
	if (rows->partition_by.n + rows->sort_by.n > 0)
		begin_sort(rows, columns);
	MemoryContextSwitchTo(old);
}

/* --- for exports --- */

TxpParquetRows *
txp_parquet_rows_new(TxpDataset *dataset, TxpNames partition_by, TxpNames sort_by)
{
	TxpParquetRows *rows = palloc0(sizeof(TxpParquetRows));

	rows->pub = (DestReceiver){receive_row, begin_rows, end_rows, destroy, DestNone};
	rows->dataset = dataset;
	rows->partition_by = partition_by;
	rows->sort_by = sort_by;
	rows->context = CurrentMemoryContext;
	rows->row_context =
		AllocSetContextCreate(CurrentMemoryContext, "txpipe export row", ALLOCSET_DEFAULT_SIZES);
	return rows;
}

DestReceiver *
txp_parquet_rows_receiver(TxpParquetRows *rows)
{
	return &rows->pub;
}

void
txp_parquet_rows_abandon(TxpParquetRows *rows)
{
	if (rows->writer != NULL)
		txd_parquet_free(rows->writer);
	rows->writer = NULL;
}

char *
txp_parquet_rows_facts(TupleDesc columns, TxpNames partition_by)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, "\"format\": \"parquet\", \"partition_by\": [");
	for (int i = 0; i < partition_by.n; i++)
	{
		appendStringInfoString(&text, i > 0 ? ", " : "");
		escape_json(&text, partition_by.names[i]);
	}
	appendStringInfoString(&text, "], \"columns\": [");
	for (int i = 0; i < columns->natts; i++)
	{
		TxpParquetColumn column = {0};

		txp_parquet_column(&column, TupleDescAttr(columns, i));
		appendStringInfoString(&text, i > 0 ? ", {\"name\": " : "{\"name\": ");
		escape_json(&text, column.column.name);
		appendStringInfo(&text, ", \"type\": \"%s\"}", txp_parquet_type_name(&column));
	}
	appendStringInfoChar(&text, ']');
	return text.data;
}
