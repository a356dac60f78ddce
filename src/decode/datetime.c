/*
 * datetime.c — dates and times to their COPY fields: zone, range and precision rules.
 *
 * As in PostgreSQL, a zone given with a date, time or timestamp without time zone is read and ignored.
 * Unlike it, what the column would lose is refused: digits beyond its precision, a time of day in a date.
 * Seconds of seven to nine digits are rounded to microseconds where the column has no precision of its
 * own, because nanoseconds are what many clocks print.
 *
 * In text form everything but a time is written out in UTC with its zone, so that no setting of the
 * session that reads it matters.
 */
#include "datetime.h"
#include "dateparse.h"
#include "field.h"
#include "numeric.h"

#define SECOND_US INT64_C(1000000)
#define DAY_US INT64_C(86400000000)

/* Microseconds and days from 1970-01-01 to 2000-01-01. */
#define EPOCH_US INT64_C(946684800000000)
#define EPOCH_DAYS 10957

/* 4714-11-24 BC, the first day of all types; behind the last of a timestamp, and of a date. */
#define FIRST_US INT64_C(-211813488000000000)
#define END_US INT64_C(9223371331200000000)
#define END_DAY INT64_C(2145031949)

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t
floor_mod(int64_t a, int64_t b)
{
	return a % b + (a % b < 0 ? b : 0);
}

static char *
put_digits(char *p, int64_t v, int width)
{
	char digits[20];
	int n = 0;

	do
		digits[n++] = (char) ('0' + v % 10);
	while ((v /= 10) > 0 || n < width);
	while (n > 0)
		*p++ = digits[--n];
	return p;
}

/* Year, month and day of days since 2000-01-01, by the civil calendar's 400-year cycle. */
static char *
put_date(char *p, int64_t days, bool *bc)
{
	int64_t shifted = days + 730425;
	int64_t era = floor_div(shifted, 146097);
	int64_t doe = shifted - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;
	int64_t year = era * 400 + yoe + (mp >= 10);

	*bc = year <= 0;
	p = put_digits(p, year > 0 ? year : 1 - year, 4);
	*p++ = '-';
	p = put_digits(p, mp < 10 ? mp + 3 : mp - 9, 2);
	*p++ = '-';
	return put_digits(p, doy - (153 * mp + 2) / 5 + 1, 2);
}

/* Of a number of 1/second, with the given digits of a fraction. */
static char *
put_clock(char *p, int64_t units, int64_t second, int digits)
{
	p = put_digits(p, units / second / 3600, 2);
	*p++ = ':';
	p = put_digits(p, units / second / 60 % 60, 2);
	*p++ = ':';
	p = put_digits(p, units / second % 60, 2);
	if (units % second != 0)
	{
		*p++ = '.';
		p = put_digits(p, units % second, digits);
	}
	return p;
}

static char *
put_time(char *p, int64_t us)
{
	return put_clock(p, us, SECOND_US, 6);
}

static char *
put_suffix(char *p, const char *suffix)
{
	size_t len = strlen(suffix);

	memcpy(p, suffix, len);
	return p + len;
}

/* Text of microseconds since 2000-01-01; `zone` follows the time. */
static size_t
timestamp_text(char *text, int64_t us, const char *zone)
{
	int64_t days = floor_div(us, DAY_US);
	bool bc;
	char *p = put_date(text, days, &bc);

	*p++ = ' ';
	p = put_time(p, floor_mod(us, DAY_US));
	p = put_suffix(p, zone);
	return (size_t) (put_suffix(p, bc ? " BC" : "") - text);
}

static int64_t
units_of(int digits)
{
	int64_t second = 1;

	for (int i = 0; i < digits; i++)
		second *= 10;
	return second;
}

size_t
txd_unix_text(int64_t since, int digits, const char *zone, char *text)
{
	/* Any int64 is shown: of the two epochs only the year 2000's could overflow, so count from 1970. */
	int64_t second = units_of(digits);
	int64_t day = 86400 * second;
	bool bc;
	char *p = put_date(text, floor_div(since, day) - EPOCH_DAYS, &bc);

	*p++ = ' ';
	p = put_clock(p, floor_mod(since, day), second, digits);
	p = put_suffix(p, zone);
	return (size_t) (put_suffix(p, bc ? " BC" : "") - text);
}

size_t
txd_unix_us_text(int64_t us, char *text)
{
	return txd_unix_text(us, 6, "+00", text);
}

size_t
txd_unix_day_text(int64_t days, char *text)
{
	bool bc;
	char *p = put_date(text, days - EPOCH_DAYS, &bc);

	return (size_t) (put_suffix(p, bc ? " BC" : "") - text);
}

size_t
txd_clock_text(int64_t since, int digits, char *text)
{
	return (size_t) (put_clock(text, since, units_of(digits), digits) - text);
}

static bool
refuse_range(const TxdColumn *column, const char *text, size_t len, TxdError *err)
{
	return txd_refuse_value(err, "out_of_range", column, "date or time out of range", text, len);
}

static bool
append_timestamp(const TxdColumn *column, TxdForm form, int64_t us, TxdBuf *out)
{
	if (form == TXD_BINARY)
		txd_field64(out, (uint64_t) us);
	else
		out->len += timestamp_text(txd_buf_reserve(out, TXD_DATETIME_TEXT), us,
								   column->type == TXD_TIMESTAMPTZ ? "+00" : "");
	return true;
}

static bool
append_date(TxdForm form, int64_t days, TxdBuf *out)
{
	char *text;
	char *p;
	bool bc;

	if (form == TXD_BINARY)
	{
		txd_field32(out, (uint32_t) days);
		return true;
	}
	text = txd_buf_reserve(out, TXD_DATETIME_TEXT);
	p = put_date(text, days, &bc);
	out->len += (size_t) (put_suffix(p, bc ? " BC" : "") - text);
	return true;
}

static bool
append_infinite(const TxdColumn *column, TxdForm form, int sign, TxdBuf *out)
{
	if (form == TXD_TEXT)
		txd_buf_append(out, sign > 0 ? "infinity" : "-infinity", sign > 0 ? 8 : 9);
	else if (column->type == TXD_DATE)
		txd_field32(out, (uint32_t) (sign > 0 ? INT32_MAX : INT32_MIN));
	else
		txd_field64(out, (uint64_t) (sign > 0 ? INT64_MAX : INT64_MIN));
	return true;
}

/* A moment that was read, to the column's type; text is for the message only. */
static bool
append_moment(const TxdColumn *column, TxdForm form, const TxdZone *zone, const TxdMoment *m,
			  const char *text, size_t len, TxdBuf *out, TxdError *err)
{
	int64_t us;

	if (column->type == TXD_TIME)
	{
		if (form == TXD_BINARY)
			txd_field64(out, (uint64_t) m->us);
		else
		{
			char *p = txd_buf_reserve(out, TXD_DATETIME_TEXT);

			out->len += (size_t) (put_time(p, m->us) - p);
		}
		return true;
	}
	if (m->infinite != 0)
		return append_infinite(column, form, m->infinite, out);
	if (column->type == TXD_DATE)
	{
		if (m->us != 0)
			return txd_refuse_value(err, "excess_scale", column,
									"a date cannot keep the time of day", text, len);
		if (m->days >= END_DAY)
			return refuse_range(column, text, len, err);
		return append_date(form, m->days, out);
	}
	if (m->days > END_US / DAY_US)
		return refuse_range(column, text, len, err);
	/* Days of margin are left between the range and int64, so that no time of day or zone overflows. */
	us = m->days * DAY_US + m->us;
	if (column->type == TXD_TIMESTAMPTZ)
	{
		int64_t local = floor_div(us, SECOND_US) + EPOCH_US / SECOND_US;

		us -= SECOND_US * (m->has_zone ? m->zone : txd_zone_at_local(zone, local));
	}
	if (us < FIRST_US || us >= END_US)
		return refuse_range(column, text, len, err);
	return append_timestamp(column, form, us, out);
}

bool
txd_put_datetime(const TxdColumn *column, TxdForm form, const TxdZone *zone, const char *text,
				 size_t len, TxdBuf *out, TxdError *err)
{
	static const char *const what[] = {"invalid input for date", "invalid input for time",
									   "invalid input for timestamp",
									   "invalid input for timestamp"};
	TxdMoment moment;

	switch (txd_parse_moment(text, len, column->type != TXD_TIME, &moment))
	{
		case TXD_PARSE_OK:
			break;
		case TXD_PARSE_RANGE:
			return refuse_range(column, text, len, err);
		case TXD_PARSE_EXCESS:
			return txd_refuse_value(err, "excess_scale", column,
									"more than nine digits of a second", text, len);
		case TXD_PARSE_BAD:
			return txd_refuse_value(err, "bad_value", column, what[column->type - TXD_DATE], text,
									len);
	}
	if (column->precision >= 0 && moment.digits > column->precision)
		return txd_refuse_value(err, "excess_scale", column,
								"more digits of a second than the column keeps", text, len);
	return append_moment(column, form, zone, &moment, text, len, out, err);
}

bool
txd_put_unix_us(const TxdColumn *column, TxdForm form, const TxdZone *zone, int64_t us, TxdBuf *out,
				TxdError *err)
{
	char text[TXD_DATETIME_TEXT];
	size_t len = txd_unix_us_text(us, text);
	int64_t unit = SECOND_US;
	int64_t local = us;

	/* A day of margin, so that no zone's offset overflows. */
	if (us > INT64_MAX - DAY_US || us < FIRST_US + EPOCH_US + DAY_US)
		return refuse_range(column, text, len, err);
	if (column->type != TXD_TIMESTAMPTZ)
		local += SECOND_US * txd_zone_at_instant(zone, floor_div(us, SECOND_US));
	if (column->type == TXD_DATE)
		return append_date(form, floor_div(local, DAY_US) - EPOCH_DAYS, out);
	for (int digits = 0; digits < column->precision; digits++)
		unit /= 10;
	if (column->precision >= 0 && unit > 0 && us % unit != 0)
		return txd_refuse_value(err, "excess_scale", column,
								"more digits of a second than the column keeps", text, len);
	return append_timestamp(column, form, local - EPOCH_US, out);
}

/* A moment that a schema has made of the number: in UTC, as what is counted since 1970. */
static bool
read_unix_us(const char *text, size_t len, int64_t *us, bool *in_range)
{
	TxdMoment m;

	if (txd_parse_moment(text, len, true, &m) != TXD_PARSE_OK || !m.has_time)
		return false;
	m.us += EPOCH_US - SECOND_US * (m.has_zone ? m.zone : 0);
	*in_range =
		!__builtin_mul_overflow(m.days, DAY_US, us) && !__builtin_add_overflow(*us, m.us, us);
	return true;
}

bool
txd_put_epoch(const TxdColumn *column, TxdForm form, const TxdZone *zone, const char *text,
			  size_t len, TxdBuf *out, TxdError *err)
{
	int places = column->convert == TXD_AS_EPOCH_S ? 6 : column->convert == TXD_AS_EPOCH_MS ? 3 : 0;
	TxdDecimal decimal;
	int64_t us;
	bool exact = true;
	bool in_range;

	if (column->type == TXD_TIME)
		return txd_refuse_value(err, "wrong_type", column, "an instant cannot become a time of day",
								text, len);
	txd_trim(&text, &len);
	if (txd_scan_decimal(text, len, &decimal))
		in_range = txd_decimal_to_int64(&decimal, places, 3, &us, &exact);
	else if (!column->typed || !read_unix_us(text, len, &us, &in_range))
		return txd_refuse_value(err, "bad_value", column, "invalid number since 1970", text, len);
	if (!in_range)
		return refuse_range(column, text, len, err);
	if (!exact)
		return txd_refuse_value(err, "excess_scale", column, "more than nine digits of a second",
								text, len);
	return txd_put_unix_us(column, form, zone, us, out, err);
}
