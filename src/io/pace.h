/*
 * pace.h — limits of rows and bytes a second: token buckets that hold at most a second's worth.
 */
#ifndef TXP_PACE_H
#define TXP_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct TxpBucket
{
	int64_t per_second; /* 0: no limit */
	double tokens;      /* below 0 after a message larger than what was left */
} TxpBucket;

typedef struct TxpPace
{
	TxpBucket rows;
	TxpBucket bytes;
	int64_t filled_us;
} TxpPace;

extern void txp_pace_init(TxpPace *pace, int64_t rows_per_second, int64_t bytes_per_second);

/* Adds what the time since the last call is worth. */
extern void txp_pace_fill(TxpPace *pace, int64_t now_us);

/* May the next message be taken? */
static inline bool
txp_pace_allows(const TxpPace *pace)
{
	return (pace->rows.per_second == 0 || pace->rows.tokens >= 1) &&
		   (pace->bytes.per_second == 0 || pace->bytes.tokens > 0);
}

static inline void
txp_pace_spend(TxpPace *pace, size_t bytes)
{
	pace->rows.tokens -= 1;
	pace->bytes.tokens -= (double) bytes;
}

/* Milliseconds until going on is worth while; 0: now. */
extern int txp_pace_wait_ms(const TxpPace *pace);

#endif
