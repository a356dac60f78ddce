/*
 * erase_copies.c — erase_copies(): all copies in the lake of the caller's feeds, without a person's records.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "args.h"
#include "clean_lake.h"
#include "copy_search.h"
#include "landing.h"
#include "rights.h"
#include "spi.h"
#include "transaction.h"

PG_FUNCTION_INFO_V1(txpipe_erase_copies);

static void *
read_copy(uint64 row)
{
	TxpLakeCopy *copy = palloc(sizeof(TxpLakeCopy));
	char *slash;

	copy->path = txp_spi_text(row, 1);
	copy->name = txp_spi_text(row, 2);
	slash = strrchr(copy->name, '/');
	copy->name = slash != NULL ? slash + 1 : copy->name;
	copy->files = PointerGetDatum(DatumGetArrayTypePCopy(txp_spi_datum(row, 3)));
	memcpy(copy->sha256, VARDATA_ANY(DatumGetByteaPP(txp_spi_datum(row, 4))), sizeof(copy->sha256));
	return copy;
}

static List *
copies_of(const TxpFeed *feed)
{
	static TxpStatement query = {
		"SELECT lake_path, (array_agg(file_name ORDER BY file_id))[1], array_agg(file_id), "
		"(array_agg(coalesce(copy_sha256, sha256)))[1] "
		"FROM txpipe.file_ledger WHERE feed_id = $1 AND lake_path IS NOT NULL "
		"GROUP BY lake_path ORDER BY min(file_id)",
		1,
		{INT4OID}};
	Datum values[] = {Int32GetDatum(feed->feed_id)};

	return txp_spi_list(&query, values, NULL, read_copy);
}

/* A row of the result. */
static void
put_result(ReturnSetInfo *result, const TxpFeedSearch *search, const char *hindrance, int64 copies,
		   int64 records, const List *unread)
{
	static TxpStatement query = {"SELECT coalesce(array_agg(file_id), '{}') FROM "
								 "txpipe.file_ledger WHERE feed_id = $1 AND lake_path = ANY ($2)",
								 2,
								 {INT4OID, TEXTARRAYOID}};
	Datum *paths = palloc(sizeof(Datum) * (list_length(unread) + 1));
	Datum arguments[] = {Int32GetDatum(search->feed->feed_id), 0};
	Datum values[5] = {CStringGetTextDatum(search->feed->name), 0, Int64GetDatum(copies),
					   Int64GetDatum(records), 0};
	bool nulls[5] = {false, hindrance == NULL, false, false, false};
	int n = 0;
	ListCell *lc;

	foreach (lc, unread)
		paths[n++] = CStringGetTextDatum(((TxpLakeCopy *) lfirst(lc))->path);
	arguments[1] = txp_spi_array(TEXTOID, paths, NULL, n);
	if (hindrance != NULL)
		values[1] = CStringGetTextDatum(hindrance);
	SPI_connect();
	(void) txp_spi_run(&query, arguments, NULL);
	values[4] = txp_spi_datum(0, 1);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	SPI_finish();
}

static void
search_feed(const TxpErasure *erasure, TxpFeed *feed, ReturnSetInfo *result)
{
	TxpFeedSearch search = {.erasure = erasure, .feed = feed};
	List *copies = copies_of(feed);
	List *unread = NIL;
	char *first = NULL;
	ErrorData *error;
	ListCell *lc;

	if (copies == NIL)
		return;
	error = txp_subtransaction_try(txp_copy_search_plan, &search, CurrentMemoryContext);
	if (error != NULL)
		search.hindrance = txp_copy_search_reason(&search, error);
	if (search.hindrance != NULL)
	{
		put_result(result, &search, search.hindrance, list_length(copies), 0, copies);
		return;
	}
	foreach (lc, copies)
	{
		char *reason;

		error = txp_copy_search_erase(&search, lfirst(lc));
		if (error == NULL)
			continue;
		reason = txp_copy_search_reason(&search, error);
		first = first != NULL ? first : reason;
		unread = lappend(unread, lfirst(lc));
	}
	put_result(result, &search, NULL, search.rewritten, search.records, NIL);
	if (unread != NIL)
		put_result(result, &search, first, list_length(unread), 0, unread);
}

static void *
read_group_name(uint64 row)
{
	return txp_spi_text(row, 1);
}

/* Names of the groups of feeds of the current user that have copies. */
static List *
groups_with_copies(void)
{
	static TxpStatement query = {
		"SELECT group_name FROM txpipe.feed f WHERE owner_oid = $1 "
		"AND owner_name = (SELECT rolname FROM pg_roles WHERE oid = $1) "
		"AND (EXISTS (SELECT FROM txpipe.file_ledger l WHERE l.feed_id = f.feed_id "
		"             AND l.lake_path IS NOT NULL) "
		"     OR EXISTS (SELECT FROM txpipe.lake_leftover o WHERE o.feed_id = f.feed_id)) "
		"GROUP BY group_name ORDER BY min(feed_id)",
		1,
		{OIDOID}};
	Datum values[] = {ObjectIdGetDatum(GetUserId())};

	return txp_spi_list(&query, values, NULL, read_group_name);
}

static void
search_group(const TxpErasure *erasure, const char *group_name, ReturnSetInfo *result)
{
	List *feeds = txp_feeds_lock(group_name);
	ListCell *lc;

	foreach (lc, feeds)
	{
		TxpFeed *feed = lfirst(lc);
		Datum feed_id = Int32GetDatum(feed->feed_id);

		if (feed->owner != GetUserId() || !txp_rights_is_owner(feed->owner, feed->owner_name))
			continue;
		txp_lake_remove_leftovers(txp_spi_array(INT4OID, &feed_id, NULL, 1));
		search_feed(erasure, feed, result);
	}
}

Datum
txpipe_erase_copies(PG_FUNCTION_ARGS)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "txpipe erase", ALLOCSET_DEFAULT_SIZES);
	Datum none = txp_spi_array(INT8OID, NULL, NULL, 0);
	TxpErasure erasure = {.subject = PointerGetDatum(txp_arg_jsonb_or_null(fcinfo, 0)),
						  .server = PG_ARGISNULL(1) ? 0 : PG_GETARG_DATUM(1),
						  .rejected = PG_ARGISNULL(2) ? none : PG_GETARG_DATUM(2),
						  .rejected_lines = PG_ARGISNULL(3) ? none : PG_GETARG_DATUM(3)};
	MemoryContext old;
	List *groups;
	ListCell *lc;

	InitMaterializedSRF(fcinfo, 0);
	old = MemoryContextSwitchTo(context);
	groups = groups_with_copies();
	if (groups != NIL && !PG_ARGISNULL(0))
	{
		txp_landing_check();
		txp_lake_check_isolation();
		erasure.files = txp_fileio_new(context);
		foreach (lc, groups)
			search_group(&erasure, lfirst(lc), (ReturnSetInfo *) fcinfo->resultinfo);
		txp_fileio_reset(erasure.files);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return (Datum) 0;
}
