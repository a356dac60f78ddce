/*
 * datetime.h — date, time, timestamp and timestamptz: the accepted syntax is documented in datetime.c.
 */
#ifndef TXD_DATETIME_H
#define TXD_DATETIME_H

#include "decode.h"

/* Room for any timestamp's text. */
#define TXD_DATETIME_TEXT 64

/* Appends a date, time or timestamp given in its own syntax. */
extern bool txd_put_datetime(const TxdColumn *column, TxdForm form, const TxdZone *zone,
							 const char *text, size_t len, TxdBuf *out, TxdError *err);

/*
 * Appends a date or timestamp given as a number of seconds, milli- or microseconds since 1970; to a column that is `typed`
 * also as the moment in UTC that its schema makes of the number.
 */
extern bool txd_put_epoch(const TxdColumn *column, TxdForm form, const TxdZone *zone,
						  const char *text, size_t len, TxdBuf *out, TxdError *err);

/* Appends an instant: as it is to timestamptz, as the zone's clock shows it to timestamp and date. */
extern bool txd_put_unix_us(const TxdColumn *column, TxdForm form, const TxdZone *zone, int64_t us,
							TxdBuf *out, TxdError *err);

/*
 * Texts of what is counted since 1970 or midnight; they return the length. An instant in UTC, as timestamptz shows it; a
 * moment counted in seconds with so many `digits` of a fraction, behind it `zone`; a day; a time of day, not negative.
 */
extern size_t txd_unix_us_text(int64_t us, char *text);
extern size_t txd_unix_text(int64_t since, int digits, const char *zone, char *text);
extern size_t txd_unix_day_text(int64_t days, char *text);
extern size_t txd_clock_text(int64_t since, int digits, char *text);

/*
 * zone.c: seconds east of UTC at an instant, and of a local time as PostgreSQL would decide. A table whose
 * last change is later than the year 2400 is taken to repeat every 400 years; any other ends with its
 * last offset.
 */
extern int32_t txd_zone_at_instant(const TxdZone *zone, int64_t unix_seconds);
extern int32_t txd_zone_at_local(const TxdZone *zone, int64_t local_seconds);

#endif
