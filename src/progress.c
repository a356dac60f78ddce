/*
 * progress.c — how far a long call is.
 */
#include "postgres.h"

#include <math.h>

#include "commands/progress.h"
#include "lib/stringinfo.h"
#include "utils/backend_progress.h"
#include "utils/backend_status.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "progress.h"
#include "steady.h"

/* Behind what COPY uses itself. */
#define FIRST_PARAM (PROGRESS_COPY_TYPE + 1)

StaticAssertDecl(sizeof(TxpProgress) / sizeof(int64) <= PGSTAT_NUM_PROGRESS_PARAM - FIRST_PARAM,
				 "a progress slot has room for all of TxpProgress");

static struct
{
	int depth;  /* of calls inside one another: the outermost counts */
	bool begun; /* the slot is ours, not of a COPY around us */
	TxpProgress at;
	int64 item_end;   /* bytes_done when the item is done */
	int64 file_begin; /* bytes_done when its file began */
	int64 file_bytes;
	TimestampTz noticed_at;
} call;

static const char *const jobs[] = {
	"",
	[TXP_JOB_RUN_HOURLY] = "run_hourly",
	[TXP_JOB_RELOAD] = "reload",
	[TXP_JOB_UNLOAD] = "unload",
	[TXP_JOB_REPLAY_ROWS] = "replay_rejected_rows",
	[TXP_JOB_VALIDATE_FILE] = "validate_file",
	[TXP_JOB_REPLAY_LETTERS] = "replay_dead_letters",
};

static const struct
{
	const char *state;
	const char *unit;
} stages[] = {
	[TXP_BEGINNING] = {"beginning", "files"},
	[TXP_SETTLING_FILES] = {"settling", "files"},
	[TXP_LOADING_GROUPS] = {"loading", "groups"},
	[TXP_LOADING_FILES] = {"loading", "files"},
	[TXP_UNLOADING_FILES] = {"unloading", "files"},
	[TXP_CHECKING_FILES] = {"checking", "files"},
	[TXP_REPLAYING_ROWS] = {"replaying", "rows"},
	[TXP_REPLAYING_LETTERS] = {"replaying", "dead letters"},
};

/* A slot may be of a session with another version of the library. */
const char *
txp_progress_job(int64 job)
{
	return job > 0 && job < lengthof(jobs) ? jobs[job] : "unknown";
}

const char *
txp_progress_current_job(void)
{
	return call.depth > 0 ? jobs[call.at.job] : NULL;
}

const char *
txp_progress_state(int64 stage)
{
	return stage >= 0 && stage < lengthof(stages) ? stages[stage].state : "unknown";
}

const char *
txp_progress_unit(int64 stage)
{
	return stage >= 0 && stage < lengthof(stages) ? stages[stage].unit : "unknown";
}

void
txp_progress_figures(const TxpProgress *progress, TimestampTz now, TxpProgressFigures *figures)
{
	double elapsed = (double) (now - progress->stage_since) / USECS_PER_SEC;
	bool by_bytes = progress->bytes_total > 0;
	double done = (double) (by_bytes ? progress->bytes_done : progress->items_done);
	double total = (double) (by_bytes ? progress->bytes_total : progress->items_total);

	figures->percent = total > 0 ? floor(done * 1000 / total) / 10 : -1;
	figures->rows_per_second = elapsed > 0 ? (double) progress->rows / elapsed : -1;
	figures->bytes_per_second =
		elapsed > 0 && by_bytes ? (double) progress->bytes_done / elapsed : -1;
	/* The first bytes say little: a small file costs as much as what is done once for many. */
	figures->seconds_left =
		done > 0 && done * 200 >= total && elapsed > 0 ? elapsed * (total - done) / done : -1;
}

static void
put_time(StringInfo text, double seconds)
{
	int64 left = (int64) ceil(seconds);

	if (left < 120)
		appendStringInfo(text, ", " INT64_FORMAT " s left", left);
	else if (left < 7200)
		appendStringInfo(text, ", " INT64_FORMAT " min left", left / 60);
	else
		appendStringInfo(text, ", " INT64_FORMAT " h " INT64_FORMAT " min left", left / 3600,
						 left % 3600 / 60);
}

/* "120 of 300 groups, 150000 rows, 40 %, 38000 rows/s, 25 s left" */
static void
notice(TimestampTz now)
{
	const TxpProgress *at = &call.at;
	TxpProgressFigures figures;
	StringInfoData text;

	txp_progress_figures(at, now, &figures);
	initStringInfo(&text);
	appendStringInfo(&text, INT64_FORMAT " of " INT64_FORMAT " %s", at->items_done, at->items_total,
					 txp_progress_unit(at->stage));
	if (at->stage == TXP_SETTLING_FILES)
		appendStringInfoString(&text, " looked at");
	if (at->rows > 0 && at->bytes_total > 0)
		appendStringInfo(&text, ", " INT64_FORMAT " rows", at->rows);
	if (figures.percent >= 0)
		appendStringInfo(&text, ", %.0f %%", floor(figures.percent));
	if (at->rows > 0 && figures.rows_per_second >= 0)
		appendStringInfo(&text, ", %.0f rows/s", figures.rows_per_second);
	if (figures.seconds_left >= 0)
		put_time(&text, figures.seconds_left);
	ereport(NOTICE, (errmsg("%s", text.data)));
	pfree(text.data);
}

static bool
counts(void)
{
	return call.depth == 1;
}

/* Something was done. */
static void
step(void)
{
	TimestampTz now = txp_steady_now();

	txp_progress_show();
	if (txp_progress_interval == 0 ||
		!TimestampDifferenceExceeds(call.noticed_at, now, txp_progress_interval))
		return;
	call.noticed_at = now;
	notice(now);
}

void
txp_progress_begin(TxpJob job)
{
	TimestampTz now = txp_steady_now();

	if (call.depth++ > 0)
		return;
	call.begun = false;
	call.item_end = call.file_begin = call.file_bytes = 0;
	memset(&call.at, 0, sizeof(call.at));
	call.at.mark = TXP_PROGRESS_MARK;
	call.at.job = job;
	call.at.started_at = GetCurrentTimestamp();
	call.at.stage_since = now;
	call.noticed_at = now;
	txp_progress_show();
}

void
txp_progress_end(void)
{
	if (--call.depth > 0 || MyBEEntry == NULL ||
		MyBEEntry->st_progress_command != PROGRESS_COMMAND_COPY)
		return;
	if (call.begun)
		pgstat_progress_end_command();
	else
		pgstat_progress_update_param(FIRST_PARAM, 0);
}

void
txp_progress_stage(TxpStage stage, int64 items, int64 bytes)
{
	TxpProgress *at = &call.at;

	if (!counts())
		return;
	if (at->stage != stage)
	{
		at->stage = stage;
		at->stage_since = txp_steady_now();
		at->items_done = at->rows = at->rejected = at->bytes_done = 0;
		call.item_end = 0;
	}
	at->items_total = at->items_done + items;
	at->bytes_total = at->bytes_done + bytes;
	txp_progress_show();
}

void
txp_progress_item(int64 bytes)
{
	if (!counts())
		return;
	call.item_end = Min(call.at.bytes_done + bytes, call.at.bytes_total);
}

void
txp_progress_done(int64 items)
{
	if (!counts())
		return;
	call.at.items_done = Min(call.at.items_done + items, call.at.items_total);
	call.at.bytes_done = Max(call.at.bytes_done, call.item_end);
	step();
}

void
txp_progress_file(int32 feed_id, int64 file_id, int64 bytes)
{
	if (!counts())
		return;
	call.at.feed_id = feed_id;
	call.at.file_id = file_id;
	call.file_begin = call.at.bytes_done;
	call.file_bytes = bytes;
	txp_progress_show();
}

void
txp_progress_stream(int32 stream_id)
{
	if (!counts())
		return;
	call.at.stream_id = stream_id;
	txp_progress_show();
}

void
txp_progress_read(int64 rows, int64 rejected, int64 read, int64 of)
{
	TxpProgress *at = &call.at;

	if (!counts())
		return;
	at->rows += rows;
	at->rejected += rejected;
	if (at->stage == TXP_REPLAYING_ROWS || at->stage == TXP_REPLAYING_LETTERS)
		at->items_done = Min(at->items_done + rows, at->items_total);
	/* What is read may be packed otherwise than what came. */
	if (of > 0)
	{
		int64 bytes = (int64) ((double) call.file_bytes * Min((double) read / of, 1.0));

		at->bytes_done = Max(at->bytes_done, Min(call.file_begin + bytes, call.item_end));
	}
	step();
}

TxpProgress
txp_progress_mark(void)
{
	return call.at;
}

void
txp_progress_rewind(const TxpProgress *mark)
{
	if (!counts())
		return;
	call.at = *mark;
	txp_progress_show();
}

void
txp_progress_show(void)
{
	int index[sizeof(TxpProgress) / sizeof(int64)];

	if (call.depth == 0 || MyBEEntry == NULL)
		return;
	/* What a COPY under way says of itself is left as it is, and so are other commands. */
	if (MyBEEntry->st_progress_command == PROGRESS_COMMAND_INVALID)
	{
		pgstat_progress_start_command(PROGRESS_COMMAND_COPY, InvalidOid);
		call.begun = true;
	}
	if (MyBEEntry->st_progress_command != PROGRESS_COMMAND_COPY)
		return;
	for (int i = 0; i < lengthof(index); i++)
		index[i] = FIRST_PARAM + i;
	pgstat_progress_update_multi_param(lengthof(index), index, (const int64 *) &call.at);
}
