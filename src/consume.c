/*
 * consume.c — CALL txpipe.consume(): one batch of a stream in the calling session.
 *
 * Called on its own it commits before it waits for the brokers, so that it holds no lock meanwhile.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "args.h"
#include "batch.h"
#include "copied.h"
#include "error_class.h"
#include "guard.h"
#include "link.h"
#include "rights.h"
#include "shared.h"
#include "sink.h"
#include "spi.h"
#include "steady.h"
#include "stream.h"
#include "transaction.h"

#define GATHER_MS 100
#define LOCAL_TIMEOUT_MS 60000
/* Without workers a stream counts as idle in any state. */
#define ANY_STATE "paused,running,error"
#define PAUSED_STATE "paused"

static TxpBatchResult
write_batch(TxpLink *link, TxpBatch *batch, const char *states)
{
	TxpBatchResult result = txp_batch_write(link, batch, states);

	if (result == TXP_BATCH_STALE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("the target of stream \"%s\" was changed meanwhile", link->stream->name),
				 errhint("Call again.")));
	if (result == TXP_BATCH_ACTED)
		ereport(NOTICE, (errmsg("stream \"%s\": nothing was read", link->stream->name),
						 errdetail("A policy has acted instead."),
						 errhint("txpipe.stream_event tells what was done.")));
	if (result == TXP_BATCH_CONFLICT)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("stream \"%s\" is being consumed by somebody else", link->stream->name),
				 errhint("Nothing was lost or doubled; call again when the other is done.")));
	return result;
}

typedef struct Writing
{
	TxpLink *link;
	TxpBatch *batch;
	const char *states;
	TxpBatchResult result;
} Writing;

static bool
write_to_keep(void *arg)
{
	Writing *writing = arg;

	writing->result = write_batch(writing->link, writing->batch, writing->states);
	return true;
}

/* Writes the batch; false, with all undone, when PostgreSQL refuses rows of it. */
static bool
try_batch(Writing *writing)
{
	ErrorData *error = txp_subtransaction_try(write_to_keep, writing, CurrentMemoryContext);

	if (error == NULL)
		return true;
	if (!txp_error_is_of_rows(error->sqlerrcode))
		ReThrowError(error);
	FreeErrorData(error);
	return false;
}

static void
consume_frame(TxpLink *link, TxpFrame *frame, const char *states)
{
	TxpBatch batch;
	Writing writing = {link, &batch, states};

	txp_batch_read(frame, &batch);
	PushActiveSnapshot(GetTransactionSnapshot());
	if (!try_batch(&writing))
	{
		txp_io_send(link->io, TXP_BATCH_REPEAT, link->channel, frame->seq, NULL);
		txp_io_expect(link->io, link->channel, TXP_BATCH_RAW, LOCAL_TIMEOUT_MS, frame);
		txp_batch_read(frame, &batch);
		writing.result = write_batch(link, &batch, states);
	}
	PopActiveSnapshot();
	if (writing.result == TXP_BATCH_WRITTEN)
		ereport(NOTICE, (errmsg("stream \"%s\": %u messages read, %u not decodable",
								link->stream->name, batch.nrows + batch.nrejects, batch.nrejects)));
}

static void
commit_if(bool nonatomic)
{
	if (nonatomic)
		SPI_commit();
}

/* What decides where reading begins or goes on. */
static void
decide(TxpLink *link, const TxpFrame *frame, bool nonatomic)
{
	if (frame->type == TXP_PARTITIONS)
		txp_link_start(link, frame);
	else if (frame->type == TXP_VERIFIED)
		txp_link_verdict(link, frame);
	else
		txp_link_lost(link, frame);
	commit_if(nonatomic);
	txp_link_send_start(link);
}

/* Waits for a batch; an ERROR frame that is fatal is raised, silence until the timeout is no error. */
static bool
wait_for_batch(TxpLink *link, int timeout_ms, bool nonatomic, TxpFrame *frame)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(txp_steady_now(), timeout_ms);
	TxpIoError error;

	for (;;)
	{
		long left = TimestampDifferenceMilliseconds(txp_steady_now(), deadline);

		if (!txp_io_receive(link->io, (int) left, frame))
		{
			if (txp_io_gone(link->io))
				txp_io_raise_gone(link->io);
			return false;
		}
		if (frame->type == TXP_BATCH)
			return true;
		if (frame->type == TXP_PARTITIONS || frame->type == TXP_VERIFIED || frame->type == TXP_LOST)
			decide(link, frame, nonatomic);
		if (link->paused)
			return false;
		if (frame->type == TXP_ERROR)
		{
			txp_io_read_error(frame, &error);
			if (error.fatal)
				txp_io_raise(&error);
		}
	}
}

static void
check_guard(const TxpStream *stream)
{
	char *problem = txp_guard_problem();

	if (problem)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("stream \"%s\" cannot be read now: %s", stream->name, problem),
						errhint("Mend that, or change the setting and reload.")));
}

PG_FUNCTION_INFO_V1(txpipe_consume);
Datum
txpipe_consume(PG_FUNCTION_ARGS)
{
	bool nonatomic = fcinfo->context && IsA(fcinfo->context, CallContext) &&
					 !castNode(CallContext, fcinfo->context)->atomic;
	int timeout_ms = txp_arg_interval_ms(fcinfo, 2, "timeout");
	const char *states = txp_shared_available() ? PAUSED_STATE : ANY_STATE;
	TxpStream *stream;
	TxpFrame frame;
	TxpLink *link;

	PreventCommandDuringRecovery("CALL txpipe.consume()");
	/* Its memory outlives the commits below. */
	SPI_connect_ext(nonatomic ? SPI_OPT_NONATOMIC : 0);
	stream = txp_stream_of_user(txp_arg_text(fcinfo, 0, "stream"));
	if (stream->reason && strcmp(stream->reason, TXP_COPIED) == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("stream \"%s\" is a copy and reads nothing by itself", stream->name),
						errhint("If this copy shall read on: SELECT txpipe.resume_stream(%s).",
								quote_literal_cstr(stream->name))));
	/* In a block the commit, and what is deferred to it, is the caller's. */
	if (!nonatomic && GetUserId() != stream->owner)
		ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
						errmsg("only the owner of stream \"%s\" can consume it inside a "
							   "transaction block",
							   stream->name),
						errhint("Call it on its own.")));
	/* In a block the caller's own deferred constraints come first, with the caller's rights. */
	if (!nonatomic)
		txp_sink_fire_deferred();
	check_guard(stream);
	if (PG_ARGISNULL(1) || PG_GETARG_INT32(1) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_messages must be at least 1"), errhint("The default is 10000.")));
	if (txp_shared_available() && strcmp(stream->state, "paused") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE), errmsg("stream \"%s\" is running", stream->name),
				 errhint("Pause it first: SELECT txpipe.pause_stream(%s).",
						 quote_literal_cstr(stream->name))));
	stream->batch_rows = PG_GETARG_INT32(1);
	stream->linger_ms = 0;
	stream->gather_ms = GATHER_MS;
	stream->workers = 1;

	link = txp_link_open(txp_io_start(CurrentMemoryContext), stream, 0, Max(timeout_ms, 1000));
	commit_if(nonatomic);
	txp_io_expect(link->io, link->channel, TXP_PARTITIONS, Max(timeout_ms, 1000) + 1000, &frame);
	decide(link, &frame, nonatomic);
	if (!link->paused && wait_for_batch(link, timeout_ms, nonatomic, &frame))
		consume_frame(link, &frame, states);
	else if (link->paused)
		ereport(NOTICE, (errmsg("stream \"%s\": nothing was read", stream->name),
						 errhint("txpipe.stream_status tells why.")));
	else
		ereport(NOTICE,
				(errmsg("stream \"%s\": no message within %d ms", stream->name, timeout_ms)));
	txp_rights_refuse_temporary(stream->owner);
	if (nonatomic)
		txp_spi_commit_as(stream->owner);
	txp_io_stop(link->io);
	SPI_finish();
	PG_RETURN_VOID();
}
