/*
 * unload.h — taking a loaded file back.
 */
#ifndef TXP_UNLOAD_H
#define TXP_UNLOAD_H

#include "postgres.h"

#include "feed.h"

/*
 * Undoes the load of a file in the current transaction, as the feed's owner: by the feed's unload steps, else
 * by deleting its rows from the target. Its rejected lines are deleted, its counts become 0, its state
 * `new_state` with the reason (or NULL). The caller has locked the feeds of the group and checks the rights.
 * ERRORs when the file is not loaded or there is no way to take it back.
 */
extern void txp_unload_file(const TxpFeed *feed, int64 file_id, const char *group_key,
							const char *reason, const char *new_state);

#endif
