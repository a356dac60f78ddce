/*
 * proto_string.c — what the strings of a .proto file stand for.
 */
#include <string.h>

#include "proto_parse.h"
#include "value.h"

/* Reads up to `most` digits of base 8 or 16; how many there were. */
static int
read_digits(const char **at, const char *end, unsigned base, int most, uint32_t *v)
{
	int n = 0;

	for (*v = 0; n < most && *at < end; n++, (*at)++)
	{
		char c = **at;
		unsigned digit = c >= '0' && c <= '9' ? (unsigned) (c - '0')
						 : (c | 0x20) >= 'a' && (c | 0x20) <= 'f'
							 ? (unsigned) ((c | 0x20) - 'a') + 10
							 : 99;

		if (digit >= base)
			break;
		*v = *v * base + digit;
	}
	return n;
}

static void
put_utf8(TxdBuf *to, uint32_t c)
{
	if (c < 0x80)
	{
		txd_buf_byte(to, (char) c);
		return;
	}
	if (c < 0x800)
		txd_buf_byte(to, (char) (0xc0 | c >> 6));
	else
	{
		if (c < 0x10000)
			txd_buf_byte(to, (char) (0xe0 | c >> 12));
		else
		{
			txd_buf_byte(to, (char) (0xf0 | c >> 18));
			txd_buf_byte(to, (char) (0x80 | (c >> 12 & 0x3f)));
		}
		txd_buf_byte(to, (char) (0x80 | (c >> 6 & 0x3f)));
	}
	txd_buf_byte(to, (char) (0x80 | (c & 0x3f)));
}

/* \uXXXX, also two that are a surrogate pair, and \UXXXXXXXX, from behind the backslash on. */
static bool
read_code_point(const char **at, const char *end, TxdBuf *to)
{
	int digits = *(*at)++ == 'u' ? 4 : 8;
	uint32_t c;
	uint32_t low;

	if (read_digits(at, end, 16, digits, &c) != digits || c > 0x10ffff)
		return false;
	if (c >= 0xd800 && c < 0xdc00 && end - *at > 2 && (*at)[0] == '\\' && (*at)[1] == 'u')
	{
		*at += 2;
		if (read_digits(at, end, 16, 4, &low) != 4 || low < 0xdc00 || low > 0xdfff)
			return false;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	if (c >= 0xd800 && c < 0xe000)
		return false;
	put_utf8(to, c);
	return true;
}

/* From behind the backslash on. */
static bool
read_escape(const char **at, const char *end, TxdBuf *to)
{
	static const char names[] = "abfnrtv\\?'\"";
	static const char values[] = "\a\b\f\n\r\t\v\\?'\"";
	const char *name;
	char c = **at;
	uint32_t v;

	if (c == 'u' || c == 'U')
		return read_code_point(at, end, to);
	if (c >= '0' && c <= '7')
		(void) read_digits(at, end, 8, 3, &v);
	else if (c == 'x' || c == 'X')
	{
		(*at)++;
		if (read_digits(at, end, 16, 2, &v) == 0)
			return false;
	}
	else
	{
		name = c != '\0' ? strchr(names, c) : NULL;
		if (name == NULL)
			return false;
		(*at)++;
		v = (unsigned char) values[name - names];
	}
	txd_buf_byte(to, (char) v);
	return true;
}

bool
txd_proto_string(ProtoParser *p, TxdBuf *to)
{
	if (p->token.kind != PROTO_STRING)
		return txd_proto_fail(p, "a string is expected, not");
	while (p->token.kind == PROTO_STRING)
	{
		const char *at = p->token.text + 1;
		const char *end = p->token.text + p->token.len - 1;

		while (at < end)
			if (*at != '\\')
				txd_buf_byte(to, *at++);
			else
			{
				at++;
				if (!read_escape(&at, end, to))
					return txd_proto_fail(p, "an escape that there is not, in");
			}
		txd_proto_advance(p);
	}
	return !p->failed;
}

bool
txd_proto_utf8_string(ProtoParser *p)
{
	ProtoToken string = p->token;

	p->text.len = 0;
	if (!txd_proto_string(p, &p->text))
		return false;
	if (p->text.len > 0 && txd_utf8_prefix(p->text.data, p->text.len) != p->text.len)
		return txd_proto_fail_at(p, &string, "this is no UTF-8 text, or has a NUL in it");
	return true;
}
