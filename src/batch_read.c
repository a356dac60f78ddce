/*
 * batch_read.c — taking BATCH and BATCH_RAW frames apart.
 */
#include "postgres.h"

#include "batch_read.h"

/* Smallest encodings: a count larger than what is left can hold is refused before allocating. */
#define RANGE_BYTES 72
#define FIELD_BYTES 48
#define MESSAGE_BYTES 36

static void
read_message(TxpReader *r, TxpMessage *m)
{
	m->topic = txp_read_u32(r);
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

static void
read_ranges(TxpReader *r, TxpBatch *batch)
{
	batch->nranges = txp_read_count(r, RANGE_BYTES);
	batch->ranges = palloc(sizeof(TxpRange) * ((Size) batch->nranges + 1));
	for (uint32 i = 0; i < batch->nranges; i++)
	{
		TxpRange *range = &batch->ranges[i];

		range->topic = txp_read_u32(r);
		range->partition = txp_read_i32(r);
		range->from = txp_read_i64(r);
		range->next = txp_read_i64(r);
		range->end = txp_read_i64(r);
		range->last_offset = txp_read_i64(r);
		range->last_timestamp_ms = txp_read_i64(r);
		range->last_hash = txp_read_i64(r);
		range->bytes = txp_read_i64(r);
		range->rows = txp_read_u32(r);
		range->rejects = txp_read_u32(r);
	}
}

static void
read_fields(TxpReader *r, TxpBatch *batch)
{
	batch->nfields = txp_read_count(r, FIELD_BYTES);
	batch->fields = palloc(sizeof(TxpField) * ((Size) batch->nfields + 1));
	for (uint32 i = 0; i < batch->nfields; i++)
	{
		TxpField *field = &batch->fields[i];

		field->path = txp_read_span(r);
		field->json_types = txp_read_u32(r);
		field->count = txp_read_i64(r);
		field->first_topic = txp_read_u32(r);
		field->first_partition = txp_read_i32(r);
		field->first_offset = txp_read_i64(r);
		field->last_topic = txp_read_u32(r);
		field->last_partition = txp_read_i32(r);
		field->last_offset = txp_read_i64(r);
	}
}

static void
read_reject(TxpReader *r, TxpMessage *m)
{
	read_message(r, m);
	m->code = txp_read_span(r);
	m->message = txp_read_span(r);
	m->column = txp_read_span(r);
}

/* The messages the rows were made from; their rows must add up to the block. */
static void
read_raw(TxpReader *r, TxpBatch *batch)
{
	Size bytes = 0;

	check_count(r, batch->nrows, MESSAGE_BYTES);
	batch->raw = palloc0(sizeof(TxpMessage) * ((Size) batch->nrows + 1));
	for (uint32 i = 0; i < batch->nrows; i++)
	{
		batch->raw[i].row_length = txp_read_u32(r);
		read_message(r, &batch->raw[i]);
		bytes += batch->raw[i].row_length;
	}
	if (bytes != batch->rows.len)
		r->bad = true;
}

uint32 *
txp_batch_lengths(const TxpBatch *batch)
{
	uint32 *lengths;

	if (batch->raw == NULL)
		return NULL;
	lengths = palloc(sizeof(uint32) * ((Size) batch->nrows + 1));
	for (uint32 i = 0; i < batch->nrows; i++)
		lengths[i] = batch->raw[i].row_length;
	return lengths;
}

void
txp_batch_read(const TxpFrame *frame, TxpBatch *batch)
{
	TxpReader r = txp_reader(frame->data, frame->size);

	memset(batch, 0, sizeof(*batch));
	batch->seq = frame->seq;
	batch->nrows = txp_read_u32(&r);
	batch->nrejects = txp_read_u32(&r);
	batch->stopped = txp_read_u8(&r) != 0;
	batch->bytes = txp_read_i64(&r);
	batch->gather_us = txp_read_i64(&r);
	batch->decode_us = txp_read_i64(&r);
	batch->sent_us = txp_read_i64(&r);
	read_ranges(&r, batch);
	read_fields(&r, batch);
	batch->rows = txp_read_span(&r);
	check_count(&r, batch->nrejects, MESSAGE_BYTES);
	batch->rejects = palloc0(sizeof(TxpMessage) * ((Size) batch->nrejects + 1));
	for (uint32 i = 0; i < batch->nrejects; i++)
		read_reject(&r, &batch->rejects[i]);
	if (batch->stopped)
		read_reject(&r, &batch->stopped_at);
	if (frame->type == TXP_BATCH_RAW)
		read_raw(&r, batch);
	txp_reader_check(&r);
}
