/*
 * refuse.c — filling in why a value was refused.
 *
 * Messages are stored and shown, so they are valid UTF-8 whatever the input was, and short.
 */
#include "decoder.h"
#include "field.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SHOWN_BYTES 60

bool
txd_refuse(TxdError *err, const char *code, const TxdColumn *column, const char *fmt, ...)
{
	va_list args;

	err->code = code;
	err->column = column != NULL ? column->name : NULL;
	va_start(args, fmt);
	vsnprintf(err->message, sizeof(err->message), fmt, args);
	va_end(args);
	err->message[txd_utf8_prefix(err->message, strlen(err->message))] = '\0';
	return false;
}

bool
txd_refuse_key(TxdError *err)
{
	char message[sizeof(err->message)];

	memcpy(message, err->message, sizeof(message));
	snprintf(err->message, sizeof(err->message), "message key: %.*s",
			 (int) txd_shorten(message, strlen(message), (int) sizeof(message) - 14), message);
	return false;
}

/* Copies the start of a value as readable UTF-8: what is not a printable character becomes '?'. */
static void
shorten(char *shown, const char *text, size_t len)
{
	size_t used = 0;
	size_t i = 0;

	while (i < len)
	{
		unsigned char c = (unsigned char) text[i];
		size_t n = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
		bool readable = c >= 0x20 && c != 0x7F && n <= len - i && txd_utf8_prefix(text + i, n) == n;

		if (!readable)
			n = 1;
		if (used + n > SHOWN_BYTES)
		{
			memcpy(shown + used, "...", 3);
			used += 3;
			break;
		}
		if (readable)
			memcpy(shown + used, text + i, n);
		else
			shown[used] = '?';
		used += n;
		i += n;
	}
	shown[used] = '\0';
}

bool
txd_refuse_value(TxdError *err, const char *code, const TxdColumn *column, const char *what,
				 const char *text, size_t len)
{
	char shown[SHOWN_BYTES + 4];

	if (column != NULL && column->discreet)
		return txd_refuse(err, code, column, "%s", what);
	shorten(shown, text, len);
	return txd_refuse(err, code, column, "%s: \"%s\"", what, shown);
}
