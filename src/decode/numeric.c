/*
 * numeric.c — decimal spellings, and numeric's binary form: digits of base 10000.
 */
#include "numeric.h"
#include "field.h"

#define WEIGHT_MAX INT16_MAX
#define DSCALE_MAX 0x3FFF

/* Sign words of the binary form. */
#define SIGN_NEGATIVE 0x4000
#define SIGN_NAN 0xC000
#define SIGN_INFINITY 0xD000
#define SIGN_MINUS_INFINITY 0xF000

bool
txd_scan_decimal(const char *text, size_t len, TxdDecimal *decimal)
{
	const char *p = text;
	const char *end = text + len;
	int64_t exponent = 0;
	int64_t fraction = 0;
	bool negative = false;

	decimal->huge = false;
	decimal->negative = p < end && *p == '-';
	if (p < end && (*p == '-' || *p == '+'))
		p++;
	decimal->digits = p;
	while (p < end && txd_is_digit(*p))
		p++;
	decimal->whole = p - decimal->digits;
	if (p < end && *p == '.')
	{
		const char *point = p++;

		while (p < end && txd_is_digit(*p))
			p++;
		fraction = p - point - 1;
	}
	decimal->digits_end = p;
	if (decimal->whole + fraction == 0)
		return false;
	if (p < end && (*p == 'e' || *p == 'E'))
	{
		const char *first;

		p++;
		if (p < end && (*p == '-' || *p == '+'))
			negative = *p++ == '-';
		for (first = p; p < end && txd_is_digit(*p); p++)
		{
			if (exponent < TXD_EXPONENT_LIMIT)
				exponent = exponent * 10 + (*p - '0');
		}
		if (p == first)
			return false;
		if (exponent >= TXD_EXPONENT_LIMIT)
		{
			exponent = TXD_EXPONENT_LIMIT;
			decimal->huge = true;
		}
		if (negative)
			exponent = -exponent;
	}
	decimal->whole += exponent;
	decimal->scale = fraction > exponent ? fraction - exponent : 0;
	return p == end;
}

bool
txd_decimal_to_int64(const TxdDecimal *decimal, int places, int sloppy, int64_t *result,
					 bool *exact)
{
	int64_t place = decimal->whole + places;
	uint64_t v = 0;
	bool above_half = false;
	bool half = false;

	/* place counts the digits still to come before the cut; it is 0 for the first digit behind it. */
	*exact = true;
	for (const char *p = decimal->digits; p < decimal->digits_end; p++)
	{
		unsigned digit = (unsigned) (*p - '0');

		if (*p == '.')
			continue;
		if (place > 0)
		{
			if (v > (UINT64_MAX - 9) / 10)
				return false;
			v = v * 10 + digit;
		}
		else if (digit != 0)
		{
			if (place == 0)
			{
				half = digit >= 5;
				above_half = digit > 5;
			}
			else
				above_half |= half;
			if (-place >= sloppy)
				*exact = false;
		}
		place--;
	}
	for (; place > 0 && v != 0; place--)
	{
		if (v > UINT64_MAX / 10)
			return false;
		v *= 10;
	}
	if (half && (above_half || v % 2 == 1))
		v++;
	if (v > INT64_MAX)
		return false;
	*result = decimal->negative ? -(int64_t) v : (int64_t) v;
	return true;
}

/* Fields of NaN and the infinities; the latter's display scale is what numeric_send makes of them. */
static bool
put_special(const TxdColumn *column, const char *text, size_t len, TxdBuf *out, TxdError *err)
{
	uint16_t sign;
	size_t skip = len > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
	char *p;

	if (txd_is_word(text, len, "nan"))
		sign = SIGN_NAN;
	else if (txd_is_word(text + skip, len - skip, "infinity") ||
			 txd_is_word(text + skip, len - skip, "inf"))
		sign = skip == 1 && text[0] == '-' ? SIGN_MINUS_INFINITY : SIGN_INFINITY;
	else
		return txd_refuse_value(err, "bad_value", column, "invalid input for numeric", text, len);
	if (sign != SIGN_NAN && column->precision > 0)
		return txd_refuse_value(err, "out_of_range", column,
								"numeric with a precision cannot be infinite", text, len);

	p = txd_put32(txd_buf_reserve(out, 12), 8);
	p = txd_put32(p, 0);
	p = txd_put16(p, sign);
	txd_put16(p, sign == SIGN_NAN ? 0 : 0x20);
	out->len += 12;
	return true;
}

/* Exponents of ten of the first and the last digit that is not 0; false when all are. */
static bool
significant(const TxdDecimal *decimal, const char **first, const char **last, int64_t *lead,
			int64_t *low)
{
	const char *p = decimal->digits;
	const char *q = decimal->digits_end - 1;
	int64_t at = decimal->whole - 1;

	for (; p < decimal->digits_end && (*p == '0' || *p == '.'); p++)
		at -= *p == '0';
	if (p == decimal->digits_end)
		return false;
	while (*q == '0' || *q == '.')
		q--;
	*first = p;
	*last = q;
	*lead = at;
	for (; p < q; p++)
		at -= *p != '.';
	/* The loop counted the digits from the first up to, not including, the last. */
	*low = at;
	return true;
}

/* Writes the base-10000 digits from first to last, whose leading digit stands for 10^lead. */
static char *
put_groups(char *p, const char *first, const char *last, int64_t lead)
{
	/* Offset by a multiple of 4, so that the place within a group is that of a positive number. */
	unsigned place = (unsigned) ((lead + 4 * (int64_t) TXD_EXPONENT_LIMIT) % 4);
	unsigned group = 0;

	for (; first <= last; first++)
	{
		if (*first == '.')
			continue;
		group = group * 10 + (unsigned) (*first - '0');
		if (place == 0)
		{
			p = txd_put16(p, (uint16_t) group);
			group = 0;
			place = 4;
		}
		place--;
	}
	if (place == 3)
		return p;
	for (; place > 0; place--)
		group *= 10;
	return txd_put16(p, (uint16_t) (group * 10));
}

/* Floor of n / 4. */
static int64_t
group_of(int64_t n)
{
	return n >= 0 ? n / 4 : -((3 - n) / 4);
}

bool
txd_put_numeric(const TxdColumn *column, const char *text, size_t len, TxdBuf *out, TxdError *err)
{
	TxdDecimal decimal;
	const char *first = NULL;
	const char *last = NULL;
	int64_t lead = 0;
	int64_t low = 0;
	int64_t scale;
	int64_t groups = 0;
	bool zero;
	char *p;

	if (!txd_scan_decimal(text, len, &decimal))
		return put_special(column, text, len, out, err);
	zero = !significant(&decimal, &first, &last, &lead, &low);
	scale = decimal.scale;
	if (column->precision > 0)
	{
		scale = column->scale > 0 ? column->scale : 0;
		if (!zero && lead >= column->precision - column->scale)
			return txd_refuse_value(err, "out_of_range", column,
									"more digits before the point than numeric allows", text, len);
		if (!zero && low < -(int64_t) column->scale)
			return txd_refuse_value(err, "excess_scale", column,
									"more digits after the point than numeric keeps", text, len);
	}
	if (decimal.huge || scale > DSCALE_MAX || group_of(lead) > WEIGHT_MAX)
		return txd_refuse_value(err, "out_of_range", column, "value out of range for numeric", text,
								len);

	if (!zero)
		groups = group_of(lead) - group_of(low) + 1;
	p = txd_put32(txd_buf_reserve(out, 12 + 2 * (size_t) groups), (uint32_t) (8 + 2 * groups));
	p = txd_put16(p, (uint16_t) groups);
	p = txd_put16(p, (uint16_t) (zero ? 0 : group_of(lead)));
	p = txd_put16(p, decimal.negative && !zero ? SIGN_NEGATIVE : 0);
	p = txd_put16(p, (uint16_t) scale);
	if (!zero)
		put_groups(p, first, last, lead);
	out->len += 12 + 2 * (size_t) groups;
	return true;
}
