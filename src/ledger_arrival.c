/*
 * ledger_arrival.c — the SQL on txpipe.file_ledger about files that arrive, change or go.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "feed_match.h"
#include "ledger.h"
#include "options.h"
#include "spi.h"

static Datum
bytea_datum(const void *data, size_t len)
{
	bytea *b = palloc(VARHDRSZ + len);

	SET_VARSIZE(b, VARHDRSZ + len);
	memcpy(VARDATA(b), data, len);
	return PointerGetDatum(b);
}

/* Feeds, group keys, names, sizes and times of arrivals as five array arguments. */
static void
pack_arrivals(List *arrivals, Datum *values)
{
	static const Oid types[5] = {INT4OID, TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID};
	int n = list_length(arrivals);
	Datum *columns[5];

	for (int c = 0; c < 5; c++)
		columns[c] = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
	{
		const TxpArrival *a = list_nth(arrivals, i);

		columns[0][i] = Int32GetDatum(a->feed_id);
		columns[1][i] = CStringGetTextDatum(a->group_key);
		columns[2][i] = CStringGetTextDatum(a->file.name);
		columns[3][i] = Int64GetDatum(a->file.bytes);
		columns[4][i] = TimestampTzGetDatum(a->file.modified_at);
	}
	for (int c = 0; c < 5; c++)
		values[c] = txp_spi_array(types[c], columns[c], NULL, n);
}

#define UNKNOWN                                                                                    \
	"SELECT p.ord FROM unnest($1, $2, $3, $4, $5) "                                                \
	"WITH ORDINALITY AS p (feed_id, group_key, name, bytes, modified_at, ord) "                    \
	"WHERE NOT EXISTS "                                                                            \
	"    (SELECT FROM txpipe.file_ledger l WHERE l.feed_id = p.feed_id AND l.file_name = p.name "  \
	"     AND l.bytes = p.bytes AND l.modified_at = p.modified_at AND l.state <> 'settling' "      \
	"     AND NOT l.landing_removed) "

/* Those that the ledger does not have as they are; by choice in the order in which they are to be loaded. */
static List *
find_unknown(List *arrivals, bool in_order)
{
	static TxpStatement query = {
		UNKNOWN, 5, {INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID}};
	static TxpStatement ordered = {
		UNKNOWN "ORDER BY txpipe.natural_key(p.group_key) COLLATE \"C\", p.group_key COLLATE "
				"\"C\", txpipe.natural_key(p.name) COLLATE \"C\", p.name COLLATE \"C\"",
		5,
		{INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID}};
	MemoryContext context = CurrentMemoryContext;
	List *unknown = NIL;
	Datum values[5];
	uint64 n;

	if (arrivals == NIL)
		return NIL;
	SPI_connect();
	pack_arrivals(arrivals, values);
	n = txp_spi_run(in_order ? &ordered : &query, values, NULL);
	for (uint64 i = 0; i < n; i++)
	{
		int64 position = DatumGetInt64(txp_spi_datum(i, 1));
		MemoryContext old = MemoryContextSwitchTo(context);

		unknown = lappend(unknown, list_nth(arrivals, position - 1));
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return unknown;
}

/* A file that several patterns match belongs to the first feed. */
static List *
match_files(List *files, const List *patterns, bool with_keys)
{
	List *matched = NIL;
	ListCell *lc;

	foreach (lc, files)
	{
		const TxpLandingFile *file = lfirst(lc);
		char *group_key = "";
		const TxpFeedPattern *pattern =
			txp_feed_match(patterns, file->name, with_keys ? &group_key : NULL);
		TxpArrival *arrival;

		if (pattern == NULL)
			continue;
		arrival = palloc0(sizeof(TxpArrival));
		arrival->file = *file;
		arrival->feed_id = pattern->feed_id;
		arrival->group_key = group_key;
		arrival->mark = pattern->asked_all ? pattern->mark : 0;
		matched = lappend(matched, arrival);
	}
	return matched;
}

static List *
files_of(const List *arrivals)
{
	List *files = NIL;
	ListCell *lc;

	foreach (lc, arrivals)
		files = lappend(files, &((TxpArrival *) lfirst(lc))->file);
	return files;
}

/* Of thousands of files that a tick looks at most are known, whose keys nobody needs, and most of those as belonging to their feed. */
List *
txp_ledger_arrivals(List *files, Oid user, bool may_mark)
{
	List *patterns = txp_feed_patterns(user, true);
	List *matched = match_files(txp_ledger_unsure(files, patterns), patterns, false);
	List *unknown = find_unknown(matched, false);

	if (may_mark && list_length(unknown) < list_length(matched))
		txp_ledger_mark(matched);
	return find_unknown(match_files(files_of(unknown), patterns, true), true);
}

void
txp_ledger_notice(List *arrivals)
{
	static TxpStatement insert = {
		"INSERT INTO txpipe.file_ledger AS l (feed_id, group_key, file_name, bytes, modified_at, "
		"state) SELECT a.*, 'settling' FROM unnest($1, $2, $3, $4, $5) AS a "
		"ON CONFLICT (feed_id, file_name) WHERE state = 'settling' DO UPDATE "
		"SET bytes = EXCLUDED.bytes, modified_at = EXCLUDED.modified_at "
		"WHERE (l.bytes, l.modified_at) <> (EXCLUDED.bytes, EXCLUDED.modified_at)",
		5,
		{INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID}};
	Datum values[5];

	pack_arrivals(arrivals, values);
	(void) txp_spi_do(&insert, values, NULL);
}

/* The file is in the ledger with this name and content: it was touched, or delivered again. */
static bool
enter_again(const TxpArrival *a)
{
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger SET modified_at = $4, landing_removed = false "
		"WHERE feed_id = $1 AND file_name = $2 AND sha256 = $3 AND state <> 'settling' "
		"AND (state <> 'superseded' OR NOT landing_removed)",
		4,
		{INT4OID, TEXTOID, BYTEAOID, TIMESTAMPTZOID}};
	static TxpStatement forget = {"DELETE FROM txpipe.file_ledger WHERE feed_id = $1 "
								  "AND file_name = $2 AND state = 'settling'",
								  2,
								  {INT4OID, TEXTOID}};
	Datum values[] = {Int32GetDatum(a->feed_id), CStringGetTextDatum(a->file.name),
					  bytea_datum(a->sha256, sizeof(a->sha256)),
					  TimestampTzGetDatum(a->file.modified_at)};

	if (txp_spi_run(&update, values, NULL) == 0)
		return false;
	(void) txp_spi_run(&forget, values, NULL);
	return true;
}

/* The file was tried and is taken back: it may be the one that made its group fail. */
static void
revive(Datum gone)
{
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger p SET state = 'waiting', attempts = 0, "
		"reason = format('file %s of its group was taken back', g.file_id) "
		"FROM txpipe.file_ledger g JOIN txpipe.feed gf ON gf.feed_id = g.feed_id "
		"JOIN txpipe.feed pf ON pf.group_name = gf.group_name WHERE g.file_id = $1 "
		"AND g.attempts > 0 AND p.feed_id = pf.feed_id AND p.group_key = g.group_key "
		"AND p.state = 'poison'",
		1,
		{INT8OID}};

	(void) txp_spi_run(&update, &gone, NULL);
}

/*
 * A file that has not been loaded, and will not be: it is gone, or has other content `now`. A duplicate of it takes its place; one that is a duplicate
 * itself is none any more unless its original is loaded.
 */
static void
withdraw(int32 feed_id, const char *file_name, const TxpArrival *now, const char *reason)
{
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger o SET state = 'superseded', retry_at = NULL, reason = $3, "
		"landing_removed = true "
		"WHERE feed_id = $1 AND file_name = $2 AND ($4 IS NULL OR sha256 <> $4) "
		"AND (state IN ('waiting', 'loading', 'failed', 'poison', 'rejected', 'changed') "
		"    OR state = 'settling' AND $4 IS NULL "
		"    OR state = 'duplicate' AND EXISTS (SELECT FROM txpipe.file_ledger w "
		"        WHERE w.file_id = o.duplicate_of AND w.state <> 'loaded')) "
		/* + 0: without statistics the primary key would be read to its end where there is no duplicate. */
		"RETURNING file_id, (SELECT min(d.file_id + 0) FROM txpipe.file_ledger d "
		"    WHERE d.duplicate_of = o.file_id AND d.state = 'duplicate')",
		4,
		{INT4OID, TEXTOID, TEXTOID, BYTEAOID}};
	Datum values[] = {Int32GetDatum(feed_id), CStringGetTextDatum(file_name),
					  CStringGetTextDatum(reason),
					  now ? bytea_datum(now->sha256, sizeof(now->sha256)) : (Datum) 0};
	uint64 n = txp_spi_run(&update, values, now ? NULL : "   n");
	SPITupleTable *rows = SPI_tuptable;

	for (uint64 i = 0; i < n; i++)
	{
		bool isnull;
		bool no_heir;
		Datum gone = SPI_getbinval(rows->vals[i], rows->tupdesc, 1, &isnull);
		Datum heir = SPI_getbinval(rows->vals[i], rows->tupdesc, 2, &no_heir);

		if (!no_heir)
			txp_ledger_promote(DatumGetInt64(gone), DatumGetInt64(heir));
		revive(gone);
	}
}

void
txp_ledger_withdraw_removed(Oid user)
{
	static TxpStatement query = {
		"SELECT l.feed_id, l.file_name FROM txpipe.file_ledger l JOIN txpipe.feed f USING "
		"(feed_id) "
		"WHERE l.state IN ('settling', 'waiting', 'failed', 'poison', 'changed') AND NOT "
		"l.landing_removed "
		"AND (pg_has_role($1, f.owner_oid, 'USAGE') "
		"     OR has_function_privilege($1, " TXP_OPERATE "))",
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
			withdraw(feed_id, name, NULL, "the file was removed before it was loaded");
	}
	SPI_finish();
}

/* What a file that has settled is; false: it is not in the ledger as settling. */
static bool
enter_settled(const TxpArrival *a)
{
	/* n: the files of that name, the last and the loaded one, found by name (OFFSET 0) and not from the newest on; o: the content's. */
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger s SET sha256 = $3, bytes = $4, modified_at = $5, "
		"state = e.state, by_content = f.by_content, lake_path = o.lake_path, "
		"copy_sha256 = o.copy_sha256, copy_bytes = o.copy_bytes, rows_erased = "
		"coalesce(o.rows_erased, 0), "
		"duplicate_of = CASE e.state WHEN 'duplicate' THEN o.file_id END, "
		"displaces = CASE WHEN e.state IN ('waiting', 'duplicate') AND n.loaded IS NOT NULL "
		"        THEN n.loaded "
		"    WHEN e.state = 'duplicate' AND o.state = 'loaded' AND txpipe.can_unload(s.feed_id) "
		"        AND txpipe.file_order(s.group_key, $2) COLLATE \"C\" < "
		"            txpipe.file_order(o.group_key, o.file_name) THEN o.file_id END, "
		"reason = CASE "
		"    WHEN e.state = 'changed' THEN format('file %s, which is loaded, has the same name and "
		"other content; reload(%s) loads this one in its place', n.loaded, s.file_id) "
		"    WHEN e.state = 'superseded' THEN format('file %s of the same name is loaded, and "
		"changes are ignored', n.loaded) "
		"    WHEN e.state = 'duplicate' THEN format('same content as file %s, %s', o.file_id, "
		"o.file_name) "
		"    WHEN n.file_id IS NOT NULL THEN format('file %s had the same name and other "
		"content', n.file_id) END "
		"FROM (SELECT feed_id, lower(coalesce(options->>'on_change', $6)) AS on_change, "
		"          lower(coalesce(options->>'duplicates', $7)) = 'skip' AS by_content "
		"      FROM txpipe.feed) f "
		"LEFT JOIN txpipe.file_ledger o ON o.feed_id = f.feed_id AND o.sha256 = $3 "
		"    AND f.by_content AND o.by_content "
		"    AND o.state NOT IN ('settling', 'duplicate', 'changed', 'superseded', 'unloaded') "
		"CROSS JOIN LATERAL (SELECT max(n.file_id) AS file_id, "
		"        max(n.file_id) FILTER (WHERE n.state = 'loaded') AS loaded "
		"    FROM (SELECT l.file_id, l.state FROM txpipe.file_ledger l WHERE l.feed_id = f.feed_id "
		"        AND l.file_name = $2 AND l.state <> 'settling' OFFSET 0) n) n "
		"CROSS JOIN LATERAL (SELECT CASE "
		"    WHEN n.loaded IS NOT NULL AND f.on_change = 'error' THEN 'changed' "
		"    WHEN n.loaded IS NOT NULL AND f.on_change = 'ignore' THEN 'superseded' "
		"    WHEN o.file_id IS NOT NULL THEN 'duplicate' ELSE 'waiting' END AS state) e "
		"WHERE f.feed_id = $1 AND s.feed_id = $1 AND s.file_name = $2 AND s.state = 'settling'",
		7,
		{INT4OID, TEXTOID, BYTEAOID, INT8OID, TIMESTAMPTZOID, TEXTOID, TEXTOID}};
	Datum values[] = {
		Int32GetDatum(a->feed_id),
		CStringGetTextDatum(a->file.name),
		bytea_datum(a->sha256, sizeof(a->sha256)),
		Int64GetDatum(a->file.bytes),
		TimestampTzGetDatum(a->file.modified_at),
		CStringGetTextDatum(txp_option_text(TXP_OPTION_FEED, NULL, "on_change")),
		CStringGetTextDatum(txp_option_text(TXP_OPTION_FEED, NULL, "duplicates")),
	};

	return txp_spi_run(&update, values, NULL) > 0;
}

/* Its landing file was overwritten. */
static void
forget_landing(const TxpArrival *a)
{
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger SET landing_removed = true "
		"WHERE feed_id = $1 AND file_name = $2 AND state <> 'settling' AND NOT landing_removed",
		2,
		{INT4OID, TEXTOID}};
	Datum values[] = {Int32GetDatum(a->feed_id), CStringGetTextDatum(a->file.name)};

	(void) txp_spi_run(&update, values, NULL);
}

/* Is it its feed's still, and in this group? Its pattern may have changed while the file settled. */
static bool
matches_still(const TxpArrival *a)
{
	List *files = list_make1(unconstify(TxpLandingFile *, &a->file));
	List *arrivals =
		find_unknown(match_files(files, txp_feed_patterns(GetUserId(), true), true), true);
	const TxpArrival *now = arrivals == NIL ? NULL : linitial(arrivals);

	return now != NULL && now->feed_id == a->feed_id && strcmp(now->group_key, a->group_key) == 0;
}

static void
enter(TxpArrival *a)
{
	if (!a->settled)
		return;
	withdraw(a->feed_id, a->file.name, a, "the file changed before it was loaded");
	if (enter_again(a))
		return;
	forget_landing(a);
	if (enter_settled(a) || !matches_still(a))
		return;
	/* Another run entered the file as it was before it changed. */
	txp_ledger_notice(list_make1(a));
	(void) enter_settled(a);
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
		enter(lfirst(lc));
	SPI_finish();
}
