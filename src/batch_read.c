/*
 * batch_read.c — taking BATCH and BATCH_RAW frames apart.
 */
#include "postgres.h"

#include "batch_read.h"

/* Smallest encodings: a count larger than what is left can hold is refused before allocating. */
#define RANGE_BYTES 44
#define MESSAGE_BYTES 32

static void
read_message(TxpReader *r, TxpMessage *m)
{
	m->partition = txp_read_i32(r);
	m->offset = txp_read_i64(r);
	m->timestamp_ms = txp_read_i64(r);
	m->key = txp_read_span(r);
	m->headers = txp_read_span(r);
	m->payload = txp_read_span(r);
}

static void
check_count(TxpReader *r, uint32 n, size_t size)
{
	if ((size_t) (r->end - r->p) / size < n)
		r->bad = true;
	txp_reader_check(r);
}

void
txp_batch_read(const TxpFrame *frame, TxpBatch *batch)
{
	TxpReader r = txp_reader(frame->data, frame->size);

	memset(batch, 0, sizeof(*batch));
	batch->seq = frame->seq;
	batch->nrows = txp_read_u32(&r);
	batch->nrejects = txp_read_u32(&r);
	batch->nranges = txp_read_count(&r, RANGE_BYTES);
	batch->ranges = palloc(sizeof(TxpRange) * (batch->nranges + 1));
	for (uint32 i = 0; i < batch->nranges; i++)
	{
		TxpRange *range = &batch->ranges[i];

		range->partition = txp_read_i32(&r);
		range->from = txp_read_i64(&r);
		range->next = txp_read_i64(&r);
		range->end = txp_read_i64(&r);
		range->last_timestamp_ms = txp_read_i64(&r);
		range->rows = txp_read_u32(&r);
		range->rejects = txp_read_u32(&r);
	}
	batch->rows = txp_read_span(&r);
	check_count(&r, batch->nrejects, MESSAGE_BYTES);
	batch->rejects = palloc0(sizeof(TxpMessage) * ((Size) batch->nrejects + 1));
	for (uint32 i = 0; i < batch->nrejects; i++)
	{
		read_message(&r, &batch->rejects[i]);
		batch->rejects[i].code = txp_read_span(&r);
		batch->rejects[i].message = txp_read_span(&r);
		batch->rejects[i].column = txp_read_span(&r);
	}
	if (frame->type == TXP_BATCH_RAW)
	{
		check_count(&r, batch->nrows, MESSAGE_BYTES);
		batch->raw = palloc0(sizeof(TxpMessage) * ((Size) batch->nrows + 1));
		for (uint32 i = 0; i < batch->nrows; i++)
		{
			batch->raw[i].row_length = txp_read_u32(&r);
			read_message(&r, &batch->raw[i]);
		}
	}
	txp_reader_check(&r);
}
