/*
 * physical.h — how Parquet stores the values of a column: their physical type, their bytes, and their order.
 */
#ifndef TXD_PHYSICAL_H
#define TXD_PHYSICAL_H

#include "parquet.h"

/* The numbers of the specification. */
typedef enum TxdPhysical
{
	TXD_PHYSICAL_BOOLEAN = 0,
	TXD_PHYSICAL_INT32 = 1,
	TXD_PHYSICAL_INT64 = 2,
	TXD_PHYSICAL_FLOAT = 4,
	TXD_PHYSICAL_DOUBLE = 5,
	TXD_PHYSICAL_BYTES = 6,
	TXD_PHYSICAL_FIXED = 7
} TxdPhysical;

#define TXD_FIXED_MAX 16

/* A value as PLAIN has it, without the length before bytes. A boolean is a whole byte here. */
typedef struct TxdPlain
{
	const unsigned char *data;
	size_t len;
} TxdPlain;

extern TxdPhysical txd_physical_type(const TxdParquetColumn *column);

/* Bytes of each value; 0: they differ, and a length stands before them. */
extern int txd_physical_width(const TxdParquetColumn *column);

/* Bytes of a value that is not NULL, its own or in `fixed`; false when it does not fit the column. */
extern bool txd_physical_value(const TxdParquetColumn *column, const TxdParquetValue *value,
							   unsigned char fixed[TXD_FIXED_MAX], TxdPlain *plain);

/* Negative, 0 or positive in the order the specification gives the column's type; no NaN. */
extern int txd_physical_compare(const TxdParquetColumn *column, TxdPlain a, TxdPlain b);

extern bool txd_physical_is_nan(const TxdParquetColumn *column, TxdPlain plain);

/* Zero of either sign, of a float or double. */
extern bool txd_physical_is_zero_real(const TxdParquetColumn *column, TxdPlain plain);

#endif
