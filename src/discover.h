/*
 * discover.h — from the landing directory to the ledger, in three parts between which the caller may commit.
 */
#ifndef TXP_DISCOVER_H
#define TXP_DISCOVER_H

#include "postgres.h"
#include "nodes/pg_list.h"

#include "fileio.h"

/*
 * Files that belong to a feed `user` may run and are not in the ledger as they are. List of TxpArrival. What is known is marked,
 * where it may be: no lock of that should last.
 */
extern List *txp_discover(Oid user, bool may_mark);

/*
 * Waits, once, until all have been left alone for txpipe.settle_time, hashes those that did not change, and
 * marks them settled. Uses no transaction.
 */
extern void txp_discover_settle(List *arrivals, TxpFileIo *files);

#endif
