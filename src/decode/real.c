/*
 * real.c — real and double precision, correctly rounded and independent of the locale.
 */
#include "numeric.h"
#include "field.h"

#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

static void
put_double(const TxdColumn *column, double v, TxdBuf *out)
{
	uint64_t bits8;
	uint32_t bits4;
	float narrow;

	if (column->type == TXD_FLOAT8)
	{
		memcpy(&bits8, &v, sizeof(v));
		txd_field64(out, bits8);
		return;
	}
	narrow = (float) v;
	memcpy(&bits4, &narrow, sizeof(narrow));
	txd_field32(out, bits4);
}

/*
 * A mantissa and a power of ten that are both exact in the type need one correctly rounded operation
 * (Clinger, "How to read floating point numbers accurately", 1990). Returns false when they are not.
 */
static bool
quick_real(const TxdDecimal *decimal, bool single, double *result)
{
	static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
								   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
								   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
	int64_t count = decimal->digits_end - decimal->digits;
	int64_t exponent = decimal->whole;
	uint64_t v = 0;

	if (FLT_EVAL_METHOD != 0 || count > 19)
		return false;
	for (const char *p = decimal->digits; p < decimal->digits_end; p++)
	{
		if (*p == '.')
			continue;
		v = v * 10 + (uint64_t) (*p - '0');
		exponent--;
	}
	if (v > (single ? UINT64_C(1) << FLT_MANT_DIG : UINT64_C(1) << DBL_MANT_DIG))
		return false;
	if (exponent < (single ? -10 : -22) || exponent > (single ? 10 : 22))
		return false;
	if (single)
		*result = exponent < 0 ? (float) v / (float) power[-exponent]
							   : (float) v * (float) power[exponent];
	else
		*result = exponent < 0 ? (double) v / power[-exponent] : (double) v * power[exponent];
	if (decimal->negative)
		*result = -*result;
	return true;
}

/* strtof or strtod in the C locale; false: out of range. */
static bool
exact_real(const char *text, size_t len, bool single, double *result)
{
	char small[128];
	char *copy = len < sizeof(small) ? small : txd_alloc(len + 1);
	/* glibc returns its built-in C locale here: nothing is allocated. */
	locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t) 0);
	bool ok;

	memcpy(copy, text, len);
	copy[len] = '\0';
	errno = 0;
	*result = single ? strtof_l(copy, NULL, c_locale) : strtod_l(copy, NULL, c_locale);
	/* A denormal raises ERANGE too, and is good. */
	ok = errno != ERANGE || (*result != 0 && !isinf(*result));
	freelocale(c_locale);
	if (copy != small)
		free(copy);
	return ok;
}

bool
txd_put_real(const TxdColumn *column, const char *text, size_t len, TxdBuf *out, TxdError *err)
{
	bool single = column->type == TXD_FLOAT4;
	size_t skip = len > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
	TxdDecimal decimal;
	double v;

	if (txd_scan_decimal(text, len, &decimal))
	{
		if (!quick_real(&decimal, single, &v) && !exact_real(text, len, single, &v))
			return txd_refuse_value(err, "out_of_range", column,
									single ? "value out of range for real"
										   : "value out of range for double precision",
									text, len);
	}
	else if (txd_is_word(text, len, "nan"))
		v = NAN;
	else if (txd_is_word(text + skip, len - skip, "infinity") ||
			 txd_is_word(text + skip, len - skip, "inf"))
		v = text[0] == '-' ? -INFINITY : INFINITY;
	else
		return txd_refuse_value(
			err, "bad_value", column,
			single ? "invalid input for real" : "invalid input for double precision", text, len);
	put_double(column, v, out);
	return true;
}
