/*
 * ledger_group.c — the SQL on txpipe.file_ledger about groups: which can be loaded, and what of them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "ledger.h"
#include "spi.h"

/* The states of a file that is there for its group. */
#define PRESENT "NOT IN ('settling', 'superseded')"

static void *
read_group(uint64 row)
{
	TxpGroup *group = palloc(sizeof(TxpGroup));

	group->name = txp_spi_text(row, 1);
	group->key = txp_spi_text(row, 2);
	group->owner = DatumGetObjectId(txp_spi_datum(row, 3));
	group->bytes = DatumGetInt64(txp_spi_datum(row, 4));
	group->tried = DatumGetBool(txp_spi_datum(row, 5));
	return group;
}

/* Nothing is put off for more than an hour: what is further away was stored before the clock was set back. */
#define IS_DUE "BETWEEN clock_timestamp() AND clock_timestamp() + interval '1 hour') IS NOT TRUE"

/*
 * Groups that can be loaded, and a condition on which: of f, its feed, and l or d, the file that makes it so. Conditions
 * inside let one group be found by index among thousands that wait.
 */
#define READY(which_l, which_d)                                                                    \
	"SELECT g.group_name, g.group_key, g.owner_oid, "                                              \
	"t.bytes, t.tried FROM ("                                                                      \
	"  SELECT f.group_name, l.group_key, f.owner_oid FROM txpipe.file_ledger l "                   \
	"  JOIN txpipe.feed f USING (feed_id) WHERE (l.state IN ('waiting', 'loading') "               \
	"      OR l.state = 'failed' AND (l.retry_at " IS_DUE ") " which_l "  UNION "                  \
	"  SELECT f.group_name, d.group_key, f.owner_oid FROM txpipe.file_ledger l "                   \
	"  JOIN txpipe.file_ledger d ON d.duplicate_of = l.file_id "                                   \
	"  JOIN txpipe.feed f ON f.feed_id = d.feed_id "                                               \
	"  WHERE d.state = 'duplicate' AND (l.state IN ('waiting', 'loading') "                        \
	"      OR l.state = 'failed' AND (l.retry_at " IS_DUE ") " which_d "  UNION "                  \
	"  SELECT f.group_name, d.group_key, f.owner_oid FROM txpipe.file_ledger d "                   \
	"  JOIN txpipe.file_ledger l ON l.file_id = d.displaces "                                      \
	"  JOIN txpipe.feed f ON f.feed_id = d.feed_id "                                               \
	"  WHERE d.state = 'duplicate' AND d.displaces IS NOT NULL AND l.state = 'loaded' "            \
	"  AND (d.retry_at " IS_DUE " "                                                                \
	"  AND d.attempts < coalesce((f.options->>'max_attempts')::integer, $3) " which_d ") g "       \
	"CROSS JOIN LATERAL (SELECT coalesce(sum(p.bytes), 0)::bigint AS bytes, "                      \
	"    coalesce(bool_or(p.attempts > 0), false) AS tried "                                       \
	"    FROM txpipe.feed r JOIN txpipe.file_ledger p USING (feed_id) "                            \
	"    WHERE r.group_name = g.group_name AND p.group_key = g.group_key "                         \
	"    AND p.state IN ('waiting', 'loading', 'failed')) t "                                      \
	"WHERE (pg_has_role($1, g.owner_oid, 'USAGE') "                                                \
	"    OR has_function_privilege($1, " TXP_OPERATE ")) "                                         \
	"AND (NOT EXISTS (SELECT FROM txpipe.feed r WHERE r.group_name = g.group_name "                \
	"        AND r.required AND NOT EXISTS (SELECT FROM txpipe.file_ledger p "                     \
	"            WHERE p.feed_id = r.feed_id AND p.group_key = g.group_key "                       \
	"            AND p.state " PRESENT ")) "                                                       \
	"    OR (SELECT bool_or(p.state = 'loaded') OR clock_timestamp() >= "                          \
	"            min(p.arrived_at) + min((r.options->>'group_timeout')::interval) "                \
	"        FROM txpipe.feed r LEFT JOIN txpipe.file_ledger p ON p.feed_id = r.feed_id "          \
	"            AND p.group_key = g.group_key AND p.state <> 'superseded' "                       \
	"        WHERE r.group_name = g.group_name)) "                                                 \
	"ORDER BY txpipe.natural_key(g.group_key) COLLATE \"C\", g.group_key COLLATE \"C\", "          \
	"g.group_name COLLATE \"C\" LIMIT $2"

List *
txp_ledger_ready(Oid user, const TxpGroup *only, int64 limit)
{
	static TxpStatement all = {READY("", ""), 3, {OIDOID, INT8OID, INT4OID}};
	static TxpStatement one = {READY("AND f.group_name = $4 AND l.group_key = $5 ",
									 "AND f.group_name = $4 AND d.group_key = $5 "),
							   5,
							   {OIDOID, INT8OID, INT4OID, TEXTOID, TEXTOID}};
	Datum values[] = {
		ObjectIdGetDatum(user), Int64GetDatum(limit), Int32GetDatum(txp_ledger_max_attempts()),
		only ? CStringGetTextDatum(only->name) : 0, only ? CStringGetTextDatum(only->key) : 0};

	return txp_spi_list(only ? &one : &all, values, limit < 0 ? " n   " : NULL, read_group);
}

void
txp_ledger_promote(int64 original, int64 heir)
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
 * Content this group needs may wait in another group that is not complete: it is loaded here instead. One that has
 * begun is complete.
 */
static void
take_over(const TxpGroup *group)
{
	static TxpStatement query = {
		"SELECT o.file_id, min(d.file_id) FROM txpipe.file_ledger d JOIN txpipe.feed f USING "
		"(feed_id) "
		"JOIN txpipe.file_ledger o ON o.file_id = d.duplicate_of "
		"WHERE f.group_name = $1 AND d.group_key = $2 AND d.state = 'duplicate' "
		"AND o.state IN ('waiting', 'failed') AND o.group_key <> d.group_key GROUP BY "
		"o.file_id",
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
		txp_ledger_promote(DatumGetInt64(pair[0]), DatumGetInt64(pair[1]));
	}
}

bool
txp_ledger_busy(const TxpGroup *group)
{
	static TxpStatement query = {
		"SELECT count(*) < (SELECT count(*) FROM txpipe.feed WHERE group_name = $1) "
		"FROM (SELECT FROM txpipe.feed WHERE group_name = $1 FOR NO KEY UPDATE SKIP LOCKED) f",
		1,
		{TEXTOID}};
	Datum values[] = {CStringGetTextDatum(group->name)};

	return DatumGetBool(txp_spi_ask(&query, values, NULL));
}

/* What ends the session that loads it must not do so for ever. */
static void
give_up(const TxpGroup *group)
{
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger l SET state = 'poison', reason = format('its load was ended %s "
		"times before it was done, by a crash or a cancellation', l.attempts) "
		"FROM txpipe.feed f WHERE f.feed_id = l.feed_id AND f.group_name = $1 "
		"AND l.group_key = $2 AND l.state = 'loading' "
		"AND l.attempts >= coalesce((f.options->>'max_attempts')::integer, $3)",
		3,
		{TEXTOID, TEXTOID, INT4OID}};
	Datum values[] = {CStringGetTextDatum(group->name), CStringGetTextDatum(group->key),
					  Int32GetDatum(txp_ledger_max_attempts())};

	(void) txp_spi_run(&update, values, NULL);
}

void
txp_ledger_begin(const TxpGroup *group)
{
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger l SET state = 'loading', attempts = l.attempts + 1, "
		"retry_at = NULL, reason = coalesce('late: ' || late.missing || ' missing', "
		"    CASE WHEN l.state <> 'failed' AND l.reason NOT LIKE 'late: %' THEN l.reason END, "
		"    CASE WHEN late.begun THEN 'late: other files of its group were loaded before' END) "
		"FROM txpipe.feed f, (SELECT string_agg(r.feed, ', ' ORDER BY r.ordinal, r.feed_id) "
		"        FILTER (WHERE r.required AND NOT p.present) AS missing, bool_or(p.begun) AS begun "
		"    FROM txpipe.feed r CROSS JOIN LATERAL (SELECT count(*) > 0 AS present, "
		"        coalesce(bool_or(p.state = 'loaded'), false) AS begun FROM txpipe.file_ledger p "
		"        WHERE p.feed_id = r.feed_id AND p.group_key = $2 AND p.state " PRESENT ") p "
		"    WHERE r.group_name = $1) late "
		"WHERE f.feed_id = l.feed_id AND f.group_name = $1 AND l.group_key = $2 "
		"AND l.state IN ('waiting', 'loading', 'failed')",
		2,
		{TEXTOID, TEXTOID}};
	Datum values[] = {CStringGetTextDatum(group->name), CStringGetTextDatum(group->key)};

	SPI_connect();
	give_up(group);
	take_over(group);
	(void) txp_spi_run(&update, values, NULL);
	SPI_finish();
}

TxpLedgerFile *
txp_ledger_read_file(uint64 row)
{
	TxpLedgerFile *file = palloc0(sizeof(TxpLedgerFile));
	Datum copy_sha256;
	bool is_as_it_came;

	file->file_id = DatumGetInt64(txp_spi_datum(row, 1));
	file->feed_id = DatumGetInt32(txp_spi_datum(row, 2));
	file->file.name = txp_spi_text(row, 3);
	file->file.bytes = DatumGetInt64(txp_spi_datum(row, 4));
	file->file.modified_at = DatumGetTimestampTz(txp_spi_datum(row, 5));
	memcpy(file->sha256, VARDATA_ANY(DatumGetByteaPP(txp_spi_datum(row, 6))), sizeof(file->sha256));
	file->directory = txp_spi_text(row, 7);
	copy_sha256 = txp_spi_value(row, 8, &is_as_it_came);
	if (is_as_it_came)
		return file;
	file->rewritten = true;
	memcpy(file->copy_sha256, VARDATA_ANY(DatumGetByteaPP(copy_sha256)), sizeof(file->copy_sha256));
	file->copy_bytes = DatumGetInt64(txp_spi_datum(row, 9));
	return file;
}

static void *
read_group_file(uint64 row)
{
	TxpLedgerFile *file = txp_ledger_read_file(row);

	/* It was a duplicate, and left the landing directory as one; or its copy lacks records, which must not come back. */
	file->lake_path = txp_spi_text(row, TXP_LEDGER_FILE_COLUMNS + 1);
	return file;
}

List *
txp_ledger_files(const TxpGroup *group)
{
	static TxpStatement query = {
		"SELECT " TXP_LEDGER_FILE ", CASE WHEN l.landing_removed OR "
		"l.copy_sha256 IS NOT NULL THEN l.lake_path END "
		"FROM txpipe.file_ledger l JOIN txpipe.feed f USING (feed_id) "
		"WHERE f.group_name = $1 AND l.group_key = $2 AND l.state IN ('waiting', 'loading', "
		"'failed') "
		"ORDER BY f.ordinal, f.feed_id, txpipe.natural_key(l.file_name) COLLATE \"C\", l.file_id",
		2,
		{TEXTOID, TEXTOID}};
	Datum values[] = {CStringGetTextDatum(group->name), CStringGetTextDatum(group->key)};

	return txp_spi_list(&query, values, NULL, read_group_file);
}
