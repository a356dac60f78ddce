/*
 * progress.h — how far a long call is: for other sessions in the view txpipe.progress, for psql in NOTICEs.
 *
 * It is kept in the session's own progress slot of PostgreSQL, the one of COPY: it needs neither shared memory nor
 * preloading, and ends with the session. PostgreSQL empties the slot whenever something is rolled back or copied;
 * txp_progress_show() fills it again. A call counts items (groups, files …) of known size and, within an item, the
 * bytes of its files. Without a begun call all of these do nothing,
 * nor for a call inside another, in a step or a trigger: it is part of that one.
 */
#ifndef TXP_PROGRESS_H
#define TXP_PROGRESS_H

#include "postgres.h"
#include "datatype/timestamp.h"

typedef enum TxpJob
{
	TXP_JOB_RUN_HOURLY = 1,
	TXP_JOB_RELOAD,
	TXP_JOB_UNLOAD,
	TXP_JOB_REPLAY_ROWS,
	TXP_JOB_VALIDATE_FILE,
	TXP_JOB_REPLAY_LETTERS
} TxpJob;

typedef enum TxpStage
{
	TXP_BEGINNING,
	TXP_SETTLING_FILES,
	TXP_LOADING_GROUPS,
	TXP_LOADING_FILES,
	TXP_UNLOADING_FILES,
	TXP_CHECKING_FILES,
	TXP_REPLAYING_ROWS,
	TXP_REPLAYING_LETTERS
} TxpStage;

/* What the slot holds, behind the parameters of COPY. */
typedef struct TxpProgress
{
	int64 mark;  /* TXP_PROGRESS_MARK: no COPY of somebody else's */
	int64 job;   /* TxpJob */
	int64 stage; /* TxpStage */
	int64 items_done;
	int64 items_total;
	int64 rows; /* records read, whatever became of them */
	int64 rejected;
	int64 bytes_done;
	int64 bytes_total; /* 0: only items are counted */
	int64 started_at;  /* TimestampTz */
	int64 stage_since; /* TimestampTz: rates are those of the stage */
	int64 feed_id;     /* at work; 0: none, as in the next two */
	int64 file_id;
	int64 stream_id;
} TxpProgress;

#define TXP_PROGRESS_MARK INT64CONST(0x7478706970650001)
#define TXP_PROGRESS_FIELDS ((int) (sizeof(TxpProgress) / sizeof(int64)))

/* Around every long call, also when it fails. */
extern void txp_progress_begin(TxpJob job);
extern void txp_progress_end(void);

/* A stage of so many items and bytes begins; if it is under way already, so many more are left. */
extern void txp_progress_stage(TxpStage stage, int64 items, int64 bytes);
/* The next item has so many bytes. */
extern void txp_progress_item(int64 bytes);
/* It, or so many at once, is done, whether it could be loaded or not. */
extern void txp_progress_done(int64 items);

/* What is at work on: a file of so many bytes (file_id 0: not in the ledger), or a stream. */
extern void txp_progress_file(int32 feed_id, int64 file_id, int64 bytes);
extern void txp_progress_stream(int32 stream_id);
/* So many rows more, of them so many rejected; the file is read up to byte `read` of `of`. */
extern void txp_progress_read(int64 rows, int64 rejected, int64 read, int64 of);

/* Before something that may be rolled back, and when it was. */
extern TxpProgress txp_progress_mark(void);
extern void txp_progress_rewind(const TxpProgress *mark);

extern void txp_progress_show(void);

/* What follows from the counts; -1: not known. */
typedef struct TxpProgressFigures
{
	double percent; /* cut to one decimal place: 100 when all is done */
	double rows_per_second;
	double bytes_per_second;
	double seconds_left;
} TxpProgressFigures;

extern void txp_progress_figures(const TxpProgress *progress, TimestampTz now,
								 TxpProgressFigures *figures);

/* The call under way, outermost first; NULL: none. */
extern const char *txp_progress_current_job(void);

/* Names as people read them: the call, what it is doing, and what its items are. */
extern const char *txp_progress_job(int64 job);
extern const char *txp_progress_state(int64 stage);
extern const char *txp_progress_unit(int64 stage);

#endif
