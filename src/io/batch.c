/*
 * batch.c — building, sending, keeping and repeating batches.
 */
#include <stdlib.h>

#include "batch.h"
#include "clock.h"
#include "headers.h"
#include "link.h"
#include "put.h"
#include "seal.h"

/*
 * A batch that is not full takes one more message: with its raw payloads it still fits a frame. Messages are
 * limited by fetch.max.bytes.
 */
#define MAX_BATCH_BYTES (64u << 20)
#define MAX_HEADER_BYTES                                                                           \
	(32u << 20) /* one may become six in JSON, and twelve when that is sealed */
#define MAX_ROW_BYTES ((size_t) 256 << 20)
#define KEEP_BYTES (32u << 20) /* of a buffer that is empty */

void
txp_window_init(TxpWindow *w, TxpChannel *channel, uint32_t batch_rows, uint32_t batch_bytes)
{
	*w = (TxpWindow){.channel = channel};
	w->batch_rows = batch_rows > 0 ? batch_rows : 1;
	w->batch_bytes = batch_bytes < MAX_BATCH_BYTES ? batch_bytes : MAX_BATCH_BYTES;
	/* A batch without anything in it is never full. */
	if (w->batch_bytes == 0)
		w->batch_bytes = 1;
}

static void
empty(TxdBuf *buf)
{
	if (buf->cap > KEEP_BYTES)
		txd_buf_free(buf);
	buf->len = 0;
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
	batch->source_bytes = batch->header_bytes = 0;
	batch->begun_us = batch->decode_us = 0;
	batch->stopped = false;
	empty(&batch->block);
	empty(&batch->rejects);
	empty(&batch->fields);
	empty(&batch->raw);
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
		   batch->source_bytes + batch->header_bytes >= w->batch_bytes ||
		   batch->header_bytes >= MAX_HEADER_BYTES || batch->block.len >= w->batch_bytes;
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

TxdMessage
txp_message_of(const rd_kafka_message_t *m, uint32_t topic)
{
	return (TxdMessage){.payload = m->payload,
						.payload_len = m->len,
						.key = m->key,
						.key_len = m->key_len,
						.topic = "",
						.topic_index = topic,
						.partition = m->partition,
						.offset = m->offset,
						.timestamp_ms = rd_kafka_message_timestamp(m, NULL)};
}

int64_t
txp_message_hash(const rd_kafka_message_t *m)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	int64_t timestamp_ms = rd_kafka_message_timestamp(m, NULL);
	const char *part[] = {m->key, m->payload, (const char *) &timestamp_ms};
	const size_t len[] = {m->key_len, m->len, sizeof(timestamp_ms)};

	for (int i = 0; i < 3; i++)
	{
		for (size_t j = 0; j < len[i]; j++)
			hash = (hash ^ (unsigned char) part[i][j]) * UINT64_C(1099511628211);
		/* Where a part ends, and whether it was there at all, belongs to the record. */
		hash = (hash ^ (part[i] == NULL ? 256 : 257)) * UINT64_C(1099511628211);
	}
	return (int64_t) hash;
}

void
txp_range_count(TxpRange *range, rd_kafka_message_t *m, bool is_row)
{
	range->next = m->offset + 1;
	range->last_offset = m->offset;
	range->last_timestamp_ms = rd_kafka_message_timestamp(m, NULL);
	range->bytes += (int64_t) (m->len + m->key_len);
	if (is_row)
	{
		range->rows++;
		range->last = m;
		return;
	}
	range->rejects++;
	range->last = NULL;
	range->last_hash = txp_message_hash(m);
}

void
txp_put_message(TxdBuf *out, const TxdMessage *m, TxdPgp *pgp)
{
	txp_put_u32(out, m->topic_index);
	txp_put_i32(out, m->partition);
	txp_put_i64(out, place_of(m));
	txp_put_i64(out, m->timestamp_ms);
	if (pgp != NULL)
	{
		txp_put_sealed(out, pgp, m->key, m->key_len);
		txp_put_sealed_text(out, pgp, m->headers, m->headers_len);
		txp_put_sealed(out, pgp, m->payload, m->payload_len);
		return;
	}
	txp_put_opt(out, m->key, m->key_len);
	txp_put_opt(out, m->headers, m->headers_len);
	txp_put_opt(out, m->payload, m->payload_len);
}

/* With the headers, which the decoder may not have needed. */
static void
add_reject(TxpWindow *w, const TxdMessage *m, const TxdError *err, rd_kafka_message_t *source)
{
	TxdBuf *out = &txp_window_open(w)->rejects;
	TxdMessage whole = *m;
	TxdBuf headers = {0};

	if (m->headers == NULL && source != NULL && txp_headers_json(source, &headers))
	{
		whole.headers = headers.data;
		whole.headers_len = headers.len;
	}
	txp_put_message(out, &whole, w->pgp);
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

/* The fields seen must not be those of the message that stops the stream: count the others anew. */
static void
recount_fields(TxpBatch *batch, TxdDecoder *decoder)
{
	TxdBuf rows = {0};
	TxdBuf headers = {0};

	txd_fields_reset(decoder);
	for (uint32_t i = 0; i < batch->nrows; i++)
	{
		TxdMessage m = txp_message_of(batch->row[i].source, batch->row[i].topic);
		TxdError err;

		rows.len = headers.len = 0;
		/* An envelope may be in them. */
		if (txp_headers_json(batch->row[i].source, &headers))
		{
			m.headers = headers.data;
			m.headers_len = headers.len;
		}
		(void) txd_decode(decoder, &m, &rows, &err);
	}
	txd_buf_free(&headers);
	txd_buf_free(&rows);
}

bool
txp_batch_add(TxpWindow *w, TxdDecoder *decoder, const TxdMessage *m, rd_kafka_message_t *source)
{
	TxpBatch *batch = txp_window_open(w);
	size_t before = batch->block.len;
	TxdError err = {0};

	if (source != NULL)
		batch->header_bytes += txp_headers_bytes(source);
	if (txd_decode(decoder, m, &batch->block, &err))
	{
		if (batch->block.len - before + m->payload_len <= MAX_ROW_BYTES)
		{
			add_row(batch, m, batch->block.len - before, source);
			return true;
		}
		batch->block.len = before;
		err = (TxdError){.code = "too_long"};
		snprintf(err.message, sizeof(err.message),
				 "the message and its row take more than %zu MB together", MAX_ROW_BYTES >> 20);
	}
	add_reject(w, m, &err, source);
	if (w->stop_at_reject)
	{
		batch->stopped = true;
		recount_fields(batch, decoder);
		return false;
	}
	batch->nrejects++;
	batch->source_bytes += m->payload_len + m->key_len;
	return false;
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

void
txp_put_batch(TxdBuf *out, const TxpBatch *batch)
{
	int64_t now = txp_now_us();

	txd_buf_reserve(out, batch->block.len + batch->rejects.len + batch->fields.len + 128 +
							 batch->nranges * 80);
	txp_put_u32(out, batch->nrows);
	txp_put_u32(out, batch->nrejects);
	txp_put_u8(out, batch->stopped);
	txp_put_i64(out, (int64_t) batch->source_bytes);
	txp_put_i64(out, batch->begun_us == 0 ? 0 : now - batch->begun_us);
	txp_put_i64(out, batch->decode_us);
	txp_put_i64(out, now);
	txp_put_u32(out, batch->nranges);
	for (uint32_t i = 0; i < batch->nranges; i++)
		put_range(out, &batch->range[i]);
	if (batch->fields.len > 0)
		txd_buf_append(out, batch->fields.data, batch->fields.len);
	else
		txp_put_u32(out, 0);
	txp_put_u32(out, (uint32_t) batch->block.len);
	txd_buf_append(out, batch->block.data, batch->block.len);
	txd_buf_append(out, batch->rejects.data, batch->rejects.len);
}

static void
put_raw(TxdBuf *out, const TxpBatch *batch, const TxpRow *row, TxdPgp *pgp)
{
	TxdMessage m = {.line = row->line, .timestamp_ms = -1};
	TxdBuf headers = {0};

	if (row->source == NULL)
	{
		m.payload = batch->raw.data + row->raw_at;
		m.payload_len = row->raw_len;
	}
	else
	{
		m = txp_message_of(row->source, row->topic);
		if (txp_headers_json(row->source, &headers))
		{
			m.headers = headers.data;
			m.headers_len = headers.len;
		}
	}
	txp_put_u32(out, row->bytes);
	txp_put_message(out, &m, pgp);
	txd_buf_free(&headers);
}

static void
put_place(TxdBuf *out, const TxdFieldPlace *place)
{
	txp_put_u32(out, place->topic_index);
	txp_put_i32(out, place->partition);
	txp_put_i64(out, place->offset);
}

/* What the decoder saw since the last time. */
static void
put_fields(TxdBuf *out, TxdDecoder *decoder)
{
	const TxdFieldSeen *field;
	uint64_t unlisted;
	size_t n = txd_fields_seen(decoder, &field, &unlisted);

	txp_put_u32(out, (uint32_t) n);
	for (size_t i = 0; i < n; i++)
	{
		txp_put_str(out, field[i].path);
		txp_put_u32(out, field[i].types);
		txp_put_i64(out, (int64_t) field[i].count);
		put_place(out, &field[i].first);
		put_place(out, &field[i].last);
	}
	txd_fields_reset(decoder);
}

void
txp_window_emit(TxpWindow *w, TxdDecoder *decoder, bool with_fields)
{
	TxpBatch *batch = txp_window_open(w);
	TxdBuf frame = {0};

	batch->seq = ++w->last_seq;
	for (uint32_t i = 0; i < batch->nranges; i++)
	{
		if (batch->range[i].last != NULL)
			batch->range[i].last_hash = txp_message_hash(batch->range[i].last);
	}
	if (with_fields)
		put_fields(&batch->fields, decoder);
	txp_put_batch(&frame, batch);
	txp_send(w->channel, TXP_BATCH, batch->seq, &frame);
	w->unacked++;
}

static void
repeat(TxpWindow *w, const TxpBatch *batch)
{
	TxdBuf frame = {0};

	txp_put_batch(&frame, batch);
	for (uint32_t i = 0; i < batch->nrows; i++)
		put_raw(&frame, batch, &batch->row[i], w->pgp);
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
