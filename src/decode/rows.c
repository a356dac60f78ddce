/*
 * rows.c — the rows of a message: one, or the elements of an array in it, or its lines.
 *
 * What is around the rows and in the key is looked at once a message; each row is then decoded as a message of its own.
 * A message is all or nothing: the first row that is refused takes the others along.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shape.h"

static bool
is_lines(const TxdDecoder *d)
{
	return strcmp(d->schema.rows, TXD_ROWS_LINES) == 0;
}

static bool
add_name(TxdShape *shape, const char *rows, const char **p, TxdBuf *name, TxdError *err)
{
	TxdName *part = &shape->path[shape->npath];
	int32_t element;

	if (!txd_path_part(rows, p, name, &element, NULL, err))
		return false;
	if (element >= 0)
		return txd_refuse(err, "bad_value", NULL, "path \"%s\" of rows has an element", rows);
	*part = (TxdName){txd_alloc(name->len), name->len};
	memcpy(part->text, name->data, name->len);
	shape->npath++;
	return true;
}

static bool
prepare_path(TxdDecoder *d, TxdError *err)
{
	TxdShape *shape = d->shape;
	const char *rows = d->schema.rows;
	const char *p = rows;
	TxdBuf name = {NULL, 0, 0};
	bool ok = true;

	if (rows == NULL || is_lines(d) || strcmp(rows, TXD_ROWS_VALUE) == 0)
		return true;
	shape->path = txd_alloc((strlen(rows) + 1) * sizeof(TxdName));
	do
		ok = add_name(shape, rows, &p, &name, err);
	while (ok && *p != '\0');
	txd_buf_free(&name);
	return ok;
}

bool
txd_shape_prepare(TxdDecoder *d, TxdError *err)
{
	TxdShape *shape;
	bool around = false;

	if (d->schema.envelope == TXD_NO_ENVELOPE && d->schema.rows == NULL)
		return true;
	shape = d->shape = txd_alloc(sizeof(TxdShape));
	*shape = (TxdShape){.kept = txd_alloc(d->schema.ncolumns * sizeof(int))};
	for (int i = 0; i < d->schema.ncolumns; i++)
	{
		const TxdColumn *column = &d->schema.columns[i];

		around |= column->source == TXD_FROM_ENVELOPE_FIELD;
		if (column->source == TXD_FROM_ENVELOPE_FIELD ||
			txd_column_takes(column, TXD_FROM_KEY_FIELD))
			shape->kept[shape->nkept++] = i;
	}
	if (d->schema.envelope == TXD_DEBEZIUM)
		shape->connect = txd_connect_json_new();
	if (around)
	{
		shape->track = txd_track_new(false);
		shape->match = txd_match_new(&d->schema, TXD_FROM_ENVELOPE_FIELD, err);
		if (shape->match == NULL)
			return false;
	}
	return prepare_path(d, err);
}

void
txd_shape_end(TxdDecoder *d)
{
	TxdShape *shape = d->shape;

	if (shape == NULL)
		return;
	for (int i = 0; i < shape->npath; i++)
		free(shape->path[i].text);
	free(shape->path);
	free(shape->kept);
	free(shape->elements);
	txd_match_free(shape->match);
	txd_track_free(shape->track);
	txd_buf_free(&shape->attributes);
	txd_connect_json_free(shape->connect);
	txd_buf_free(&shape->event);
	txd_buf_free(&shape->key);
	free(shape);
}

/* --- where the rows are --- */

static bool
add_element(TxdShape *shape, TxdPiece piece, TxdError *err)
{
	if (shape->nelements == TXD_MAX_ROWS)
		return txd_refuse(err, "too_long", NULL, "the message has more than %d rows", TXD_MAX_ROWS);
	if (shape->nelements == shape->max_elements)
	{
		shape->max_elements = shape->max_elements == 0 ? 64 : shape->max_elements * 2;
		shape->elements = txd_realloc(shape->elements, shape->max_elements * sizeof(TxdPiece));
	}
	shape->elements[shape->nelements++] = piece;
	return true;
}

static bool
find_lines(TxdShape *shape, TxdPiece text, TxdError *err)
{
	const char *p = text.text;
	const char *end = p + text.len;

	while (p < end)
	{
		const char *stop = memchr(p, '\n', end - p);
		const char *after = stop != NULL ? stop + 1 : end;
		TxdPiece line = {p, after - p};

		while (line.len > 0 && memchr(" \t\r\n", line.text[line.len - 1], 4) != NULL)
			line.len--;
		if (line.len > 0 && !add_element(shape, line, err))
			return false;
		p = after;
	}
	return true;
}

static bool
find_elements(TxdShape *shape, TxdPiece text, TxdError *err)
{
	TxdJson j = {text.text, text.text, text.text + text.len, err, false};
	TxdJsonValue value;

	txd_json_space(&j);
	if (txd_json_peek(&j) != '[')
	{
		if (!txd_json_value(&j, 0, &value) || !txd_json_end(&j))
			return false;
		return txd_refuse(err, "wrong_type", NULL, "there is no array of rows, but another value");
	}
	j.p++;
	txd_json_space(&j);
	while (shape->nelements > 0 || txd_json_peek(&j) != ']')
	{
		if (!txd_json_value(&j, 1, &value) || !add_element(shape, txd_piece_of(&value), err))
			return false;
		txd_json_space(&j);
		if (txd_json_peek(&j) == ']')
			break;
		if (txd_json_peek(&j) != ',')
			return txd_json_syntax(&j, "expected \",\" or \"]\"");
		j.p++;
		txd_json_space(&j);
	}
	j.p++;
	return txd_json_end(&j);
}

/* Goes down the path to the array. */
static bool
find_rows(TxdDecoder *d, TxdPiece text, TxdError *err)
{
	TxdShape *shape = d->shape;
	TxdJsonValue whole;
	int count;

	shape->nelements = 0;
	if (is_lines(d))
		return find_lines(shape, text, err);
	for (int i = 0; i < shape->npath; i++)
	{
		TxdMember member = {shape->path[i].text, shape->path[i].len, {0}};

		if (!txd_read_members(d, text, &member, 1, &count, &whole, err))
			return false;
		if (member.value.text == NULL || member.value.null)
			return txd_refuse(err, "missing_value", NULL, "there is no array of rows at \"%s\"",
							  d->schema.rows);
		text = txd_piece_of(&member.value);
	}
	return find_elements(shape, text, err);
}

/* --- the rows --- */

static bool
put_one(TxdDecoder *d, TxdMessage *part, uint32_t row, TxdBuf *rows, TxdError *err)
{
	TxdShape *shape = d->shape;

	/* What is found counts for one serial number, of which each row has its own. */
	for (int i = 0; i < shape->nkept; i++)
	{
		TxdFound *found = &d->found[shape->kept[i]];

		if (found->serial == shape->serial)
			found->serial = d->serial + 1;
	}
	shape->serial = d->serial + 1;
	d->row = row;
	return txd_decode_row(d, part, rows, err) &&
		   (!shape->suspect || part->payload == NULL ||
			txd_envelope_check(d, (TxdPiece){part->payload, part->payload_len}, err));
}

static bool
refuse_row(TxdError *err, uint32_t row)
{
	char message[sizeof(err->message)];

	memcpy(message, err->message, sizeof(message));
	snprintf(err->message, sizeof(err->message), "row %u: %.*s", row,
			 (int) txd_shorten(message, strlen(message), (int) sizeof(message) - 20), message);
	return false;
}

static bool
put_all(TxdDecoder *d, TxdMessage *part, TxdBuf *rows, TxdError *err)
{
	size_t before = rows->len;

	for (uint32_t i = 0; i < d->shape->nelements; i++)
	{
		part->payload = d->shape->elements[i].text;
		part->payload_len = d->shape->elements[i].len;
		if (!put_one(d, part, i, rows, err))
			return refuse_row(err, i);
		if (rows->len - before > TXD_MAX_ROW)
			return txd_refuse(err, "too_long", NULL,
							  "the rows of the message have more than %d bytes", TXD_MAX_ROW);
	}
	return true;
}

/* What is the same in all rows. */
static bool
find_kept(TxdDecoder *d, const TxdOpened *opened, TxdError *err)
{
	TxdShape *shape = d->shape;

	shape->serial = ++d->serial;
	if (d->key_match != NULL && !txd_json_key_fields(d, opened->key.text, opened->key.len, err))
		return false;
	return shape->match == NULL || opened->around.text == NULL ||
		   txd_json_side_fields(d, shape->match, shape->track, opened->around.text,
								opened->around.len, err);
}

bool
txd_shape_rows(TxdDecoder *d, const TxdMessage *message, TxdBuf *rows, TxdError *err)
{
	TxdMessage part = *message;
	TxdOpened opened;

	if (!txd_envelope_open(d, message, &opened, err))
		return false;
	part.payload = opened.body.text;
	part.payload_len = opened.body.len;
	if (part.payload == NULL && !d->schema.tombstones)
		return txd_refuse(err, "tombstone", NULL, "%s",
						  opened.deletes ? "the event deletes a row, which mode upsert_delete does"
										 : "message has no payload");
	if (part.payload != NULL && d->schema.rows != NULL && !find_rows(d, opened.body, err))
		return false;
	if (!find_kept(d, &opened, err))
		return false;
	d->shape->suspect = txd_envelope_is_suspect(d, opened.around);
	if (part.payload != NULL && d->schema.rows != NULL)
		return put_all(d, &part, rows, err);
	return put_one(d, &part, 0, rows, err);
}
