/*
 * copied.c — noticing that this database is a copy of another.
 *
 * A restored stream names an installation that is not this one. A copy by TEMPLATE has the installation's row
 * too, but is another database. A promoted standby, a server recovered to a point in time and an upgraded one
 * keep both, and go on.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"

#include "copied.h"
#include "spi.h"

static bool
is_copy(void)
{
	static TxpStatement statement = {
		"SELECT EXISTS (SELECT FROM txpipe.installation i WHERE i.database <> $1 OR EXISTS "
		"(SELECT FROM txpipe.stream s WHERE s.home <> i.token))",
		1,
		{OIDOID}};
	Datum values[1] = {ObjectIdGetDatum(MyDatabaseId)};

	return DatumGetBool(txp_spi_ask(&statement, values, NULL));
}

/*
 * OIDs of the other server mean other roles and tables here: names tell, as they do in a dump.
 *
 * No event is written here: while a dump is being restored its events may be still to come, and a number drawn
 * now could be one of theirs.
 */
bool
txp_copied_pause(void)
{
	static TxpStatement draw = {
		"UPDATE txpipe.installation SET token = gen_random_uuid(), database = $1 "
		"WHERE database <> $1",
		1,
		{OIDOID}};
	static TxpStatement pause = {
		"UPDATE txpipe.stream s SET state = 'paused', reason = '" TXP_COPIED
		"', since = clock_timestamp(), home = i.token, epoch = epoch + 1, "
		"owner_oid = coalesce((SELECT oid FROM pg_roles WHERE rolname = s.owner_name), owner_oid), "
		"target_oid = coalesce((SELECT c.oid FROM pg_class c JOIN pg_namespace n "
		"ON n.oid = c.relnamespace WHERE n.nspname = s.target_schema "
		"AND c.relname = s.target_table), target_oid) "
		"FROM txpipe.installation i WHERE s.home <> i.token",
		0,
		{0}};
	static TxpStatement shapes = {
		"UPDATE txpipe.archive_shape a SET owner_oid = r.oid FROM pg_roles r "
		"WHERE r.rolname = a.owner_name AND r.oid <> a.owner_oid",
		0,
		{0}};
	static TxpStatement files = {
		"UPDATE txpipe.archive_file_store f SET owner_oid = r.oid FROM pg_roles r "
		"WHERE r.rolname = f.owner_name AND r.oid <> f.owner_oid",
		0,
		{0}};
	Datum values[1] = {ObjectIdGetDatum(MyDatabaseId)};

	if (!is_copy())
		return false;
	/* Of streams that were dropped, too. */
	(void) txp_spi_do(&shapes, NULL, NULL);
	(void) txp_spi_do(&files, NULL, NULL);
	(void) txp_spi_do(&draw, values, NULL);
	(void) txp_spi_do(&pause, NULL, NULL);
	return true;
}

void
txp_copied_log(int32 stream_id)
{
	static TxpStatement statement = {
		"INSERT INTO txpipe.stream_event_store (stream_id, happened_at, event, message) "
		"SELECT stream_id, since, 'copied', 'paused, because this is a copy of the stream' "
		"FROM txpipe.stream WHERE stream_id = $1 AND state = 'paused' AND reason = '" TXP_COPIED
		"'",
		1,
		{INT4OID}};
	Datum values[1] = {Int32GetDatum(stream_id)};

	(void) txp_spi_do(&statement, values, NULL);
}
