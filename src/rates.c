/*
 * rates.c — how fast streams are: a ring of one-second buckets in each claim.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "rates.h"
#include "shared_state.h"
#include "steady.h"

#define BUCKETS (TXP_RATE_SECONDS + 1)

static int64
this_second(void)
{
	return txp_steady_now() / USECS_PER_SEC;
}

void
txp_rates_add(int claim, int32 stream_id, uint32 part, int64 rows, int64 bytes)
{
	int64 second = this_second();
	TxpClaimEntry *entry = &txp_shared->claims[claim];
	TxpRateBucket *bucket = &entry->rate[second % BUCKETS];

	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	/* It may have gone to somebody else meanwhile. */
	if (entry->database == MyDatabaseId && entry->stream_id == stream_id && entry->part == part)
	{
		if (bucket->second != second)
			*bucket = (TxpRateBucket){.second = second};
		bucket->rows += rows;
		bucket->bytes += bytes;
	}
	LWLockRelease(txp_shared->lock);
}

static void
add_claim(TxpRates *rates, const TxpClaimEntry *claim, int64 now)
{
	for (int i = 0; i < BUCKETS; i++)
	{
		const TxpRateBucket *bucket = &claim->rate[i];
		int64 age = now - bucket->second;

		/* The second that is running is not full yet. */
		if (age < 1 || age > TXP_RATE_SECONDS)
			continue;
		rates->rows_10 += (double) bucket->rows / TXP_RATE_SECONDS;
		rates->bytes_10 += (double) bucket->bytes / TXP_RATE_SECONDS;
		if (age > 1)
			continue;
		rates->rows_1 += bucket->rows;
		rates->bytes_1 += bucket->bytes;
	}
}

bool
txp_rates_read(int32 stream_id, TxpRates *rates)
{
	int64 now = this_second();

	*rates = (TxpRates){0};
	if (txp_shared == NULL)
		return false;
	LWLockAcquire(txp_shared->lock, LW_SHARED);
	for (int i = 0; i < TXP_MAX_CLAIMS; i++)
	{
		const TxpClaimEntry *claim = &txp_shared->claims[i];

		if (claim->database == MyDatabaseId && claim->stream_id == stream_id)
			add_claim(rates, claim, now);
	}
	LWLockRelease(txp_shared->lock);
	return true;
}
