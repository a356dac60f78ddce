/*
 * alter_feed.c — the SQL function that changes a feed and keeps its ledger.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "args.h"
#include "feed.h"
#include "options.h"
#include "rights.h"
#include "spi.h"
#include "stream.h"

PG_FUNCTION_INFO_V1(txpipe_alter_feed);

/* As when it was created, with the rights of its owner; its rules must fit its rows still. */
static void
check(TxpFeed *feed)
{
	TxpRights saved;

	(void) txp_rights_resolve(feed->owner, feed->owner_name, psprintf("feed \"%s\"", feed->name));
	txp_rights_owner(feed->owner, &saved);
	feed->target = txp_feed_find_target(feed);
	txp_feed_check(feed);
	txp_feed_check_plan(feed);
	txp_rights_restore(&saved);
	txp_rights_refuse_temporary(feed->owner);
}

static void
store(const TxpFeed *feed)
{
	static TxpStatement update = {
		"UPDATE txpipe.feed SET columns = $2, options = $3, file_pattern = $4, after_load = $5, "
		"ordinal = $6, target_oid = coalesce(nullif($7, 0), target_oid) WHERE feed_id = $1",
		7,
		{INT4OID, JSONBOID, JSONBOID, TEXTOID, TEXTOID, INT4OID, OIDOID}};
	Datum values[] = {
		Int32GetDatum(feed->feed_id),
		PointerGetDatum(feed->columns),
		PointerGetDatum(feed->options),
		CStringGetTextDatum(feed->pattern),
		CStringGetTextDatum(feed->archive ? "archive" : "keep"),
		Int32GetDatum(txp_option_int(TXP_OPTION_FEED, feed->options, "ordinal")),
		ObjectIdGetDatum(feed->target),
	};

	(void) txp_spi_do(&update, values, feed->columns ? NULL : " n     ");
}

/* Files that have not settled are seen anew, with the group that the pattern gives them now. */
static void
forget_settling(int32 feed_id)
{
	static TxpStatement statement = {
		"DELETE FROM txpipe.file_ledger WHERE feed_id = $1 AND state = 'settling'", 1, {INT4OID}};
	Datum values[] = {Int32GetDatum(feed_id)};

	(void) txp_spi_do(&statement, values, NULL);
}

Datum
txpipe_alter_feed(PG_FUNCTION_ARGS)
{
	TxpFeed *feed = txp_feed_owned(txp_arg_text(fcinfo, 0, "feed"));
	Jsonb *columns = txp_arg_jsonb_or_null(fcinfo, 1);
	Jsonb *options = txp_arg_jsonb_or_null(fcinfo, 2);
	char *pattern = txp_arg_text_or_null(fcinfo, 3);
	char *after_load = txp_arg_text_or_null(fcinfo, 4);

	if (columns == NULL && options == NULL && pattern == NULL && after_load == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("nothing of feed \"%s\" is to be changed", feed->name),
						errhint("Give columns, options, file_pattern or after_load, for example "
								"options => '{\"reject_limit\": 100}'.")));
	if (columns != NULL)
		feed->columns = txp_stream_columns(columns);
	if (options != NULL)
		feed->options = txp_options_merge(TXP_OPTION_FEED, feed->options, options);
	if (pattern != NULL)
		feed->pattern = pattern;
	if (after_load != NULL)
		feed->archive = txp_feed_archives(after_load);
	check(feed);
	store(feed);
	if (pattern != NULL)
		forget_settling(feed->feed_id);
	PG_RETURN_VOID();
}
