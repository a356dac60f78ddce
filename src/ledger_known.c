/*
 * ledger_known.c — files of the landing directory that are known without a look at the patterns of feeds.
 *
 * Which feed a file belongs to depends on its name and the patterns that are asked, and on nothing else. So a row whose mark is that of
 * the patterns as they are now need not be matched again, and a tick over thousands of known files compares names, sizes and times.
 * A mark that is missing or old costs time only: its file is matched, and marked.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "feed_match.h"
#include "ledger.h"
#include "spi.h"

/* A landing file by its name. */
typedef struct Entry
{
	TxpSpan name;
	uint32 hash;
	char status;
	const TxpLandingFile *file;
	bool known;
} Entry;

#define SH_PREFIX names
#define SH_ELEMENT_TYPE Entry
#define SH_KEY_TYPE TxpSpan
#define SH_KEY name
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) (key).data, (int) (key).len)
#define SH_EQUAL(tb, a, b) ((a).len == (b).len && memcmp((a).data, (b).data, (a).len) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) (a)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static names_hash *
by_name(const List *files)
{
	names_hash *table = names_create(CurrentMemoryContext, list_length(files), NULL);
	ListCell *lc;

	foreach (lc, files)
	{
		const TxpLandingFile *file = lfirst(lc);
		bool found;
		Entry *entry =
			names_insert(table, (TxpSpan){.data = file->name, .len = strlen(file->name)}, &found);

		entry->file = file;
		entry->known = false;
	}
	return table;
}

static Datum
marks_of(const List *patterns)
{
	Datum *marks = palloc(sizeof(Datum) * list_length(patterns));
	ListCell *lc;

	foreach (lc, patterns)
		marks[foreach_current_index(lc)] =
			Int64GetDatum(((const TxpFeedPattern *) lfirst(lc))->mark);
	return txp_spi_array(INT8OID, marks, NULL, list_length(patterns));
}

/* Row `row`: a file that its feed still takes first. Is one of that name here as it was then? */
static void
compare(names_hash *table, uint64 row)
{
	const text *name = DatumGetTextPP(txp_spi_datum(row, 1));
	Entry *entry =
		names_lookup(table, (TxpSpan){.data = VARDATA_ANY(name), .len = VARSIZE_ANY_EXHDR(name)});

	if (entry != NULL && entry->file->bytes == DatumGetInt64(txp_spi_datum(row, 2)) &&
		entry->file->modified_at == DatumGetTimestampTz(txp_spi_datum(row, 3)))
		entry->known = true;
}

List *
txp_ledger_unsure(List *files, const List *patterns)
{
	static TxpStatement query = {"SELECT file_name, bytes, modified_at FROM txpipe.file_ledger "
								 "WHERE matched_by = ANY ($1) AND NOT landing_removed "
								 "AND state <> 'settling'",
								 1,
								 {INT8ARRAYOID}};
	MemoryContext context = CurrentMemoryContext;
	List *unsure = NIL;
	names_iterator i;
	names_hash *table;
	Entry *entry;
	Datum marks;
	uint64 n;

	if (files == NIL || patterns == NIL)
		return NIL;
	SPI_connect();
	marks = marks_of(patterns);
	n = txp_spi_run(&query, &marks, NULL);
	table = by_name(files);
	for (uint64 row = 0; row < n; row++)
		compare(table, row);
	MemoryContextSwitchTo(context);
	names_start_iterate(table, &i);
	while ((entry = names_iterate(table, &i)) != NULL)
	{
		if (!entry->known)
			unsure = lappend(unsure, unconstify(TxpLandingFile *, entry->file));
	}
	SPI_finish();
	return unsure;
}

/* What another session has locked is left to a later run. */
void
txp_ledger_mark(const List *matched)
{
	static TxpStatement update = {
		"WITH old AS (SELECT l.file_id, p.mark FROM unnest($1, $2, $3) AS p (feed_id, name, mark) "
		"    JOIN txpipe.file_ledger l ON l.feed_id = p.feed_id AND l.file_name = p.name "
		"    WHERE NOT l.landing_removed AND l.state <> 'settling' "
		"    AND l.matched_by IS DISTINCT FROM p.mark FOR NO KEY UPDATE OF l SKIP LOCKED) "
		"UPDATE txpipe.file_ledger l SET matched_by = old.mark FROM old "
		"WHERE l.file_id = old.file_id",
		3,
		{INT4ARRAYOID, TEXTARRAYOID, INT8ARRAYOID}};
	Datum *feeds = palloc(sizeof(Datum) * list_length(matched));
	Datum *names = palloc(sizeof(Datum) * list_length(matched));
	Datum *marks = palloc(sizeof(Datum) * list_length(matched));
	Datum values[3];
	ListCell *lc;
	int n = 0;

	foreach (lc, matched)
	{
		const TxpArrival *a = lfirst(lc);

		if (a->mark == 0)
			continue;
		feeds[n] = Int32GetDatum(a->feed_id);
		names[n] = CStringGetTextDatum(a->file.name);
		marks[n++] = Int64GetDatum(a->mark);
	}
	if (n == 0)
		return;
	values[0] = txp_spi_array(INT4OID, feeds, NULL, n);
	values[1] = txp_spi_array(TEXTOID, names, NULL, n);
	values[2] = txp_spi_array(INT8OID, marks, NULL, n);
	(void) txp_spi_do(&update, values, NULL);
}
