/*
 * takeover.c — files that take the place of loaded ones, so that neither the order in which groups arrive nor
 * corrections under an old name matter.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "feed.h"
#include "spi.h"
#include "takeover.h"
#include "unload.h"

/* `file` of the group displaces `loaded`. */
typedef struct Displacement
{
	int64 file;
	char *name;
	int64 loaded;
	char *group_key; /* of the loaded one */
	int32 feed_id;
	bool same_content;
	int64 heir; /* a duplicate of the loaded one, or 0 */
} Displacement;

static void *
read_displacement(uint64 row)
{
	Displacement *d = palloc(sizeof(Displacement));

	d->file = DatumGetInt64(txp_spi_datum(row, 1));
	d->name = txp_spi_text(row, 2);
	d->loaded = DatumGetInt64(txp_spi_datum(row, 3));
	d->group_key = txp_spi_text(row, 4);
	d->feed_id = DatumGetInt32(txp_spi_datum(row, 5));
	d->same_content = DatumGetBool(txp_spi_datum(row, 6));
	d->heir = DatumGetInt64(txp_spi_datum(row, 7));
	return d;
}

/* Of several with the same content the first in the order of files. */
static List *
displacements(const TxpGroup *group)
{
	static TxpStatement query = {
		"SELECT DISTINCT ON (o.file_id) d.file_id, d.file_name, o.file_id, o.group_key, "
		"o.feed_id, d.sha256 = o.sha256, coalesce((SELECT h.file_id FROM txpipe.file_ledger h "
		"    WHERE h.duplicate_of = o.file_id AND h.state = 'duplicate' "
		"    ORDER BY txpipe.file_order(h.group_key, h.file_name) COLLATE \"C\" LIMIT 1), 0) "
		"FROM txpipe.file_ledger d JOIN txpipe.feed f USING (feed_id) "
		"JOIN txpipe.file_ledger o ON o.file_id = d.displaces AND o.feed_id = d.feed_id "
		"WHERE f.group_name = $1 AND d.group_key = $2 AND d.displaces IS NOT NULL "
		"AND d.state IN ('waiting', 'loading', 'failed', 'duplicate') AND o.state = 'loaded' "
		"ORDER BY o.file_id, txpipe.file_order(d.group_key, d.file_name) COLLATE \"C\", d.file_id",
		2,
		{TEXTOID, TEXTOID}};
	Datum values[] = {CStringGetTextDatum(group->name), CStringGetTextDatum(group->key)};

	return txp_spi_list(&query, values, NULL, read_displacement);
}

/*
 * The loaded one, with its duplicates, is a duplicate of the file from now on; what would have displaced it as well finds
 * it gone.
 */
static void
hand_content_over(const Displacement *d)
{
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger SET duplicate_of = $2 WHERE file_id = $1",
		2,
		{INT8OID, INT8OID}};
	static TxpStatement late = {"UPDATE txpipe.file_ledger SET displaces = NULL WHERE feed_id = $3 "
								"AND displaces = $1 AND file_id <> $2",
								3,
								{INT8OID, INT8OID, INT4OID}};
	Datum values[] = {Int64GetDatum(d->loaded), Int64GetDatum(d->file), Int32GetDatum(d->feed_id)};

	SPI_connect();
	txp_ledger_promote(d->loaded, d->file);
	(void) txp_spi_run(&update, values, NULL);
	(void) txp_spi_run(&late, values, NULL);
	SPI_finish();
}

/* What had the replaced file's content as well is a duplicate no more: the first of them waits in its place. */
static void
leave_content(const Displacement *d)
{
	static TxpStatement done = {
		"UPDATE txpipe.file_ledger SET displaces = NULL WHERE file_id = $1", 1, {INT8OID}};
	Datum values[] = {Int64GetDatum(d->file)};

	SPI_connect();
	if (d->heir != 0)
		txp_ledger_promote(d->loaded, d->heir);
	(void) txp_spi_run(&done, values, NULL);
	SPI_finish();
}

bool
txp_takeover_by(const List *displaced, int64 file_id)
{
	ListCell *lc;

	foreach (lc, displaced)
	{
		if (((const Displacement *) lfirst(lc))->file == file_id)
			return true;
	}
	return false;
}

List *
txp_takeover(const TxpGroup *group, List *feeds)
{
	List *displaced = displacements(group);
	ListCell *lc;

	foreach (lc, displaced)
	{
		Displacement *d = lfirst(lc);
		const TxpFeed *feed = txp_feed_by_id(feeds, d->feed_id);

		if (d->same_content)
		{
			txp_unload_file(feed, d->loaded, d->group_key,
							psprintf("same content as file " INT64_FORMAT
									 ", %s, which comes before it",
									 d->file, d->name),
							"duplicate");
			hand_content_over(d);
		}
		else
		{
			txp_unload_file(
				feed, d->loaded, d->group_key,
				psprintf("replaced by file " INT64_FORMAT ", with other content", d->file),
				"superseded");
			leave_content(d);
		}
	}
	return displaced;
}
