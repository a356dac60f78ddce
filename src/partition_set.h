/*
 * partition_set.h — the option `partitions`: numbers and ranges of them, "0-3,7", an index of a count,
 * "index 0 of 3", or "none".
 */
#ifndef TXP_PARTITION_SET_H
#define TXP_PARTITION_SET_H

#include "postgres.h"
#include "nodes/bitmapset.h"

typedef struct TxpPartitionSet
{
	bool all;
	int count; /* of servers: partitions p with p % count = index; 0: those listed */
	int index;
	Bitmapset *listed;
} TxpPartitionSet;

/* The set that the text means, "" all. ERRORs (22023) for anything else. */
extern TxpPartitionSet txp_partition_set(const char *text);

static inline bool
txp_partition_in(const TxpPartitionSet *set, int32 partition)
{
	if (set->count > 0)
		return partition % set->count == set->index;
	return set->all || bms_is_member(partition, set->listed);
}

#endif
