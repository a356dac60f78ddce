/*
 * takeover.h — files that take the place of loaded ones.
 */
#ifndef TXP_TAKEOVER_H
#define TXP_TAKEOVER_H

#include "postgres.h"
#include "nodes/pg_list.h"

#include "ledger.h"

/*
 * Unloads, in the current transaction, what files of the group displace: a loaded file of the same name, or the
 * same content loaded with a later group. Before the group's files are listed; its feeds are locked. Returns
 * what txp_takeover_by asks: is the file one that displaced another?
 */
extern List *txp_takeover(const TxpGroup *group, List *feeds);
extern bool txp_takeover_by(const List *displaced, int64 file_id);

#endif
