/*
 * json_text.c — the text of a JSON string: its escapes resolved to UTF-8.
 */
#include <string.h>

#include "json.h"

static uint32_t
hex_unit(const char *p)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++)
	{
		unsigned char c = (unsigned char) p[i];

		v = v << 4 | (uint32_t) (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return v;
}

static char *
put_utf8(char *to, uint32_t c)
{
	if (c < 0x80)
		*to++ = (char) c;
	else
	{
		if (c < 0x800)
			*to++ = (char) (0xc0 | c >> 6);
		else
		{
			if (c < 0x10000)
				*to++ = (char) (0xe0 | c >> 12);
			else
			{
				*to++ = (char) (0xf0 | c >> 18);
				*to++ = (char) (0x80 | (c >> 12 & 0x3f));
			}
			*to++ = (char) (0x80 | (c >> 6 & 0x3f));
		}
		*to++ = (char) (0x80 | (c & 0x3f));
	}
	return to;
}

static char
short_escape(char c)
{
	switch (c)
	{
		case 'b':
			return '\b';
		case 'f':
			return '\f';
		case 'n':
			return '\n';
		case 'r':
			return '\r';
		case 't':
			return '\t';
		default:
			return c;
	}
}

bool
txd_json_unescape(const char *text, size_t len, TxdBuf *out)
{
	const char *end = text + len;
	char *to = txd_buf_reserve(out, len); /* an escape is never shorter than what it stands for */
	bool clean = true;

	while (text < end)
	{
		const char *bs = memchr(text, '\\', end - text);
		size_t plain = (bs != NULL ? bs : end) - text;
		uint32_t c;

		memcpy(to, text, plain);
		to += plain;
		text += plain;
		if (text == end)
			break;
		if (text[1] != 'u')
		{
			*to++ = short_escape(text[1]);
			text += 2;
			continue;
		}
		c = hex_unit(text + 2);
		text += 6;
		if (c >= 0xd800 && c <= 0xdbff)
		{
			c = 0x10000 + ((c - 0xd800) << 10) + (hex_unit(text + 2) - 0xdc00);
			text += 6;
		}
		clean = clean && c != 0;
		to = put_utf8(to, c);
	}
	out->len = to - out->data;
	return clean;
}
