/*
 * copy_search.h — one copy in the lake: which of its records are a person's, and the copy without them.
 */
#ifndef TXP_COPY_SEARCH_H
#define TXP_COPY_SEARCH_H

#include "postgres.h"

#include "feed.h"
#include "fileio.h"
#include "rowreader.h"

/* Whom. */
typedef struct TxpErasure
{
	Datum subject; /* jsonb: members are arrays */
	Datum server;  /* text, or 0 */
	Datum
		rejected; /* bigint[]: files and, beside it, lines of rejected records that are the person's */
	Datum rejected_lines;
	TxpFileIo *files;
} TxpErasure;

/* A copy of the feed's, and the ledger's rows that have it. */
typedef struct TxpLakeCopy
{
	char *path;
	char *name;                    /* of the file */
	Datum files;                   /* bigint[] */
	uint8 sha256[TXP_SHA256_SIZE]; /* of what it must hold */
} TxpLakeCopy;

/* The copies of a feed that is locked, all read in the same way. */
typedef struct TxpFeedSearch
{
	const TxpErasure *erasure;
	TxpFeed *feed;
	TxpFeedPlan plan;
	TxpRowReader *reader;
	char *hindrance; /* why no copy of it can be searched, or NULL */
	int64 rewritten; /* so far */
	int64 records;
} TxpFeedSearch;

/* Says what is to be looked for in the feed's copies, or why they cannot be searched; a TxpWork. */
extern bool txp_copy_search_plan(void *search);

/*
 * Finds the person's records in a copy, and where there are some makes another one without them, which the ledger has from
 * then on; the old one goes with the commit. Returns the error when that fails and nothing has changed, unless the
 * surroundings are at fault: then it is raised, and another try may succeed.
 */
extern ErrorData *txp_copy_search_erase(TxpFeedSearch *search, TxpLakeCopy *copy);

/* Raises what is no fault of a copy or feed, and takes values out of the message where the feed's are secret. */
extern char *txp_copy_search_reason(const TxpFeedSearch *search, ErrorData *error);

#endif
