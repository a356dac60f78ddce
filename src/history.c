/*
 * history.c — the record of each batch.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "history.h"
#include "io/clock.h"
#include "spi.h"

void
txp_history_add(int32 stream_id, uint32 part, const TxpBatch *batch, int64 refused,
				const TxpBatchTimes *times, int64 commit_us)
{
	static TxpStatement statement = {
		"INSERT INTO txpipe.batch_history_store (stream_id, part, messages, rows, dead_letters, "
		"refused, bytes, gather_us, decode_us, wait_us, write_us, store_us, commit_us) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, nullif($13, -1))",
		13,
		{INT4OID, INT4OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID,
		 INT8OID, INT8OID, INT8OID}};
	int64 stored_us = times->locked_us - times->taken_us + txp_now_us() - times->written_us;
	int64 messages = (int64) batch->nrows + batch->nrejects;
	Datum values[13] = {Int32GetDatum(stream_id),
						Int32GetDatum(part),
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
						Int64GetDatum(commit_us)};

	/* A batch of nothing moves an offset over records that are not messages. */
	if (messages > 0)
		(void) txp_spi_do(&statement, values, NULL);
}
