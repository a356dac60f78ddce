/*
 * ledger.c — the SQL on txpipe.file_ledger about what became of a file.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "ledger.h"
#include "spi.h"

void
txp_ledger_loaded(const TxpLedgerFile *file)
{
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger SET state = 'loaded', retry_at = NULL, "
		"reason = CASE state WHEN 'failed' THEN NULL ELSE reason END, loaded_at = "
		"clock_timestamp(), "
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
txp_ledger_rejected(const TxpLedgerFile *file, const char *reason)
{
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger SET state = 'rejected', retry_at = NULL, reason = $2, "
		"lake_path = $3, rows_read = $4, rows_loaded = 0, rows_duplicate = 0, rows_filtered = 0, "
		"rows_superseded = 0, rows_rejected = $5 WHERE file_id = $1",
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
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger l SET state = 'failed', reason = $3, retry_at = "
		"clock_timestamp() + "
		"least(interval '1 minute' * 2 ^ least(greatest(l.attempts - 1, 0), 10), "
		"interval '1 hour') FROM txpipe.feed f WHERE f.feed_id = l.feed_id AND f.group_name = $1 "
		"AND l.group_key = $2 AND l.state IN ('waiting', 'loading', 'failed')",
		3,
		{TEXTOID, TEXTOID, TEXTOID}};
	Datum values[] = {CStringGetTextDatum(group->name), CStringGetTextDatum(group->key),
					  CStringGetTextDatum(reason)};

	(void) txp_spi_do(&update, values, NULL);
}
