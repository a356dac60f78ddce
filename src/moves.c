/*
 * moves.c — lines of files loaded before that a step says are something else now.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "moves.h"
#include "spi.h"

static const char *const side_names[TXP_NSIDES] = {"loaded", "duplicate", "filtered", "superseded"};

TxpSide
txp_moves_side(const char *step, const char *name)
{
	for (int i = 0; name != NULL && i < TXP_NSIDES; i++)
	{
		if (strcmp(name, side_names[i]) == 0)
			return i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
			 errmsg("step \"%s\" moved a line of a file loaded before from or to \"%s\"", step,
					name ? name : "NULL"),
			 errhint("With a file_id, outcome is what the line is now and code what it was before: "
					 "loaded, duplicate, filtered or superseded.")));
}

void
txp_moves_add(TxpMoves *moves, int64 file_id, TxpSide before, TxpSide after)
{
	if (moves->allocated == 0)
	{
		moves->allocated = 64;
		moves->files = palloc(sizeof(Datum) * moves->allocated);
		moves->before = palloc(sizeof(Datum) * moves->allocated);
		moves->after = palloc(sizeof(Datum) * moves->allocated);
	}
	else if (moves->count == moves->allocated)
	{
		moves->allocated *= 2;
		moves->files = repalloc_huge(moves->files, sizeof(Datum) * moves->allocated);
		moves->before = repalloc_huge(moves->before, sizeof(Datum) * moves->allocated);
		moves->after = repalloc_huge(moves->after, sizeof(Datum) * moves->allocated);
	}
	moves->files[moves->count] = Int64GetDatum(file_id);
	moves->before[moves->count] = Int32GetDatum(before);
	moves->after[moves->count++] = Int32GetDatum(after);
}

/* Locked in the order of their numbers, so that two loads that move each other's lines follow one another. */
static uint64
move_counts(const TxpMoves *moves)
{
	static TxpStatement update = {
		"WITH moved AS (SELECT m.file_id, "
		"    count(*) FILTER (WHERE after = 0) - count(*) FILTER (WHERE before = 0) AS loaded, "
		"    count(*) FILTER (WHERE after = 1) - count(*) FILTER (WHERE before = 1) AS duplicate, "
		"    count(*) FILTER (WHERE after = 2) - count(*) FILTER (WHERE before = 2) AS filtered, "
		"    count(*) FILTER (WHERE after = 3) - count(*) FILTER (WHERE before = 3) AS superseded "
		"    FROM unnest($1, $2, $3) AS m (file_id, before, after) GROUP BY m.file_id), "
		"locked AS (SELECT l.file_id FROM txpipe.file_ledger l "
		"    JOIN txpipe.feed f USING (feed_id) WHERE l.file_id IN (SELECT file_id FROM moved) "
		"    AND l.state = 'loaded' AND f.owner_oid = $4 AND f.owner_name = $5 "
		"    ORDER BY l.file_id FOR NO KEY UPDATE OF l), "
		"changed AS (UPDATE txpipe.file_ledger l SET rows_loaded = l.rows_loaded + m.loaded, "
		"    rows_duplicate = l.rows_duplicate + m.duplicate, "
		"    rows_filtered = l.rows_filtered + m.filtered, "
		"    rows_superseded = l.rows_superseded + m.superseded "
		"    FROM moved m JOIN locked USING (file_id) WHERE l.file_id = m.file_id "
		"    RETURNING l.file_id, least(l.rows_loaded, l.rows_duplicate, l.rows_filtered, "
		"        l.rows_superseded) AS lowest) "
		"SELECT m.file_id, c.lowest FROM moved m LEFT JOIN changed c USING (file_id) "
		"WHERE c.lowest IS NULL OR c.lowest < 0 ORDER BY 1 LIMIT 1",
		5,
		{INT8ARRAYOID, INT4ARRAYOID, INT4ARRAYOID, OIDOID, NAMEOID}};
	NameData owner;
	Datum values[] = {txp_spi_array(INT8OID, moves->files, NULL, moves->count),
					  txp_spi_array(INT4OID, moves->before, NULL, moves->count),
					  txp_spi_array(INT4OID, moves->after, NULL, moves->count),
					  ObjectIdGetDatum(GetUserId()), NameGetDatum(&owner)};

	namestrcpy(&owner, GetUserNameFromId(GetUserId(), false));
	return txp_spi_run(&update, values, NULL);
}

void
txp_moves_apply(const TxpMoves *moves, const char *step)
{
	bool unknown;
	int64 file_id;

	if (moves->count == 0)
		return;
	SPI_connect();
	if (move_counts(moves) > 0)
	{
		file_id = DatumGetInt64(txp_spi_datum(0, 1));
		(void) txp_spi_value(0, 2, &unknown);
		if (unknown)
			ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
							errmsg("step \"%s\" returned file " INT64_FORMAT
								   ", which is no loaded file of a feed of \"%s\"",
								   step, file_id, GetUserNameFromId(GetUserId(), false)),
							errhint("file_id says which loaded file a line is of; NULL: a line of "
									"the batch.")));
		ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
						errmsg("step \"%s\" moved more lines of file " INT64_FORMAT " than it has",
							   step, file_id),
						errhint("code says what the line was before, outcome what it is now.")));
	}
	SPI_finish();
}
