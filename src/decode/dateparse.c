/*
 * dateparse.c — reading dates and times.
 *
 * The subset of PostgreSQL's syntax that means the same under every DateStyle and time zone setting:
 *
 *   date      YYYY-MM-DD or YYYY/MM/DD, year of 4 to 7 digits, month and day of 1 or 2; YYYYMMDD
 *   time      hh:mm or hh:mm:ss or hh:mm:ss.f, each part of 1 or 2 digits, f of 1 to 9
 *   zone      Z, UTC, or + or - followed by hh, hh:mm, hh:mm:ss (parts of 1 or 2 digits), hmm or hhmm;
 *             blanks may precede it
 *   moment    date, or date T time zone, or date blanks time zone; or infinity, -infinity
 *
 * 24:00:00 and a second of 60 are taken as PostgreSQL takes them.
 */
#include "dateparse.h"
#include "field.h"

#define MINUTE_US INT64_C(60000000)
#define DAY_US INT64_C(86400000000)
#define MAX_ZONE_HOUR 15

/* Reads min to max digits, no more following; -1: not so. */
static int
read_number(const char **p, const char *end, int min, int max)
{
	int v = 0;
	int n = 0;

	for (; *p < end && txd_is_digit(**p); (*p)++)
	{
		if (++n > max)
			return -1;
		v = v * 10 + (**p - '0');
	}
	return n < min ? -1 : v;
}

static bool
is_leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days from 2000-01-01 to a date of the proleptic Gregorian calendar; years from 1. */
static int64_t
days_from_date(int year, int month, int day)
{
	/* Days before a month in a year that begins in March, where the leap day comes last. */
	int64_t y = month > 2 ? year : year - 1;
	int64_t m = month > 2 ? month - 3 : month + 9;

	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 730425;
}

static TxdParse
parse_date(const char **p, const char *end, TxdMoment *moment)
{
	static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	const char *start = *p;
	int year;
	int month;
	int day;
	int year_digits;
	char separator;

	/* Eight digits without separators need a look at what follows: a year has at most seven. */
	while (*p < end && txd_is_digit(**p))
		(*p)++;
	year_digits = (int) (*p - start > 9 ? 9 : *p - start);
	separator = *p < end && (**p == '-' || **p == '/') ? **p : '\0';
	if (year_digits == 8 && separator == '\0')
	{
		*p = start;
		year = read_number(p, start + 4, 4, 4);
		month = read_number(p, start + 6, 2, 2);
		day = read_number(p, start + 8, 2, 2);
	}
	else
	{
		if (year_digits < 4 || year_digits > 7 || separator == '\0')
			return TXD_PARSE_BAD;
		*p = start;
		year = read_number(p, end, 4, 7);
		(*p)++;
		month = read_number(p, end, 1, 2);
		if (month < 0 || *p == end || **p != separator)
			return TXD_PARSE_BAD;
		(*p)++;
		day = read_number(p, end, 1, 2);
		if (day < 0)
			return TXD_PARSE_BAD;
	}
	if (year < 1 || month < 1 || month > 12 || day < 1 ||
		day > month_days[month - 1] + (month == 2 && is_leap(year)))
		return TXD_PARSE_RANGE;
	moment->days = days_from_date(year, month, day);
	return TXD_PARSE_OK;
}

/*
 * Digits behind the second's point, in microseconds. More than six are rounded by way of a double, as
 * PostgreSQL does it: what looks like a half in decimal need not be one there.
 */
static TxdParse
parse_fraction(const char **p, const char *end, TxdMoment *moment, int64_t *us)
{
	static const double power[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
	double exact;
	int64_t v = 0;
	int n = 0;

	for (; *p < end && txd_is_digit(**p); (*p)++)
	{
		if (++n > 9)
			return TXD_PARSE_EXCESS;
		v = v * 10 + (**p - '0');
		if (**p != '0')
			moment->digits = n;
	}
	if (n == 0)
		return TXD_PARSE_BAD;
	if (n > 6)
	{
		exact = (double) v / power[n] * 1e6;
		v = (int64_t) exact;
		exact -= (double) v;
		if (exact > 0.5 || (exact == 0.5 && v % 2 == 1))
			v++;
	}
	for (; n < 6; n++)
		v *= 10;
	*us = v;
	return TXD_PARSE_OK;
}

static TxdParse
parse_time(const char **p, const char *end, TxdMoment *moment)
{
	int hour = read_number(p, end, 1, 2);
	int minute;
	int second = 0;
	int64_t us = 0;

	if (hour < 0 || *p == end || **p != ':')
		return TXD_PARSE_BAD;
	(*p)++;
	minute = read_number(p, end, 1, 2);
	if (minute < 0)
		return TXD_PARSE_BAD;
	if (*p < end && **p == ':')
	{
		(*p)++;
		second = read_number(p, end, 1, 2);
		if (second < 0)
			return TXD_PARSE_BAD;
		if (*p < end && **p == '.')
		{
			TxdParse parse;

			(*p)++;
			parse = parse_fraction(p, end, moment, &us);
			if (parse != TXD_PARSE_OK)
				return parse;
		}
	}
	else if (*p < end && **p == '.')
		return TXD_PARSE_BAD;
	moment->has_time = true;
	moment->us = (hour * 60 + minute) * MINUTE_US + second * INT64_C(1000000) + us;
	if (minute > 59 || second > 60 || moment->us > DAY_US)
		return TXD_PARSE_RANGE;
	return TXD_PARSE_OK;
}

static TxdParse
parse_zone(const char **p, const char *end, TxdMoment *moment)
{
	size_t left = (size_t) (end - *p);
	const char *start;
	bool west;
	int hour;
	int minute = 0;
	int second = 0;

	moment->has_zone = true;
	if (txd_is_word(*p, left, "z") || txd_is_word(*p, left, "utc"))
	{
		*p = end;
		return TXD_PARSE_OK;
	}
	if (**p != '+' && **p != '-')
		return TXD_PARSE_BAD;
	west = *(*p)++ == '-';
	start = *p;
	hour = read_number(p, end, 1, 4);
	if (hour < 0)
		return TXD_PARSE_BAD;
	if (*p - start > 2)
	{
		minute = hour % 100;
		hour /= 100;
	}
	else if (*p < end && **p == ':')
	{
		(*p)++;
		minute = read_number(p, end, 1, 2);
		if (minute >= 0 && *p < end && **p == ':')
		{
			(*p)++;
			second = read_number(p, end, 1, 2);
		}
		if (minute < 0 || second < 0)
			return TXD_PARSE_BAD;
	}
	if (hour > MAX_ZONE_HOUR || minute > 59 || second > 59)
		return TXD_PARSE_RANGE;
	moment->zone = hour * 3600 + minute * 60 + second;
	if (west)
		moment->zone = -moment->zone;
	return TXD_PARSE_OK;
}

static void
skip_blanks(const char **p, const char *end)
{
	while (*p < end && txd_is_space(**p))
		(*p)++;
}

TxdParse
txd_parse_moment(const char *text, size_t len, bool want_date, TxdMoment *moment)
{
	const char *p;
	const char *end;
	TxdParse parse;

	memset(moment, 0, sizeof(*moment));
	txd_trim(&text, &len);
	p = text;
	end = text + len;
	if (want_date)
	{
		if (len > 0 && !txd_is_digit(*p))
		{
			moment->infinite =
				txd_is_word(text, len, "infinity") - txd_is_word(text, len, "-infinity");
			return moment->infinite != 0 ? TXD_PARSE_OK : TXD_PARSE_BAD;
		}
		parse = parse_date(&p, end, moment);
		if (parse != TXD_PARSE_OK || p == end)
			return parse;
		if (*p == 'T' || *p == 't')
			p++;
		else if (txd_is_space(*p))
			skip_blanks(&p, end);
		else
			return TXD_PARSE_BAD;
	}
	parse = parse_time(&p, end, moment);
	if (parse != TXD_PARSE_OK)
		return parse;
	skip_blanks(&p, end);
	if (p < end)
		parse = parse_zone(&p, end, moment);
	if (parse == TXD_PARSE_OK && p < end)
		return TXD_PARSE_BAD;
	return parse;
}
