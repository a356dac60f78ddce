/*
 * unload.c — taking a loaded file back.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "rights.h"
#include "rule_counts.h"
#include "sink.h"
#include "spi.h"
#include "steps.h"
#include "unload.h"

/* Locks the file's row and returns how many of its rows were loaded. */
static int64
lock_loaded(const TxpFeed *feed, int64 file_id)
{
	static TxpStatement query = {"SELECT rows_loaded, state FROM txpipe.file_ledger "
								 "WHERE feed_id = $1 AND file_id = $2 FOR UPDATE",
								 2,
								 {INT4OID, INT8OID}};
	Datum values[] = {Int32GetDatum(feed->feed_id), Int64GetDatum(file_id)};
	int64 rows;

	SPI_connect();
	if (txp_spi_run(&query, values, NULL) == 0)
		elog(ERROR, "file " INT64_FORMAT " is not one of feed \"%s\"", file_id, feed->name);
	if (strcmp(txp_spi_text(0, 2), "loaded") != 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("file " INT64_FORMAT " is not loaded", file_id),
						errdetail("Its state is \"%s\".", txp_spi_text(0, 2)),
						errhint("Files and their states are listed in txpipe.file.")));
	rows = DatumGetInt64(txp_spi_datum(0, 1));
	SPI_finish();
	return rows;
}

static void
raise_no_way(const TxpFeed *feed, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("files of feed \"%s\" cannot be unloaded", feed->name), errdetail("%s", detail),
			 errhint("Say what takes a file back with txpipe.on_unload(), or give the "
					 "target a column file_id bigint before files are loaded.")));
}

/* What deleting cannot reach would be there twice when the file is loaded again. */
static void
check_deleted(const TxpFeed *feed, int64 file_id, const char *condition, int64 expected)
{
	int64 deleted = (int64) SPI_processed;

	if (deleted >= expected)
		return;
	if (SPI_execute(psprintf("SELECT FROM %s LIMIT 1", condition), false, 1) == SPI_OK_SELECT &&
		SPI_processed > 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("rows of file " INT64_FORMAT " cannot be deleted from \"%s.%s\"",
							   file_id, feed->target_schema, feed->target_table),
						errdetail("A trigger or rule of the table keeps them."),
						errhint("Say what takes a file back with txpipe.on_unload().")));
	ereport(
		WARNING,
		(errmsg("file " INT64_FORMAT " had loaded " INT64_FORMAT
				" rows, but \"%s.%s\" had " INT64_FORMAT " of them",
				file_id, expected, feed->target_schema, feed->target_table, deleted),
		 errhint("The others were removed before, or moved, or had been loaded before the table "
				 "had the column file_id.")));
}

/* As the owner. The number is an unknown literal: it fits whatever type the column has. */
static void
delete_rows(const TxpFeed *feed, int64 file_id, int64 expected)
{
	Oid relid = txp_feed_target(feed);
	Relation target;
	char *condition;

	if (!OidIsValid(relid))
		raise_no_way(feed, "It has no target, and no step says what takes a file back.");
	target = table_open(relid, RowExclusiveLock);
	if (!txp_feed_keeps_file(target))
		raise_no_way(feed, "The rows of its target do not say which file they are of.");
	if (check_enable_rls(relid, InvalidOid, false) == RLS_ENABLED)
		raise_no_way(feed, "Row-level security of its target may hide rows from the owner.");
	condition = psprintf("%s WHERE file_id = '" INT64_FORMAT "'",
						 quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
													RelationGetRelationName(target)),
						 file_id);
	SPI_connect();
	if (SPI_execute(psprintf("DELETE FROM %s", condition), false, 0) < 0)
		elog(ERROR, "deleting the rows of file " INT64_FORMAT " failed", file_id);
	check_deleted(feed, file_id, condition, expected);
	SPI_finish();
	table_close(target, NoLock);
}

static void
clear_ledger(int64 file_id, const char *reason, const char *new_state)
{
	static TxpStatement lines = {
		"DELETE FROM txpipe.rejected_line WHERE file_id = $1", 1, {INT8OID}};
	static TxpStatement rules = {
		"DELETE FROM txpipe.file_rule_store WHERE file_id = $1", 1, {INT8OID}};
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger SET state = $2, reason = $3, loaded_at = NULL, attempts = 0, "
		"rows_read = 0, rows_loaded = 0, rows_duplicate = 0, rows_filtered = 0, "
		"rows_superseded = 0, rows_rejected = 0 WHERE file_id = $1",
		3,
		{INT8OID, TEXTOID, TEXTOID}};
	Datum values[] = {Int64GetDatum(file_id), CStringGetTextDatum(new_state),
					  reason ? CStringGetTextDatum(reason) : 0};

	SPI_connect();
	(void) txp_spi_run(&lines, values, NULL);
	(void) txp_spi_run(&rules, values, NULL);
	(void) txp_spi_run(&update, values, reason ? NULL : "  n");
	SPI_finish();
}

void
txp_unload_file(const TxpFeed *feed, int64 file_id, const char *group_key, const char *reason,
				const char *new_state)
{
	int64 rows = lock_loaded(feed, file_id);
	TxpStepFile file = {file_id, group_key};
	TxpRights saved;

	txp_rights_owner(feed->owner, &saved);
	PushActiveSnapshot(GetTransactionSnapshot());
	if (feed->unload_steps != NIL)
		txp_steps_files(feed->unload_steps, "unloaded", list_make1(&file));
	else
		delete_rows(feed, file_id, rows);
	PopActiveSnapshot();
	CommandCounterIncrement();
	txp_sink_fire_deferred();
	txp_rights_restore(&saved);
	clear_ledger(file_id, reason, new_state);
}
