/*
 * served.c — one stream in the hands of a worker.
 *
 * Every entry point is one catch at the boundary of a batch: copy the error, abort, write what happened
 * where people can SELECT it, go on with the other streams.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "commands/prepare.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lock.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/timestamp.h"

#include "batch.h"
#include "guard.h"
#include "io/clock.h"
#include "error_class.h"
#include "offsets.h"
#include "rates.h"
#include "served.h"
#include "shared.h"
#include "spi.h"
#include "steady.h"
#include "transaction.h"
#include "watch.h"

#define FIRST_RETRY_MS 1000
#define MAX_RETRY_MS 60000
#define CONFLICT_RETRY_MS 100
#define MAX_CONFLICT_RETRY_MS 5000
/* So many deadlocks in a row are shown. */
#define MAX_CONFLICTS 5
#define GUARD_LOOK_MS 1000 /* between looks whether a guard still holds */
#define WORKER_STATES "running,error"

static void
put_off(TxpServed *served, int ms)
{
	txp_served_close(served);
	served->retry_at = TimestampTzPlusMilliseconds(txp_steady_now(), ms);
}

static void
put_off_after_failure(TxpServed *served)
{
	int ms = FIRST_RETRY_MS;

	for (int i = 0; i < served->failures && ms < MAX_RETRY_MS; i++)
		ms *= 2;
	served->failures++;
	put_off(served, Min(ms, MAX_RETRY_MS));
}

static bool
extension_is_gone(void)
{
	bool gone;

	txp_transaction_begin();
	gone = !txp_extension_exists();
	txp_transaction_commit();
	return gone;
}

/*
 * Notes for people what the stream is at. Somebody may hold its row: then the note is left out, and the stream's
 * next trouble tries again.
 */
static bool
note(int32 id, const char *error)
{
	volatile bool noted = false;

	PG_TRY();
	{
		txp_transaction_begin();
		txp_stream_note(id, error);
		txp_transaction_commit();
		noted = true;
	}
	PG_CATCH();
	{
		ErrorData *why = txp_transaction_take_error();

		ereport(LOG,
				(errmsg("txpipe stream %d: its state could not be noted: %s", id, why->message)));
	}
	PG_END_TRY();
	return noted;
}

/* A trouble of the stream, outside of any transaction; `fatal` ones put it off. */
static void
note_trouble(TxpServed *served, const char *message, bool fatal)
{
	served->shown_running = false;
	if (fatal)
		put_off_after_failure(served);
	if (extension_is_gone())
	{
		served->wanted = false;
		return;
	}
	ereport(LOG, (errmsg("txpipe stream %d: %s", served->id, message)));
	(void) note(served->id, message);
}

void
txp_served_fail(TxpServed *served, const char *message)
{
	note_trouble(served, message, true);
}

static char *
describe(int sqlstate, const char *message, const char *detail, const char *hint)
{
	return psprintf("%s: %s.%s%s%s%s", unpack_sql_state(sqlstate), message, detail ? " " : "",
					detail ? detail : "", hint ? " " : "", hint ? hint : "");
}

/* A new shape needs a new plan at once; another writer deserves a moment, and a longer one each time. */
static void
put_off_after_misfit(TxpServed *served, TxpBatchResult result)
{
	int ms = CONFLICT_RETRY_MS;

	if (result == TXP_BATCH_STALE)
		ms = 0;
	else
	{
		for (int i = 0; i < served->conflicts && ms < MAX_CONFLICT_RETRY_MS; i++)
			ms *= 2;
		served->conflicts++;
	}
	put_off(served, ms);
}

static void
note_error(TxpServed *served)
{
	ErrorData *error = txp_transaction_take_error();

	/* A deadlock has a winner, which is done when this batch comes again. */
	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_TRANSACTION_ROLLBACK &&
		served->conflicts < MAX_CONFLICTS)
	{
		ereport(LOG, (errmsg("txpipe stream %d: %s; the batch is read again", served->id,
							 error->message)));
		put_off_after_misfit(served, TXP_BATCH_CONFLICT);
		return;
	}
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && served->link)
		error->hint = psprintf("The option batch_timeout_ms of the stream is %d.",
							   served->link->stream->batch_timeout_ms);
	if (served->link && served->link->plan->encrypts)
		txp_error_hide_values(error);
	note_trouble(served, describe(error->sqlerrcode, error->message, error->detail, error->hint),
				 true);
}

void
txp_served_open(TxpServed *served, TxpIo *io)
{
	TxpStream *stream;

	served->context =
		AllocSetContextCreate(TopMemoryContext, "txpipe stream", ALLOCSET_DEFAULT_SIZES);
	PG_TRY();
	{
		MemoryContext old;

		txp_transaction_begin();
		old = MemoryContextSwitchTo(served->context);
		stream = txp_stream_load(NULL, served->id);
		if (stream && served->part < stream->workers)
		{
			/* A prepared transaction that was committed has told nobody. */
			if (served->epoch >= 0 && served->epoch != stream->epoch)
				txp_wake_at_commit();
			served->epoch = stream->epoch;
			served->link = txp_link_open(io, stream, served->part, TXP_OPEN_TIMEOUT_MS);
		}
		else
			served->wanted = false;
		MemoryContextSwitchTo(old);
		txp_transaction_commit();
		served->opened_at = txp_steady_now();
	}
	PG_CATCH();
	{
		note_error(served);
	}
	PG_END_TRY();
	if (served->link == NULL)
		txp_served_close(served);
}

void
txp_served_close(TxpServed *served)
{
	if (served->link)
		txp_link_close(served->link);
	served->link = NULL;
	served->awaited_raw = 0;
	served->skipped = 0;
	served->held = false;
	if (served->context)
		MemoryContextDelete(served->context);
	served->context = NULL;
}

void
txp_served_check_answer(TxpServed *served)
{
	if (served->link && !served->link->started &&
		TimestampDifferenceExceeds(served->opened_at, txp_steady_now(), 2 * TXP_OPEN_TIMEOUT_MS))
		note_trouble(served, "08001: the brokers did not answer in time.", true);
}

TimestampTz
txp_served_due(const TxpServed *served)
{
	if (!served->wanted)
		return DT_NOBEGIN;
	if (served->link == NULL)
		return served->retry_at;
	if (served->held)
		return TimestampTzPlusMilliseconds(txp_steady_now(), GUARD_LOOK_MS);
	if (!served->link->started)
		return TimestampTzPlusMilliseconds(served->opened_at, 2 * TXP_OPEN_TIMEOUT_MS);
	return DT_NOEND;
}

/* Whatever was wrong is over. */
static void
note_running(TxpServed *served)
{
	served->failures = 0;
	if (!served->shown_running)
		served->shown_running = note(served->id, NULL);
}

/* A frame that decides where reading begins or goes on: decided in a transaction, told after its commit. */
static void
decide(TxpServed *served, const TxpFrame *frame)
{
	TxpLink *link = served->link;

	txp_transaction_begin();
	if (frame->type == TXP_PARTITIONS)
		txp_link_start(link, frame);
	else if (frame->type == TXP_VERIFIED)
		txp_link_verdict(link, frame);
	else
		txp_link_lost(link, frame);
	txp_transaction_commit();
	txp_link_send_start(link);
	/* With messages to read, only a batch proves that all is well. */
	if (!link->paused && (!link->behind || served->failures == 0))
		note_running(served);
}

/* One that only tells fields does not show that all is well. */
static bool
has_moved(const TxpBatch *batch)
{
	for (uint32 i = 0; i < batch->nranges; i++)
	{
		if (batch->ranges[i].next > batch->ranges[i].from)
			return true;
	}
	return false;
}

/* One batch, one transaction. */
static void
write_batch(TxpServed *served, const TxpFrame *frame)
{
	TxpLink *link = served->link;
	TxpBatchResult result;
	TxpBatch batch;
	int64 written_us;

	txp_batch_read(frame, &batch);
	txp_transaction_begin();
	txp_watch_limit(link->stream->batch_timeout_ms);
	result = txp_batch_write(link, &batch, WORKER_STATES);
	/* Not the commit: it may wait for a standby, and would not be undone. */
	txp_watch_unlimit();
	if (result == TXP_BATCH_ACTED)
	{
		txp_transaction_commit();
		txp_session_discard();
		put_off(served, 0);
		return;
	}
	if (result != TXP_BATCH_WRITTEN)
	{
		txp_transaction_abort();
		put_off_after_misfit(served, result);
		return;
	}
	written_us = txp_now_us();
	txp_transaction_commit_as(link->stream->owner);
	link->commit_us = txp_now_us() - written_us;
	txp_session_discard();
	served->conflicts = 0;
	txp_rates_add(served->claim, served->id, served->part, batch.nrows, batch.bytes);
	txp_io_send(link->io, TXP_BATCH_DONE, link->channel, frame->seq, NULL);
	if (has_moved(&batch))
		note_running(served);
}

static void
report_batch(const TxpServed *served, const TxpFrame *frame)
{
	char activity[NAMEDATALEN * 4];

	snprintf(activity, sizeof(activity), "stream %s: batch %u", served->link->stream->name,
			 frame->seq);
	pgstat_report_activity(STATE_RUNNING, activity);
}

static void
ask_again(TxpServed *served, uint32 seq)
{
	served->awaited_raw = seq;
	txp_io_send(served->link->io, TXP_BATCH_REPEAT, served->link->channel, seq, NULL);
}

/* People see how far a stream falls behind while a guard holds. */
static void
note_ends(TxpServed *served, const TxpFrame *frame)
{
	const TxpLink *link = served->link;
	TxpBatch batch;

	txp_batch_read(frame, &batch);
	txp_transaction_begin();
	txp_offsets_store_ends_of(link->stream->id, link->topics, link->ntopics, &batch);
	txp_transaction_commit();
}

void
txp_served_release(TxpServed *served)
{
	if (!served->held)
		return;
	served->held = false;
	ask_again(served, served->awaited_raw);
}

/* Writes the batch; false when PostgreSQL refuses rows of it and the raw messages are needed to go on. */
static bool
try_batch(TxpServed *served, const TxpFrame *frame)
{
	volatile bool written = true;

	PG_TRY();
	{
		write_batch(served, frame);
	}
	PG_CATCH();
	{
		if (frame->type != TXP_BATCH || !txp_error_is_of_rows(geterrcode()))
			PG_RE_THROW();
		FreeErrorData(txp_transaction_take_error());
		txp_session_discard();
		written = false;
	}
	PG_END_TRY();
	return written;
}

/*
 * Rows that PostgreSQL refuses: nothing is lost, the batch comes again with the raw messages. The child may
 * have sent the next batch already; that one waits its turn and is asked for afterwards. So do batches that come
 * while a guard holds: the child keeps them and reads no further.
 */
static void
handle_batch(TxpServed *served, const TxpFrame *frame)
{
	if (served->awaited_raw != 0 && frame->seq != served->awaited_raw)
	{
		served->skipped = frame->seq;
		if (served->held)
			note_ends(served, frame);
		return;
	}
	if (txp_guard_holds())
	{
		served->awaited_raw = frame->seq;
		served->held = true;
		note_ends(served, frame);
		return;
	}
	report_batch(served, frame);
	if (!try_batch(served, frame))
		ask_again(served, frame->seq);
	else if (served->link != NULL)
	{
		uint32 next = served->skipped;

		served->awaited_raw = 0;
		served->skipped = 0;
		if (next != 0)
			ask_again(served, next);
	}
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* The child's own troubles with a stream. */
static void
handle_error(TxpServed *served, const TxpFrame *frame)
{
	TxpIoError error;

	txp_io_read_error(frame, &error);
	note_trouble(served, describe(error.sqlstate, error.message, error.detail, error.hint),
				 error.fatal);
}

static void
store_ends(TxpServed *served, const TxpFrame *frame)
{
	bool well;

	txp_transaction_begin();
	well = txp_offsets_store_ends(served->link->stream->id, served->link->topics,
								  served->link->ntopics, frame);
	txp_transaction_commit();
	if (well)
		note_running(served);
}

static void
handle_frame(TxpServed *served, const TxpFrame *frame)
{
	switch (frame->type)
	{
		case TXP_PARTITIONS:
		case TXP_VERIFIED:
		case TXP_LOST:
			decide(served, frame);
			break;
		case TXP_BATCH:
		case TXP_BATCH_RAW:
			handle_batch(served, frame);
			break;
		case TXP_ENDS:
			store_ends(served, frame);
			break;
		case TXP_ERROR:
			handle_error(served, frame);
			break;
		default:
			break;
	}
}

void
txp_served_frame(TxpServed *served, const TxpFrame *frame)
{
	PG_TRY();
	{
		handle_frame(served, frame);
	}
	PG_CATCH();
	{
		note_error(served);
		txp_session_discard();
		pgstat_report_activity(STATE_IDLE, NULL);
	}
	PG_END_TRY();
}
