/*
 * load.h — one group of files: all of them into their targets, or nothing.
 */
#ifndef TXP_LOAD_H
#define TXP_LOAD_H

#include "postgres.h"

#include "fileio.h"
#include "ledger.h"
#include "progress.h"

/*
 * Loads a group in the current transaction, as its feeds' owner. Waits for another session's load of the
 * same group name. When it fails, what it did is undone, its files are marked failed with the reason, and a
 * WARNING is given. A cancelled query is not a failure: it is raised. Totals say what became of it; nothing when
 * another session was faster or the group is not complete any more.
 */
extern void txp_load_group(TxpFileIo *files, const TxpGroup *group, Oid user, TxpRunTotals *totals);

/*
 * May groups of these feeds (of TxpFeed, locked) share a transaction, with the same result? Not when a step at the end
 * of files runs before another feed's files, when nothing may be tried twice, nor when constraints are deferred: once
 * checked, PostgreSQL defers none for the rest of the transaction.
 */
extern bool txp_load_may_share(const List *feeds);

/*
 * The same for several groups (of TxpGroup) of one name, each undone by itself when it fails; steps on_file_end run
 * once, behind all of them. False: such a step failed, nothing is done, and the groups want to be loaded one by one,
 * to see whose it is.
 */
extern bool txp_load_groups(TxpFileIo *files, const List *groups, Oid user, TxpRunTotals *totals);

/*
 * Steps on_run_end of the feeds of a group name, in the current transaction, unless another session is loading it. When one
 * fails, what they did is undone and a WARNING is given.
 */
extern void txp_load_run_end(const TxpGroup *name);

/*
 * Around every run, unload, reload and replay, also when it fails. ERRORs when one is at work in this session
 * already: a step that started another would work on its own file again.
 */
extern void txp_load_begin(TxpJob job);
extern void txp_load_end(void);

#endif
