/*
 * claims.h — who serves what: each unit, a stream or a part of one, is served by one worker at a time.
 *
 * Claims are about load only. Two workers that served one unit would still be kept apart by the offset rows.
 */
#ifndef TXP_CLAIMS_H
#define TXP_CLAIMS_H

#include "postgres.h"

#include "nodes/pg_list.h"

struct TxpRunnable;

typedef struct TxpUnit
{
	const struct TxpRunnable *stream;
	int32 stream_id;
	uint32 part;
	bool own; /* of a stream with workers of its own */
	bool mine;
	int claim; /* where the claim is, when mine */
} TxpUnit;

/*
 * What there is to serve of `streams` (of TxpRunnable): each stream, or each part of one with workers of its own.
 * *parts: how many of the *n units are parts.
 */
extern TxpUnit *txp_units_list(const List *streams, int *n, int *parts);

/*
 * Given all units of the database, gives up what is more than this worker's share and takes what nobody has, up
 * to it. Sets `mine` and `claim`.
 */
extern void txp_claims_balance(TxpUnit *units, int n);

/* Gives up one. */
extern void txp_claim_drop(int32 stream_id, uint32 part);

/* Workers that serve the stream now; 0 also without shared memory. */
extern int txp_claims_workers(int32 stream_id);

#endif
