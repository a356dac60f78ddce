/*
 * outbox.c — messages to Kafka that are sent when, and only when, their transaction has committed: the tables.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "message_format.h"
#include "outbox.h"
#include "properties.h"
#include "rights.h"
#include "shared_state.h"
#include "spi.h"

/* Messages, and bytes, that are sent together. */
#define MAX_MESSAGES 500
#define MAX_BYTES (4 * 1024 * 1024)

static bool wake_pending = false;
static bool filled = false;

/* --- filling --- */

/* Nobody is told of a transaction that was prepared; workers look once a minute. */
static void
wake_on_commit(XactEvent event, void *arg)
{
	TxpDatabaseEntry *entry;
	bool served;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT)
		return;
	if (wake_pending && event == XACT_EVENT_COMMIT)
	{
		filled = true;
		LWLockAcquire(txp_shared->lock, LW_EXCLUSIVE);
		entry = txp_shared_database(MyDatabaseId, true);
		if (entry)
			entry->next_outbox = 0;
		served = txp_shared_wake_workers(MyDatabaseId);
		/* Somebody has to come for it. */
		if (entry && !served)
			entry->dirty = true;
		if (!served && txp_shared->launcher)
			SetLatch(&txp_shared->launcher->procLatch);
		LWLockRelease(txp_shared->lock);
	}
	wake_pending = false;
}

void
txp_outbox_wake_at_commit(void)
{
	static bool registered = false;

	if (txp_shared == NULL)
		return;
	if (!registered)
	{
		RegisterXactCallback(wake_on_commit, NULL);
		registered = true;
	}
	wake_pending = true;
}

bool
txp_outbox_was_filled(void)
{
	bool was = filled;

	filled = false;
	return was;
}

/* The route's number, made where there is none. */
static int32
find_route(Oid owner, const char *owner_name, const char *server, const char *topic)
{
	static TxpStatement make = {
		"INSERT INTO txpipe.outbox_route (owner_oid, owner_name, server, topic, home) "
		"SELECT $1, $2, $3, $4, token FROM txpipe.installation ON CONFLICT DO NOTHING",
		4,
		{OIDOID, TEXTOID, TEXTOID, TEXTOID}};
	static TxpStatement find = {"SELECT r.route_id FROM txpipe.outbox_route r JOIN "
								"txpipe.installation i ON i.token = r.home "
								"WHERE r.owner_oid = $1 AND r.owner_name = $2::name AND r.server = "
								"$3::name AND r.topic = $4",
								4,
								{OIDOID, TEXTOID, TEXTOID, TEXTOID}};
	Datum values[4] = {ObjectIdGetDatum(owner), CStringGetTextDatum(owner_name),
					   CStringGetTextDatum(server), CStringGetTextDatum(topic)};

	if (txp_spi_run(&find, values, NULL) == 0)
	{
		(void) txp_spi_run(&make, values, NULL);
		if (txp_spi_run(&find, values, NULL) == 0)
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
							errmsg("messages to topic \"%s\" of another role with this number wait",
								   topic),
							errhint("Deliver them first: CALL txpipe.deliver_outbox().")));
	}
	return DatumGetInt32(txp_spi_datum(0, 1));
}

/* Avro has no JSON in it: there the evidence is its text. */
void
txp_outbox_add_alerts(const TxpStream *stream, const char *topic, bool avro, Datum alert_ids)
{
	static TxpStatement statement = {
		"INSERT INTO txpipe.outbox_store (route_id, key, value, options) "
		"SELECT $1, a.subject, (jsonb_build_object('alert_id', a.alert_id, 'stream', $3, 'rule', "
		"a.rule, 'severity', a.severity, 'subject', a.subject, 'transaction_id', a.transaction_id, "
		"'event_time', a.event_time, 'reason', a.reason, 'evidence', a.evidence, 'kafka_topic', "
		"a.kafka_topic, 'kafka_partition', a.kafka_partition, 'kafka_offset', a.kafka_offset, "
		"'raised_at', a.raised_at) || CASE WHEN $4 THEN jsonb_build_object('evidence', "
		"a.evidence::text, 'event_time', CASE WHEN isfinite(a.event_time) THEN a.event_time END) "
		"ELSE '{}' END)::text, CASE WHEN $4 THEN jsonb_build_object('format', 'avro', "
		"'registry', $5, 'avro_schema', txpipe.alert_schema(), 'register', true) END "
		"FROM txpipe.alert_store a WHERE a.alert_id = ANY ($2) ORDER BY a.alert_id",
		5,
		{INT4OID, INT8ARRAYOID, TEXTOID, BOOLOID, BOOLOID}};
	ForeignServer *server = avro ? GetForeignServerByName(stream->server, true) : NULL;
	Datum values[5] = {0, alert_ids, CStringGetTextDatum(stream->name), BoolGetDatum(avro),
					   BoolGetDatum(server != NULL && txp_has_registry(server->serverid))};

	SPI_connect();
	values[0] = Int32GetDatum(find_route(stream->owner, stream->owner_name, stream->server, topic));
	(void) txp_spi_run(&statement, values, NULL);
	SPI_finish();
	txp_outbox_wake_at_commit();
}

int64
txp_outbox_add(const char *server, const char *topic, Datum key, Datum value, Datum headers,
			   const Jsonb *format)
{
	static TxpStatement statement = {
		"INSERT INTO txpipe.outbox_store (route_id, key, value, headers, options) "
		"VALUES ($1, $2, $3, $4, $5) RETURNING outbox_id",
		5,
		{INT4OID, TEXTOID, TEXTOID, JSONBOID, JSONBOID}};
	Oid user = GetUserId();
	char nulls[] = {
		' ', key ? ' ' : 'n', value ? ' ' : 'n', headers ? ' ' : 'n', format ? ' ' : 'n', '\0'};
	Datum values[5] = {0, key, value, headers, PointerGetDatum(format)};
	int64 id;

	SPI_connect();
	values[0] = Int32GetDatum(find_route(user, GetUserNameFromId(user, false), server, topic));
	(void) txp_spi_run(&statement, values, nulls);
	id = DatumGetInt64(txp_spi_datum(0, 1));
	SPI_finish();
	txp_outbox_wake_at_commit();
	return id;
}

/* --- delivering --- */

static void
set_lock_tag(LOCKTAG *tag)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, ExtensionRelationId, get_extension_oid("txpipe", false),
					   1);
}

static LOCKTAG held;
static bool holds = false;

/* An abort releases it, though it is the session's; messages under way may then be sent twice. */
static void
lose_lock_at_abort(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		holds = false;
}

bool
txp_outbox_lock(bool wait)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(lose_lock_at_abort, NULL);
		registered = true;
	}
	if (holds)
		return true;
	set_lock_tag(&held);
	holds = LockAcquire(&held, ExclusiveLock, true, !wait) != LOCKACQUIRE_NOT_AVAIL;
	return holds;
}

void
txp_outbox_unlock(void)
{
	if (holds)
		(void) LockRelease(&held, ExclusiveLock, true);
	holds = false;
}

List *
txp_outbox_routes(bool all, TimestampTz *next)
{
	static TxpStatement statement = {
		"SELECT r.route_id, greatest(CASE WHEN r.retry_at <= clock_timestamp() + interval '1 "
		"minute' THEN r.retry_at END, o.retry_at) FROM txpipe.outbox_route r "
		"JOIN txpipe.installation i ON i.token = r.home AND i.database = $1 "
		"CROSS JOIN LATERAL (SELECT coalesce(m.retry_at, '-infinity') AS retry_at, m.outbox_id "
		"FROM txpipe.outbox_store m WHERE m.route_id = r.route_id AND m.delivered_at IS NULL "
		"ORDER BY coalesce(m.retry_at, '-infinity'), m.outbox_id LIMIT 1) o ORDER BY o.outbox_id",
		1,
		{OIDOID}};
	Datum values[1] = {ObjectIdGetDatum(MyDatabaseId)};
	TimestampTz now = GetCurrentTimestamp();
	MemoryContext context = CurrentMemoryContext;
	List *routes = NIL;
	uint64 n;

	*next = DT_NOEND;
	SPI_connect();
	n = txp_spi_run(&statement, values, NULL);
	for (uint64 i = 0; i < n; i++)
	{
		TimestampTz due = DatumGetTimestampTz(txp_spi_datum(i, 2));

		/* Nothing is put off for longer: the clock was set back. */
		if (due > now + USECS_PER_HOUR)
			due = now;
		if (all || due <= now)
		{
			MemoryContext old = MemoryContextSwitchTo(context);

			routes = lappend_int(routes, DatumGetInt32(txp_spi_datum(i, 1)));
			MemoryContextSwitchTo(old);
		}
		*next = Min(*next, due);
	}
	SPI_finish();
	return routes;
}

/* Properties of the server as the route's owner has them, how values are written, and the topic. */
static void
put_route(TxpDelivery *delivery, List *formats)
{
	static TxpStatement statement = {
		"SELECT owner_oid, owner_name::text, server::text, topic FROM txpipe.outbox_route "
		"WHERE route_id = $1",
		1,
		{INT4OID}};
	Datum values[1] = {Int32GetDatum(delivery->route_id)};
	TxpRights saved;
	char *server;
	Oid server_id;
	Oid owner;

	if (txp_spi_run(&statement, values, NULL) == 0)
		elog(ERROR, "route %d of the outbox is gone", delivery->route_id);
	server = txp_spi_text(0, 3);
	delivery->topic = txp_spi_text(0, 4);
	owner = txp_rights_resolve(DatumGetObjectId(txp_spi_datum(0, 1)), txp_spi_text(0, 2),
							   psprintf("messages to topic \"%s\"", delivery->topic));
	txp_rights_owner(owner, &saved);
	server_id = txp_server_by_name(server);
	txp_pack_properties(&delivery->payload, server_id, owner);
	txp_put_encodings(&delivery->payload, server_id, owner, delivery->topic, formats);
	txp_rights_restore(&saved);
	txp_put_str(&delivery->payload, delivery->topic);
}

/* What a delivery is made of. */
typedef struct Contents
{
	StringInfoData messages;
	List *formats;
	Size formats_size;
} Contents;

/* The number of a format in the list, which gets it where it is not there. */
static uint32
number_of(Contents *contents, Jsonb *format)
{
	ListCell *lc;

	foreach (lc, contents->formats)
	{
		if (compareJsonbContainers(&format->root, &((Jsonb *) lfirst(lc))->root) == 0)
			return foreach_current_index(lc);
	}
	contents->formats = lappend(contents->formats, format);
	contents->formats_size += VARSIZE(format);
	return list_length(contents->formats) - 1;
}

static void
put_message(TxpDelivery *delivery, Contents *contents, uint64 row)
{
	StringInfo messages = &contents->messages;
	bool isnull;
	Datum format = txp_spi_value(row, 5, &isnull);

	delivery->ids[delivery->n++] = Int64GetDatum(DatumGetInt64(txp_spi_datum(row, 1)));
	txp_put_str(messages, txp_spi_text(row, 2));
	txp_put_str(messages, txp_spi_text(row, 3));
	txp_put_u32(messages, isnull ? TXP_ABSENT : number_of(contents, DatumGetJsonbP(format)));
	txp_put_headers(messages, DatumGetJsonbP(txp_spi_value(row, 4, &isnull)));
}

bool
txp_outbox_load(int32 route_id, bool all, TxpDelivery *delivery)
{
	static TxpStatement statement = {
		"SELECT o.outbox_id, o.key, o.value, coalesce(o.headers, '{}') || jsonb_build_object("
		"'txpipe-id', r.home || '-' || o.outbox_id), o.options FROM txpipe.outbox_store o "
		"JOIN txpipe.outbox_route r USING (route_id) WHERE o.route_id = $1 "
		"AND o.delivered_at IS NULL AND ($2 OR (o.retry_at BETWEEN clock_timestamp() AND "
		"clock_timestamp() + interval '1 hour') IS NOT TRUE) ORDER BY o.outbox_id LIMIT $3",
		3,
		{INT4OID, BOOLOID, INT4OID}};
	Datum values[3] = {Int32GetDatum(route_id), BoolGetDatum(all), Int32GetDatum(MAX_MESSAGES)};
	MemoryContext context = CurrentMemoryContext;
	Contents contents = {.formats = NIL};
	uint64 n;

	*delivery = (TxpDelivery){.route_id = route_id};
	delivery->ids = palloc(sizeof(Datum) * MAX_MESSAGES);
	initStringInfo(&delivery->payload);
	initStringInfo(&contents.messages);
	SPI_connect();
	n = txp_spi_run(&statement, values, NULL);
	for (uint64 i = 0; i < n && contents.messages.len + contents.formats_size < MAX_BYTES; i++)
		put_message(delivery, &contents, i);
	put_route(delivery, contents.formats);
	delivery->topic = MemoryContextStrdup(context, delivery->topic);
	SPI_finish();
	txp_put_u32(&delivery->payload, delivery->n);
	appendBinaryStringInfo(&delivery->payload, contents.messages.data, contents.messages.len);
	txp_put_u32(&delivery->payload, TXP_DELIVERY_TIMEOUT_MS);
	pfree(contents.messages.data);
	return delivery->n > 0;
}

void
txp_outbox_failed(int32 route_id, const char *why)
{
	static TxpStatement statement = {
		"UPDATE txpipe.outbox_route SET failures = failures + 1, last_error = $2, last_error_at = "
		"clock_timestamp(), retry_at = clock_timestamp() + least(power(2, least(failures, 6)), 60) "
		"* interval '1 s' WHERE route_id = $1",
		2,
		{INT4OID, TEXTOID}};
	Datum values[2] = {Int32GetDatum(route_id), CStringGetTextDatum(why)};

	(void) txp_spi_do(&statement, values, NULL);
}

static void
store_delivered(int32 route_id, Datum *ids, int n)
{
	static TxpStatement deliver = {
		"UPDATE txpipe.outbox_store SET delivered_at = clock_timestamp(), attempts = attempts + 1, "
		"retry_at = NULL, last_error = NULL WHERE outbox_id = ANY ($1)",
		1,
		{INT8ARRAYOID}};
	static TxpStatement recover = {
		"UPDATE txpipe.outbox_route SET failures = 0, retry_at = NULL, last_error = NULL "
		"WHERE route_id = $1 AND failures > 0",
		1,
		{INT4OID}};
	Datum array = txp_spi_array(INT8OID, ids, NULL, n);
	Datum route = Int32GetDatum(route_id);

	if (n == 0)
		return;
	(void) txp_spi_do(&deliver, &array, NULL);
	(void) txp_spi_do(&recover, &route, NULL);
}

/* One that the brokers refuse does not hold up those behind it. */
static void
store_refused(Datum id, const char *why)
{
	static TxpStatement statement = {
		"UPDATE txpipe.outbox_store SET attempts = attempts + 1, last_error = $2, retry_at = "
		"clock_timestamp() + least(power(2, least(attempts, 12)), 3600) * interval '1 s' "
		"WHERE outbox_id = $1",
		2,
		{INT8OID, TEXTOID}};
	Datum values[2] = {id, CStringGetTextDatum(why)};

	(void) txp_spi_do(&statement, values, NULL);
}

static int
settle_each(const TxpDelivery *delivery, const TxpFrame *answer, char **why)
{
	TxpReader r = txp_reader(answer->data, answer->size);
	Datum *delivered = palloc(sizeof(Datum) * delivery->n);
	char *not_now = NULL;
	int n = 0;

	if (txp_read_u32(&r) != (uint32) delivery->n)
		r.bad = true;
	for (int i = 0; i < delivery->n && !r.bad; i++)
	{
		TxpDelivered how = txp_read_u8(&r);
		char *reason = txp_span_text(txp_read_span(&r));

		if (how == TXP_DELIVERED)
			delivered[n++] = delivery->ids[i];
		else if (how == TXP_REFUSED)
			store_refused(delivery->ids[i], reason);
		else if (not_now == NULL)
			not_now = reason;
		if (*why == NULL)
			*why = reason;
	}
	txp_reader_check(&r);
	store_delivered(delivery->route_id, delivered, n);
	if (not_now != NULL)
		txp_outbox_failed(delivery->route_id, not_now);
	return n;
}

int
txp_outbox_settle(const TxpDelivery *delivery, const TxpFrame *answer, char **why)
{
	TxpIoError error;

	*why = NULL;
	if (answer->type == TXP_PRODUCED_ALL)
		return settle_each(delivery, answer, why);
	if (answer->type != TXP_ERROR)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("txpipe_io answered a delivery with something else")));
	txp_io_read_error(answer, &error);
	*why = psprintf("%s: %s", unpack_sql_state(error.sqlstate), error.message);
	txp_outbox_failed(delivery->route_id, *why);
	return 0;
}

void
txp_outbox_prune(void)
{
	static TxpStatement statement = {
		"DELETE FROM txpipe.outbox_store WHERE outbox_id IN (SELECT outbox_id FROM "
		"txpipe.outbox_store WHERE delivered_at < now() - interval '1 day' "
		"ORDER BY delivered_at LIMIT 1000)",
		0,
		{0}};

	(void) txp_spi_do(&statement, NULL, NULL);
}
