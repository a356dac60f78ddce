/*
 * lost.h — offsets a topic does not hold any more, and topics that were created anew: the option on_lost_offset
 * decides, and what happened is recorded with its exact range.
 */
#ifndef TXP_LOST_H
#define TXP_LOST_H

#include "postgres.h"
#include "utils/uuid.h"

#include "stream.h"

typedef enum TxpLossKind
{
	TXP_LOSS_EXPIRED, /* retention or deletion moved the partition's beginning beyond the offset */
	TXP_LOSS_RECREATED /* the topic has another id, ends before the offset, or holds another record */
} TxpLossKind;

typedef struct TxpLoss
{
	TxpLossKind kind;
	const char *topic;
	const pg_uuid_t *topic_id; /* as it is now; all 0: not known */
	int32 partition;
	int64 next; /* offset that would have been read next */
	int64 end;  /* end of the partition as last heard before; -1: never */
	int64 low;  /* what it holds now */
	int64 high;
} TxpLoss;

/*
 * Decides in the caller's transaction. Returns the offset to go on at, which is stored then, or -1 when the
 * stream is paused instead.
 */
extern int64 txp_lost_decide(const TxpStream *stream, const TxpLoss *loss);

/* Records that the record read last has expired, so that nobody can compare it, and forgets it. */
extern void txp_lost_unverifiable(const TxpStream *stream, const char *topic, int32 partition,
								  int64 last);

#endif
