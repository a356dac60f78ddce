/*
 * filebatch.h — one batch of a file's records: rows into the target or through the steps, and what could
 * not be used into txpipe.rejected_line.
 */
#ifndef TXP_FILEBATCH_H
#define TXP_FILEBATCH_H

#include "postgres.h"

#include "feed.h"
#include "fileio.h"
#include "ledger.h"
#include "rowreader.h"
#include "rule_counts.h"

/* Lines that were not loaded: the first ones, for people to look at. */
typedef struct TxpSample
{
	MemoryContext context;
	int most;
	bool all; /* also those that are not rejected: duplicates and the like */
	TxpRejects lines;
	const char **outcomes; /* of the lines; static strings */
	size_t bytes;
} TxpSample;

/* A file being loaded. */
typedef struct TxpFileLoad
{
	const TxpFeed *feed;
	const TxpFeedPlan *plan;
	Relation target; /* or NULL */
	TxpRowReader *reader;
	TxpFileChannel *channel;
	MemoryContext batch_context;    /* reset after every batch */
	TxpLedgerFile *file;            /* counts go there */
	TxpRuleCounts rules;            /* and there */
	bool replays;                   /* its lines were rejected before */
	bool ends_later;                /* its steps on_file_end are the caller's */
	const struct TxpFileTask *next; /* is read meanwhile, or NULL */
	bool dry_run;                   /* everything is undone: no line is stored */
	TxpSample *sample;              /* or NULL */
	char *over_limit;               /* what the feed's limits say against the file, or NULL */
} TxpFileLoad;

/*
 * Writes a batch in the current transaction. Rows that PostgreSQL refuses are found and rejected; errors that
 * are not the rows' own are raised, and the caller's subtransaction undoes everything.
 */
extern void txp_filebatch_write(TxpFileLoad *load, const TxpFrame *frame);

#endif
