/*
 * prune.c — what streams keep for a time only: batch history, events, dead letters.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "options.h"
#include "prune.h"
#include "shared_state.h"
#include "spi.h"
#include "steady.h"
#include "transaction.h"

PG_FUNCTION_INFO_V1(txpipe_prune_streams);

#define ROUND_MS (60 * 60 * 1000)
#define STEP_MS 100
#define IDLE_MS 10000
#define LIMIT "1000"

/* Somebody replays the others at the moment. */
#define OLDEST "LIMIT " LIMIT " FOR UPDATE SKIP LOCKED)"
#define IS_OLD(column) column " < now() - make_interval(days => $2) "

/* What is kept for how long; option 0 is for ever. Records of what was lost are never deleted. */
static struct
{
	const char *option;
	TxpStatement statement;
} kinds[] = {
	{"history_days",
	 {"DELETE FROM txpipe.batch_history_store WHERE batch_id IN (SELECT batch_id "
	  "FROM txpipe.batch_history_store WHERE stream_id = $1 AND " IS_OLD("finished_at") OLDEST,
	  2,
	  {INT4OID, INT4OID}}},
	{"history_days",
	 {"DELETE FROM txpipe.stream_event_store WHERE stream_event_id IN (SELECT stream_event_id "
	  "FROM txpipe.stream_event_store WHERE stream_id = $1 AND " IS_OLD(
		  "happened_at") "AND event NOT IN ('lost_offset', 'recreated', 'unverifiable') " OLDEST,
	  2,
	  {INT4OID, INT4OID}}},
	{"deleted_key_days",
	 {"DELETE FROM txpipe.deleted_key WHERE stream_id = $1 AND key IN (SELECT key "
	  "FROM txpipe.deleted_key WHERE stream_id = $1 AND " IS_OLD("deleted_at") OLDEST,
	  2,
	  {INT4OID, INT4OID}}},
	{"dead_letter_days",
	 {"DELETE FROM txpipe.dead_letter_store WHERE dead_letter_id IN (SELECT dead_letter_id "
	  "FROM txpipe.dead_letter_store WHERE stream_id = $1 AND " IS_OLD("stored_at") OLDEST,
	  2,
	  {INT4OID, INT4OID}}},
};

typedef struct Keeper
{
	int32 stream_id;
	int days[lengthof(kinds)];
} Keeper;

static MemoryContext context; /* of the list */
static List *keepers;         /* still to be looked through in this round */
static int kind;              /* of the first one */
static TimestampTz next_step;

/* Is a round due? Then it is this worker's. */
static bool
take_round(TimestampTz now)
{
	TxpDatabaseEntry *entry;
	bool due;

	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	entry = txp_shared_database(MyDatabaseId, true);
	due = entry && entry->next_prune <= now;
	if (due)
		entry->next_prune = TimestampTzPlusMilliseconds(now, ROUND_MS);
	LWLockRelease(txp_shared->lock);
	return due;
}

static void *
read_keeper(uint64 row)
{
	Keeper *keeper = palloc(sizeof(Keeper));
	Jsonb *options = DatumGetJsonbP(txp_spi_datum(row, 2));

	keeper->stream_id = DatumGetInt32(txp_spi_datum(row, 1));
	for (int i = 0; i < lengthof(kinds); i++)
		keeper->days[i] = txp_option_int(TXP_OPTION_STREAM, options, kinds[i].option);
	return keeper;
}

/* All streams, paused ones too. */
static List *
read_keepers(void)
{
	static TxpStatement statement = {
		"SELECT stream_id, options FROM txpipe.stream ORDER BY stream_id", 0, {0}};

	return txp_spi_list(&statement, NULL, NULL, read_keeper);
}

static void
begin_round(void)
{
	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "txpipe prune", ALLOCSET_SMALL_SIZES);
	txp_transaction_begin();
	if (txp_extension_hold())
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		keepers = read_keepers();
		MemoryContextSwitchTo(old);
	}
	txp_transaction_commit();
	kind = 0;
}

static void
end_round(void)
{
	keepers = NIL;
	MemoryContextReset(context);
}

/* Deletes some rows of a kind, and says how many. */
static uint64
delete_some(const Keeper *keeper, int which)
{
	Datum values[2] = {Int32GetDatum(keeper->stream_id), Int32GetDatum(keeper->days[which])};

	if (keeper->days[which] <= 0)
		return 0;
	return txp_spi_do(&kinds[which].statement, values, NULL);
}

/* False: no more are too old. */
static bool
prune_kind(const Keeper *keeper)
{
	uint64 deleted = 0;

	if (keeper->days[kind] <= 0)
		return false;
	txp_transaction_begin();
	if (txp_extension_hold())
		deleted = delete_some(keeper, kind);
	txp_transaction_commit();
	return deleted > 0;
}

/* Some rows of one stream; the next stream when there are no more. */
static void
step(void)
{
	for (; kind < lengthof(kinds); kind++)
	{
		if (prune_kind(linitial(keepers)))
			return;
	}
	kind = 0;
	keepers = list_delete_first(keepers);
	if (keepers == NIL)
		end_round();
}

long
txp_prune_wait(void)
{
	return keepers == NIL ? -1 : TimestampDifferenceMilliseconds(txp_steady_now(), next_step);
}

void
txp_prune_some(void)
{
	TimestampTz now = txp_steady_now();

	if (now < next_step)
		return;
	next_step = TimestampTzPlusMilliseconds(now, keepers == NIL ? IDLE_MS : STEP_MS);
	PG_TRY();
	{
		if (keepers != NIL)
			step();
		else if (take_round(now))
		{
			begin_round();
			next_step = now;
		}
	}
	PG_CATCH();
	{
		ErrorData *error = txp_transaction_take_error();

		ereport(LOG, (errmsg("txpipe could not delete old records: %s", error->message)));
		end_round();
	}
	PG_END_TRY();
}

/* prune_streams() RETURNS bigint: a round in this transaction, where no worker may be running. */
Datum
txpipe_prune_streams(PG_FUNCTION_ARGS)
{
	List *all = read_keepers();
	int64 deleted = 0;
	ListCell *lc;

	foreach (lc, all)
	{
		for (int i = 0; i < lengthof(kinds); i++)
		{
			uint64 n;

			while ((n = delete_some(lfirst(lc), i)) > 0)
			{
				deleted += n;
				CHECK_FOR_INTERRUPTS();
			}
		}
	}
	PG_RETURN_INT64(deleted);
}
