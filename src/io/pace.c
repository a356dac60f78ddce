/*
 * pace.c — token buckets.
 */
#include "clock.h"
#include "pace.h"

#define MOST_SECONDS 3600 /* to wait at once; a message may have spent more than that allows */
#define SLICES 20         /* of a second: small enough to be smooth, few enough to wake up for */

void
txp_pace_init(TxpPace *pace, int64_t rows_per_second, int64_t bytes_per_second)
{
	*pace = (TxpPace){.rows = {.per_second = rows_per_second},
					  .bytes = {.per_second = bytes_per_second},
					  .filled_us = txp_now_us()};
	pace->rows.tokens = (double) rows_per_second;
	pace->bytes.tokens = (double) bytes_per_second;
}

static void
fill(TxpBucket *bucket, double seconds)
{
	bucket->tokens += seconds * (double) bucket->per_second;
	if (bucket->tokens > (double) bucket->per_second)
		bucket->tokens = (double) bucket->per_second;
}

void
txp_pace_fill(TxpPace *pace, int64_t now_us)
{
	double seconds = (double) (now_us - pace->filled_us) / 1e6;

	fill(&pace->rows, seconds);
	fill(&pace->bytes, seconds);
	pace->filled_us = now_us;
}

static double
seconds_until(const TxpBucket *bucket, double tokens)
{
	if (bucket->per_second == 0 || bucket->tokens >= tokens)
		return 0;
	return (tokens - bucket->tokens) / (double) bucket->per_second;
}

int
txp_pace_wait_ms(const TxpPace *pace)
{
	double rows = (double) pace->rows.per_second / SLICES;
	double wait_rows;
	double wait_bytes;

	if (txp_pace_allows(pace))
		return 0;
	wait_rows = seconds_until(&pace->rows, rows < 1 ? 1 : rows);
	wait_bytes = seconds_until(&pace->bytes, (double) pace->bytes.per_second / SLICES);
	if (wait_rows > wait_bytes)
		wait_bytes = wait_rows;
	return wait_bytes < MOST_SECONDS ? 1 + (int) (wait_bytes * 1000) : MOST_SECONDS * 1000;
}
