/*
 * history.c — the record of each batch.
 */
#include "postgres.h"

#include <time.h>

#include "catalog/pg_type.h"

#include "budget.h"
#include "history.h"
#include "io/clock.h"
#include "spi.h"

/* A stream that commits hundreds of times a second shall not fill the history with rows of a few messages. */
#define SMALL_BATCH 1000

#define NVALUES 13
#define VALUE_TYPES                                                                                \
	{                                                                                              \
		INT8OID, INT4OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID,  \
			INT8OID, INT8OID, INT8OID                                                              \
	}

/* Adds to the row that was begun in this second; false when it is not there: its batch was rolled back. */
static bool
add_to_row(Datum *values, int64 row)
{
	static TxpStatement statement = {
		"UPDATE txpipe.batch_history_store SET batches = batches + 1, messages = messages + $3, "
		"rows = rows + $4, dead_letters = dead_letters + $5, refused = refused + $6, bytes = bytes "
		"+ $7, "
		"gather_us = gather_us + $8, decode_us = decode_us + $9, wait_us = wait_us + $10, "
		"write_us = write_us + $11, store_us = store_us + $12, "
		"commit_us = coalesce(commit_us, 0) + greatest($13, 0) WHERE batch_id = $1 AND part = $2",
		NVALUES, VALUE_TYPES};

	values[0] = Int64GetDatum(row);
	return txp_spi_do(&statement, values, NULL) == 1;
}

static int64
begin_row(Datum *values, int32 stream_id)
{
	static TxpStatement statement = {
		"INSERT INTO txpipe.batch_history_store (stream_id, part, messages, rows, dead_letters, "
		"refused, bytes, gather_us, decode_us, wait_us, write_us, store_us, commit_us) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, nullif($13, -1)) RETURNING "
		"batch_id",
		NVALUES, VALUE_TYPES};
	int64 row;

	values[0] = Int64GetDatum(stream_id);
	SPI_connect();
	(void) txp_spi_run(&statement, values, NULL);
	row = DatumGetInt64(txp_spi_datum(0, 1));
	SPI_finish();
	return row;
}

void
txp_history_add(TxpLink *link, const TxpBatch *batch, int64 refused, const TxpBatchTimes *times)
{
	int64 stored_us = times->locked_us - times->taken_us + txp_now_us() - times->written_us;
	int64 messages = (int64) batch->nrows + batch->nrejects;
	const TxpStream *stream = link->stream;
	bool shares = messages < SMALL_BATCH && !txp_budget_is_set(stream);
	int64 second = shares ? (int64) time(NULL) : 0;
	Datum values[NVALUES] = {0,
							 Int32GetDatum(link->part),
							 Int64GetDatum(messages),
							 Int64GetDatum(batch->nrows - refused),
							 Int64GetDatum(batch->nrejects + refused),
							 Int64GetDatum(refused),
							 Int64GetDatum(batch->bytes),
							 Int64GetDatum(batch->gather_us),
							 Int64GetDatum(batch->decode_us),
							 Int64GetDatum(times->taken_us - batch->sent_us),
							 Int64GetDatum(times->written_us - times->locked_us),
							 Int64GetDatum(stored_us),
							 Int64GetDatum(link->commit_us)};

	/* A batch of nothing moves an offset over records that are not messages. */
	if (messages == 0)
		return;
	if (second != 0 && second == link->history_second && add_to_row(values, link->history_row))
		return;
	link->history_row = begin_row(values, stream->id);
	link->history_second = second;
}
