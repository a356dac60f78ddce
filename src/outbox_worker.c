/*
 * outbox_worker.c — workers deliver the outbox, beside their streams.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "outbox.h"
#include "outbox_worker.h"
#include "shared_state.h"
#include "spi.h"
#include "steady.h"
#include "transaction.h"

/* Between looks of one worker at whether the outbox is due. */
#define LOOK_MS 1000
/* Between looks into an outbox that nobody said was filled: somebody may have committed a prepared transaction. */
#define IDLE_MS 60000
/* The brokers' time, and that of the child for opening and closing. */
#define ANSWER_MS (TXP_DELIVERY_TIMEOUT_MS + 20000)
/* After trouble of ours, such as a catalog that is locked. */
#define TROUBLE_MS 5000

static MemoryContext context;  /* of the delivery */
static TxpDelivery *under_way; /* NULL: none */
static uint32 channel;         /* of it */
static TimestampTz answer_due; /* of it */
static bool chosen = false;    /* it is this worker's turn */
static TimestampTz stay_until; /* something is to be delivered later */
static TimestampTz next_look;

static TimestampTz
in_ms(int ms)
{
	return TimestampTzPlusMilliseconds(txp_steady_now(), ms);
}

/* A time of the tables. */
static TimestampTz
steady(TimestampTz when)
{
	return TIMESTAMP_NOT_FINITE(when) ? when : txp_steady_now() + (when - GetCurrentTimestamp());
}

/* Until the next messages are due, and somebody has taken his turn. */
static void
stay_for(TimestampTz next)
{
	stay_until = TIMESTAMP_NOT_FINITE(next) ? 0 : TimestampTzPlusMilliseconds(next, 2 * LOOK_MS);
}

static void
set_next_turn(TimestampTz when)
{
	TxpDatabaseEntry *entry;

	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	entry = txp_shared_database(MyDatabaseId, true);
	/* Filled again meanwhile: then at once. */
	if (entry && entry->next_outbox != 0)
		entry->next_outbox = when;
	LWLockRelease(txp_shared->lock);
	next_look = Min(when, in_ms(LOOK_MS));
}

/* Is the outbox due? Then it is this worker's turn, and nobody else's as long as an answer may take. */
static bool
take_turn(TimestampTz now)
{
	TxpDatabaseEntry *entry;
	bool due;

	next_look = TimestampTzPlusMilliseconds(now, LOOK_MS);
	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	entry = txp_shared_database(MyDatabaseId, true);
	due = entry && entry->next_outbox <= now;
	if (due)
		entry->next_outbox = TimestampTzPlusMilliseconds(now, ANSWER_MS);
	LWLockRelease(txp_shared->lock);
	return due;
}

static void
end_turn(TimestampTz next)
{
	chosen = false;
	txp_outbox_unlock();
	set_next_turn(next);
}

static void
forget_delivery(void)
{
	under_way = NULL;
	MemoryContextReset(context);
}

/* In a transaction of its own: nothing can be delivered there now. */
static void
note_failure(int32 route_id, const char *why)
{
	PG_TRY();
	{
		txp_transaction_begin();
		txp_outbox_failed(route_id, why);
		txp_transaction_commit();
	}
	PG_CATCH();
	{
		ErrorData *error = txp_transaction_take_error();

		ereport(LOG, (errmsg("txpipe could not note a failure of the outbox: %s", error->message)));
	}
	PG_END_TRY();
}

/* The next messages that are due, in `context`; its route_id is set also when they cannot be read. */
static bool
load_next(TxpDelivery *delivery)
{
	TimestampTz next = DT_NOEND;
	MemoryContext old;
	List *routes = NIL;
	bool there = false;
	bool locked;

	delivery->route_id = 0;
	txp_transaction_begin();
	locked = txp_extension_hold() && txp_outbox_lock(false);
	if (locked)
	{
		old = MemoryContextSwitchTo(context);
		routes = txp_outbox_routes(false, &next);
		if (routes != NIL)
		{
			delivery->route_id = linitial_int(routes);
			there = txp_outbox_load(delivery->route_id, false, delivery);
		}
		else
			txp_outbox_prune();
		MemoryContextSwitchTo(old);
	}
	txp_transaction_commit();
	next = steady(next);
	stay_for(next);
	if (!there)
		end_turn(Min(next, in_ms(locked ? IDLE_MS : LOOK_MS)));
	return there;
}

static void
send_next(TxpIo *io)
{
	TxpDelivery *volatile delivery = MemoryContextAllocZero(context, sizeof(TxpDelivery));

	PG_TRY();
	{
		if (load_next(delivery))
		{
			channel = txp_io_new_channel(io);
			txp_io_send(io, TXP_PRODUCE_ALL, channel, 0, &delivery->payload);
			explicit_bzero(delivery->payload.data, delivery->payload.len);
			answer_due = in_ms(ANSWER_MS);
			under_way = delivery;
		}
	}
	PG_CATCH();
	{
		ErrorData *error = txp_transaction_take_error();

		if (delivery->route_id != 0)
			note_failure(delivery->route_id,
						 psprintf("%s: %s", unpack_sql_state(error->sqlerrcode), error->message));
		else
			ereport(LOG, (errmsg("txpipe could not read the outbox: %s", error->message)));
		stay_for(in_ms(TROUBLE_MS));
		end_turn(in_ms(delivery->route_id != 0 ? LOOK_MS : TROUBLE_MS));
	}
	PG_END_TRY();
	if (under_way == NULL)
		MemoryContextReset(context);
}

void
txp_outbox_some(TxpIo *io)
{
	TimestampTz now = txp_steady_now();

	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "txpipe outbox", ALLOCSET_DEFAULT_SIZES);
	if (under_way != NULL)
	{
		if (now < answer_due)
			return;
		note_failure(under_way->route_id, "08006: the brokers did not answer in time");
		txp_outbox_reset();
	}
	if (txp_outbox_was_filled())
		next_look = 0;
	if (!chosen && (now < next_look || !take_turn(now)))
		return;
	chosen = true;
	if (io != NULL)
		send_next(io);
}

void
txp_outbox_frame(const TxpFrame *frame)
{
	MemoryContext old = CurrentMemoryContext;
	char *why;

	if (under_way == NULL || frame->channel != channel)
		return;
	PG_TRY();
	{
		txp_transaction_begin();
		(void) txp_outbox_settle(under_way, frame, &why);
		txp_outbox_prune();
		if (why != NULL)
			ereport(LOG, (errmsg("txpipe could not deliver all messages to topic \"%s\": %s",
								 under_way->topic, why)));
		txp_transaction_commit();
	}
	PG_CATCH();
	{
		ErrorData *error = txp_transaction_take_error();

		ereport(LOG,
				(errmsg("txpipe could not settle messages of the outbox, which are sent again: %s",
						error->message)));
		end_turn(in_ms(TROUBLE_MS));
	}
	PG_END_TRY();
	forget_delivery();
	MemoryContextSwitchTo(old);
}

bool
txp_outbox_wants_child(void)
{
	return chosen && under_way == NULL;
}

bool
txp_outbox_waits(void)
{
	return chosen || txp_steady_now() < stay_until;
}

void
txp_outbox_reset(void)
{
	if (!chosen)
		return;
	forget_delivery();
	stay_for(in_ms(LOOK_MS));
	end_turn(in_ms(LOOK_MS));
}
