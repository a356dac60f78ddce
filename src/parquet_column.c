/*
 * parquet_column.c — columns of a query as columns of Parquet, and their values.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "parquet_column.h"

#define EPOCH_DAYS (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)

/* As PostgreSQL 15 packs them: the scale may be negative, and more than the precision. */
static void
set_decimal(TxdParquetColumn *column, int32 typmod, const char *name)
{
	if (typmod < (int32) VARHDRSZ)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" is a numeric without precision and scale", name),
				 errdetail("A decimal of Parquet has so many digits, of which so many are "
						   "behind the point."),
				 errhint("Cast it in the query, e.g. %s::numeric(18,2).", quote_identifier(name))));
	column->type = TXD_PARQUET_DECIMAL;
	column->precision = ((typmod - VARHDRSZ) >> 16) & 0xffff;
	column->scale = (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;
	if (column->precision > TXD_PARQUET_MAX_PRECISION || column->scale < 0 ||
		column->scale > column->precision)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" is a numeric(%d,%d), which no decimal of Parquet can be",
						name, column->precision, column->scale),
				 errhint("A decimal has at most %d digits, and no more of them behind the point: "
						 "cast the column, to text if need be.",
						 TXD_PARQUET_MAX_PRECISION)));
}

static const struct
{
	Oid type;
	TxdParquetType parquet;
} types[] = {
	{BOOLOID, TXD_PARQUET_BOOLEAN},
	{INT2OID, TXD_PARQUET_INT32},
	{INT4OID, TXD_PARQUET_INT32},
	{INT8OID, TXD_PARQUET_INT64},
	{FLOAT4OID, TXD_PARQUET_FLOAT},
	{FLOAT8OID, TXD_PARQUET_DOUBLE},
	{NUMERICOID, TXD_PARQUET_DECIMAL},
	{DATEOID, TXD_PARQUET_DATE},
	{TIMESTAMPTZOID, TXD_PARQUET_TIMESTAMP},
	{TIMESTAMPOID, TXD_PARQUET_LOCAL_TIMESTAMP},
	{TEXTOID, TXD_PARQUET_TEXT},
	{VARCHAROID, TXD_PARQUET_TEXT},
	{BPCHAROID, TXD_PARQUET_TEXT},
	{JSONOID, TXD_PARQUET_JSON},
	{JSONBOID, TXD_PARQUET_JSON},
	{BYTEAOID, TXD_PARQUET_BINARY},
};

static TxdParquetType
find_type(Oid type, const char *name)
{
	for (int i = 0; i < lengthof(types); i++)
	{
		if (types[i].type == type)
			return types[i].parquet;
	}
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("column \"%s\" is of type %s, which is not written to Parquet", name,
						   format_type_be(type)),
					errhint("Cast it to text in the query.")));
	return TXD_PARQUET_TEXT; /* not reached */
}

void
txp_parquet_column(TxpParquetColumn *column, const FormData_pg_attribute *attribute)
{
	int32 typmod = attribute->atttypmod;
	const char *name = pstrdup(NameStr(attribute->attname));
	bool is_varlena;
	Oid function;

	column->type = getBaseTypeAndTypmod(attribute->atttypid, &typmod);
	column->column.name = name;
	column->column.type = find_type(column->type, name);
	if (column->type == NUMERICOID)
		set_decimal(&column->column, typmod, name);
	getTypeOutputInfo(column->type, &function, &is_varlena);
	fmgr_info(function, &column->output);
}

const char *
txp_parquet_type_name(const TxpParquetColumn *column)
{
	static const char *const names[] = {
		[TXD_PARQUET_BOOLEAN] = "boolean",     [TXD_PARQUET_INT32] = "int32",
		[TXD_PARQUET_INT64] = "int64",         [TXD_PARQUET_FLOAT] = "float",
		[TXD_PARQUET_DOUBLE] = "double",       [TXD_PARQUET_DATE] = "date",
		[TXD_PARQUET_TIMESTAMP] = "timestamp", [TXD_PARQUET_LOCAL_TIMESTAMP] = "local_timestamp",
		[TXD_PARQUET_TEXT] = "string",         [TXD_PARQUET_JSON] = "json",
		[TXD_PARQUET_BINARY] = "binary",
	};

	if (column->column.type == TXD_PARQUET_DECIMAL)
		return psprintf("decimal(%d,%d)", column->column.precision, column->column.scale);
	return names[column->column.type];
}

bool
txp_parquet_is_partition_type(const TxpParquetColumn *column)
{
	switch (column->column.type)
	{
		case TXD_PARQUET_BOOLEAN:
		case TXD_PARQUET_INT32:
		case TXD_PARQUET_INT64:
		case TXD_PARQUET_DATE:
		case TXD_PARQUET_TEXT:
			return true;
		default:
			return false;
	}
}

bool
txp_parquet_is_ordered(const TxpParquetColumn *column)
{
	switch (column->column.type)
	{
		case TXD_PARQUET_TEXT:
			/* What is padded is compared without its blanks. */
			return column->type != BPCHAROID;
		case TXD_PARQUET_FLOAT:
		case TXD_PARQUET_DOUBLE:
		case TXD_PARQUET_JSON:
			return false;
		default:
			return true;
	}
}

/* --- values --- */

static void
refuse(const TxpParquetColumn *column, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("column \"%s\" has %s, which its type in Parquet cannot say",
					column->column.name, what),
			 errhint("Leave such rows out, make it NULL (nullif), or cast the column to text.")));
}

static int64
timestamp_value(const TxpParquetColumn *column, Timestamp timestamp)
{
	int64 since;

	if (TIMESTAMP_NOT_FINITE(timestamp))
		refuse(column, "an infinite time");
	if (pg_add_s64_overflow(timestamp, EPOCH_DAYS * USECS_PER_DAY, &since))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("column \"%s\" has a time that is too late for Parquet",
							   column->column.name),
						errdetail("Its last microsecond is in the year 294247."),
						errhint("Leave such rows out, or cast the column to text.")));
	return since;
}

static int64
date_value(const TxpParquetColumn *column, DateADT date)
{
	if (DATE_NOT_FINITE(date))
		refuse(column, "an infinite date");
	return (int64) date + EPOCH_DAYS;
}

/* As the type's own text; a database that has txpipe is in UTF-8. */
static void
text_value(TxpParquetColumn *column, Datum datum, TxdParquetValue *value)
{
	value->data = OutputFunctionCall(&column->output, datum);
	value->len = strlen(value->data);
}

static void
numeric_value(TxpParquetColumn *column, Datum datum, TxdParquetValue *value)
{
	Numeric number = DatumGetNumeric(datum);

	if (numeric_is_nan(number) || numeric_is_inf(number))
		refuse(column, numeric_is_nan(number) ? "NaN" : "an infinite number");
	text_value(column, datum, value);
}

void
txp_parquet_value(TxpParquetColumn *column, Datum datum, TxdParquetValue *value)
{
	bytea *bytes;

	switch (column->column.type)
	{
		case TXD_PARQUET_BOOLEAN:
			value->integer = DatumGetBool(datum);
			break;
		case TXD_PARQUET_INT32:
			value->integer = column->type == INT2OID ? DatumGetInt16(datum) : DatumGetInt32(datum);
			break;
		case TXD_PARQUET_INT64:
			value->integer = DatumGetInt64(datum);
			break;
		case TXD_PARQUET_FLOAT:
			value->real = DatumGetFloat4(datum);
			break;
		case TXD_PARQUET_DOUBLE:
			value->real = DatumGetFloat8(datum);
			break;
		case TXD_PARQUET_DECIMAL:
			numeric_value(column, datum, value);
			break;
		case TXD_PARQUET_DATE:
			value->integer = date_value(column, DatumGetDateADT(datum));
			break;
		case TXD_PARQUET_TIMESTAMP:
		case TXD_PARQUET_LOCAL_TIMESTAMP:
			value->integer = timestamp_value(column, DatumGetTimestamp(datum));
			break;
		case TXD_PARQUET_TEXT:
		case TXD_PARQUET_JSON:
			text_value(column, datum, value);
			break;
		case TXD_PARQUET_BINARY:
			bytes = DatumGetByteaPP(datum);
			value->data = VARDATA_ANY(bytes);
			value->len = VARSIZE_ANY_EXHDR(bytes);
			break;
	}
}
