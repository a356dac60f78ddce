/*
 * claims.c — who serves what.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"

#include "claims.h"
#include "shared.h"
#include "shared_state.h"
#include "stream.h"

/* How much this worker may serve, and of which kind. */
typedef struct Share
{
	const TxpWorkerEntry *me;
	bool keeps_slow; /* only what made it slow */
	bool takes_parts;
	bool takes_streams;
	int left;
} Share;

TxpUnit *
txp_units_list(const List *streams, int *n, int *parts)
{
	TxpUnit *units;
	ListCell *lc;

	*n = *parts = 0;
	foreach (lc, streams)
		*n += ((TxpRunnable *) lfirst(lc))->workers;
	units = palloc0(sizeof(TxpUnit) * (*n + 1));
	*n = 0;
	foreach (lc, streams)
	{
		const TxpRunnable *stream = lfirst(lc);
		bool own = stream->workers > 1;

		for (int part = 0; part < stream->workers; part++)
			units[(*n)++] =
				(TxpUnit){.stream = stream, .stream_id = stream->id, .part = part, .own = own};
		*parts += own ? stream->workers : 0;
	}
	return units;
}

static int
divide_up(int units, int workers)
{
	return (units + workers - 1) / Max(workers, 1);
}

/* Lock held. */
static Share
my_share(void)
{
	const TxpDatabaseEntry *entry = txp_shared_database(MyDatabaseId, false);
	Share share = {.me = &txp_shared->workers[txp_my_slot]};
	TxpPool pool;

	if (entry == NULL || share.me->leaving)
		return share;
	txp_pool_count(entry, &pool);
	if (share.me->own)
	{
		share.takes_parts = true;
		share.left = divide_up(entry->parts, pool.own_present);
		return share;
	}
	share.takes_streams = true;
	share.takes_parts = pool.own == 0;
	if (!txp_slot_is_slow(share.me))
		/* The ones with the lowest numbers stay. */
		share.left = pool.rank < pool.wanted_active ? divide_up(pool.waiting, pool.present) : 0;
	else if (pool.active == 0)
		share.left = divide_up(pool.units, pool.pool);
	else
	{
		share.keeps_slow = true;
		share.left = 1;
	}
	return share;
}

static bool
fits_share(const Share *share, const TxpUnit *unit)
{
	if (share->left <= 0)
		return false;
	if (share->keeps_slow &&
		(unit->stream_id != share->me->slow_stream_id || unit->part != share->me->slow_part))
		return false;
	return unit->own ? share->takes_parts : share->takes_streams;
}

static TxpUnit *
find_unit(TxpUnit *units, int n, const TxpClaimEntry *claim)
{
	for (int i = 0; i < n; i++)
	{
		if (units[i].stream_id == claim->stream_id && units[i].part == claim->part)
			return &units[i];
	}
	return NULL;
}

/*
 * Walks the claims of this database: keeps mine up to the share, forgets those that are nobody's and mean
 * nothing any more. Each unit learns where its claim is, or -1. Returns how many it gave up. Lock held.
 */
static int
review(TxpUnit *units, int n, Share *share)
{
	int given_up = 0;

	for (int i = 0; i < TXP_MAX_CLAIMS; i++)
	{
		TxpClaimEntry *claim = &txp_shared->claims[i];
		TxpUnit *unit;

		if (claim->database != MyDatabaseId)
			continue;
		unit = find_unit(units, n, claim);
		if (unit)
			unit->claim = i;
		else if (claim->worker == txp_my_slot || claim->worker == TXP_NO_WORKER)
			claim->database = InvalidOid;
		if (unit == NULL || claim->worker != txp_my_slot)
			continue;
		unit->mine = fits_share(share, unit);
		if (unit->mine)
			share->left--;
		else
		{
			claim->worker = TXP_NO_WORKER;
			given_up++;
		}
	}
	return given_up;
}

/* Lock held. */
static int
free_claim(void)
{
	for (int i = 0; i < TXP_MAX_CLAIMS; i++)
	{
		if (!OidIsValid(txp_shared->claims[i].database))
			return i;
	}
	return -1;
}

/* Takes the unit unless somebody has it; false when there is no room. Lock held. */
static bool
take(TxpUnit *unit, Share *share)
{
	if (unit->claim < 0)
	{
		unit->claim = free_claim();
		if (unit->claim < 0)
			return false;
		txp_shared->claims[unit->claim] = (TxpClaimEntry){.database = MyDatabaseId,
														  .stream_id = unit->stream_id,
														  .part = unit->part,
														  .worker = TXP_NO_WORKER};
	}
	if (txp_shared->claims[unit->claim].worker != TXP_NO_WORKER)
		return true;
	txp_shared->claims[unit->claim].worker = txp_my_slot;
	unit->mine = true;
	share->left--;
	return true;
}

void
txp_claims_balance(TxpUnit *units, int n)
{
	bool room = true;
	int given_up;
	Share share;

	for (int i = 0; i < n; i++)
	{
		units[i].mine = false;
		units[i].claim = -1;
	}
	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	share = my_share();
	given_up = review(units, n, &share);
	for (int i = 0; i < n && room; i++)
	{
		if (!units[i].mine && fits_share(&share, &units[i]))
			room = take(&units[i], &share);
	}
	if (given_up > 0)
		txp_shared_wake(MyDatabaseId);
	LWLockRelease(txp_shared->lock);
	if (!room)
		ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						  errmsg("streams of database %u are not served: more than %d run on this "
								 "server",
								 MyDatabaseId, TXP_MAX_CLAIMS)));
}

void
txp_claim_drop(int32 stream_id, uint32 part)
{
	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < TXP_MAX_CLAIMS; i++)
	{
		TxpClaimEntry *claim = &txp_shared->claims[i];

		if (claim->database == MyDatabaseId && claim->stream_id == stream_id &&
			claim->part == part && claim->worker == txp_my_slot)
			claim->worker = TXP_NO_WORKER;
	}
	txp_shared_wake(MyDatabaseId);
	LWLockRelease(txp_shared->lock);
}

int
txp_claims_workers(int32 stream_id)
{
	bool serves[TXP_MAX_WORKERS] = {false};
	int n = 0;

	if (txp_shared == NULL)
		return 0;
	LWLockAcquire(txp_shared->lock, LW_SHARED);
	for (int i = 0; i < TXP_MAX_CLAIMS; i++)
	{
		const TxpClaimEntry *claim = &txp_shared->claims[i];

		if (claim->database == MyDatabaseId && claim->stream_id == stream_id &&
			claim->worker != TXP_NO_WORKER)
			serves[claim->worker] = true;
	}
	LWLockRelease(txp_shared->lock);
	for (int i = 0; i < TXP_MAX_WORKERS; i++)
		n += serves[i];
	return n;
}
