/*
 * ledger.h — the SQL on txpipe.file_ledger, rejected_line and run. All of it runs with the catalogs' rights.
 */
#ifndef TXP_LEDGER_H
#define TXP_LEDGER_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "io/wire.h"
#include "landing.h"

/* The right of operators, who load the feeds of all owners, for has_function_privilege(). */
#define TXP_OPERATE "'txpipe.operate()', 'EXECUTE'"

/* A file of the landing directory that belongs to a feed and is not in the ledger as it is. */
typedef struct TxpArrival
{
	TxpLandingFile file;
	int32 feed_id;
	char *group_key;
	int64 mark; /* for what the ledger has under its name; 0: none */
	uint8 sha256[32];
	bool settled; /* hashed, and unchanged since */
} TxpArrival;

/* A group of files, and who loads it. */
typedef struct TxpGroup
{
	char *name;
	char *key;
	Oid owner;   /* of all its feeds */
	int64 bytes; /* of the files to be loaded */
	bool tried;  /* one of them was loading or failed before */
} TxpGroup;

/* A file to be loaded. */
typedef struct TxpLedgerFile
{
	int64 file_id;
	int32 feed_id;
	TxpLandingFile file;
	uint8 sha256[32];
	char *directory; /* in the lake, below its top */
	char *lake_path; /* set once it is there */
	bool rewritten;  /* the copy lacks records, and is: */
	uint8 copy_sha256[32];
	int64 copy_bytes;
	int64 read;
	int64 loaded;
	int64 duplicate;
	int64 filtered;
	int64 superseded;
	int64 rejected;
} TxpLedgerFile;

/* What a query about file_ledger l and its feed f selects first, for txp_ledger_read_file. */
#define TXP_LEDGER_FILE                                                                            \
	"l.file_id, l.feed_id, l.file_name, l.bytes, l.modified_at, l.sha256, "                        \
	"'raw/feed=' || f.feed || to_char(l.arrived_at AT TIME ZONE 'UTC', "                           \
	"    '\"/date=\"YYYY-MM-DD\"/hour=\"HH24'), l.copy_sha256, l.copy_bytes"
#define TXP_LEDGER_FILE_COLUMNS 9

/* From row `row` of SPI_tuptable, which has a sha256, into the current memory context. */
extern TxpLedgerFile *txp_ledger_read_file(uint64 row);

/* Records that could not be used, collected for one statement. */
typedef struct TxpRejects
{
	int count;
	int allocated;
	bool encrypted; /* the records are */
	Datum *lines;
	Datum *records;
	Datum *columns;
	bool *no_column;
	Datum *codes;
	Datum *messages;
} TxpRejects;

/*
 * Which of the landing files (TxpLandingFile) are arrivals for feeds that `user` may run. Marks what is known, if it may: the
 * rows are locked until the transaction ends.
 */
extern List *txp_ledger_arrivals(List *files, Oid user, bool may_mark);
/* Without those files that the ledger has as they are in the feed that takes them first, by the marks of `patterns` (TxpFeedPattern). */
extern List *txp_ledger_unsure(List *files, const List *patterns);
/* Marks what the ledger has under the names of files that were matched (TxpArrival). */
extern void txp_ledger_mark(const List *matched);
/* Files that wait but are not in the landing directory any more hold no group up. */
extern void txp_ledger_withdraw_removed(Oid user);
/* Enters arrivals (TxpArrival) as settling. */
extern void txp_ledger_notice(List *arrivals);
/* What those are that have settled: waiting, or duplicate, or known under their name already. */
extern void txp_ledger_enter(List *arrivals);

/*
 * Groups that are complete, or that wait no longer, with something to load that `user` may load, in natural order of their keys; at most
 * `limit` (-1: all). With `only` just that one.
 */
extern List *txp_ledger_ready(Oid user, const TxpGroup *only, int64 limit);

/* Is another session at work on the group's feeds? Locks those that are free until the transaction ends. */
extern bool txp_ledger_busy(const TxpGroup *group);
/*
 * A group whose feeds are locked will be loaded: its files are loading, also those whose content waits in
 * another group. Committed before the load, so that a load that a crash ended shows.
 */
extern void txp_ledger_begin(const TxpGroup *group);
/* Files to load of a group whose feeds are locked, in order. */
extern List *txp_ledger_files(const TxpGroup *group);
/* Duplicates of a row that will not be loaded: `heir` waits in its place, the others are its duplicates. */
extern void txp_ledger_promote(int64 original, int64 heir);
/* How often a file is tried when its feed does not say. */
extern int32 txp_ledger_max_attempts(void);
extern void txp_ledger_loaded(const TxpLedgerFile *file);
/* Over the limits of its feed: nothing of it is loaded. */
extern void txp_ledger_rejected(const TxpLedgerFile *file, const char *reason);
extern void txp_ledger_failed(const TxpGroup *group, const char *reason);
/* Removes from the landing directory what is loaded, of feeds that archive and `user` may run. */
extern void txp_ledger_clear_landing(Oid user);

/* Text is in the database's encoding; column NULL: none. */
extern void txp_rejects_add(TxpRejects *rejects, int64 line, TxpSpan record, const char *code,
							const char *message, const char *column);
extern void txp_rejects_store(int64 file_id, const TxpRejects *rejects);
/* Lines that were stored before, and replayed in vain; with `reasons` for these reasons now. */
extern void txp_rejects_reopen(int64 file_id, const TxpRejects *rejects, bool reasons);

typedef struct TxpRunTotals
{
	int groups_loaded;
	int groups_failed;
	int64 files;
	int64 rows;
	int64 rejects;
	int groups_skipped; /* that another session was loading */
	char *failure;      /* of the last group that failed, or NULL */
} TxpRunTotals;

/* The run's record: made when there is something to load; one that a dead session left is ended. */
extern int64 txp_run_begin(const char *job);
extern void txp_run_end(int64 run_id, const TxpRunTotals *totals);

#endif
