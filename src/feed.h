/*
 * feed.h — definitions of feeds: which files belong to them and how their records become rows.
 */
#ifndef TXP_FEED_H
#define TXP_FEED_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/relcache.h"

#include "rowplan.h"

typedef struct TxpFeed
{
	int32 feed_id;
	char *name;
	Oid owner;
	char *owner_name;
	char *pattern;
	Oid target; /* InvalidOid: the steps say what happens */
	char *target_schema;
	char *target_table;
	char *format;
	Jsonb *columns; /* or NULL */
	char *group_name;
	bool required; /* of a new feed */
	bool archive;
	Jsonb *options;
	List *steps;        /* of TxpStep, in order */
	List *end_steps;    /* the same: run behind the last batch of a file */
	List *unload_steps; /* the same: what they do takes a loaded file back */
	List *run_steps;    /* the same: at the end of a run */
	List *rules;        /* of TxpRule, those that are on, in order */
	List *trusted;      /* whose code steps and rules may run, see trust.h */
} TxpFeed;

/* When a step runs: for every batch of a file, once behind the last one, for a file that is unloaded, at the end of a run. */
typedef enum TxpPhase
{
	TXP_PHASE_LOAD,
	TXP_PHASE_END,
	TXP_PHASE_UNLOAD,
	TXP_PHASE_RUN
} TxpPhase;

/* Lines of a file that are read instead of all. */
typedef struct TxpFileLines
{
	int count;
	const int64 *lines; /* ascending */
	const char *record; /* in place of those, or NULL */
} TxpFileLines;

/* How a file of the feed is read. */
typedef struct TxpFeedPlan
{
	const TxpFileLines *only; /* NULL, which planning sets: all lines */
	TxpRowPlan *rows;
	int line_column; /* of line_no in the rows, or -1 */
	List *steps;     /* the feed's, and one that fills the target; NIL: COPY into the target */
	uint32 batch_rows;
	uint32 batch_bytes;
	char *encoding; /* of the files, as iconv names it */
	char *header;   /* of CSV files that have none, as a record; or NULL */
} TxpFeedPlan;

/* Has it the option encryption_server? Then no error shows a value. */
extern bool txp_feed_encrypts(const TxpFeed *feed);
/* The keys its option encryption_server leads to, which the caller wipes; NULL: it has none. */
extern char *txp_feed_encryption_keys(const TxpFeed *feed);
/* Is each value of a definition usable? ERRORs otherwise. */
extern void txp_feed_check(TxpFeed *feed);
/* Builds the plan of a file once, for what it would complain about with the current user's rights; tries the rules. */
extern void txp_feed_check_plan(const TxpFeed *feed);
/* Makes a definition and stores it. ERRORs when it is not sound. The current user becomes its owner. */
extern void txp_feed_create(TxpFeed *feed);
/* after_load as a word: true for archive. ERRORs when it is neither that nor keep. */
extern bool txp_feed_archives(const char *after_load);
/* Adds or replaces a step; ordinal NULL: behind the others. sql NULL: removes it. */
extern void txp_feed_set_step(int32 feed_id, TxpPhase phase, const char *step, const char *sql,
							  const int32 *ordinal);
/* Number of a feed the current user may change, and its group name unless that is NULL. ERRORs otherwise. */
extern int32 txp_feed_find(const char *name, char **group_name);
/* The same feed, those of its group name locked as loads do: else one would wait for the other. */
extern TxpFeed *txp_feed_owned(const char *name);
extern void txp_feed_drop(int32 feed_id);

/*
 * Feeds of a group name in the order they load, with their steps and rules. Locks their rows until the transaction
 * ends, so that two loads of a group follow one another.
 */
extern List *txp_feeds_lock(const char *group_name);
/* One of them. */
extern TxpFeed *txp_feed_by_id(List *feeds, int32 feed_id);

/*
 * Locks a feed, whose row is locked already, against those who make or remove copies of its files in the lake.
 * Other than the row's this lock is held until the copies that a transaction removes are gone.
 */
extern void txp_feed_lock_copies(int32 feed_id);

/* The feed's target, by its OID or else its name; InvalidOid when it has none. ERRORs when it is gone. */
extern Oid txp_feed_find_target(const TxpFeed *feed);

/* The same for work as the feed's owner: ERRORs, too, when another role could have put the table there. */
extern Oid txp_feed_target(const TxpFeed *feed);

/* Do the rows of the target say which file they are of? Then it has a column file_id that we fill. */
extern bool txp_feed_keeps_file(Relation target);

/* ERRORs when the options about the files' text make no sense: header, fields, encoding. */
extern void txp_feed_check_reading(const TxpFeed *feed);

/*
 * Plan for a file. `target` is the feed's, opened, or NULL; file_id and group_key go into every row.
 * Checks the current user's right to insert. The plan refers to `feed` and to the strings.
 */
extern void txp_feed_plan(const TxpFeed *feed, Relation target, const char *file_id,
						  const char *group_key, TxpFeedPlan *plan);

#endif
