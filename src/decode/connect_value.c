/*
 * connect_value.c — values of Connect as what they mean.
 */
#include <string.h>

#include "base64.h"
#include "connect_value.h"
#include "datetime.h"
#include "field.h"
#include "json_write.h"
#include "shape.h"

#define MAX_DECIMAL                                                                                \
	4096 /* bytes, as of Avro's: what writing one out costs grows with the square of it */
#define DAY_S INT64_C(86400)

/* A whole number of 64 bits. */
static bool
read_integer(const TxdJsonValue *value, int64_t *v)
{
	size_t i = value->len > 0 && *value->text == '-';

	*v = 0;
	if (value->kind != TXD_KIND_NUMBER || i == value->len)
		return false;
	for (; i < value->len; i++)
	{
		int digit = value->text[i] - '0';

		if (digit < 0 || digit > 9 || __builtin_mul_overflow(*v, 10, v) ||
			__builtin_sub_overflow(*v, digit, v))
			return false;
	}
	return *value->text == '-' || !__builtin_mul_overflow(*v, -1, v);
}

static bool
put_time(const ConnectNode *node, int64_t v, TxdBuf *out)
{
	char text[TXD_DATETIME_TEXT];
	int64_t second = node->digits == 3 ? 1000 : node->digits == 6 ? 1000000 : 1000000000;

	if (node->meaning == TXD_MEANS_DATE && (v < INT32_MIN || v > INT32_MAX))
		return false;
	if (node->meaning == TXD_MEANS_DATE)
		txd_write_text(out, text, txd_unix_day_text(v, text));
	else if (node->meaning == TXD_MEANS_LOCAL)
		txd_write_text(out, text, txd_unix_text(v, node->digits, "", text));
	else if (node->meaning == TXD_MEANS_INSTANT)
		txd_write_text(out, text, txd_unix_text(v, node->digits, "+00", text));
	else if (v >= 0 && v < DAY_S * second)
		txd_write_text(out, text, txd_clock_text(v, node->digits, text));
	else
		return false;
	return true;
}

/* The string with its escapes resolved, which has a NUL behind it. */
static bool
read_text(ConnectScratch *s, const TxdJsonValue *value)
{
	s->text.len = 0;
	if (value->kind != TXD_KIND_TEXT || !txd_json_unescape(value->text, value->len, &s->text))
		return false;
	txd_buf_byte(&s->text, '\0');
	s->text.len--;
	return true;
}

static bool
read_base64(ConnectScratch *s, const TxdJsonValue *value)
{
	s->bytes.len = 0;
	return read_text(s, value) && txd_base64(s->text.data, &s->bytes);
}

static bool
put_decimal(ConnectScratch *s, const TxdJsonValue *value, int64_t scale, TxdBuf *out)
{
	return read_base64(s, value) && s->bytes.len <= MAX_DECIMAL &&
		   txd_connect_put_decimal(out, s->bytes.data, s->bytes.len, scale);
}

/* Goes over the members of an object or the elements of an array. Returns as txd_next_member does. */
static int
next_part(TxdJson *j, bool object, bool *first, TxdJsonValue *name, TxdJsonValue *value)
{
	if (object)
		return txd_next_member(j, first, name, value);
	txd_json_space(j);
	if (txd_json_peek(j) == ']')
		return 0;
	if (!*first)
		j->p++;
	*first = false;
	txd_json_space(j);
	return txd_json_value(j, 1, value) ? 1 : -1;
}

static bool
put_variable(ConnectScratch *s, const TxdJsonValue *value, TxdBuf *out)
{
	TxdError ignored;
	TxdJson j = {value->text, value->text + 1, value->text + value->len, &ignored, false};
	TxdJsonValue name;
	TxdJsonValue part;
	TxdJsonValue digits = {0};
	int64_t scale = 0;
	bool first = true;

	if (!txd_is_object(value))
		return false;
	while (next_part(&j, true, &first, &name, &part) > 0)
	{
		if (name.len == 5 && memcmp(name.text, "scale", 5) == 0 && !read_integer(&part, &scale))
			return false;
		if (name.len == 5 && memcmp(name.text, "value", 5) == 0)
			digits = part;
	}
	return digits.text != NULL && put_decimal(s, &digits, scale, out);
}

/* False: nothing is appended. */
static bool
put_meaning(ConnectScratch *s, const ConnectNode *node, const TxdJsonValue *value, TxdBuf *out)
{
	int64_t v;

	if (node->kind == CONNECT_BYTES)
	{
		if (!read_base64(s, value))
			return false;
		txd_write_hex(out, (const unsigned char *) s->bytes.data, s->bytes.len);
		return true;
	}
	switch (node->meaning)
	{
		case TXD_MEANS_DECIMAL:
			return put_decimal(s, value, node->digits, out);
		case TXD_MEANS_VARIABLE:
			return put_variable(s, value, out);
		case TXD_MEANS_JSON:
			if (!read_text(s, value))
				return false;
			txd_connect_put_json(out, s->text.data, s->text.len);
			return true;
		case TXD_MEANS_ZONED:
		case TXD_MEANS_UUID:
			return false;
		default:
			return read_integer(value, &v) && put_time(node, v, out);
	}
}

static const ConnectNode *
node_of(const ConnectNode *node, const TxdJsonValue *name)
{
	if (node->kind != CONNECT_STRUCT)
		return node->of;
	for (int i = 0; i < node->n; i++)
		if (node->field[i].len == name->len &&
			memcmp(node->field[i].name, name->text, name->len) == 0)
			return node->field[i].node;
	return NULL;
}

static bool put_value(ConnectScratch *s, const ConnectNode *node, const TxdJsonValue *value,
					  TxdBuf *out);

static bool
put_parts(ConnectScratch *s, const ConnectNode *node, const TxdJsonValue *value, TxdBuf *out)
{
	TxdError ignored;
	TxdJson j = {value->text, value->text + 1, value->text + value->len, &ignored, false};
	bool object = *value->text == '{';
	TxdJsonValue name = {0};
	TxdJsonValue part;
	bool first = true;

	txd_buf_byte(out, *value->text);
	while (next_part(&j, object, &first, &name, &part) > 0)
	{
		char before = out->data[out->len - 1];

		if (before != '{' && before != '[')
			txd_buf_byte(out, ',');
		if (object)
		{
			txd_buf_append(out, name.text - 1, name.len + 2);
			txd_buf_byte(out, ':');
		}
		if (!put_value(s, node_of(node, &name), &part, out))
			return false;
	}
	txd_buf_byte(out, object ? '}' : ']');
	return true;
}

/* False: there is too much already, as of decimals whose few bytes are many digits. */
static bool
put_value(ConnectScratch *s, const ConnectNode *node, const TxdJsonValue *value, TxdBuf *out)
{
	TxdPiece as_is = txd_piece_of(value);

	if (out->len > TXD_MAX_ROW)
		return false;
	if (node != NULL && value->kind == TXD_KIND_JSON && !value->null &&
		((node->kind == CONNECT_ARRAY && *value->text == '[') ||
		 ((node->kind == CONNECT_STRUCT || node->kind == CONNECT_MAP) && *value->text == '{')))
		return put_parts(s, node, value, out);
	if (node == NULL || node->kind > CONNECT_BYTES || value->null ||
		!put_meaning(s, node, value, out))
		txd_buf_append(out, as_is.text, as_is.len);
	return true;
}

bool
txd_connect_put(ConnectScratch *scratch, const ConnectNode *node, const char *value, size_t len,
				TxdBuf *out, TxdError *err)
{
	TxdJson j = {value, value, value + len, err, false};
	TxdJsonValue whole;

	txd_json_space(&j);
	return txd_json_value(&j, 0, &whole) &&
		   (put_value(scratch, node, &whole, out) ||
			txd_refuse(err, "too_long", NULL, "more than %d bytes as JSON", TXD_MAX_ROW));
}
