/*
 * physical.c — how Parquet stores the values of a column.
 */
#include "physical.h"

#include <string.h>

/* Digits that fit an int32 and an int64 whatever they are. */
#define INT32_DIGITS 9
#define INT64_DIGITS 18

static __int128
power_of_ten(int n)
{
	__int128 power = 1;

	while (n-- > 0)
		power *= 10;
	return power;
}

/* The fewest bytes of two's complement that hold every number of so many digits. */
static int
decimal_width(int precision)
{
	__int128 greatest = power_of_ten(precision) - 1;
	int width = 1;

	while (greatest >> (8 * width - 1) != 0)
		width++;
	return width;
}

TxdPhysical
txd_physical_type(const TxdParquetColumn *column)
{
	switch (column->type)
	{
		case TXD_PARQUET_BOOLEAN:
			return TXD_PHYSICAL_BOOLEAN;
		case TXD_PARQUET_INT32:
		case TXD_PARQUET_DATE:
			return TXD_PHYSICAL_INT32;
		case TXD_PARQUET_INT64:
		case TXD_PARQUET_TIMESTAMP:
		case TXD_PARQUET_LOCAL_TIMESTAMP:
			return TXD_PHYSICAL_INT64;
		case TXD_PARQUET_FLOAT:
			return TXD_PHYSICAL_FLOAT;
		case TXD_PARQUET_DOUBLE:
			return TXD_PHYSICAL_DOUBLE;
		case TXD_PARQUET_DECIMAL:
			if (column->precision <= INT32_DIGITS)
				return TXD_PHYSICAL_INT32;
			return column->precision <= INT64_DIGITS ? TXD_PHYSICAL_INT64 : TXD_PHYSICAL_FIXED;
		case TXD_PARQUET_TEXT:
		case TXD_PARQUET_JSON:
		case TXD_PARQUET_BINARY:
			break;
	}
	return TXD_PHYSICAL_BYTES;
}

int
txd_physical_width(const TxdParquetColumn *column)
{
	switch (txd_physical_type(column))
	{
		case TXD_PHYSICAL_BOOLEAN:
			return 1;
		case TXD_PHYSICAL_INT32:
		case TXD_PHYSICAL_FLOAT:
			return 4;
		case TXD_PHYSICAL_INT64:
		case TXD_PHYSICAL_DOUBLE:
			return 8;
		case TXD_PHYSICAL_FIXED:
			return decimal_width(column->precision);
		case TXD_PHYSICAL_BYTES:
			break;
	}
	return 0;
}

/* Digits as the whole number they are without their point, with zeros up to the column's scale. */
static bool
scan_decimal(const TxdParquetColumn *column, const char *text, size_t len, __int128 *number)
{
	bool negative = len > 0 && text[0] == '-';
	__int128 limit = power_of_ten(column->precision);
	__int128 zeros;
	int behind = -1; /* digits behind the point; -1: before it */
	bool any = false;

	*number = 0;
	for (size_t i = negative; i < len; i++)
	{
		if (text[i] == '.' && behind < 0)
		{
			behind = 0;
			continue;
		}
		if (text[i] < '0' || text[i] > '9' || behind == column->scale)
			return false;
		*number = *number * 10 + (text[i] - '0');
		if (*number >= limit)
			return false;
		behind += behind >= 0;
		any = true;
	}
	/* Zeros up to the scale: asked before, since the product may be beyond 128 bits. */
	zeros = power_of_ten(column->scale - (behind > 0 ? behind : 0));
	if (*number > (limit - 1) / zeros || !any)
		return false;
	*number *= zeros;
	*number = negative ? -*number : *number;
	return true;
}

static void
put_little(unsigned char *to, uint64_t value, int width)
{
	for (int i = 0; i < width; i++)
		to[i] = (unsigned char) (value >> 8 * i);
}

static bool
decimal_value(const TxdParquetColumn *column, const TxdParquetValue *value, unsigned char *fixed,
			  int width)
{
	__int128 number;

	if (!scan_decimal(column, value->data, value->len, &number))
		return false;
	if (txd_physical_type(column) != TXD_PHYSICAL_FIXED)
		put_little(fixed, (uint64_t) number, width);
	else
	{
		for (int i = 0; i < width; i++)
			fixed[i] = (unsigned char) ((unsigned __int128) number >> 8 * (width - 1 - i));
	}
	return true;
}

static void
real_value(double real, unsigned char *fixed, int width)
{
	float single = (float) real;
	uint32_t bits32;
	uint64_t bits64;

	memcpy(&bits32, &single, sizeof(bits32));
	memcpy(&bits64, &real, sizeof(bits64));
	put_little(fixed, width == 4 ? bits32 : bits64, width);
}

bool
txd_physical_value(const TxdParquetColumn *column, const TxdParquetValue *value,
				   unsigned char fixed[TXD_FIXED_MAX], TxdPlain *plain)
{
	int width = txd_physical_width(column);

	*plain = (TxdPlain){fixed, (size_t) width};
	switch (txd_physical_type(column))
	{
		case TXD_PHYSICAL_FLOAT:
		case TXD_PHYSICAL_DOUBLE:
			real_value(value->real, fixed, width);
			return true;
		case TXD_PHYSICAL_BYTES:
			*plain = (TxdPlain){(const unsigned char *) value->data, value->len};
			return value->len <= TXD_PARQUET_MAX_VALUE;
		default:
			break;
	}
	if (column->type == TXD_PARQUET_DECIMAL)
		return decimal_value(column, value, fixed, width);
	put_little(fixed, (uint64_t) value->integer, width);
	if (width == 1)
		return value->integer == 0 || value->integer == 1;
	return width == 8 || (value->integer >= INT32_MIN && value->integer <= INT32_MAX);
}

/* --- order --- */

static uint64_t
get_little(TxdPlain plain)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < plain.len; i++)
		bits |= (uint64_t) plain.data[i] << 8 * i;
	return bits;
}

static int64_t
get_integer(TxdPlain plain)
{
	uint64_t bits = get_little(plain);

	return plain.len == 4 ? (int32_t) (uint32_t) bits : (int64_t) bits;
}

static double
get_real(TxdPlain plain)
{
	uint64_t bits64 = get_little(plain);
	uint32_t bits32 = (uint32_t) bits64;
	double real;
	float single;

	memcpy(&single, &bits32, sizeof(single));
	memcpy(&real, &bits64, sizeof(real));
	return plain.len == 4 ? (double) single : real;
}

static int
compare_bytes(TxdPlain a, TxdPlain b)
{
	size_t both = a.len < b.len ? a.len : b.len;
	int result = both > 0 ? memcmp(a.data, b.data, both) : 0;

	return result != 0 ? result : (a.len > b.len) - (a.len < b.len);
}

int
txd_physical_compare(const TxdParquetColumn *column, TxdPlain a, TxdPlain b)
{
	int64_t i;
	int64_t j;
	double x;
	double y;

	switch (txd_physical_type(column))
	{
		case TXD_PHYSICAL_BYTES:
			return compare_bytes(a, b);
		case TXD_PHYSICAL_FIXED:
			/* Two's complement, the highest byte first: the signs decide, then the bytes. */
			if ((a.data[0] ^ b.data[0]) & 0x80)
				return a.data[0] & 0x80 ? -1 : 1;
			return compare_bytes(a, b);
		case TXD_PHYSICAL_FLOAT:
		case TXD_PHYSICAL_DOUBLE:
			x = get_real(a);
			y = get_real(b);
			return (x > y) - (x < y);
		default:
			i = get_integer(a);
			j = get_integer(b);
			return (i > j) - (i < j);
	}
}

static bool
is_real(const TxdParquetColumn *column)
{
	return column->type == TXD_PARQUET_FLOAT || column->type == TXD_PARQUET_DOUBLE;
}

bool
txd_physical_is_nan(const TxdParquetColumn *column, TxdPlain plain)
{
	return is_real(column) && get_real(plain) != get_real(plain);
}

bool
txd_physical_is_zero_real(const TxdParquetColumn *column, TxdPlain plain)
{
	return is_real(column) && get_real(plain) == 0;
}
