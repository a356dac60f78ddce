/*
 * headers.c — headers to JSON.
 */
#include <stdio.h>
#include <string.h>

#include "../decode/value.h"
#include "headers.h"

static void
put_text(TxdBuf *out, const char *text)
{
	txd_buf_append(out, text, strlen(text));
}

static void
put_json_string(TxdBuf *out, const char *text, size_t len)
{
	static const char hex[] = "0123456789abcdef";

	txd_buf_byte(out, '"');
	if (txd_utf8_prefix(text, len) == len)
	{
		for (size_t i = 0; i < len; i++)
		{
			unsigned char c = (unsigned char) text[i];

			if (c == '"' || c == '\\')
				txd_buf_byte(out, '\\');
			if (c < 0x20)
			{
				put_text(out, "\\u00");
				txd_buf_byte(out, hex[c >> 4]);
				txd_buf_byte(out, hex[c & 15]);
			}
			else
				txd_buf_byte(out, (char) c);
		}
	}
	else
	{
		put_text(out, "\\\\x");
		for (size_t i = 0; i < len; i++)
		{
			txd_buf_byte(out, hex[(unsigned char) text[i] >> 4]);
			txd_buf_byte(out, hex[text[i] & 15]);
		}
	}
	txd_buf_byte(out, '"');
}

static void
put_value(TxdBuf *out, const void *value, size_t size)
{
	if (value == NULL)
		put_text(out, "null");
	else
		put_json_string(out, value, size);
}

/* Is there a header of the same name before the i-th? */
static bool
seen_before(const rd_kafka_headers_t *headers, size_t i, const char *name)
{
	const char *other;
	const void *value;
	size_t size;

	for (size_t j = 0; j < i; j++)
	{
		if (rd_kafka_header_get_all(headers, j, &other, &value, &size) == 0 &&
			strcmp(other, name) == 0)
			return true;
	}
	return false;
}

/* All values of one name: the value itself, or an array of several. */
static void
put_values(TxdBuf *out, const rd_kafka_headers_t *headers, const char *name)
{
	const void *value;
	size_t size;
	bool several = rd_kafka_header_get(headers, 1, name, &value, &size) == 0;

	if (several)
		txd_buf_byte(out, '[');
	for (size_t i = 0; rd_kafka_header_get(headers, i, name, &value, &size) == 0; i++)
	{
		if (i > 0)
			put_text(out, ", ");
		put_value(out, value, size);
	}
	if (several)
		txd_buf_byte(out, ']');
}

bool
txp_headers_json(const rd_kafka_message_t *message, TxdBuf *out)
{
	rd_kafka_headers_t *headers;
	const char *name;
	const void *value;
	size_t size;
	bool first = true;

	if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return false;
	txd_buf_byte(out, '{');
	for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == 0; i++)
	{
		if (seen_before(headers, i, name))
			continue;
		if (!first)
			put_text(out, ", ");
		first = false;
		put_json_string(out, name, strlen(name));
		put_text(out, ": ");
		put_values(out, headers, name);
	}
	txd_buf_byte(out, '}');
	return true;
}
