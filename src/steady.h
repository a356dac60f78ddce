/*
 * steady.h — when something is due: a clock that nobody sets.
 *
 * Its times have the server's type for times, so that the macros of utils/timestamp.h take them, but are counted from
 * the machine's start: they are for waiting and comparing, never for people or tables. All processes share it.
 */
#ifndef TXP_STEADY_H
#define TXP_STEADY_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "io/clock.h"

static inline TimestampTz
txp_steady_now(void)
{
	return txp_now_us();
}

#endif
