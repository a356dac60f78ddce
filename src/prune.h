/*
 * prune.h — what streams keep for a time only: batch history, events, dead letters.
 */
#ifndef TXP_PRUNE_H
#define TXP_PRUNE_H

#include "postgres.h"

/*
 * Called by workers between batches, outside of a transaction. Once an hour one of the database's workers deletes
 * what is too old, at most a thousand rows a call and ten calls a second. Errors are logged; it goes on an hour
 * later.
 */
extern void txp_prune_some(void);
/* Is it at such a round? Then it wants to be called again in this many milliseconds; else -1. */
extern long txp_prune_wait(void);

#endif
