/*
 * page.c — the dashboard as a file that is written anew every txpipe.dashboard_interval.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "page.h"
#include "rights.h"
#include "shared_state.h"
#include "spi.h"
#include "steady.h"
#include "transaction.h"
#include "watch.h"

#define SETTING "txpipe.dashboard_interval"
/* Between looks whether the setting has changed. */
#define LOOK_MS 10000
#define SHORTEST_MS 1000
#define RETRY_MS 60000
/* Less than what DROP DATABASE waits for. */
#define LIMIT_MS 2000

static TimestampTz next_look;
static char *last_failure; /* NULL: it was written */

/*
 * The interval in milliseconds, 0: off. A session knows what was set for its database when it began; this knows
 * what is set now.
 */
static int
read_interval(void)
{
	static TxpStatement statement = {
		"SELECT coalesce((SELECT substr(c.v, length('" SETTING "=') + 1) FROM pg_db_role_setting s "
		"CROSS JOIN unnest(s.setconfig) AS c (v) WHERE s.setrole = 0 AND c.v LIKE '" SETTING "=%' "
		"AND s.setdatabase = (SELECT d.oid FROM pg_database d WHERE d.datname = "
		"current_database())), (SELECT p.setting FROM pg_settings p WHERE p.name = '" SETTING "' "
		"AND p.source <> 'database'), '0')",
		0,
		{0}};
	int interval = 0;

	txp_transaction_begin();
	if (txp_extension_exists())
	{
		SPI_connect();
		(void) txp_spi_run(&statement, NULL, NULL);
		(void) parse_int(txp_spi_text(0, 1), &interval, GUC_UNIT_MS, NULL);
		SPI_finish();
	}
	txp_transaction_commit();
	return interval <= 0 ? 0 : Max(interval, SHORTEST_MS);
}

/* Keeps a worker here while pages are wanted. Is one due? Then it is this worker's. */
static bool
take_turn(int interval)
{
	TimestampTz now = txp_steady_now();
	TxpDatabaseEntry *entry;
	bool due;

	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	entry = txp_shared_database(MyDatabaseId, true);
	if (entry)
	{
		entry->has_page = interval > 0;
		if (interval == 0)
			entry->next_page = 0;
	}
	due = entry && interval > 0 &&
		  (entry->next_page <= now ||
		   entry->next_page > TimestampTzPlusMilliseconds(now, Max(interval, RETRY_MS)));
	if (due)
		entry->next_page = TimestampTzPlusMilliseconds(now, interval);
	LWLockRelease(txp_shared->lock);
	return due;
}

void
txp_page_end(void)
{
	(void) take_turn(0);
}

static void
put_off(void)
{
	TxpDatabaseEntry *entry;

	LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
	entry = txp_shared_database(MyDatabaseId, false);
	if (entry)
		entry->next_page = TimestampTzPlusMilliseconds(txp_steady_now(), RETRY_MS);
	LWLockRelease(txp_shared->lock);
}

/* Whose page it is; `has_warehouse`: he owns the schema dwh. */
static Oid
read_owner(bool *has_warehouse)
{
	static TxpStatement statement = {
		"SELECT o.owner, o.has_warehouse FROM (SELECT nspowner, true FROM pg_namespace "
		"WHERE nspname = 'dwh' UNION ALL SELECT extowner, false FROM pg_extension WHERE "
		"extname = 'txpipe') o (owner, has_warehouse) ORDER BY o.has_warehouse DESC LIMIT 1",
		0,
		{0}};
	Oid owner;

	SPI_connect();
	if (txp_spi_run(&statement, NULL, NULL) != 1)
		elog(ERROR, "the extension txpipe is gone");
	owner = DatumGetObjectId(txp_spi_datum(0, 1));
	*has_warehouse = DatumGetBool(txp_spi_datum(0, 2));
	SPI_finish();
	return owner;
}

/* The page in the caller's context. What stands in dwh is its owner's: it runs as he, and can change nothing. */
static text *
make_page(int interval)
{
	MemoryContext context = CurrentMemoryContext;
	Oid argtype = BOOLOID;
	bool has_warehouse;
	TxpRights saved;
	Datum argument;
	bool isnull;
	Datum page;
	text *copy;
	Oid owner;

	txp_transaction_begin();
	XactReadOnly = true;
	owner = read_owner(&has_warehouse);
	argument = BoolGetDatum(has_warehouse);
	txp_watch_limit(LIMIT_MS);
	txp_rights_owner(owner, &saved);
	(void) set_config_option(SETTING, psprintf("%d", interval), PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	SPI_connect();
	if (SPI_execute_with_args("SELECT txpipe.dashboard_page($1)", 1, &argtype, &argument, NULL,
							  true, 0) != SPI_OK_SELECT)
		elog(ERROR, "the dashboard was not made");
	page = txp_spi_value(0, 1, &isnull);
	if (isnull)
		elog(ERROR, "the dashboard is null");
	copy = (text *) MemoryContextAlloc(context, VARSIZE_ANY(DatumGetPointer(page)));
	memcpy(copy, DatumGetPointer(page), VARSIZE_ANY(DatumGetPointer(page)));
	SPI_finish();
	txp_rights_restore(&saved);
	txp_watch_unlimit();
	txp_transaction_commit_as(owner);
	txp_session_discard();
	return copy;
}

static void
write_page(int interval)
{
	static TxpStatement statement = {
		"SELECT txpipe.write_export('dashboard.html', $1)", 1, {TEXTOID}};
	Datum page;

	pgstat_report_activity(STATE_RUNNING, "txpipe dashboard");
	page = PointerGetDatum(make_page(interval));
	txp_transaction_begin();
	(void) txp_spi_do(&statement, &page, NULL);
	txp_transaction_commit();
	pgstat_report_activity(STATE_IDLE, NULL);
	if (last_failure)
		pfree(last_failure);
	last_failure = NULL;
}

/* The same failure is logged once. */
static void
report_failure(const ErrorData *error)
{
	pgstat_report_activity(STATE_IDLE, NULL);
	put_off();
	if (last_failure && strcmp(last_failure, error->message) == 0)
		return;
	if (last_failure)
		pfree(last_failure);
	last_failure = MemoryContextStrdup(TopMemoryContext, error->message);
	ereport(LOG, (errmsg("txpipe could not write the dashboard: %s", error->message),
				  error->hint ? errhint("%s", error->hint) : 0));
}

void
txp_page_some(void)
{
	TimestampTz now = txp_steady_now();
	int interval;

	if (now < next_look)
		return;
	next_look = TimestampTzPlusMilliseconds(now, LOOK_MS);
	PG_TRY();
	{
		interval = read_interval();
		if (interval > 0)
			next_look = TimestampTzPlusMilliseconds(now, Min(interval, LOOK_MS));
		if (take_turn(interval))
			write_page(interval);
	}
	PG_CATCH();
	{
		report_failure(txp_transaction_take_error());
		txp_session_discard();
	}
	PG_END_TRY();
}
