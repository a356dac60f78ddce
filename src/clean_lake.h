/*
 * clean_lake.h — copies in the lake that are not wanted any more.
 */
#ifndef TXP_CLEAN_LAKE_H
#define TXP_CLEAN_LAKE_H

/* ERRORs when copies go with this transaction's commit: a load would take one of them for its file's. */
extern void txp_clean_lake_refuse_load(void);

/* ERRORs where a statement does not see what others have committed: a copy that they have taken could go. */
extern void txp_lake_check_isolation(void);

/* A copy that is being made goes again when the transaction, or the present subtransaction, is undone. */
extern void txp_lake_remove_at_abort(const char *path);

/* A copy that the ledger does not name any more, of a locked feed, goes with the commit, and after a crash later. */
extern void txp_lake_give_up(int32 feed_id, const char *path);

/* Removes what crashes left of such copies of these feeds (integer[]), which are locked. */
extern void txp_lake_remove_leftovers(Datum feeds);

/* The copies of these files (bigint[]) go with the commit, those of the current user's own feeds; returns how many. */
extern int64 txp_clean_lake_files(Datum files);

#endif
