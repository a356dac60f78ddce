/*
 * json_write.c — values as JSON.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_write.h"
#include "json_plain.h"

#define SHORT_SCALE 40 /* of decimals that are written without memory of their own */

void
txd_write_text(TxdBuf *json, const char *text, size_t len)
{
	char *p = txd_buf_reserve(json, len + 2);

	*p++ = '"';
	memcpy(p, text, len);
	p[len] = '"';
	json->len += len + 2;
}

static void
put_escaped(TxdBuf *json, const char *text, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	size_t more = 0;
	char *start;
	char *p;

	for (size_t i = 0; i < len; i++)
		more += (unsigned char) text[i] < 0x20 ? 5 : text[i] == '"' || text[i] == '\\';
	start = p = txd_buf_reserve(json, len + more + 2);
	*p++ = '"';
	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) text[i];

		if (c < 0x20)
		{
			memcpy(p, "\\u00", 4);
			p[4] = hex[c >> 4];
			p[5] = hex[c & 15];
			p += 6;
			continue;
		}
		if (c == '"' || c == '\\')
			*p++ = '\\';
		*p++ = (char) c;
	}
	*p++ = '"';
	json->len += (size_t) (p - start);
}

void
txd_write_quoted(TxdBuf *json, const char *text, size_t len)
{
	if (txd_json_plain_end(text, text + len) == text + len)
		txd_write_text(json, text, len);
	else
		put_escaped(json, text, len);
}

/* The input of a bytea, its backslash doubled as JSON wants it. */
void
txd_write_hex(TxdBuf *json, const unsigned char *bytes, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	char *p = txd_buf_reserve(json, 2 * len + 5);

	memcpy(p, "\"\\\\x", 4);
	p += 4;
	for (size_t i = 0; i < len; i++)
	{
		*p++ = hex[bytes[i] >> 4];
		*p++ = hex[bytes[i] & 15];
	}
	*p = '"';
	json->len += 2 * len + 5;
}

void
txd_write_unsigned(TxdBuf *json, uint64_t v)
{
	char digits[24];
	char *p = digits + sizeof(digits);

	do
		*--p = (char) ('0' + v % 10);
	while ((v /= 10) > 0);
	txd_buf_append(json, p, (size_t) (digits + sizeof(digits) - p));
}

void
txd_write_integer(TxdBuf *json, int64_t v)
{
	if (v < 0)
		txd_buf_byte(json, '-');
	txd_write_unsigned(json, v < 0 ? -(uint64_t) v : (uint64_t) v);
}

/* A number of digits with the point before the last `scale` of them. */
static void
put_scaled(TxdBuf *json, bool negative, const char *first, const char *end, int scale)
{
	size_t whole = (size_t) (end - first) - (size_t) scale;

	if (negative)
		txd_buf_byte(json, '-');
	txd_buf_append(json, first, whole);
	if (scale > 0)
	{
		txd_buf_byte(json, '.');
		txd_buf_append(json, first + whole, (size_t) scale);
	}
}

/* The digits of an integer, the last `scale` of them behind the point. */
static void
put_digits(TxdBuf *json, bool negative, uint64_t v, int scale)
{
	char digits[SHORT_SCALE + 24];
	char *end = digits + sizeof(digits);
	char *first = end;

	do
		*--first = (char) ('0' + v % 10);
	while ((v /= 10) > 0 || end - first <= scale);
	put_scaled(json, negative, first, end, scale);
}

/*
 * Writes a number of up to 15 digits (6 of a float), nine of them behind the point, as most that people write down are: false when
 * it is none. The quotient of two integers that doubles hold exactly is rounded once, as reading the digits is; a float is
 * 24 bits, and no such decimal is so near the middle of two floats that the double between matters.
 */
static bool
put_short_real(TxdBuf *json, double v, bool is_float)
{
	static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
	double most = is_float ? 1e6 : 1e15;
	double whole = fabs(v);

	if (whole < 1e-4)
		return false;
	for (int scale = 1; scale <= 9 && whole * powers[scale] < most; scale++)
	{
		double digits = nearbyint(whole * powers[scale]);
		double same = digits / powers[scale];

		if (is_float ? (float) same == (float) whole : same == whole)
		{
			put_digits(json, v < 0, (uint64_t) digits, scale);
			return true;
		}
	}
	return false;
}

/* The shortest number that is the same when it is read again. */
void
txd_write_real(TxdBuf *json, double v, bool is_float)
{
	int most = is_float ? 9 : 17;
	char text[40];
	int n = 0;

	if (!isfinite(v))
	{
		const char *name = isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity";

		txd_write_text(json, name, strlen(name));
		return;
	}
	if (v > -1e15 && v < 1e15 && v == (double) (int64_t) v && !(v == 0 && signbit(v)))
	{
		txd_write_integer(json, (int64_t) v);
		return;
	}
	if (put_short_real(json, v, is_float))
		return;
	for (int digits = is_float ? 6 : 15; digits <= most; digits++)
	{
		n = snprintf(text, sizeof(text), "%.*g", digits, v);
		if (is_float ? strtof(text, NULL) == (float) v : strtod(text, NULL) == v)
			break;
	}
	txd_buf_append(json, text, (size_t) n);
}

/* Divides a big-endian number of 32-bit limbs by 10^9; returns the remainder. */
static uint32_t
divide(uint32_t *limb, size_t n)
{
	uint64_t rest = 0;

	for (size_t i = 0; i < n; i++)
	{
		rest = rest << 32 | limb[i];
		limb[i] = (uint32_t) (rest / 1000000000);
		rest %= 1000000000;
	}
	return (uint32_t) rest;
}

/* Limbs of the absolute value. */
static uint32_t *
limbs_of(const unsigned char *p, size_t len, bool negative, size_t *n)
{
	uint32_t *limb;
	uint64_t carry = negative;

	*n = len / 4 + 1;
	limb = txd_alloc(*n * sizeof(*limb));
	memset(limb, negative ? 0xff : 0, *n * sizeof(*limb));
	for (size_t i = 0; i < len; i++)
	{
		size_t from_end = len - 1 - i;
		uint32_t *at = &limb[*n - 1 - from_end / 4];
		int shift = 8 * (int) (from_end % 4);

		*at = (*at & ~(UINT32_C(0xff) << shift)) | (uint32_t) p[i] << shift;
	}
	for (size_t i = *n; negative && i-- > 0;)
	{
		carry += (uint32_t) ~limb[i];
		limb[i] = (uint32_t) carry;
		carry >>= 32;
	}
	return limb;
}

/* What fits 64 bits, as nearly all do. */
static void
put_short_decimal(TxdBuf *json, const unsigned char *p, size_t len, int scale)
{
	uint64_t bits = len > 0 && p[0] >= 0x80 ? UINT64_MAX : 0;
	bool negative = bits != 0;

	for (size_t i = 0; i < len; i++)
		bits = bits << 8 | p[i];
	put_digits(json, negative, negative ? -bits : bits, scale);
}

static void
put_long_decimal(TxdBuf *json, const unsigned char *p, size_t len, int scale)
{
	bool negative = len > 0 && p[0] >= 0x80;
	size_t n;
	uint32_t *limb = limbs_of(p, len, negative, &n);
	size_t room = 10 * n + (size_t) scale + 12;
	char *digits = txd_alloc(room);
	char *end = digits + room;
	char *first = end;
	size_t used = 0;

	/* Nine digits at a time, from the last, until nothing is left and there is one before the point. */
	while (used < n || end - first <= scale)
	{
		uint32_t part = used < n ? divide(limb + used, n - used) : 0;

		for (int i = 0; i < 9; i++, part /= 10)
			*--first = (char) ('0' + part % 10);
		while (used < n && limb[used] == 0)
			used++;
	}
	while (end - first > scale + 1 && *first == '0')
		first++;
	put_scaled(json, negative, first, end, scale);
	free(digits);
	free(limb);
}

void
txd_write_decimal(TxdBuf *json, const unsigned char *p, size_t len, int scale)
{
	if (len <= 8 && scale <= SHORT_SCALE)
		put_short_decimal(json, p, len, scale);
	else
		put_long_decimal(json, p, len, scale);
}
