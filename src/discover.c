/*
 * discover.c — from the landing directory to the ledger.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "discover.h"
#include "guc.h"
#include "landing.h"
#include "ledger.h"
#include "progress.h"
#include "steady.h"

/* With a longer settle time a run does not wait: the next one takes the file. */
#define LONGEST_WAIT_MS 60000

List *
txp_discover(Oid user, bool may_mark)
{
	return txp_ledger_arrivals(txp_landing_scan(), user, may_mark);
}

/* Milliseconds until the file has been left alone long enough; 0: it has. */
static int64
unsettled_ms(const TxpArrival *arrival, TimestampTz now)
{
	int64 age_ms = (now - arrival->file.modified_at) / 1000;

	return age_ms >= txp_settle_time ? 0 : Min(txp_settle_time - age_ms, txp_settle_time);
}

static void
wait_ms(int64 ms)
{
	TimestampTz end = TimestampTzPlusMilliseconds(txp_steady_now(), ms);
	long left;

	while ((left = TimestampDifferenceMilliseconds(txp_steady_now(), end)) > 0)
	{
		if (WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left,
					  PG_WAIT_EXTENSION) &
			WL_LATCH_SET)
			ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

static bool
is_unchanged(const TxpLandingFile *file)
{
	int64 bytes;
	TimestampTz modified_at;

	return txp_landing_stat(file->name, &bytes, &modified_at) && bytes == file->bytes &&
		   modified_at == file->modified_at;
}

/* The hash counts when the file is the same before, during and after reading it. */
static bool
hash_arrival(TxpArrival *arrival, TxpFileIo *files)
{
	int64 bytes;
	TimestampTz modified_at;

	return is_unchanged(&arrival->file) &&
		   txp_fileio_hash(files, arrival->file.name, arrival->sha256, &bytes, &modified_at) &&
		   bytes == arrival->file.bytes && modified_at == arrival->file.modified_at &&
		   is_unchanged(&arrival->file);
}

void
txp_discover_settle(List *arrivals, TxpFileIo *files)
{
	/* Beside times of files, which are the wall clock's. */
	TimestampTz now = GetCurrentTimestamp();
	int64 longest = 0;
	int64 bytes = 0;
	ListCell *lc;

	foreach (lc, arrivals)
		bytes += ((TxpArrival *) lfirst(lc))->file.bytes;
	txp_progress_stage(TXP_SETTLING_FILES, list_length(arrivals), bytes);
	foreach (lc, arrivals)
	{
		int64 ms = unsettled_ms(lfirst(lc), now);

		if (ms <= LONGEST_WAIT_MS)
			longest = Max(longest, ms);
	}
	wait_ms(longest);
	foreach (lc, arrivals)
	{
		TxpArrival *arrival = lfirst(lc);

		txp_progress_item(arrival->file.bytes);
		txp_progress_file(arrival->feed_id, 0, arrival->file.bytes);
		if (unsettled_ms(arrival, now) <= LONGEST_WAIT_MS)
			arrival->settled = hash_arrival(arrival, files);
		txp_progress_done(1);
	}
}
