/*
 * feed_match.c — which feed a file of the landing directory belongs to.
 *
 * Not in SQL: a tick asks for thousands of known files, and each is to be compared with no more patterns than it needs.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "regex/regex.h"
#include "utils/builtins.h"

#include "feed_match.h"
#include "ledger.h"
#include "spi.h"

static void *
read_pattern(uint64 row)
{
	TxpFeedPattern *pattern = palloc(sizeof(TxpFeedPattern));

	pattern->feed_id = DatumGetInt32(txp_spi_datum(row, 1));
	pattern->group_name = txp_spi_text(row, 2);
	pattern->regex = cstring_to_text(txp_spi_text(row, 3));
	pattern->usable = DatumGetBool(txp_spi_datum(row, 4));
	return pattern;
}

static uint64
hash_pattern(const TxpFeedPattern *pattern, uint64 before)
{
	uint64 hash = hash_bytes_extended((const unsigned char *) &pattern->feed_id,
									  sizeof(pattern->feed_id), before);

	return hash_bytes_extended((const unsigned char *) VARDATA_ANY(pattern->regex),
							   (int) VARSIZE_ANY_EXHDR(pattern->regex), hash);
}

List *
txp_feed_patterns(Oid user, bool operates)
{
	static TxpStatement query = {"SELECT feed_id, group_name, '^(?:' || file_pattern || ')$', "
								 "pg_has_role($1, owner_oid, 'USAGE') "
								 "OR ($2 AND has_function_privilege($1, " TXP_OPERATE ")) "
								 "FROM txpipe.feed ORDER BY ordinal, feed_id",
								 2,
								 {OIDOID, BOOLOID}};
	Datum values[] = {ObjectIdGetDatum(user), BoolGetDatum(operates)};
	List *patterns = txp_spi_list(&query, values, NULL, read_pattern);
	bool asked_all = true;
	uint64 hash = 0;
	ListCell *lc;

	foreach (lc, patterns)
	{
		TxpFeedPattern *pattern = lfirst(lc);

		hash = hash_pattern(pattern, hash);
		pattern->mark = (int64) hash;
		pattern->asked_all = asked_all;
		asked_all = asked_all && pattern->usable;
		if (!pattern->usable)
			patterns = foreach_delete_current(patterns, lc);
	}
	return patterns;
}

/* The part of the path that the first capture group has matched; its places count characters. */
static char *
captured(const char *path, int len, const regmatch_t *part)
{
	int from = pg_mbcharcliplen(path, len, (int) part->rm_so);
	int to = pg_mbcharcliplen(path, len, (int) part->rm_eo);

	return pnstrdup(path + from, to - from);
}

const TxpFeedPattern *
txp_feed_match(const List *patterns, const char *path, char **group_key)
{
	int len = (int) strlen(path);
	regmatch_t part[2];
	ListCell *lc;

	foreach (lc, patterns)
	{
		const TxpFeedPattern *pattern = lfirst(lc);

		if (!RE_compile_and_execute(pattern->regex, unconstify(char *, path), len, REG_ADVANCED,
									DEFAULT_COLLATION_OID, group_key ? lengthof(part) : 0, part))
			continue;
		if (group_key == NULL)
			return pattern;
		if (part[1].rm_so < 0)
			continue;
		*group_key = captured(path, len, &part[1]);
		return pattern;
	}
	return NULL;
}
