/*
 * clock.h — a clock that only goes forward, the same in both processes.
 */
#ifndef TXP_CLOCK_H
#define TXP_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t
txp_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t) t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static inline int64_t
txp_now_ms(void)
{
	return txp_now_us() / 1000;
}

#endif
