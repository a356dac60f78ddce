/*
 * proto_doc.c — comments of a .proto file: which one is before what, and what it says.
 *
 * As protoc has it: lines of // that follow one another are one comment; one behind something in its line is no comment of what comes next, and
 * neither is one that an empty line separates from that.
 */
#include <string.h>

#include "decoder.h"
#include "proto_parse.h"
#include "value.h"

#define MAX_DOC 4000

void
txd_proto_comment(ProtoComments *c, const char *start, const char *end)
{
	bool lines = start[1] == '/';

	/* Behind a token in its line; what follows in that line, too. */
	if (c->start == NULL && c->newlines == 0)
		return;
	if (c->start == NULL || c->newlines != 1 || !lines || !c->lines)
		c->start = start;
	c->end = end;
	c->lines = lines;
	c->newlines = 0;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A line without the signs at its beginning, and blanks around it. */
static void
put_line(TxdBuf *text, const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	while (p < end && (*p == '/' || *p == '*'))
		p++;
	while (p < end && is_blank(*p))
		p++;
	while (end > p && is_blank(end[-1]))
		end--;
	if (text->len > 0)
		txd_buf_byte(text, '\n');
	txd_buf_append(text, p, (size_t) (end - p));
}

void
txd_proto_put_doc(TxdBuf *out, const ProtoToken *token)
{
	const char *p = token->doc;
	const char *end = p != NULL ? p + token->doc_len : NULL;
	TxdBuf text = {0};

	if (p == NULL)
		return;
	if (p[1] == '*')
		end -= 2;
	while (p < end)
	{
		const char *line = memchr(p, '\n', (size_t) (end - p));

		put_line(&text, p, line != NULL ? line : end);
		p = line != NULL ? line + 1 : end;
	}
	while (text.len > 0 && is_blank(text.data[text.len - 1]))
		text.len--;
	if (text.len > 0 && txd_utf8_prefix(text.data, text.len) == text.len)
		txd_proto_put_text(out, TXD_PROTO_DOC, text.data,
						   (size_t) txd_shorten(text.data, text.len, MAX_DOC));
	txd_buf_free(&text);
}
