/*
 * partition_set.h — the option `partitions`: numbers and ranges of them, "0-3,7".
 */
#ifndef TXP_PARTITION_SET_H
#define TXP_PARTITION_SET_H

#include "postgres.h"
#include "nodes/bitmapset.h"

/* The set; NULL for "": all partitions. ERRORs (22023) for anything else. */
extern Bitmapset *txp_partition_set(const char *text);

static inline bool
txp_partition_wanted(const Bitmapset *set, int32 partition)
{
	return set == NULL || bms_is_member(partition, set);
}

#endif
