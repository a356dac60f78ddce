/*
 * avro_put.c — values of JSON as Avro's primitive and logical types.
 */
#include <stdlib.h>
#include <string.h>

#include "avro_put.h"
#include "connect.h"
#include "datetime.h"
#include "field.h"
#include "numeric.h"

/* From 1970-01-01 to 2000-01-01. */
#define EPOCH_DAYS 10957
#define EPOCH_US INT64_C(946684800000000)
#define DAY_US INT64_C(86400000000)

/* More digits than a decimal of AVRO_MAX_DECIMAL bytes has. */
#define MAX_DIGITS 9900

void
txd_avro_append_long(TxdBuf *out, int64_t v)
{
	uint64_t raw = (uint64_t) v << 1 ^ (uint64_t) (v >> 63);

	for (; raw >= 0x80; raw >>= 7)
		txd_buf_byte(out, (char) (raw | 0x80));
	txd_buf_byte(out, (char) raw);
}

static void
append_little(TxdBuf *out, uint64_t v, int size)
{
	for (int i = 0; i < size; i++)
		txd_buf_byte(out, (char) (v >> (8 * i)));
}

/* The value as a column of the type has it: a field of 4 or 8 bytes, as a number. */
static bool
read_as(TxdType type, int32_t precision, TxdKind kind, const char *text, size_t len, int64_t *v,
		TxdError *err)
{
	TxdColumn column = {.type = type, .precision = precision};
	TxdBuf field = {0};
	bool ok = txd_value(&column, TXD_BINARY, NULL, kind, text, len, true, &field, err);
	uint64_t raw = 0;

	for (size_t i = 4; ok && i < field.len; i++)
		raw = raw << 8 | (unsigned char) field.data[i];
	*v = ok && field.len == 8 ? (int32_t) (uint32_t) raw : (int64_t) raw;
	txd_buf_free(&field);
	return ok;
}

/* A moment in microseconds, and nanoseconds behind them where so many digits are counted. */
static bool
read_moment(const AvroType *type, const char *text, size_t len, int64_t *us, int *ns, TxdError *err)
{
	TxdType sql = type->logical == AVRO_TIME      ? TXD_TIME
				  : type->logical == AVRO_INSTANT ? TXD_TIMESTAMPTZ
												  : TXD_TIMESTAMP;
	const char *point = type->digits == 9 ? memchr(text, '.', len) : NULL;
	size_t digits = 0;
	TxdBuf cut = {0};
	bool ok;

	*ns = 0;
	while (point != NULL && point + 1 + digits < text + len && txd_is_digit(point[1 + digits]))
		digits++;
	if (digits < 7 || digits > 9)
		return read_as(sql, type->digits == 3 ? 3 : 6, TXD_KIND_TEXT, text, len, us, err);
	for (size_t i = 7; i <= 9; i++)
		*ns = *ns * 10 + (i <= digits ? point[i] - '0' : 0);
	txd_buf_append(&cut, text, (size_t) (point + 7 - text));
	txd_buf_append(&cut, point + 1 + digits, (size_t) (text + len - (point + 1 + digits)));
	ok = read_as(sql, 6, TXD_KIND_TEXT, cut.data, cut.len, us, err);
	txd_buf_free(&cut);
	return ok;
}

static bool
put_date(const char *text, size_t len, TxdBuf *out, TxdError *err)
{
	int64_t days;

	if (!read_as(TXD_DATE, -1, TXD_KIND_TEXT, text, len, &days, err))
		return false;
	if (days == INT32_MAX || days == INT32_MIN || days > INT32_MAX - EPOCH_DAYS)
		return txd_refuse_value(err, "out_of_range", NULL, "Avro has no such date", text, len);
	txd_avro_append_long(out, days + EPOCH_DAYS);
	return true;
}

static bool
put_moment(const AvroType *type, const char *text, size_t len, TxdBuf *out, TxdError *err)
{
	int64_t us;
	int ns;
	bool ok;

	if (!read_moment(type, text, len, &us, &ns, err))
		return false;
	ok = us != INT64_MAX && us != INT64_MIN; /* infinities */
	if (type->logical == AVRO_TIME)
		ok = us < DAY_US;
	else
		ok = ok && !__builtin_add_overflow(us, EPOCH_US, &us);
	if (type->digits == 3)
		us /= 1000; /* there is no remainder: the precision was checked */
	else if (type->digits == 9)
		ok = ok && !__builtin_mul_overflow(us, 1000, &us) && !__builtin_add_overflow(us, ns, &us);
	if (!ok)
		return txd_refuse_value(err, "out_of_range", NULL, "Avro has no such time", text, len);
	txd_avro_append_long(out, us);
	return true;
}

bool
txd_avro_put_integer(const AvroType *type, TxdKind kind, const char *text, size_t len, TxdBuf *out,
					 TxdError *err)
{
	int64_t v;

	if (kind == TXD_KIND_TEXT && type->logical == AVRO_DATE)
		return put_date(text, len, out, err);
	if (kind == TXD_KIND_TEXT && type->logical != AVRO_PLAIN)
		return put_moment(type, text, len, out, err);
	if (kind != TXD_KIND_NUMBER)
		return txd_refuse_value(err, "wrong_type", NULL, "not a number", text, len);
	if (!read_as(type->kind == AVRO_INT ? TXD_INT4 : TXD_INT8, -1, kind, text, len, &v, err))
		return false;
	txd_avro_append_long(out, v);
	return true;
}

/* What JSON has no numbers for. */
static bool
is_special(TxdKind kind, const char *text, size_t len)
{
	return kind == TXD_KIND_TEXT &&
		   (txd_is_word(text, len, "nan") || txd_is_word(text, len, "infinity") ||
			txd_is_word(text, len, "-infinity"));
}

bool
txd_avro_put_real(const AvroType *type, TxdKind kind, const char *text, size_t len, TxdBuf *out,
				  TxdError *err)
{
	bool is_float = type->kind == AVRO_FLOAT;
	int64_t bits;

	if (kind != TXD_KIND_NUMBER && !is_special(kind, text, len))
		return txd_refuse_value(err, "wrong_type", NULL, "not a number", text, len);
	if (!read_as(is_float ? TXD_FLOAT4 : TXD_FLOAT8, -1, kind, text, len, &bits, err))
		return false;
	append_little(out, (uint64_t) bits, is_float ? 4 : 8);
	return true;
}

/* --- decimals --- */

/* A number of limbs, the lowest first, while it is made; then of bytes. */
typedef struct Magnitude
{
	uint32_t limb[MAX_DIGITS / 9 + 2];
	size_t nlimbs;
	unsigned char bytes[4 * (MAX_DIGITS / 9 + 2)];
	size_t n;
	uint32_t part; /* digits that are not in the limbs yet */
	uint32_t power;
} Magnitude;

/* Nine digits at a time: each costs as much as there are limbs. */
static void
add_part(Magnitude *m)
{
	uint64_t carry = m->part;

	for (size_t i = 0; i < m->nlimbs; i++)
	{
		carry += (uint64_t) m->limb[i] * m->power;
		m->limb[i] = (uint32_t) carry;
		carry >>= 32;
	}
	if (carry > 0)
		m->limb[m->nlimbs++] = (uint32_t) carry;
	m->part = 0;
	m->power = 1;
}

static void
add_digit(Magnitude *m, unsigned digit)
{
	m->part = m->part * 10 + digit;
	m->power *= 10;
	if (m->power == 1000000000)
		add_part(m);
}

/* How many digits the number times 10^scale has before the point; 0 of zero. */
static int64_t
count_digits(const TxdDecimal *d, int64_t scale)
{
	int64_t place = d->whole;

	for (const char *p = d->digits; p < d->digits_end; p++)
	{
		place -= *p != '.';
		if (*p != '.' && *p != '0')
			return place + scale + 1;
	}
	return 0;
}

/* Has it digits behind the point then? */
static bool
has_fraction(const TxdDecimal *d, int64_t scale)
{
	int64_t place = d->whole;

	for (const char *p = d->digits; p < d->digits_end; p++)
	{
		place -= *p != '.';
		if (*p != '.' && *p != '0' && place < -scale)
			return true;
	}
	return false;
}

/* The number times 10^scale, which is whole and has at most MAX_DIGITS. */
static void
fill_magnitude(Magnitude *m, const TxdDecimal *d, int64_t scale)
{
	bool zero = count_digits(d, scale) == 0;
	int64_t place = d->whole;

	m->nlimbs = m->n = 0;
	m->part = 0;
	m->power = 1;
	for (const char *p = d->digits; p < d->digits_end && place > -scale; p++)
	{
		if (*p == '.')
			continue;
		place--;
		add_digit(m, (unsigned) (*p - '0'));
	}
	for (; !zero && place > -scale; place--)
		add_digit(m, 0);
	add_part(m);
	for (size_t i = 0; i < 4 * m->nlimbs; i++)
	{
		m->bytes[i] = (unsigned char) (m->limb[i / 4] >> (8 * (i % 4)));
		if (m->bytes[i] != 0)
			m->n = i + 1;
	}
}

/* Two's complement, the highest byte first: as short as may be, or of a fixed size. */
static bool
put_complement(const AvroType *type, Magnitude *m, bool negative, TxdBuf *out)
{
	unsigned carry = 1;
	size_t size;
	bool grows;

	for (size_t i = 0; negative && i < m->n; i++)
	{
		carry += (unsigned char) ~m->bytes[i];
		m->bytes[i] = (unsigned char) carry;
		carry >>= 8;
	}
	grows = m->n == 0 || (m->bytes[m->n - 1] >= 0x80) != negative;
	size = m->n + grows;
	if (size > (type->kind == AVRO_FIXED ? type->size : AVRO_MAX_DECIMAL))
		return false;
	if (type->kind == AVRO_FIXED)
		size = type->size;
	else
		txd_avro_append_long(out, (int64_t) size);
	for (; size > m->n; size--)
		txd_buf_byte(out, negative ? '\xff' : '\0');
	while (size > 0)
		txd_buf_byte(out, (char) m->bytes[--size]);
	return true;
}

static bool
read_decimal(TxdKind kind, const char *text, size_t len, TxdDecimal *d, TxdError *err)
{
	if ((kind == TXD_KIND_NUMBER || kind == TXD_KIND_TEXT) && txd_scan_decimal(text, len, d))
		return true;
	return txd_refuse_value(err, "wrong_type", NULL, "not a decimal number", text, len);
}

/* Of the schema, and of numbers that it has the bytes for. */
static int64_t
most_digits(const AvroType *type)
{
	size_t size =
		type->kind == AVRO_FIXED && type->size < AVRO_MAX_DECIMAL ? type->size : AVRO_MAX_DECIMAL;
	int64_t most = (int64_t) size * 241 / 100 + 1;

	return type->precision < most ? type->precision : most;
}

static bool
put_decimal(const AvroType *type, TxdKind kind, const char *text, size_t len, TxdBuf *out,
			TxdError *err)
{
	Magnitude *m;
	TxdDecimal d;
	bool ok;

	if (!read_decimal(kind, text, len, &d, err))
		return false;
	if (has_fraction(&d, type->digits))
		return txd_refuse(err, "excess_scale", NULL,
						  "more than the schema's %d digits behind the point: \"%.*s\"",
						  type->digits, (int) (len < 60 ? len : 60), text);
	ok = count_digits(&d, type->digits) <= most_digits(type);
	if (ok)
	{
		m = txd_alloc(sizeof(*m));
		fill_magnitude(m, &d, type->digits);
		ok = put_complement(type, m, d.negative && m->n > 0, out);
		free(m);
	}
	return ok || txd_refuse(err, "out_of_range", NULL, "more than the schema's %d digits: \"%.*s\"",
							type->precision, (int) (len < 60 ? len : 60), text);
}

/* --- bytes and fixed --- */

/* A number of an ISO 8601 duration and its unit; false: there is none. `ms`: fractions of seconds. */
static bool
read_part(const char **p, const char *end, uint64_t *v, char *unit)
{
	const char *start = *p;
	uint64_t thousandths = 0;
	int digits = 0;

	for (*v = 0; *p < end && txd_is_digit(**p) && *v < UINT32_MAX; (*p)++)
		*v = *v * 10 + (uint64_t) (**p - '0');
	if (*p == start || *p == end)
		return false;
	if (**p == '.')
	{
		for ((*p)++; *p < end && txd_is_digit(**p) && digits < 3; (*p)++, digits++)
			thousandths = thousandths * 10 + (uint64_t) (**p - '0');
		if (digits == 0 || *p == end || **p != 'S')
			return false;
		for (; digits < 3; digits++)
			thousandths *= 10;
	}
	*unit = *(*p)++;
	*v = *unit == 'S' ? *v * 1000 + thousandths : *v;
	return true;
}

typedef struct DurationUnit
{
	char name;
	bool of_day; /* behind the T */
	int part;
	uint32_t size;
} DurationUnit;

/* Months, days and milliseconds: the units in their order, each at most once. */
static bool
read_duration(const char *text, size_t len, uint64_t part[3])
{
	static const DurationUnit units[] = {
		{'Y', false, 0, 12},     {'M', false, 0, 1},    {'W', false, 1, 7}, {'D', false, 1, 1},
		{'H', true, 2, 3600000}, {'M', true, 2, 60000}, {'S', true, 2, 1}};
	const size_t n = sizeof(units) / sizeof(units[0]);
	const char *p = text + 1;
	const char *end = text + len;
	bool of_day = false;
	size_t next = 0;

	if (len < 2 || *text != 'P')
		return false;
	while (p < end)
	{
		uint64_t v;
		char unit;

		if (*p == 'T' && !of_day)
		{
			of_day = true;
			p++;
		}
		if (!read_part(&p, end, &v, &unit))
			return false;
		while (next < n && (units[next].name != unit || units[next].of_day != of_day))
			next++;
		if (next == n)
			return false;
		/* Both are far from the end of 64 bits. */
		part[units[next].part] += v * units[next].size;
		if (part[units[next].part] > UINT32_MAX)
			return false;
		next++;
	}
	return true;
}

static bool
put_duration(const char *text, size_t len, TxdBuf *out, TxdError *err)
{
	uint64_t part[3] = {0};

	if (!read_duration(text, len, part))
		return txd_refuse_value(err, "bad_value", NULL,
								"no duration of ISO 8601 without sign, such as P1M2DT3.5S", text,
								len);
	for (int i = 0; i < 3; i++)
		append_little(out, part[i], 4);
	return true;
}

/* Written as PostgreSQL writes bytea or uuid. */
static bool
put_raw(const AvroType *type, TxdType sql, const char *text, size_t len, TxdBuf *out, TxdError *err)
{
	TxdColumn column = {.type = sql};
	TxdBuf field = {0};
	bool ok;

	if (sql == TXD_BYTEA && (len < 2 || memcmp(text, "\\x", 2) != 0))
		return txd_refuse_value(err, "bad_value", NULL, "bytes do not begin with \\x", text, len);
	ok = txd_value(&column, TXD_BINARY, NULL, TXD_KIND_TEXT, text, len, true, &field, err);
	if (ok && type->kind == AVRO_FIXED && field.len - 4 != type->size)
		ok = txd_refuse(err, "bad_value", NULL, "%zu bytes, not the schema's %zu", field.len - 4,
						type->size);
	if (ok && type->kind != AVRO_FIXED)
		txd_avro_append_long(out, (int64_t) field.len - 4);
	if (ok)
		txd_buf_append(out, field.data + 4, field.len - 4);
	txd_buf_free(&field);
	return ok;
}

/* With the scale that the number has as it is written: no digits are made for its exponent. */
static bool
put_variable(const AvroType *type, TxdKind kind, const char *text, size_t len, TxdBuf *out,
			 TxdError *err)
{
	const AvroType *value = type->field[1].type;
	Magnitude *m;
	TxdDecimal d;
	int64_t scale;
	bool ok;

	if (!read_decimal(kind, text, len, &d, err))
		return false;
	scale = d.digits_end - d.digits - d.whole;
	scale -= memchr(d.digits, '.', (size_t) (d.digits_end - d.digits)) != NULL;
	ok = scale >= TXD_MIN_SCALE && scale <= TXD_MAX_SCALE && count_digits(&d, scale) <= MAX_DIGITS;
	txd_avro_append_long(out, scale);
	if (ok)
	{
		m = txd_alloc(sizeof(*m));
		fill_magnitude(m, &d, scale);
		ok = put_complement(value, m, d.negative && m->n > 0, out);
		free(m);
	}
	return ok || txd_refuse_value(err, "out_of_range", NULL, "no decimal of Avro", text, len);
}

bool
txd_avro_put_octets(const AvroType *type, TxdKind kind, const char *text, size_t len, TxdBuf *out,
					TxdError *err)
{
	if (type->logical == AVRO_DECIMAL)
		return put_decimal(type, kind, text, len, out, err);
	if (type->logical == AVRO_VARIABLE_DECIMAL)
		return put_variable(type, kind, text, len, out, err);
	if (kind != TXD_KIND_TEXT)
		return txd_refuse_value(err, "wrong_type", NULL, "not a string", text, len);
	if (type->logical == AVRO_DURATION)
		return put_duration(text, len, out, err);
	return put_raw(type, type->logical == AVRO_UUID ? TXD_UUID : TXD_BYTEA, text, len, out, err);
}
