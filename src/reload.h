/*
 * reload.h — unload and reload of one file, as people ask for it.
 *
 * Both work in the caller's transaction, as the owner of the feed, who must be the current user: what is
 * deferred to the commit runs with the rights of whoever commits.
 */
#ifndef TXP_RELOAD_H
#define TXP_RELOAD_H

#include "postgres.h"

#include "fileio.h"
#include "ledger.h"
#include "progress.h"

/* A file in the ledger, its row and the feeds of its group locked. */
typedef struct TxpStoredFile
{
	TxpLedgerFile *file;
	char *state;
	int64 duplicate_of; /* 0: of none */
	TxpGroup group;
	TxpFeed *feed;
} TxpStoredFile;

/*
 * Locks a file that the current user owns. ERRORs when there is none of that number (42704), or it is another
 * role's (42501). Allocates in the current memory context.
 */
extern void txp_stored_file_lock(int64 file_id, TxpStoredFile *stored);

/* Is there a copy in the lake? */
extern bool txp_stored_file_copied(const TxpStoredFile *stored);
/* ERRORs that it is not. hint: what to call when the file is delivered again. */
extern void txp_stored_file_missing(const TxpStoredFile *stored, const char *hint);

/*
 * Runs work on files in the caller's transaction: what that has deferred is checked before. No such work can
 * begin within. Everything is in a memory context of its own.
 */
extern void txp_stored_file_work(TxpJob job, void (*work)(void *), void *arg);

/* Takes a loaded file back; the first of its duplicates is loaded in its place. */
extern void txp_unload(int64 file_id);

/* Takes the file back if it is loaded, and loads it from its copy in the lake, or from the landing directory. */
extern void txp_reload(int64 file_id);

#endif
