/*
 * load.h — one group of files: all of them into their targets, or nothing.
 */
#ifndef TXP_LOAD_H
#define TXP_LOAD_H

#include "postgres.h"

#include "fileio.h"
#include "ledger.h"

typedef enum TxpLoadResult
{
	TXP_GROUP_LOADED,
	TXP_GROUP_GONE, /* another session was faster, or it is not complete any more */
	TXP_GROUP_FAILED
} TxpLoadResult;

/*
 * Loads a group in the current transaction, as its feeds' owner. Waits for another session's load of the
 * same group name. When it fails, what it did is undone, its files are marked failed with the reason,
 * *code is its SQLSTATE, and a WARNING is given. A cancelled query is not a failure: it is raised.
 */
extern TxpLoadResult txp_load_group(TxpFileIo *files, const TxpGroup *group, Oid user,
									TxpRunTotals *totals, const char **code);

/*
 * Around every run, unload, reload and replay, also when it fails. ERRORs when one is at work in this session
 * already: a step that started another would work on its own file again.
 */
extern void txp_load_begin(void);
extern void txp_load_end(void);

#endif
