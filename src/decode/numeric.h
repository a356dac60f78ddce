/*
 * numeric.h — decimal spellings, read once for numeric, floating-point and epoch values.
 */
#ifndef TXD_NUMERIC_H
#define TXD_NUMERIC_H

#include "decode.h"

/* A decimal number taken apart. Digit i (0-based, the point not counted) stands for 10^(whole - 1 - i). */
typedef struct TxdDecimal
{
	bool negative;
	const char *digits;     /* first digit or point */
	const char *digits_end; /* behind the last digit or point of the mantissa */
	int64_t whole;          /* digits before the point, plus the exponent */
	int64_t scale;          /* digits after the point, less the exponent; 0 when negative */
	bool huge;              /* the exponent reaches the limit, and was read as the limit */
} TxdDecimal;

/* Where numeric_in stops reading an exponent: INT_MAX / 2. */
#define TXD_EXPONENT_LIMIT 1073741823

/* [sign] digits [. digits] [e [sign] digits], a digit before or after the point; no white space. */
extern bool txd_scan_decimal(const char *text, size_t len, TxdDecimal *decimal);

/*
 * The number times 10^places as an integer. What is below 1 is rounded half to even when it is at most
 * `sloppy` digits; *exact is false when more digits than that were cut. Returns false when it does not fit.
 */
extern bool txd_decimal_to_int64(const TxdDecimal *decimal, int places, int sloppy, int64_t *result,
								 bool *exact);

#endif
