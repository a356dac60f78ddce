/*
 * unixtime.h — Unix milliseconds of messages and files as timestamptz.
 */
#ifndef TXP_UNIXTIME_H
#define TXP_UNIXTIME_H

#include "postgres.h"
#include "utils/timestamp.h"

#define TXP_UNIX_EPOCH_MS                                                                          \
	(INT64CONST(1000) * (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

/*
 * False when there is none: negative means absent, and producers have been seen to write nanoseconds, which
 * lie beyond every calendar.
 */
static inline bool
txp_unix_ms_to_timestamptz(int64 ms, TimestampTz *result)
{
	if (ms < 0 || ms > (END_TIMESTAMP - 1) / 1000)
		return false;
	*result = (ms - TXP_UNIX_EPOCH_MS) * 1000;
	return IS_VALID_TIMESTAMP(*result);
}

static inline int64
txp_timestamptz_to_unix_ms(TimestampTz when)
{
	return when / 1000 + TXP_UNIX_EPOCH_MS;
}

#endif
