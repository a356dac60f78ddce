/*
 * clean_lake.h — copies in the lake that are not wanted any more.
 */
#ifndef TXP_CLEAN_LAKE_H
#define TXP_CLEAN_LAKE_H

/* ERRORs when copies go with this transaction's commit: a load would take one of them for its file's. */
extern void txp_clean_lake_refuse_load(void);

/* The copies of these files (bigint[]) go with the commit, those of the current user's own feeds; returns how many. */
extern int64 txp_clean_lake_files(Datum files);

#endif
