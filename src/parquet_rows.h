/*
 * parquet_rows.h — the rows of a query as Parquet files of a data set, row by row from the executor to the files.
 */
#ifndef TXP_PARQUET_ROWS_H
#define TXP_PARQUET_ROWS_H

#include "postgres.h"
#include "access/tupdesc.h"
#include "lib/stringinfo.h"
#include "tcop/dest.h"

#include "dataset.h"

typedef struct TxpNames
{
	char **names;
	int n;
} TxpNames;

typedef struct TxpParquetRows TxpParquetRows;

/*
 * What takes the rows of one query: columns of `partition_by` become directories, rows of one are sorted by `sort_by`. An error must
 * end in txp_parquet_rows_abandon. The receiver ERRORs as txp_parquet_column and txp_parquet_value; 22023 for columns that no partition
 * can be by, 42701 and 42703 for columns that are there twice or not, 42883 for one without an order, 54000 for values that are too long.
 */
extern TxpParquetRows *txp_parquet_rows_new(TxpDataset *dataset, TxpNames partition_by,
											TxpNames sort_by);
extern DestReceiver *txp_parquet_rows_receiver(TxpParquetRows *rows);
extern void txp_parquet_rows_abandon(TxpParquetRows *rows);

/* Appends a value as names of directories have it: column=value. */
extern void txp_partition_put(StringInfo text, const char *value);

/* What the manifest says of them: format, partition_by and columns, a JSON object without its braces. */
extern char *txp_parquet_rows_facts(TupleDesc columns, TxpNames partition_by);

#endif
