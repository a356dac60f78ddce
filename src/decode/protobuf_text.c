/*
 * protobuf_text.c — defaults of Protobuf's fields as JSON.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json_write.h"
#include "protobuf_schema.h"

/* Whole numbers as protoc writes them. */
static bool
put_whole(TxdBuf *json, const char *text)
{
	size_t digits = strspn(text + (*text == '-'), "0123456789");
	char *end;

	errno = 0;
	if (*text == '-')
		txd_write_integer(json, strtoll(text, &end, 10));
	else
		txd_write_unsigned(json, strtoull(text, &end, 10));
	return digits > 0 && *end == '\0' && errno == 0;
}

static bool
put_real(TxdBuf *json, const char *text, bool is_float)
{
	char *end;
	double v = is_float ? strtof(text, &end) : strtod(text, &end);

	txd_write_real(json, v, is_float);
	return *text != '\0' && *end == '\0';
}

/* One of the escapes that C has, as far as protoc writes them; -1: another. */
static int
escaped(const char **p)
{
	static const char letters[] = "abfnrtv\\\"'?";
	static const char bytes[] = "\a\b\f\n\r\t\v\\\"'?";
	const char *letter = **p != '\0' ? strchr(letters, **p) : NULL;
	int v = 0;

	if (letter != NULL)
	{
		(*p)++;
		return bytes[letter - letters];
	}
	if (**p < '0' || **p > '7')
		return -1;
	for (int i = 0; i < 3 && **p >= '0' && **p <= '7'; i++)
		v = 8 * v + *(*p)++ - '0';
	return v & 0xff;
}

static bool
put_bytes(TxdBuf *json, const char *text)
{
	TxdBuf bytes = {0};
	bool ok = true;

	while (ok && *text != '\0')
	{
		int c = (unsigned char) *text++;

		if (c == '\\')
			c = escaped(&text);
		ok = c >= 0;
		txd_buf_byte(&bytes, (char) c);
	}
	txd_write_hex(json, (const unsigned char *) bytes.data, bytes.len);
	txd_buf_free(&bytes);
	return ok;
}

static bool
put_symbol(TxdBuf *json, const PbField *field)
{
	const PbEnum *of = field->symbols;
	const char *name = field->preset != NULL ? field->preset : of->first;

	if (of->null)
		txd_buf_append(json, "null", 4);
	else
		txd_write_text(json, name, strlen(name));
	for (int i = 0; field->preset != NULL && i < of->n; i++)
		if (strcmp(of->symbol[i].name, name) == 0)
			return true;
	return field->preset == NULL;
}

static bool
put_boolean(TxdBuf *json, const char *text)
{
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return false;
	txd_buf_append(json, text, strlen(text));
	return true;
}

bool
txd_pb_put_preset(TxdBuf *json, const PbField *field)
{
	const char *text = field->preset;

	switch (field->kind)
	{
		case PB_DOUBLE:
		case PB_FLOAT:
			return put_real(json, text != NULL ? text : "0", field->kind == PB_FLOAT);
		case PB_BOOL:
			return put_boolean(json, text != NULL ? text : "false");
		case PB_STRING:
			txd_write_quoted(json, text != NULL ? text : "", text != NULL ? strlen(text) : 0);
			return true;
		case PB_BYTES:
			return put_bytes(json, text != NULL ? text : "");
		case PB_ENUM:
			return put_symbol(json, field);
		default:
			return put_whole(json, text != NULL ? text : "0");
	}
}
