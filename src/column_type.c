/*
 * column_type.c — what the decoder has to know of a column's type.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "rowplan.h"

/* numeric's typmod holds precision and scale (scale may be negative since PostgreSQL 15). */
static void
set_numeric_limits(TxdColumn *column, int32 typmod)
{
	if (typmod < (int32) VARHDRSZ)
		return;
	column->precision = ((typmod - VARHDRSZ) >> 16) & 0xffff;
	column->scale = (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;
}

void
txp_column_set_type(TxdColumn *column, Oid type, int32 typmod)
{
	static const struct
	{
		Oid oid;
		TxdType type;
	} known[] = {
		{INT2OID, TXD_INT2},           {INT4OID, TXD_INT4},
		{INT8OID, TXD_INT8},           {FLOAT4OID, TXD_FLOAT4},
		{FLOAT8OID, TXD_FLOAT8},       {NUMERICOID, TXD_NUMERIC},
		{BOOLOID, TXD_BOOL},           {TEXTOID, TXD_STRING},
		{VARCHAROID, TXD_VARCHAR},     {BPCHAROID, TXD_CHAR},
		{DATEOID, TXD_DATE},           {TIMEOID, TXD_TIME},
		{TIMESTAMPOID, TXD_TIMESTAMP}, {TIMESTAMPTZOID, TXD_TIMESTAMPTZ},
		{UUIDOID, TXD_UUID},           {JSONOID, TXD_JSONTEXT},
		{JSONBOID, TXD_JSONB},         {BYTEAOID, TXD_BYTEA},
	};

	column->type = TXD_OTHER;
	for (int i = 0; i < (int) lengthof(known); i++)
	{
		if (known[i].oid == type)
			column->type = known[i].type;
	}
	column->precision = 0;
	if (column->type == TXD_NUMERIC)
		set_numeric_limits(column, typmod);
	else if ((column->type == TXD_VARCHAR || column->type == TXD_CHAR) &&
			 typmod >= (int32) VARHDRSZ)
		column->length = typmod - VARHDRSZ;
	else if (column->type == TXD_TIME || column->type == TXD_TIMESTAMP ||
			 column->type == TXD_TIMESTAMPTZ)
		column->precision = typmod;
}

void
txp_column_check_type(const TxdColumn *column)
{
	bool ok = true;

	/* Then it is bytea, which the decoder checks. */
	if (column->convert == TXD_AS_ENCRYPTED)
		return;
	switch (column->source)
	{
		case TXD_FROM_PARTITION:
		case TXD_FROM_OFFSET:
		case TXD_FROM_LINE:
		case TXD_FROM_ROW:
			ok = column->type == TXD_INT4 || column->type == TXD_INT8 ||
				 column->type == TXD_NUMERIC || column->type == TXD_STRING;
			break;
		case TXD_FROM_TIMESTAMP:
			ok = column->type == TXD_TIMESTAMP || column->type == TXD_TIMESTAMPTZ;
			break;
		case TXD_FROM_TOPIC:
			ok = column->type == TXD_STRING || column->type == TXD_VARCHAR ||
				 column->type == TXD_OTHER;
			break;
		case TXD_FROM_REST:
		case TXD_FROM_HEADERS:
			ok = column->type == TXD_JSONB || column->type == TXD_JSONTEXT ||
				 column->type == TXD_STRING;
			break;
		default:
			break;
	}
	if (!ok)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" has a type that cannot hold what it is mapped to", column->name),
			 errhint(
				 "Use jsonb for $rest and kafka_headers, bigint for offsets and lines, "
				 "integer for partitions and kafka_row, timestamptz for times, text for topics.")));
}
