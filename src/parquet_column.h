/*
 * parquet_column.h — columns of a query as columns of Parquet, and their values.
 */
#ifndef TXP_PARQUET_COLUMN_H
#define TXP_PARQUET_COLUMN_H

#include "postgres.h"
#include "access/tupdesc.h"
#include "fmgr.h"

#include "parquet/parquet.h"

typedef struct TxpParquetColumn
{
	TxdParquetColumn column;
	Oid type; /* of domains their base */
	FmgrInfo output;
} TxpParquetColumn;

/*
 * The column for an attribute. ERRORs, naming it: 0A000 for a type Parquet is not written of, 22023 for a numeric
 * without precision and scale, or that a decimal cannot be.
 */
extern void txp_parquet_column(TxpParquetColumn *column, const FormData_pg_attribute *attribute);

/*
 * A value that is not NULL, in the current memory context or in the datum. ERRORs (22023, 22008), naming the column, for what its type in
 * Parquet cannot say: infinities of numbers and times, NaN of numeric.
 */
extern void txp_parquet_value(TxpParquetColumn *column, Datum datum, TxdParquetValue *value);

/* Its type as manifests name it: int32, decimal(12,2), string ... */
extern const char *txp_parquet_type_name(const TxpParquetColumn *column);

/* May rows be put into directories by it: has each value one text? */
extern bool txp_parquet_is_partition_type(const TxpParquetColumn *column);

/* Is PostgreSQL's ascending order, of text by bytes, that of Parquet? */
extern bool txp_parquet_is_ordered(const TxpParquetColumn *column);

#endif
