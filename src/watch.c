/*
 * watch.c — clocks that run while a worker is at one stream.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timeout.h"

#include "shared.h"
#include "watch.h"

#define OVERDUE_MS 250 /* opening elsewhere takes the rest of a second */

static TimeoutId overdue_timeout;

void
txp_watch_init(void)
{
	overdue_timeout = RegisterTimeout(USER_TIMEOUT, txp_worker_is_overdue);
}

void
txp_watch_begin(int32 stream_id, uint32 part)
{
	txp_worker_begins(stream_id, part);
	enable_timeout_after(overdue_timeout, OVERDUE_MS);
}

void
txp_watch_end(void)
{
	disable_timeout(overdue_timeout, false);
	txp_worker_ends();
}

void
txp_watch_limit(int timeout_ms)
{
	if (timeout_ms > 0)
		enable_timeout_after(STATEMENT_TIMEOUT, timeout_ms);
}

void
txp_watch_unlimit(void)
{
	disable_timeout(STATEMENT_TIMEOUT, true);
	/* One that came too late must not cancel what is next. */
	if (get_timeout_indicator(STATEMENT_TIMEOUT, true))
		QueryCancelPending = false;
}
