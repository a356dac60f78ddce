/*
 * decode.c — one message to one row: the format finds the values, this file writes them in column
 * order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoder.h"
#include "value.h"

static void
blame_default(TxdError *err)
{
	TxdError reason = *err;

	snprintf(err->message, sizeof(err->message), "the default does not fit: %.*s",
			 (int) sizeof(err->message) - 40, reason.message);
}

/* Encodes defaults and constants once; they are in the type's own syntax, no conversion applies. */
static bool
encode_presets(TxdDecoder *d, TxdError *err)
{
	for (int i = 0; i < d->schema.ncolumns; i++)
	{
		TxdColumn col = d->schema.columns[i];

		col.convert = TXD_AS_IS;
		if (col.default_text != NULL &&
			!txd_value(&col, d->schema.form, txd_zone_of(d), TXD_KIND_TEXT, col.default_text,
					   strlen(col.default_text), false, &d->presets[i], err))
		{
			blame_default(err);
			return false;
		}
	}
	return true;
}

static bool
prepare_key(TxdDecoder *d, TxdError *err)
{
	d->key_track = txd_track_new(false);
	d->key_match = txd_match_new(&d->schema, TXD_FROM_KEY_FIELD, err);
	return d->key_match != NULL;
}

/* Of Avro, Protobuf and Connect's JSON the schemas say which numbers are date-times. */
static void
mark_typed(TxdDecoder *d)
{
	bool typed = d->schema.envelope == TXD_DEBEZIUM || d->translator[TXD_AVRO] != NULL ||
				 d->translator[TXD_PROTOBUF] != NULL || d->key_translator != NULL;

	for (int i = 0; i < d->schema.ncolumns; i++)
		d->schema.columns[i].typed = typed;
}

/* Does no column need the JSON of whole messages? */
static bool
can_bind(const TxdDecoder *d)
{
	bool whole = d->wants_rest || d->schema.envelope != TXD_NO_ENVELOPE || d->schema.rows != NULL;

	for (int i = 0; i < d->schema.ncolumns; i++)
		whole |= d->schema.columns[i].source == TXD_FROM_VALUE;
	return !whole && (d->translator[TXD_AVRO] != NULL || d->translator[TXD_PROTOBUF] != NULL);
}

static bool
prepare(TxdDecoder *d, TxdError *err)
{
	int n = d->schema.ncolumns;
	bool wants_key = false;

	if (!encode_presets(d, err))
		return false;
	if (!txd_conceal_prepare(d, err))
		return false;
	for (int i = 0; i < n; i++)
	{
		TxdSource source = d->schema.columns[i].source;

		d->needs_object |= source == TXD_FROM_FIELD || source == TXD_FROM_REST;
		d->wants_rest |= source == TXD_FROM_REST;
		wants_key |= txd_column_takes(&d->schema.columns[i], TXD_FROM_KEY_FIELD);
	}
	if (wants_key && !prepare_key(d, err))
		return false;
	txd_headers_prepare(d);
	if (!txd_as_json_prepare(d, err))
		return false;
	if (d->schema.format == TXD_CSV)
		return d->schema.csv.header || txd_csv_bind_numbers(d, err);
	if (!txd_has_json_fields(d->schema.format))
		return true;
	mark_typed(d);
	d->track = txd_track_new(d->schema.track_fields);
	d->match = txd_match_new(&d->schema, TXD_FROM_FIELD, err);
	d->binds = can_bind(d);
	return d->match != NULL && txd_shape_prepare(d, err);
}

static void *
alloc_zeroed(size_t size)
{
	return memset(txd_alloc(size), 0, size);
}

TxdDecoder *
txd_new(const TxdSchema *schema, TxdError *err)
{
	TxdDecoder *d;
	int n = schema->ncolumns;

	if (!txd_schema_check(schema, err))
		return NULL;
	d = alloc_zeroed(sizeof(TxdDecoder));
	d->arena = txd_schema_copy(schema, &d->schema);
	d->presets = alloc_zeroed(n * sizeof(TxdBuf));
	d->found = alloc_zeroed(n * sizeof(TxdFound));
	d->places = alloc_zeroed(n * sizeof(TxdCsvPlaces));
	d->fixed = alloc_zeroed(n * sizeof(uint64_t));
	d->changed = alloc_zeroed(n * sizeof(int));
	if (prepare(d, err))
		return d;
	/* The message outlives the decoder: it must name the caller's column. */
	for (int i = 0; i < n; i++)
		if (err->column == d->schema.columns[i].name)
			err->column = schema->columns[i].name;
	txd_free(d);
	return NULL;
}

void
txd_free(TxdDecoder *d)
{
	if (d == NULL)
		return;
	for (int i = 0; i < d->schema.ncolumns; i++)
	{
		txd_buf_free(&d->presets[i]);
		free(d->places[i].field);
	}
	txd_as_json_end(d);
	free(d->headers);
	txd_match_free(d->match);
	txd_match_free(d->key_match);
	txd_track_free(d->track);
	txd_track_free(d->key_track);
	txd_buf_free(&d->scratch);
	txd_buf_free(&d->cleaned);
	txd_buf_free(&d->name);
	txd_buf_free(&d->rest);
	free(d->record.fields);
	free(d->loose);
	free(d->places);
	free(d->fixed);
	free(d->changed);
	free(d->found);
	free(d->presets);
	free(d->arena);
	explicit_bzero(&d->hmac, sizeof(d->hmac));
	txd_pgp_free(d->pgp);
	txd_shape_end(d);
	free(d);
}

bool
txd_check_text(const TxdColumn *column, const char *text, size_t len, TxdError *err)
{
	size_t good = txd_utf8_prefix(text, len);

	if (good == len)
		return true;
	if (text[good] == '\0')
		return txd_refuse(err, "nul_byte", column, "NUL byte at byte %zu", good + 1);
	return txd_refuse(err, "bad_encoding", column, "invalid UTF-8 at byte %zu", good + 1);
}

bool
txd_put_text(TxdDecoder *d, const TxdColumn *column, TxdKind kind, const char *text, size_t len,
			 bool checked, TxdBuf *rows, TxdError *err)
{
	TxdConvert as = column->convert;

	if (as == TXD_AS_ENCRYPTED || as == TXD_AS_PSEUDONYM)
		return txd_conceal(d, column, kind, text, len, checked, rows, err);
	if (as != TXD_AS_IS && as != TXD_AS_EPOCH_S && as != TXD_AS_EPOCH_MS && as != TXD_AS_EPOCH_US)
	{
		const char *given = text;
		size_t given_len = len;

		if (kind == TXD_KIND_JSON || kind == TXD_KIND_BOOL)
			return txd_refuse(err, "wrong_type", column, "expected a text or a number");
		if (!checked && !txd_check_text(column, text, len, err))
			return false;
		checked = true;
		d->cleaned.len = 0;
		if (!txd_clean(column, &text, &len, &d->cleaned, err))
			return false;
		if ((text != given || len != given_len) && d->nchanged < d->schema.ncolumns)
			d->changed[d->nchanged++] = (int) (column - d->schema.columns);
		if (text == NULL)
			return txd_null(column, d->schema.form, rows, err);
	}
	return txd_value(column, d->schema.form, txd_zone_of(d), kind, text, len, checked, rows, err);
}

bool
txd_put_preset(TxdDecoder *d, int i, TxdBuf *rows, TxdError *err)
{
	const TxdBuf *preset = &d->presets[i];

	if (d->schema.columns[i].default_text == NULL)
		return txd_null(&d->schema.columns[i], d->schema.form, rows, err);
	txd_buf_append(rows, preset->data, preset->len);
	return true;
}

/* Appends valid JSON as it is written. */
static bool
put_json(TxdDecoder *d, const TxdColumn *column, const char *text, size_t len, TxdBuf *rows,
		 TxdError *err)
{
	return txd_put_text(d, column, txd_is_json(column) ? TXD_KIND_JSON : TXD_KIND_TEXT, text, len,
						true, rows, err);
}

bool
txd_put_json(TxdDecoder *d, const TxdColumn *column, const TxdJsonValue *v, TxdBuf *rows,
			 TxdError *err)
{
	const char *text = v->text;
	size_t len = v->len;

	if (v->null)
		return txd_null(column, d->schema.form, rows, err);
	if (txd_is_json(column) && column->convert == TXD_AS_IS)
	{
		bool string = v->kind == TXD_KIND_TEXT;

		return put_json(d, column, text - string, len + 2 * string, rows, err);
	}
	if (v->escaped)
	{
		d->scratch.len = 0;
		if (!txd_json_unescape(text, len, &d->scratch))
			return txd_refuse(err, "nul_byte", column, "text contains \\u0000");
		text = d->scratch.data;
		len = d->scratch.len;
	}
	return txd_put_text(d, column, v->kind, text, len, true, rows, err);
}

static inline bool
put_json_field(TxdDecoder *d, int i, TxdBuf *rows, TxdError *err)
{
	if (d->found[i].serial != d->serial)
		return txd_put_preset(d, i, rows, err);
	if (d->found[i].leaf != NULL)
		return txd_put_leaf(d, &d->schema.columns[i], d->found[i].leaf, rows, err);
	return txd_put_json(d, &d->schema.columns[i], &d->found[i].value, rows, err);
}

static bool
put_csv_field(TxdDecoder *d, int i, TxdBuf *rows, TxdError *err)
{
	const TxdColumn *column = &d->schema.columns[i];
	const TxdCsvField *field = txd_csv_find(d, i);
	const char *null_text = d->schema.csv.null_text;
	const char *text;
	size_t len;

	if (field == NULL)
		return txd_put_preset(d, i, rows, err);
	if (!field->quoted && field->len == strlen(null_text) &&
		memcmp(field->text, null_text, field->len) == 0)
		return txd_null(column, d->schema.form, rows, err);
	d->scratch.len = 0;
	text = txd_csv_text(field, d->schema.csv.quote, &d->scratch, &len);
	return txd_put_text(d, column, TXD_KIND_TEXT, text, len, false, rows, err);
}

static bool
put_field(TxdDecoder *d, int i, const TxdMessage *message, TxdBuf *rows, TxdError *err)
{
	if (txd_has_json_fields(d->schema.format))
		return put_json_field(d, i, rows, err);
	if (d->schema.format == TXD_CSV)
		return put_csv_field(d, i, rows, err);
	return txd_put_plain(d, &d->schema.columns[i], message, rows, err);
}

/* "$value": JSON as it is written, of other formats what plain.c makes of it. */
static bool
put_whole(TxdDecoder *d, const TxdColumn *column, const TxdMessage *message, TxdBuf *rows,
		  TxdError *err)
{
	if (txd_has_json_fields(d->schema.format) && column->type != TXD_BYTEA)
		return put_json(d, column, message->payload, message->payload_len, rows, err);
	return txd_put_plain(d, column, d->given, rows, err);
}

/* Is it what a message without a value, or an event that deletes, does not have? */
static bool
goes_with_value(const TxdDecoder *d, int i)
{
	const TxdColumn *column = &d->schema.columns[i];

	if (column->source == TXD_FROM_ENVELOPE_FIELD)
		return d->found[i].serial != d->serial;
	return (column->source == TXD_FROM_FIELD && !column->or_key) ||
		   column->source == TXD_FROM_REST || column->source == TXD_FROM_VALUE;
}

/* Appends column i of a row whose value has been taken apart. */
static inline bool
put_column(TxdDecoder *d, int i, const TxdMessage *message, TxdBuf *rows, TxdError *err)
{
	const TxdColumn *column = &d->schema.columns[i];

	if (column->source == TXD_FROM_FIELD)
		return put_field(d, i, message, rows, err);
	if (column->source == TXD_FROM_KEY_FIELD || column->source == TXD_FROM_ENVELOPE_FIELD)
		return put_json_field(d, i, rows, err);
	if (column->source == TXD_FROM_VALUE)
		return put_whole(d, column, message, rows, err);
	if (column->source == TXD_FROM_REST)
		return put_json(d, column, d->rest.data, d->rest.len, rows, err);
	return txd_put_metadata(d, i, message, rows, err);
}

static bool
put_row(TxdDecoder *d, const TxdMessage *message, TxdBuf *rows, TxdError *err)
{
	static const TxdColumn nullable = {0};
	bool text = d->schema.form == TXD_TEXT;
	bool tombstone = message->payload == NULL;
	bool ok;

	if (!text)
		txd_buf_be16(rows, (uint16_t) d->schema.ncolumns);
	for (int i = 0; i < d->schema.ncolumns; i++)
	{
		if (text && i > 0)
			txd_buf_byte(rows, '\t');
		if (tombstone && goes_with_value(d, i))
			ok = txd_null(&nullable, d->schema.form, rows, err);
		else
			ok = put_column(d, i, message, rows, err);
		if (!ok)
			return false;
	}
	if (text)
		txd_buf_byte(rows, '\n');
	return true;
}

bool
txd_decode_row(TxdDecoder *d, const TxdMessage *message, TxdBuf *rows, TxdError *err)
{
	bool ok = true;

	d->serial++;
	d->nchanged = 0;
	if (message->payload == NULL)
		ok = true;
	else if (txd_has_json_fields(d->schema.format))
		ok = txd_json_fields(d, message, err);
	else if (d->schema.format == TXD_CSV)
		ok = txd_csv_fields(d, message, err);
	if (ok && d->key_match != NULL && d->shape == NULL)
		ok = txd_json_key_fields(d, message->key, message->key_len, err);
	return ok && put_row(d, message, rows, err);
}

/* Appends the row of a message whose values need not be JSON first; false, and none, where they are better. */
static bool
decode_bound(TxdDecoder *d, const TxdMessage *message, TxdBuf *rows, TxdError *err)
{
	size_t before = rows->len;
	TxdMessage copy = *message;

	d->serial++;
	d->nchanged = 0;
	if (txd_bound_value(d, &copy, err) && txd_headers_read(d, message, err) &&
		(d->key_match == NULL || txd_json_key_fields(d, copy.key, copy.key_len, err)) &&
		put_row(d, &copy, rows, err) && rows->len - before <= TXD_MAX_ROW)
	{
		txd_track_commit(d->track, message);
		return true;
	}
	rows->len = before;
	return false;
}

/* Appends the rows of a message that is JSON, or becomes it, or has no fields. */
static bool
decode_plainly(TxdDecoder *d, const TxdMessage *message, TxdBuf *rows, TxdError *err)
{
	size_t before = rows->len;
	TxdMessage as_json;
	bool ok;

	if (!txd_as_json(d, &message, &as_json, err) || !txd_headers_read(d, message, err))
		return false;
	if (d->shape != NULL)
		ok = txd_shape_rows(d, message, rows, err);
	else
		ok = txd_decode_row(d, message, rows, err);
	if (ok && rows->len - before > TXD_MAX_ROW)
		ok = txd_refuse(err, "too_long", NULL, "the row has %zu bytes, at most %d fit",
						rows->len - before, TXD_MAX_ROW);
	if (!ok)
		rows->len = before;
	return ok;
}

bool
txd_decode(TxdDecoder *d, const TxdMessage *message, TxdBuf *rows, TxdError *err)
{
	bool ok;

	if (message->payload == NULL && !d->schema.tombstones)
		return txd_refuse(err, "tombstone", NULL, "message has no payload");
	d->given = message;
	ok = (d->binds && message->payload != NULL && decode_bound(d, message, rows, err)) ||
		 decode_plainly(d, message, rows, err);
	for (int i = 0; ok && i < d->nchanged; i++)
		d->fixed[d->changed[i]]++;
	return ok;
}

TxdPgp *
txd_pgp_of(TxdDecoder *d)
{
	return d->pgp;
}

const uint64_t *
txd_fixed(const TxdDecoder *d)
{
	return d->fixed;
}

size_t
txd_fields_seen(TxdDecoder *d, const TxdFieldSeen **fields, uint64_t *unlisted)
{
	*fields = NULL;
	*unlisted = 0;
	if (d->track == NULL)
		return 0;
	*unlisted = d->track->unlisted;
	return txd_track_list(d->track, fields);
}

bool
txd_fields_news(const TxdDecoder *d)
{
	return d->track != NULL && txd_track_has_news(d->track);
}

void
txd_fields_reset(TxdDecoder *d)
{
	if (d->track != NULL)
		txd_track_reset(d->track);
}
