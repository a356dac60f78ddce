/*
 * ledger.c — the SQL on txpipe.file_ledger: what has arrived, what is complete, what became of it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "ledger.h"
#include "spi.h"

static Datum
bytea_datum(const void *data, size_t len)
{
	bytea *b = palloc(VARHDRSZ + len);

	SET_VARSIZE(b, VARHDRSZ + len);
	memcpy(VARDATA(b), data, len);
	return PointerGetDatum(b);
}

/* All paths are matched in one statement. A file that several patterns match belongs to the first feed. */
static uint64
match_files(List *files, Oid user)
{
	static TxpStatement query = {
		"SELECT p.ord, f.feed_id, f.group_key "
		"FROM unnest($1, $2, $3) WITH ORDINALITY AS p (name, bytes, modified_at, ord) "
		"CROSS JOIN LATERAL (SELECT f.feed_id, f.owner_oid, m.key[1] AS group_key "
		"    FROM (SELECT * FROM txpipe.feed WHERE pg_has_role($4, owner_oid, 'USAGE') OFFSET 0) f "
		"    CROSS JOIN LATERAL (SELECT regexp_match(p.name, '^(?:' || f.file_pattern || ')$') AS "
		"key OFFSET 0) m "
		"    WHERE m.key[1] IS NOT NULL ORDER BY f.ordinal, f.feed_id LIMIT 1) f "
		"WHERE NOT EXISTS "
		"    (SELECT FROM txpipe.file_ledger l WHERE l.feed_id = f.feed_id AND l.file_name = "
		"p.name "
		"     AND l.bytes = p.bytes AND l.modified_at = p.modified_at AND l.state <> 'replaced' "
		"     AND NOT l.landing_removed) "
		"ORDER BY txpipe.natural_key(f.group_key) COLLATE \"C\", f.group_key COLLATE \"C\", "
		"txpipe.natural_key(p.name) COLLATE \"C\", p.name COLLATE \"C\"",
		4,
		{TEXTARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID, OIDOID}};
	int n = list_length(files);
	Datum *names = palloc(sizeof(Datum) * n);
	Datum *sizes = palloc(sizeof(Datum) * n);
	Datum *times = palloc(sizeof(Datum) * n);
	Datum values[4];

	for (int i = 0; i < n; i++)
	{
		TxpLandingFile *file = list_nth(files, i);

		names[i] = CStringGetTextDatum(file->name);
		sizes[i] = Int64GetDatum(file->bytes);
		times[i] = TimestampTzGetDatum(file->modified_at);
	}
	values[0] = txp_spi_array(TEXTOID, names, NULL, n);
	values[1] = txp_spi_array(INT8OID, sizes, NULL, n);
	values[2] = txp_spi_array(TIMESTAMPTZOID, times, NULL, n);
	values[3] = ObjectIdGetDatum(user);
	return txp_spi_run(&query, values, NULL);
}

List *
txp_ledger_arrivals(List *files, Oid user)
{
	MemoryContext context = CurrentMemoryContext;
	List *arrivals = NIL;
	uint64 n;

	if (files == NIL)
		return NIL;
	SPI_connect();
	n = match_files(files, user);
	for (uint64 i = 0; i < n; i++)
	{
		int64 position = DatumGetInt64(txp_spi_datum(i, 1));
		MemoryContext old = MemoryContextSwitchTo(context);
		TxpArrival *arrival = palloc0(sizeof(TxpArrival));

		arrival->file = *(TxpLandingFile *) list_nth(files, position - 1);
		arrival->feed_id = DatumGetInt32(txp_spi_datum(i, 2));
		arrival->group_key = txp_spi_text(i, 3);
		arrivals = lappend(arrivals, arrival);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return arrivals;
}

/* The file is in the ledger with this name and content: it was touched, or delivered again. */
static bool
enter_again(const TxpArrival *a)
{
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger SET modified_at = $4, landing_removed = false "
		"WHERE feed_id = $1 AND file_name = $2 AND sha256 = $3 AND state <> 'replaced'",
		4,
		{INT4OID, TEXTOID, BYTEAOID, TIMESTAMPTZOID}};
	Datum values[] = {Int32GetDatum(a->feed_id), CStringGetTextDatum(a->file.name),
					  bytea_datum(a->sha256, sizeof(a->sha256)),
					  TimestampTzGetDatum(a->file.modified_at)};

	return txp_spi_run(&update, values, NULL) > 0;
}

/* Duplicates of a row that will not be loaded: `heir` waits in its place, the others are its duplicates. */
static void
promote(int64 original, int64 heir)
{
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger SET "
		"state = CASE file_id WHEN $2 THEN 'waiting' ELSE state END, "
		"reason = CASE file_id WHEN $2 THEN NULL ELSE reason END, "
		"duplicate_of = CASE file_id WHEN $2 THEN NULL ELSE $2 END WHERE duplicate_of = $1",
		2,
		{INT8OID, INT8OID}};
	Datum values[] = {Int64GetDatum(original), Int64GetDatum(heir)};

	(void) txp_spi_run(&update, values, NULL);
}

/*
 * A file that has not been loaded, and will not be. A duplicate of it takes its place; one that is a duplicate
 * itself is none any more unless its original is loaded.
 */
static void
withdraw(int32 feed_id, const char *file_name, const char *reason)
{
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger o SET state = 'replaced', retry_at = NULL, reason = $3 "
		"WHERE feed_id = $1 AND file_name = $2 AND (state IN ('waiting', 'failed') "
		"    OR state = 'duplicate' AND EXISTS (SELECT FROM txpipe.file_ledger w "
		"        WHERE w.file_id = o.duplicate_of AND w.state <> 'loaded')) "
		"RETURNING file_id, (SELECT min(d.file_id) FROM txpipe.file_ledger d "
		"    WHERE d.duplicate_of = o.file_id AND d.state = 'duplicate')",
		3,
		{INT4OID, TEXTOID, TEXTOID}};
	Datum values[] = {Int32GetDatum(feed_id), CStringGetTextDatum(file_name),
					  CStringGetTextDatum(reason)};
	uint64 n = txp_spi_run(&update, values, NULL);
	SPITupleTable *rows = SPI_tuptable;

	for (uint64 i = 0; i < n; i++)
	{
		bool isnull;
		bool no_heir;
		Datum gone = SPI_getbinval(rows->vals[i], rows->tupdesc, 1, &isnull);
		Datum heir = SPI_getbinval(rows->vals[i], rows->tupdesc, 2, &no_heir);

		if (!no_heir)
			promote(DatumGetInt64(gone), DatumGetInt64(heir));
	}
}

void
txp_ledger_withdraw_removed(Oid user)
{
	static TxpStatement query = {
		"SELECT l.feed_id, l.file_name FROM txpipe.file_ledger l JOIN txpipe.feed f USING "
		"(feed_id) "
		"WHERE l.state IN ('waiting', 'failed') AND pg_has_role($1, f.owner_oid, 'USAGE')",
		1,
		{OIDOID}};
	Datum values[] = {ObjectIdGetDatum(user)};
	SPITupleTable *rows;
	uint64 n;

	SPI_connect();
	n = txp_spi_run(&query, values, NULL);
	rows = SPI_tuptable;
	for (uint64 i = 0; i < n; i++)
	{
		bool isnull;
		int32 feed_id = DatumGetInt32(SPI_getbinval(rows->vals[i], rows->tupdesc, 1, &isnull));
		char *name = SPI_getvalue(rows->vals[i], rows->tupdesc, 2);
		int64 bytes;
		TimestampTz modified_at;

		if (!txp_landing_stat(name, &bytes, &modified_at))
			withdraw(feed_id, name, "the file was removed before it was loaded");
	}
	SPI_finish();
}

static void
enter_new(const TxpArrival *a)
{
	static TxpStatement insert = {
		"INSERT INTO txpipe.file_ledger (feed_id, group_key, file_name, sha256, bytes, "
		"modified_at, "
		"state, duplicate_of, lake_path, reason) "
		"SELECT f.feed_id, $2, $3, $4, $5, $6, "
		"CASE WHEN o.file_id IS NULL THEN 'waiting' ELSE 'duplicate' END, o.file_id, o.lake_path, "
		"CASE WHEN o.file_id IS NOT NULL "
		"     THEN format('same content as file %s, %s', o.file_id, o.file_name) "
		"     WHEN n.file_id IS NOT NULL "
		"     THEN format('file %s had the same name and other content', n.file_id) END "
		"FROM txpipe.feed f "
		"LEFT JOIN txpipe.file_ledger o ON o.feed_id = f.feed_id AND o.sha256 = $4 "
		"     AND o.state NOT IN ('duplicate', 'replaced') "
		"CROSS JOIN LATERAL (SELECT max(n.file_id) AS file_id FROM txpipe.file_ledger n "
		"     WHERE n.feed_id = f.feed_id AND n.file_name = $3) n "
		"WHERE f.feed_id = $1",
		6,
		{INT4OID, TEXTOID, TEXTOID, BYTEAOID, INT8OID, TIMESTAMPTZOID}};
	Datum values[] = {Int32GetDatum(a->feed_id),         CStringGetTextDatum(a->group_key),
					  CStringGetTextDatum(a->file.name), bytea_datum(a->sha256, sizeof(a->sha256)),
					  Int64GetDatum(a->file.bytes),      TimestampTzGetDatum(a->file.modified_at)};

	(void) txp_spi_run(&insert, values, NULL);
}

/* In the order that loads lock feeds in as well. */
static void
lock_feeds(List *arrivals)
{
	static TxpStatement query = {"SELECT FROM txpipe.feed WHERE feed_id = ANY ($1) "
								 "ORDER BY feed_id FOR NO KEY UPDATE",
								 1,
								 {INT8ARRAYOID}};
	int n = list_length(arrivals);
	Datum *ids = palloc(sizeof(Datum) * n);
	Datum values[1];

	for (int i = 0; i < n; i++)
		ids[i] = Int64GetDatum(((TxpArrival *) list_nth(arrivals, i))->feed_id);
	values[0] = txp_spi_array(INT8OID, ids, NULL, n);
	(void) txp_spi_run(&query, values, NULL);
}

void
txp_ledger_enter(List *arrivals)
{
	ListCell *lc;

	SPI_connect();
	lock_feeds(arrivals);
	foreach (lc, arrivals)
	{
		TxpArrival *a = lfirst(lc);

		if (!a->settled || enter_again(a))
			continue;
		withdraw(a->feed_id, a->file.name, "the file changed before it was loaded");
		enter_new(a);
	}
	SPI_finish();
}

List *
txp_ledger_ready(Oid user, const TxpGroup *only, int64 limit)
{
	static TxpStatement query = {
		"SELECT g.group_name, g.group_key, g.owner_oid FROM ("
		"  SELECT f.group_name, l.group_key, f.owner_oid FROM txpipe.file_ledger l "
		"  JOIN txpipe.feed f USING (feed_id) WHERE l.state = 'waiting' "
		"      OR l.state = 'failed' AND l.retry_at <= clock_timestamp() "
		"  UNION "
		"  SELECT f.group_name, d.group_key, f.owner_oid FROM txpipe.file_ledger l "
		"  JOIN txpipe.file_ledger d ON d.duplicate_of = l.file_id "
		"  JOIN txpipe.feed f ON f.feed_id = d.feed_id WHERE l.state = 'waiting') g "
		"WHERE pg_has_role($1, g.owner_oid, 'USAGE') "
		"AND ($2 IS NULL OR (g.group_name, g.group_key) = ($2, $3)) "
		"AND NOT EXISTS (SELECT FROM txpipe.feed r WHERE r.group_name = g.group_name AND "
		"r.required "
		"    AND NOT EXISTS (SELECT FROM txpipe.file_ledger p WHERE p.feed_id = r.feed_id "
		"                    AND p.group_key = g.group_key AND p.state <> 'replaced')) "
		"ORDER BY txpipe.natural_key(g.group_key) COLLATE \"C\", g.group_key COLLATE \"C\", "
		"g.group_name COLLATE \"C\" LIMIT $4",
		4,
		{OIDOID, TEXTOID, TEXTOID, INT8OID}};
	MemoryContext context = CurrentMemoryContext;
	Datum values[] = {ObjectIdGetDatum(user), only ? CStringGetTextDatum(only->name) : 0,
					  only ? CStringGetTextDatum(only->key) : 0, Int64GetDatum(limit)};
	char nulls[] = {' ', only ? ' ' : 'n', only ? ' ' : 'n', limit < 0 ? 'n' : ' ', '\0'};
	List *groups = NIL;
	uint64 n;

	SPI_connect();
	n = txp_spi_run(&query, values, nulls);
	for (uint64 i = 0; i < n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		TxpGroup *group = palloc(sizeof(TxpGroup));

		group->name = txp_spi_text(i, 1);
		group->key = txp_spi_text(i, 2);
		group->owner = DatumGetObjectId(txp_spi_datum(i, 3));
		groups = lappend(groups, group);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return groups;
}

/* Content this group needs may wait in another group that is not complete: it is loaded here instead. */
static void
take_over(const TxpGroup *group)
{
	static TxpStatement query = {
		"SELECT o.file_id, min(d.file_id) FROM txpipe.file_ledger d JOIN txpipe.feed f USING "
		"(feed_id) "
		"JOIN txpipe.file_ledger o ON o.file_id = d.duplicate_of "
		"WHERE f.group_name = $1 AND d.group_key = $2 AND o.state IN ('waiting', 'failed') "
		"AND o.group_key <> d.group_key GROUP BY o.file_id",
		2,
		{TEXTOID, TEXTOID}};
	static TxpStatement demote = {
		"UPDATE txpipe.file_ledger o SET state = 'duplicate', duplicate_of = d.file_id, "
		"retry_at = NULL, reason = format('same content as file %s, %s', d.file_id, d.file_name) "
		"FROM txpipe.file_ledger d WHERE o.file_id = $1 AND d.file_id = $2",
		2,
		{INT8OID, INT8OID}};
	Datum values[] = {CStringGetTextDatum(group->name), CStringGetTextDatum(group->key)};
	uint64 n = txp_spi_run(&query, values, NULL);
	SPITupleTable *found = SPI_tuptable;

	for (uint64 i = 0; i < n; i++)
	{
		bool isnull;
		Datum pair[] = {SPI_getbinval(found->vals[i], found->tupdesc, 1, &isnull),
						SPI_getbinval(found->vals[i], found->tupdesc, 2, &isnull)};

		(void) txp_spi_run(&demote, pair, NULL);
		promote(DatumGetInt64(pair[0]), DatumGetInt64(pair[1]));
	}
}

List *
txp_ledger_files(const TxpGroup *group)
{
	static TxpStatement query = {
		"SELECT l.file_id, l.feed_id, l.file_name, l.bytes, l.modified_at, l.sha256, "
		"'raw/feed=' || f.feed || to_char(l.arrived_at AT TIME ZONE 'UTC', "
		"    '\"/date=\"YYYY-MM-DD\"/hour=\"HH24') "
		"FROM txpipe.file_ledger l JOIN txpipe.feed f USING (feed_id) "
		"WHERE f.group_name = $1 AND l.group_key = $2 AND l.state IN ('waiting', 'failed') "
		"ORDER BY f.ordinal, f.feed_id, txpipe.natural_key(l.file_name) COLLATE \"C\", l.file_id",
		2,
		{TEXTOID, TEXTOID}};
	MemoryContext context = CurrentMemoryContext;
	Datum values[] = {CStringGetTextDatum(group->name), CStringGetTextDatum(group->key)};
	List *files = NIL;
	uint64 n;

	SPI_connect();
	take_over(group);
	n = txp_spi_run(&query, values, NULL);
	for (uint64 i = 0; i < n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		TxpLedgerFile *file = palloc0(sizeof(TxpLedgerFile));

		file->file_id = DatumGetInt64(txp_spi_datum(i, 1));
		file->feed_id = DatumGetInt32(txp_spi_datum(i, 2));
		file->file.name = txp_spi_text(i, 3);
		file->file.bytes = DatumGetInt64(txp_spi_datum(i, 4));
		file->file.modified_at = DatumGetTimestampTz(txp_spi_datum(i, 5));
		memcpy(file->sha256, VARDATA_ANY(DatumGetByteaPP(txp_spi_datum(i, 6))),
			   sizeof(file->sha256));
		file->directory = txp_spi_text(i, 7);
		files = lappend(files, file);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return files;
}

void
txp_ledger_loaded(const TxpLedgerFile *file)
{
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger SET state = 'loaded', attempts = attempts + 1, retry_at = NULL, "
		"reason = CASE state WHEN 'waiting' THEN reason END, loaded_at = clock_timestamp(), "
		"lake_path = $2, rows_read = $3, rows_loaded = $4, rows_duplicate = $5, rows_filtered = "
		"$6, "
		"rows_superseded = $7, rows_rejected = $8 WHERE file_id = $1",
		8,
		{INT8OID, TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID}};
	static TxpStatement duplicates = {
		"UPDATE txpipe.file_ledger SET lake_path = $2 WHERE duplicate_of = $1",
		2,
		{INT8OID, TEXTOID}};
	Datum values[] = {Int64GetDatum(file->file_id),    CStringGetTextDatum(file->lake_path),
					  Int64GetDatum(file->read),       Int64GetDatum(file->loaded),
					  Int64GetDatum(file->duplicate),  Int64GetDatum(file->filtered),
					  Int64GetDatum(file->superseded), Int64GetDatum(file->rejected)};

	SPI_connect();
	(void) txp_spi_run(&update, values, NULL);
	(void) txp_spi_run(&duplicates, values, NULL);
	SPI_finish();
}

void
txp_ledger_failed(const TxpGroup *group, const char *reason)
{
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger l SET state = 'failed', reason = $3, attempts = l.attempts + 1, "
		"retry_at = clock_timestamp() + least(interval '1 minute' * 2 ^ least(l.attempts, 10), "
		"interval '1 hour') FROM txpipe.feed f WHERE f.feed_id = l.feed_id AND f.group_name = $1 "
		"AND l.group_key = $2 AND l.state IN ('waiting', 'failed')",
		3,
		{TEXTOID, TEXTOID, TEXTOID}};
	Datum values[] = {CStringGetTextDatum(group->name), CStringGetTextDatum(group->key),
					  CStringGetTextDatum(reason)};

	(void) txp_spi_do(&update, values, NULL);
}
