/*
 * charset.c — text of another encoding becomes UTF-8.
 */
#include <errno.h>
#include <string.h>

#include "charset.h"

#define NONE ((iconv_t) -1)

/* Length of so many letters in the encoding, what it begins a text with included; 0: unknown. */
static size_t
length_of(const char *encoding, size_t letters)
{
	iconv_t cd = iconv_open(encoding, "UTF-8");
	char text[] = "AA";
	char out[64];
	char *from = text;
	char *to = out;
	size_t left = sizeof(out);
	bool ok;

	if (cd == NONE)
		return 0;
	ok = iconv(cd, &from, &letters, &to, &left) != (size_t) -1;
	iconv_close(cd);
	return ok ? sizeof(out) - left : 0;
}

bool
txp_charset_start(TxpCharset *c, const char *encoding)
{
	size_t one = length_of(encoding, 1);
	size_t two = length_of(encoding, 2);

	*c = (TxpCharset){.cd = iconv_open("UTF-8", encoding)};
	c->unit = two > one ? two - one : 1;
	return c->cd != NONE;
}

void
txp_charset_end(TxpCharset *c)
{
	if (c->cd != NONE)
		iconv_close(c->cd);
	txd_buf_free(&c->rest);
}

static void
pass(char **from, size_t *left, size_t n, TxdBuf *to)
{
	txd_buf_byte(to, '\xff');
	for (; n > 0 && *left > 0; n--, (*from)++, (*left)--)
	{
		if (**from & 0x80)
			txd_buf_byte(to, **from);
	}
}

void
txp_charset_convert(TxpCharset *c, const char *p, size_t len, bool at_end, TxdBuf *to)
{
	char *from;
	size_t left;

	txd_buf_append(&c->rest, p, len);
	from = c->rest.data;
	left = c->rest.len;
	for (;;)
	{
		/* With nothing left at the end: what the encoding itself still holds back. */
		bool flush = at_end && left == 0;
		size_t room = left * 2 + 64;
		char *start = txd_buf_reserve(to, room);
		char *out = start;
		size_t result = iconv(c->cd, flush ? NULL : &from, flush ? NULL : &left, &out, &room);

		to->len += (size_t) (out - start);
		if (result != (size_t) -1)
		{
			if (flush || !at_end)
				break;
		}
		else if (errno == EILSEQ)
			pass(&from, &left, c->unit, to);
		else if (errno == EINVAL && at_end)
			pass(&from, &left, left, to);
		else if (errno != E2BIG)
			break;
	}
	if (left > 0)
		memmove(c->rest.data, from, left);
	c->rest.len = left;
}
