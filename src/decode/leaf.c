/*
 * leaf.c — values of schemas to their COPY fields.
 *
 * Those whose binary form is another number are computed; others have the text that they have in JSON.
 */
#include <math.h>

#include "datetime.h"
#include "decoder.h"
#include "field.h"
#include "json_write.h"

#define DAY_US INT64_C(86400000000)
#define EPOCH_DAYS 10957 /* from 1970-01-01 to 2000-01-01 */

/* 0001-01-01, and the day after 9999-12-31: all types have what is between, written with four digits of a year. */
#define FIRST_DAY INT64_C(-719162)
#define END_DAY INT64_C(2932897)

/* Is the value of the schema the column's but for its form? */
static bool
is_plain(const TxdDecoder *d, const TxdColumn *column)
{
	return d->schema.form == TXD_BINARY && column->convert == TXD_AS_IS;
}

bool
txd_leaf_fits(const TxdDecoder *d, const TxdColumn *column, TxdLeafKind kind)
{
	TxdType type = column->type;
	bool same;

	if (kind == TXD_LEAF_DATE)
		same = type == TXD_DATE;
	else if (kind == TXD_LEAF_INSTANT) /* the zone of what a timestamp is given is ignored */
		same = type == TXD_TIMESTAMPTZ || type == TXD_TIMESTAMP;
	else if (kind == TXD_LEAF_LOCAL)
		same = type == TXD_TIMESTAMP;
	else
		return kind != TXD_LEAF_NONE && !txd_is_json(column);
	return same && is_plain(d, column) && (column->precision < 0 || column->precision >= 6);
}

/* Appends the text of a number that has been written to the scratch. */
static bool
put_number(TxdDecoder *d, const TxdColumn *column, TxdBuf *rows, TxdError *err)
{
	return txd_put_text(d, column, TXD_KIND_NUMBER, d->scratch.data, d->scratch.len, true, rows,
						err);
}

static bool
put_integer(TxdDecoder *d, const TxdColumn *column, int64_t v, TxdBuf *rows, TxdError *err)
{
	if (column->type > TXD_INT8 || !is_plain(d, column))
	{
		d->scratch.len = 0;
		txd_write_integer(&d->scratch, v);
		return put_number(d, column, rows, err);
	}
	if (column->type == TXD_INT8)
		txd_field64(rows, (uint64_t) v);
	else if (column->type == TXD_INT4 && v == (int32_t) v)
		txd_field32(rows, (uint32_t) v);
	else if (column->type == TXD_INT2 && v == (int16_t) v)
		txd_field16(rows, (uint16_t) v);
	else
		return false;
	return true;
}

static bool
put_real(TxdDecoder *d, const TxdColumn *column, const TxdLeaf *leaf, TxdBuf *rows, TxdError *err)
{
	bool is_float = leaf->kind == TXD_LEAF_FLOAT;
	float narrow = (float) leaf->real;
	uint64_t bits;
	uint32_t low;

	if (!isfinite(leaf->real))
		return false;
	memcpy(&bits, &leaf->real, sizeof(bits));
	memcpy(&low, &narrow, sizeof(low));
	if (is_plain(d, column) && column->type == (is_float ? TXD_FLOAT4 : TXD_FLOAT8))
	{
		if (is_float)
			txd_field32(rows, low);
		else
			txd_field64(rows, bits);
		return true;
	}
	d->scratch.len = 0;
	txd_write_real(&d->scratch, leaf->real, is_float);
	return put_number(d, column, rows, err);
}

static bool
put_decimal(TxdDecoder *d, const TxdColumn *column, const TxdLeaf *leaf, TxdBuf *rows,
			TxdError *err)
{
	d->scratch.len = 0;
	txd_write_decimal(&d->scratch, (const unsigned char *) leaf->text, leaf->len, leaf->scale);
	return put_number(d, column, rows, err);
}

static bool
put_day(int64_t days, TxdBuf *rows)
{
	if (days < FIRST_DAY || days >= END_DAY)
		return false;
	txd_field32(rows, (uint32_t) (days - EPOCH_DAYS));
	return true;
}

static bool
put_microseconds(int64_t us, TxdBuf *rows)
{
	if (us < FIRST_DAY * DAY_US || us >= END_DAY * DAY_US)
		return false;
	txd_field64(rows, (uint64_t) (us - EPOCH_DAYS * DAY_US));
	return true;
}

bool
txd_put_leaf(TxdDecoder *d, const TxdColumn *column, const TxdLeaf *leaf, TxdBuf *rows,
			 TxdError *err)
{
	switch (leaf->kind)
	{
		case TXD_LEAF_NULL:
			return txd_null(column, d->schema.form, rows, err);
		case TXD_LEAF_BOOL:
			return txd_put_text(d, column, TXD_KIND_BOOL, leaf->integer != 0 ? "true" : "false",
								leaf->integer != 0 ? 4 : 5, true, rows, err);
		case TXD_LEAF_INTEGER:
			return put_integer(d, column, leaf->integer, rows, err);
		case TXD_LEAF_FLOAT:
		case TXD_LEAF_REAL:
			return put_real(d, column, leaf, rows, err);
		case TXD_LEAF_DECIMAL:
			return put_decimal(d, column, leaf, rows, err);
		case TXD_LEAF_TEXT:
			return txd_put_text(d, column, TXD_KIND_TEXT, leaf->text, leaf->len, true, rows, err);
		case TXD_LEAF_DATE:
			return put_day(leaf->integer, rows);
		case TXD_LEAF_INSTANT:
		case TXD_LEAF_LOCAL:
			return put_microseconds(leaf->integer, rows);
		case TXD_LEAF_NONE:
			break;
	}
	return false;
}
