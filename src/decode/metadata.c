/*
 * metadata.c — what a message brings besides its value: place, time, key and headers.
 */
#include <string.h>

#include "decoder.h"
#include "value.h"

static bool
put_timestamp(TxdDecoder *d, const TxdColumn *column, int64_t ms, TxdBuf *rows, TxdError *err)
{
	int64_t us;

	if (ms == -1)
		return txd_null(column, d->schema.form, rows, err);
	if (column->type == TXD_INT8)
		return txd_integer(column, d->schema.form, ms, rows, err);
	if (__builtin_mul_overflow(ms, INT64_C(1000), &us))
		return txd_refuse(err, "out_of_range", column, "timestamp out of range");
	return txd_unix_us(column, d->schema.form, txd_zone_of(d), us, rows, err);
}

/* How the schema of a value that is no object is told. */
#define NAMELESS "[{\"name\":\"\","

/* The key that has become JSON. */
static bool
put_key_json(TxdDecoder *d, const TxdColumn *column, const TxdMessage *m, TxdBuf *rows,
			 TxdError *err)
{
	TxdJson j = {m->key, m->key, m->key + m->key_len, err, false};
	TxdJsonValue value;

	txd_json_space(&j);
	if (txd_json_value(&j, 0, &value) && txd_json_end(&j) &&
		txd_put_json(d, column, &value, rows, err))
		return true;
	err->column = column->name;
	return txd_refuse_key(err);
}

static bool
put_key(TxdDecoder *d, const TxdColumn *column, const TxdMessage *m, TxdBuf *rows, TxdError *err)
{
	bool bytes = column->type == TXD_BYTEA;
	bool json = d->schema.key_format != TXD_KEY_TEXT && !bytes;

	if (bytes)
		m = d->given;
	if (m->key == NULL || (m->key_len == 0 && (column->not_null || txd_is_json(column) || json)))
		return txd_null(column, d->schema.form, rows, err);
	if (json)
		return put_key_json(d, column, m, rows, err);
	return txd_put_text(d, column, bytes ? TXD_KIND_BYTES : TXD_KIND_TEXT, m->key, m->key_len,
						false, rows, err) ||
		   txd_refuse_key(err);
}

/* What the message or key was read by; NULL: there is none, or it was no such. */
static bool
put_schema(TxdDecoder *d, const TxdColumn *column, const TxdTranslator *reader, TxdBuf *rows,
		   TxdError *err)
{
	d->scratch.len = 0;
	if (reader != NULL)
		txd_translator_describe(reader, &d->scratch);
	/* Of a value that is no object there are no fields to tell. */
	if (column->source == TXD_FROM_SCHEMA && d->scratch.len > sizeof(NAMELESS) - 1 &&
		memcmp(d->scratch.data, NAMELESS, sizeof(NAMELESS) - 1) == 0)
		d->scratch.len = 0;
	if (d->scratch.len == 0)
		return txd_null(column, d->schema.form, rows, err);
	return txd_put_text(d, column, TXD_KIND_TEXT, d->scratch.data, d->scratch.len, true, rows, err);
}

bool
txd_put_metadata(TxdDecoder *d, int i, const TxdMessage *m, TxdBuf *rows, TxdError *err)
{
	const TxdColumn *column = &d->schema.columns[i];
	TxdForm form = d->schema.form;

	switch (column->source)
	{
		case TXD_FROM_TOPIC:
			if (m->topic == NULL)
				break;
			return txd_put_text(d, column, TXD_KIND_TEXT, m->topic, strlen(m->topic), false, rows,
								err);
		case TXD_FROM_PARTITION:
			if (m->topic == NULL)
				break;
			return txd_integer(column, form, m->partition, rows, err);
		case TXD_FROM_OFFSET:
			if (m->topic == NULL)
				break;
			return txd_integer(column, form, m->offset, rows, err);
		case TXD_FROM_TIMESTAMP:
			return put_timestamp(d, column, m->timestamp_ms, rows, err);
		case TXD_FROM_KEY:
			return put_key(d, column, m, rows, err);
		case TXD_FROM_IS_TOMBSTONE:
			return txd_put_text(d, column, TXD_KIND_BOOL, m->payload == NULL ? "t" : "f", 1, true,
								rows, err);
		case TXD_FROM_HEADERS:
			if (m->headers == NULL)
				break;
			return txd_put_text(d, column, TXD_KIND_TEXT, m->headers, m->headers_len, false, rows,
								err);
		case TXD_FROM_HEADER:
			return txd_put_header(d, i, rows, err);
		case TXD_FROM_LINE:
			return txd_integer(column, form, m->line, rows, err);
		case TXD_FROM_ROW:
			return txd_integer(column, form, d->row, rows, err);
		case TXD_FROM_SCHEMA:
			return put_schema(d, column, d->reader, rows, err);
		case TXD_FROM_KEY_SCHEMA:
			return put_schema(d, column, m->key_len > 0 ? d->key_translator : NULL, rows, err);
		default:
			return txd_put_preset(d, i, rows, err);
	}
	return txd_null(column, form, rows, err);
}
