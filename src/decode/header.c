/*
 * header.c — "$header.NAME": single headers out of the JSON object that a message's headers come as.
 *
 * There several of one name are an array in their order, and bytes that are no UTF-8 the text "\x…".
 */
#include <stdlib.h>
#include <string.h>

#include "shape.h"

struct TxdHeaders
{
	int n;
	bool there; /* in the present message */
	TxdMember member[];
};

static TxdMember *
find_header(struct TxdHeaders *h, const char *name)
{
	for (int i = 0; i < h->n; i++)
		if (strcmp(h->member[i].name, name) == 0)
			return &h->member[i];
	return NULL;
}

void
txd_headers_prepare(TxdDecoder *d)
{
	size_t most = 0;
	struct TxdHeaders *h;

	for (int i = 0; i < d->schema.ncolumns; i++)
		if (d->schema.columns[i].source == TXD_FROM_HEADER)
			most += (size_t) d->schema.columns[i].npaths;
	if (most == 0)
		return;
	h = d->headers = txd_alloc(sizeof(*h) + most * sizeof(TxdMember));
	*h = (struct TxdHeaders){0};
	for (int i = 0; i < d->schema.ncolumns; i++)
	{
		const TxdColumn *column = &d->schema.columns[i];

		for (int k = 0; k < column->npaths && column->source == TXD_FROM_HEADER; k++)
			if (find_header(h, column->paths[k]) == NULL)
				h->member[h->n++] = (TxdMember){column->paths[k], strlen(column->paths[k]), {0}};
	}
}

bool
txd_headers_read(TxdDecoder *d, const TxdMessage *message, TxdError *err)
{
	struct TxdHeaders *h = d->headers;
	TxdJsonValue whole;
	int count;

	if (h == NULL)
		return true;
	h->there = message->headers != NULL;
	return !h->there || txd_read_members(d, (TxdPiece){message->headers, message->headers_len},
										 h->member, h->n, &count, &whole, err);
}

/* Of an array the last element counts. */
static bool
last_of(TxdJsonValue *value, TxdError *err)
{
	TxdJson j = {value->text, value->text, value->text + value->len, err, false};

	if (value->kind != TXD_KIND_JSON || *value->text != '[')
		return true;
	for (j.p++; txd_json_peek(&j) != ']'; j.p += txd_json_peek(&j) == ',')
	{
		txd_json_space(&j);
		if (!txd_json_value(&j, 1, value))
			return false;
		txd_json_space(&j);
	}
	return true;
}

static int
digit_of(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * Do the bytes stand for others, which are then appended to `bytes`? Those that could be text stand for themselves: whoever
 * wrote the header wrote a backslash.
 */
static bool
stands_for_bytes(const char *text, size_t len, TxdBuf *bytes)
{
	bytes->len = 0;
	if (len < 4 || len % 2 != 0 || text[0] != '\\' || text[1] != 'x')
		return false;
	for (size_t i = 2; i < len; i += 2)
	{
		int high = digit_of(text[i]);
		int low = digit_of(text[i + 1]);

		if (high < 0 || low < 0)
			return false;
		txd_buf_byte(bytes, (char) (high << 4 | low));
	}
	return txd_utf8_prefix(bytes->data, bytes->len) < bytes->len;
}

static bool
put_value(TxdDecoder *d, const TxdColumn *column, TxdJsonValue value, TxdBuf *rows, TxdError *err)
{
	const char *text;
	size_t len;

	if (!last_of(&value, err))
		return false;
	if (value.null)
		return txd_null(column, d->schema.form, rows, err);
	text = value.text;
	len = value.len;
	if (value.escaped)
	{
		d->scratch.len = 0;
		if (!txd_json_unescape(text, len, &d->scratch))
			return txd_refuse(err, "nul_byte", column, "the header contains \\u0000");
		text = d->scratch.data;
		len = d->scratch.len;
	}
	if (stands_for_bytes(text, len, &d->name))
	{
		if (column->type != TXD_BYTEA)
			return txd_check_text(column, d->name.data, d->name.len, err);
		text = d->name.data;
		len = d->name.len;
	}
	return txd_put_text(d, column, column->type == TXD_BYTEA ? TXD_KIND_BYTES : TXD_KIND_TEXT, text,
						len, true, rows, err);
}

bool
txd_put_header(TxdDecoder *d, int i, TxdBuf *rows, TxdError *err)
{
	const TxdColumn *column = &d->schema.columns[i];

	for (int k = 0; k < column->npaths && d->headers->there; k++)
	{
		const TxdMember *member = find_header(d->headers, column->paths[k]);

		if (member->value.text != NULL)
			return put_value(d, column, member->value, rows, err);
	}
	return txd_put_preset(d, i, rows, err);
}
