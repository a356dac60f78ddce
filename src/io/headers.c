/*
 * headers.c — headers to JSON.
 */
#include <stdlib.h>
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

typedef struct Header
{
	const char *name;
	const void *value;
	size_t size;
	size_t at;            /* its place in the message */
	struct Header *next;  /* of the same name */
	struct Header *first; /* for the one at that place: its name's values, NULL when told before */
} Header;

static int
by_name(const void *a, const void *b)
{
	const Header *x = a;
	const Header *y = b;
	int order = strcmp(x->name, y->name);

	return order != 0 ? order : (x->at > y->at) - (x->at < y->at);
}

/* All headers sorted by name, so that a message with very many of them costs no more than its size. */
static Header *
sort_headers(const rd_kafka_headers_t *headers, size_t n)
{
	Header *all = txd_alloc((n + 1) * sizeof(Header));

	for (size_t i = 0; i < n; i++)
	{
		all[i] = (Header){.at = i};
		rd_kafka_header_get_all(headers, i, &all[i].name, &all[i].value, &all[i].size);
	}
	qsort(all, n, sizeof(Header), by_name);
	for (size_t i = 0; i < n; i++)
	{
		bool again = i > 0 && strcmp(all[i].name, all[i - 1].name) == 0;

		if (again)
			all[i - 1].next = &all[i];
		else
			all[all[i].at].first = &all[i];
	}
	return all;
}

/* All values of one name: the value itself, or an array of several. */
static void
put_values(TxdBuf *out, const Header *h)
{
	bool several = h->next != NULL;

	if (several)
		txd_buf_byte(out, '[');
	put_value(out, h->value, h->size);
	while ((h = h->next) != NULL)
	{
		put_text(out, ", ");
		put_value(out, h->value, h->size);
	}
	if (several)
		txd_buf_byte(out, ']');
}

bool
txp_headers_json(const rd_kafka_message_t *message, TxdBuf *out)
{
	rd_kafka_headers_t *headers;
	Header *all;
	size_t n;
	bool none = true;

	if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return false;
	n = rd_kafka_header_cnt(headers);
	all = sort_headers(headers, n);
	txd_buf_byte(out, '{');
	for (size_t i = 0; i < n; i++)
	{
		const Header *h = all[i].first;

		if (h == NULL)
			continue;
		if (!none)
			put_text(out, ", ");
		none = false;
		put_json_string(out, h->name, strlen(h->name));
		put_text(out, ": ");
		put_values(out, h);
	}
	txd_buf_byte(out, '}');
	free(all);
	return true;
}

size_t
txp_headers_bytes(const rd_kafka_message_t *message)
{
	rd_kafka_headers_t *headers;
	const char *name;
	const void *value;
	size_t size;
	size_t all = 0;

	if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
	for (size_t i = 0;
		 rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
		 i++)
		all += strlen(name) + size;
	return all;
}
