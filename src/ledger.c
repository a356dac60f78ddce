/*
 * ledger.c — the SQL on txpipe.file_ledger about what became of a file.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "ledger.h"
#include "options.h"
#include "spi.h"

/* Another copy than before is one of the file as it came. */
#define TXP_SAME_COPY(path)                                                                        \
	"copy_sha256 = CASE WHEN lake_path = " path " THEN copy_sha256 END, "                          \
	"copy_bytes = CASE WHEN lake_path = " path " THEN copy_bytes END, "                            \
	"rows_erased = CASE WHEN lake_path = " path " THEN rows_erased ELSE 0 END"

int32
txp_ledger_max_attempts(void)
{
	return (int32) txp_option_int(TXP_OPTION_FEED, NULL, "max_attempts");
}

void
txp_ledger_loaded(const TxpLedgerFile *file)
{
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger SET state = 'loaded', retry_at = NULL, displaces = NULL, "
		"reason = CASE state WHEN 'failed' THEN NULL ELSE reason END, loaded_at = "
		"clock_timestamp(), "
		"lake_path = $2, rows_read = $3, rows_loaded = $4, rows_duplicate = $5, rows_filtered = "
		"$6, "
		"rows_superseded = $7, rows_rejected = $8, " TXP_SAME_COPY("$2") " WHERE file_id = $1",
		8,
		{INT8OID, TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID}};
	static TxpStatement duplicates = {
		"UPDATE txpipe.file_ledger d SET lake_path = $2, copy_sha256 = o.copy_sha256, "
		"copy_bytes = o.copy_bytes, rows_erased = o.rows_erased, displaces = CASE "
		"    WHEN d.displaces <> o.file_id THEN d.displaces "
		"    WHEN d.state = 'duplicate' AND txpipe.can_unload(d.feed_id) AND "
		"        txpipe.file_order(d.group_key, d.file_name) COLLATE \"C\" < "
		"        txpipe.file_order(o.group_key, o.file_name) THEN o.file_id END "
		"FROM txpipe.file_ledger o WHERE o.file_id = $1 AND d.duplicate_of = $1",
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
txp_ledger_rejected(const TxpLedgerFile *file, const char *reason)
{
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger SET state = 'rejected', retry_at = NULL, reason = $2, "
		"lake_path = $3, rows_read = $4, rows_loaded = 0, rows_duplicate = 0, rows_filtered = 0, "
		"rows_superseded = 0, rows_rejected = $5, " TXP_SAME_COPY("$3") " WHERE file_id = $1",
		5,
		{INT8OID, TEXTOID, TEXTOID, INT8OID, INT8OID}};
	Datum values[] = {Int64GetDatum(file->file_id), CStringGetTextDatum(reason),
					  file->lake_path ? CStringGetTextDatum(file->lake_path) : (Datum) 0,
					  Int64GetDatum(file->read), Int64GetDatum(file->rejected)};

	(void) txp_spi_do(&update, values, file->lake_path ? NULL : "  n  ");
}

void
txp_ledger_failed(const TxpGroup *group, const char *reason)
{
	/* A duplicate that was to take its original's place stays one. */
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger l SET attempts = n.attempts, "
		"state = CASE WHEN l.state = 'duplicate' THEN l.state "
		"    WHEN n.attempts >= coalesce((f.options->>'max_attempts')::integer, $4) THEN 'poison' "
		"    ELSE 'failed' END, "
		"reason = CASE WHEN l.state = 'duplicate' THEN l.reason ELSE $3 END, "
		"retry_at = clock_timestamp() + least(interval '1 minute' * "
		"    2 ^ least(greatest(n.attempts - 1, 0), 10), interval '1 hour') "
		"FROM txpipe.feed f, LATERAL (SELECT t.file_id, t.attempts + "
		"        (t.state = 'duplicate')::integer AS attempts FROM txpipe.file_ledger t "
		"    WHERE t.feed_id = f.feed_id AND t.group_key = $2 "
		"    AND (t.state IN ('waiting', 'loading', 'failed') "
		"        OR t.state = 'duplicate' AND t.displaces IS NOT NULL)) n "
		"WHERE f.group_name = $1 AND l.file_id = n.file_id "
		"AND (l.state IN ('waiting', 'loading', 'failed') "
		"    OR l.state = 'duplicate' AND l.displaces IS NOT NULL)",
		4,
		{TEXTOID, TEXTOID, TEXTOID, INT4OID}};
	Datum values[] = {CStringGetTextDatum(group->name), CStringGetTextDatum(group->key),
					  CStringGetTextDatum(reason), Int32GetDatum(txp_ledger_max_attempts())};

	(void) txp_spi_do(&update, values, NULL);
}
