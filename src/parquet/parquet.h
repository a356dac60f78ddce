/*
 * parquet.h — writes files of Apache Parquet, row by row.
 *
 * The schema is flat and every column may be NULL. Rows are gathered into row groups of bounded size, each written
 * column by column: a dictionary while it is small and of use, then plain values; pages of version 1, compressed with
 * zstd; least and greatest value and number of NULLs of each column, by which readers leave row groups out. The
 * metadata are behind the last group. Memory is that of one group and some hundred bytes for each group before it.
 *
 * Plain C without PostgreSQL; memory that runs out is an answer here, not an end. A writer is used by one thread.
 * Specification: https://github.com/apache/parquet-format
 */
#ifndef TXD_PARQUET_H
#define TXD_PARQUET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum TxdParquetType
{
	TXD_PARQUET_BOOLEAN,
	TXD_PARQUET_INT32,
	TXD_PARQUET_INT64,
	TXD_PARQUET_FLOAT,
	TXD_PARQUET_DOUBLE,
	TXD_PARQUET_DECIMAL,
	TXD_PARQUET_DATE,            /* days since 1970-01-01 */
	TXD_PARQUET_TIMESTAMP,       /* microseconds since 1970-01-01 00:00 UTC: an instant */
	TXD_PARQUET_LOCAL_TIMESTAMP, /* the same on a clock of no zone */
	TXD_PARQUET_TEXT,            /* UTF-8, as JSON */
	TXD_PARQUET_JSON,
	TXD_PARQUET_BINARY
} TxdParquetType;

#define TXD_PARQUET_MAX_PRECISION 38
/* A longer value is refused. */
#define TXD_PARQUET_MAX_VALUE ((size_t) 256 * 1024 * 1024)

typedef struct TxdParquetColumn
{
	const char *name; /* UTF-8 */
	TxdParquetType type;
	int precision; /* of a decimal: digits, 1 to TXD_PARQUET_MAX_PRECISION */
	int scale;     /* and how many of them are behind the point */
} TxdParquetColumn;

typedef struct TxdParquetValue
{
	bool is_null;
	int64_t integer;  /* boolean (0, 1), integers, date, timestamps */
	double real;      /* float, double */
	const char *data; /* text, JSON, binary; a decimal as digits: -12.50 */
	size_t len;
} TxdParquetValue;

typedef enum TxdParquetResult
{
	TXD_PARQUET_OK,
	TXD_PARQUET_BAD_VALUE, /* it does not fit its column */
	TXD_PARQUET_NO_MEMORY,
	TXD_PARQUET_FAILED /* the compressor or the sink did */
} TxdParquetResult;

typedef struct TxdParquetOptions
{
	const char *created_by;
	size_t group_bytes; /* a row group ends when its columns have as many; 0: 32 MiB */
	const int *sorted;  /* columns by which rows come, ascending, NULL last */
	int nsorted;
} TxdParquetOptions;

typedef struct TxdParquet TxdParquet;

/* Takes the next bytes of the file; false: it cannot. It may also leave by longjmp: the writer is then only freed. */
typedef bool (*TxdParquetSink)(void *arg, const void *bytes, size_t len);

/* Copies columns and options. NULL when memory ran out, or a column is none: no name, or a precision or scale out of range. */
extern TxdParquet *txd_parquet_new(const TxdParquetColumn *columns, int n,
								   const TxdParquetOptions *options, TxdParquetSink sink,
								   void *arg);

/* A row, a value for each column. What is not TXD_PARQUET_OK stays: there will be no whole file. */
extern TxdParquetResult txd_parquet_row(TxdParquet *file, const TxdParquetValue *values);

/* The last row group, and the metadata: the file is whole. */
extern TxdParquetResult txd_parquet_finish(TxdParquet *file);

/* Bytes that went to the sink; row groups that are not full have not. */
extern uint64_t txd_parquet_size(const TxdParquet *file);

/* The column a bad value is of. */
extern int txd_parquet_bad_column(const TxdParquet *file);

extern void txd_parquet_free(TxdParquet *file);

#endif
