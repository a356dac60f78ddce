/*
 * loadfile.h — one file: into its target, or nothing of it.
 */
#ifndef TXP_LOADFILE_H
#define TXP_LOADFILE_H

#include "postgres.h"

#include "filebatch.h"

/* A file of a feed that is locked, about to be loaded. */
typedef struct TxpFileTask
{
	const TxpFeed *feed;
	const char *group_key;
	TxpLedgerFile *file;
	bool ends_later;                /* txp_load_end_steps is left to the caller */
	const struct TxpFileTask *next; /* what the child reads meanwhile, or NULL */
} TxpFileTask;

/* Makes its copy in the lake, where lake_path is not set. */
extern void txp_load_file_copy(TxpFileIo *files, const TxpFeed *feed, TxpLedgerFile *file);
/* Has the child read it, from the copy, until it is loaded. */
extern void txp_load_file_ahead(TxpFileIo *files, const TxpFileTask *task);
/*
 * Loads it from its copy, which is made first when there is none. Counts go into `file` and the ledger; what fails is
 * raised. False: more of it is rejected than the feed's options allow, nothing of it is loaded, and the ledger and a
 * WARNING say so.
 */
extern bool txp_load_file(TxpFileIo *files, const TxpFileTask *task);

/* What the feed does for whole files (of TxpStepFile), with all their rows in place. */
extern void txp_load_end_steps(const TxpFeed *feed, const List *files);

/*
 * Loads lines of a loaded file that were rejected before; `file` has its counts without them, and they are
 * added there, not in the ledger. Those that are rejected again are open again.
 */
extern void txp_load_rejected(TxpFileIo *files, const TxpFeed *feed, const char *group_key,
							  TxpLedgerFile *file, const TxpFileLines *lines);

/*
 * Loads a landing file and undoes everything. Lines that would not be loaded go into the sample, counts
 * into `file` and `counts`. Returns what the feed's limits say against it, or NULL.
 */
extern char *txp_try_file(TxpFileIo *files, const TxpFeed *feed, const char *group_key,
						  TxpLedgerFile *file, TxpSample *sample, TxpRuleCounts *counts);

#endif
