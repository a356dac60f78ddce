/*
 * on_batch.c — SQL functions on_batch and drop_step: SQL on every batch of a stream.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "args.h"
#include "event.h"
#include "link.h"
#include "step_check.h"
#include "step_run.h"
#include "steps.h"
#include "stream.h"
#include "stream_steps.h"

static void
note_change(const TxpStream *stream, const char *step, const char *what)
{
	(void) txp_stream_grow_epoch(stream->id);
	txp_event_log(
		stream->id, "altered",
		psprintf("step \"%s\" %s by %s", step, what, GetUserNameFromId(GetUserId(), false)), NULL);
}

static void
drop_step(const char *name, const char *step)
{
	TxpStream *stream = txp_stream_of_user_locked(name);

	txp_stream_step_remove(stream->id, step);
	note_change(stream, step, "dropped");
}

PG_FUNCTION_INFO_V1(txpipe_on_batch);
Datum
txpipe_on_batch(PG_FUNCTION_ARGS)
{
	char *name = txp_arg_text(fcinfo, 0, "stream");
	char *step = txp_arg_text(fcinfo, 1, "step");
	char *sql = txp_arg_text_or_null(fcinfo, 2);
	int32 ordinal = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT32(3);
	char *on_error = txp_arg_text(fcinfo, 4, "on_error");
	TxpStream *stream;
	TxpLink *link;

	if (sql == NULL)
	{
		drop_step(name, step);
		PG_RETURN_VOID();
	}
	stream = txp_stream_of_user_locked(name);
	txp_step_check(step, sql);
	txp_stream_step_set(stream->id, step, sql, PG_ARGISNULL(3) ? NULL : &ordinal, on_error);
	link = txp_link_plan(stream);
	txp_steps_check(link, step);
	txp_link_check_plan(link->plan);
	note_change(stream, step, "set");
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(txpipe_drop_step);
Datum
txpipe_drop_step(PG_FUNCTION_ARGS)
{
	drop_step(txp_arg_text(fcinfo, 0, "stream"), txp_arg_text(fcinfo, 1, "step"));
	PG_RETURN_VOID();
}
