/*
 * batch.c — building, sending, keeping and repeating batches.
 */
#include <stdlib.h>

#include "batch.h"
#include "clock.h"
#include "headers.h"
#include "link.h"
#include "put.h"

/* Above this a batch could outgrow a frame, raw payloads included. */
#define MAX_BATCH_BYTES (256u << 20)

void
txp_window_init(TxpWindow *w, TxpChannel *channel, uint32_t batch_rows, uint32_t batch_bytes)
{
	*w = (TxpWindow){.channel = channel};
	w->batch_rows = batch_rows > 0 ? batch_rows : 1;
	w->batch_bytes = batch_bytes < MAX_BATCH_BYTES ? batch_bytes : MAX_BATCH_BYTES;
}

/* Empties a batch; its buffers stay for the next one. */
static void
reset_batch(TxpBatch *batch)
{
	for (uint32_t i = 0; i < batch->nrows; i++)
	{
		if (batch->row[i].source != NULL)
			rd_kafka_message_destroy(batch->row[i].source);
	}
	batch->nrows = batch->nrejects = batch->nranges = 0;
	batch->source_bytes = 0;
	batch->begun_us = batch->decode_us = 0;
	batch->block.len = batch->rejects.len = batch->raw.len = 0;
	batch->stop.len = batch->fields.len = batch->nfields = 0;
}

void
txp_window_free(TxpWindow *w)
{
	for (int i = 0; i <= TXP_WINDOW; i++)
	{
		TxpBatch *batch = &w->slot[i];

		reset_batch(batch);
		free(batch->row);
		free(batch->range);
		txd_buf_free(&batch->block);
		txd_buf_free(&batch->rejects);
		txd_buf_free(&batch->stop);
		txd_buf_free(&batch->fields);
		txd_buf_free(&batch->raw);
	}
}

static TxpBatch *
unacked_slot(TxpWindow *w, int i)
{
	return &w->slot[(w->oldest + i) % (TXP_WINDOW + 1)];
}

TxpBatch *
txp_window_open(TxpWindow *w)
{
	return unacked_slot(w, w->unacked);
}

bool
txp_window_full(const TxpWindow *w)
{
	const TxpBatch *batch = txp_window_open((TxpWindow *) w);

	return batch->nrows + batch->nrejects >= w->batch_rows ||
		   batch->source_bytes >= w->batch_bytes || batch->block.len >= w->batch_bytes;
}

uint32_t
txp_batch_range(TxpBatch *batch, uint32_t topic, int32_t partition, int64_t from)
{
	if (batch->nranges == batch->ranges_cap)
	{
		batch->ranges_cap = batch->ranges_cap == 0 ? 16 : batch->ranges_cap * 2;
		batch->range = txd_realloc(batch->range, batch->ranges_cap * sizeof(TxpRange));
	}
	batch->range[batch->nranges] = (TxpRange){.topic = topic,
											  .partition = partition,
											  .from = from,
											  .next = from,
											  .end = -1,
											  .last_offset = -1,
											  .last_timestamp_ms = -1};
	if (batch->begun_us == 0)
		batch->begun_us = txp_now_us();
	return batch->nranges++;
}

/* A file's record belongs to no message: its place is its line. */
static int64_t
place_of(const TxdMessage *m)
{
	return m->topic == NULL ? m->line : m->offset;
}

int64_t
txp_record_hash(const TxdMessage *m)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	const char *part[] = {m->key, m->payload, (const char *) &m->timestamp_ms};
	const size_t len[] = {m->key_len, m->payload_len, sizeof(m->timestamp_ms)};

	for (int i = 0; i < 3; i++)
	{
		for (size_t j = 0; j < len[i]; j++)
			hash = (hash ^ (unsigned char) part[i][j]) * UINT64_C(1099511628211);
		/* Where a part ends, and whether it was there at all, belongs to the record. */
		hash = (hash ^ (part[i] == NULL ? 256 : 257)) * UINT64_C(1099511628211);
	}
	return (int64_t) hash;
}

static void
put_reject(TxdBuf *out, const TxdMessage *m, const TxdError *err, rd_kafka_message_t *source)
{
	TxdBuf headers = {0};
	bool has_headers = m->headers == NULL && source != NULL && txp_headers_json(source, &headers);

	txp_put_u32(out, m->topic_index);
	txp_put_i32(out, m->partition);
	txp_put_i64(out, place_of(m));
	txp_put_i64(out, m->timestamp_ms);
	txp_put_opt(out, m->key, m->key_len);
	if (has_headers)
		txp_put_opt(out, headers.data, headers.len);
	else
		txp_put_opt(out, m->headers, m->headers_len);
	txp_put_opt(out, m->payload, m->payload_len);
	txp_put_str(out, err->code);
	txp_put_str(out, err->message);
	txp_put_str(out, err->column);
	txd_buf_free(&headers);
}

static void
add_row(TxpBatch *batch, const TxdMessage *m, size_t bytes, rd_kafka_message_t *source)
{
	TxpRow *row;

	if (batch->nrows == batch->rows_cap)
	{
		batch->rows_cap = batch->rows_cap == 0 ? 256 : batch->rows_cap * 2;
		batch->row = txd_realloc(batch->row, batch->rows_cap * sizeof(TxpRow));
	}
	row = &batch->row[batch->nrows++];
	*row = (TxpRow){
		.bytes = (uint32_t) bytes, .topic = m->topic_index, .line = m->line, .source = source};
	if (source == NULL)
	{
		row->raw_at = batch->raw.len;
		row->raw_len = (uint32_t) m->payload_len;
		txd_buf_append(&batch->raw, m->payload, m->payload_len);
	}
	batch->source_bytes += m->payload_len + m->key_len;
}

bool
txp_batch_add(TxpWindow *w, TxdDecoder *decoder, const TxdMessage *m, rd_kafka_message_t *source)
{
	TxpBatch *batch = txp_window_open(w);
	size_t before = batch->block.len;
	TxdError err = {0};

	if (txd_decode(decoder, m, &batch->block, &err))
	{
		add_row(batch, m, batch->block.len - before, source);
		return true;
	}
	put_reject(&batch->rejects, m, &err, source);
	batch->nrejects++;
	batch->source_bytes += m->payload_len + m->key_len;
	if (source != NULL)
		rd_kafka_message_destroy(source);
	return false;
}

bool
txp_batch_add_or_stop(TxpWindow *w, TxdDecoder *decoder, const TxdMessage *m,
					  rd_kafka_message_t *source)
{
	TxpBatch *batch = txp_window_open(w);
	size_t before = batch->block.len;
	TxdError err = {0};

	if (txd_decode(decoder, m, &batch->block, &err))
	{
		add_row(batch, m, batch->block.len - before, source);
		return true;
	}
	put_reject(&batch->stop, m, &err, source);
	rd_kafka_message_destroy(source);
	return false;
}

static void
put_place(TxdBuf *out, const TxdFieldPlace *place)
{
	txp_put_u32(out, (uint32_t) place->topic_index);
	txp_put_i32(out, place->partition);
	txp_put_i64(out, place->offset);
}

/* Encoded now: a batch asked for again tells the same. */
static void
take_fields(TxpBatch *batch, TxdDecoder *decoder)
{
	const TxdFieldSeen *field;
	uint64_t unlisted;
	size_t n = txd_fields_seen(decoder, &field, &unlisted);

	for (size_t i = 0; i < n; i++)
	{
		txp_put_str(&batch->fields, field[i].path);
		txp_put_u32(&batch->fields, field[i].types);
		txp_put_i64(&batch->fields, (int64_t) field[i].count);
		put_place(&batch->fields, &field[i].first);
		put_place(&batch->fields, &field[i].last);
	}
	batch->nfields = (uint32_t) n;
	txd_fields_reset(decoder);
}

static void
put_range(TxdBuf *out, const TxpRange *range)
{
	txp_put_u32(out, range->topic);
	txp_put_i32(out, range->partition);
	txp_put_i64(out, range->from);
	txp_put_i64(out, range->next);
	txp_put_i64(out, range->end);
	txp_put_i64(out, range->last_offset);
	txp_put_i64(out, range->last_timestamp_ms);
	txp_put_i64(out, range->last_hash);
	txp_put_i64(out, range->bytes);
	txp_put_u32(out, range->rows);
	txp_put_u32(out, range->rejects);
}

static void
put_batch(TxdBuf *out, const TxpBatch *batch)
{
	int64_t now = txp_now_us();

	txd_buf_reserve(out, batch->block.len + batch->rejects.len + 128 + batch->nranges * 80);
	txp_put_u32(out, batch->nrows);
	txp_put_u32(out, batch->nrejects);
	txp_put_u8(out, batch->stop.len > 0);
	txp_put_i64(out, (int64_t) batch->source_bytes);
	txp_put_i64(out, now - batch->begun_us);
	txp_put_i64(out, batch->decode_us);
	txp_put_i64(out, now);
	txp_put_u32(out, batch->nranges);
	for (uint32_t i = 0; i < batch->nranges; i++)
		put_range(out, &batch->range[i]);
	txp_put_u32(out, batch->nfields);
	txd_buf_append(out, batch->fields.data, batch->fields.len);
	txp_put_u32(out, (uint32_t) batch->block.len);
	txd_buf_append(out, batch->block.data, batch->block.len);
	txd_buf_append(out, batch->rejects.data, batch->rejects.len);
	txd_buf_append(out, batch->stop.data, batch->stop.len);
}

static void
put_raw(TxdBuf *out, const TxpBatch *batch, const TxpRow *row)
{
	const rd_kafka_message_t *m = row->source;
	TxdBuf headers = {0};

	txp_put_u32(out, row->bytes);
	txp_put_u32(out, row->topic);
	if (m == NULL)
	{
		txp_put_i32(out, 0);
		txp_put_i64(out, row->line);
		txp_put_i64(out, -1);
		txp_put_opt(out, NULL, 0);
		txp_put_opt(out, NULL, 0);
		txp_put_opt(out, batch->raw.data + row->raw_at, row->raw_len);
		return;
	}
	txp_put_i32(out, m->partition);
	txp_put_i64(out, m->offset);
	txp_put_i64(out, rd_kafka_message_timestamp(m, NULL));
	txp_put_opt(out, m->key, m->key_len);
	if (txp_headers_json(m, &headers))
		txp_put_opt(out, headers.data, headers.len);
	else
		txp_put_opt(out, NULL, 0);
	txp_put_opt(out, m->payload, m->len);
	txd_buf_free(&headers);
}

void
txp_window_emit(TxpWindow *w, TxdDecoder *decoder)
{
	TxpBatch *batch = txp_window_open(w);
	TxdBuf frame = {0};

	batch->seq = ++w->last_seq;
	take_fields(batch, decoder);
	put_batch(&frame, batch);
	txp_send(w->channel, TXP_BATCH, batch->seq, &frame);
	w->unacked++;
}

static void
repeat(TxpWindow *w, const TxpBatch *batch)
{
	TxdBuf frame = {0};

	put_batch(&frame, batch);
	for (uint32_t i = 0; i < batch->nrows; i++)
		put_raw(&frame, batch, &batch->row[i]);
	txp_send(w->channel, TXP_BATCH_RAW, batch->seq, &frame);
}

bool
txp_window_mail(TxpWindow *w, const TxpMail *mail)
{
	TxpBatch *batch = unacked_slot(w, 0);

	if (mail->header.type == TXP_BATCH_DONE && w->unacked > 0 && mail->header.seq == batch->seq)
	{
		reset_batch(batch);
		w->oldest = (w->oldest + 1) % (TXP_WINDOW + 1);
		w->unacked--;
		return true;
	}
	for (int i = 0; i < w->unacked && mail->header.type == TXP_BATCH_REPEAT; i++)
	{
		if (unacked_slot(w, i)->seq == mail->header.seq)
		{
			repeat(w, unacked_slot(w, i));
			return true;
		}
	}
	txp_error(
		w->channel,
		(TxpError){.fatal = true,
				   .sqlstate = "08P01",
				   .hint = "Restart the server after an upgrade of txpipe; else report this."},
		"frame of type %u for batch %u was not expected", mail->header.type, mail->header.seq);
	return false;
}
