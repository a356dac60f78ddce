/*
 * proto_lex.c — words, numbers, strings and signs of a .proto file.
 */
#include <stdio.h>
#include <string.h>

#include "decoder.h"
#include "field.h"
#include "proto_parse.h"

bool
txd_proto_fail_at(ProtoParser *p, const ProtoToken *at, const char *what)
{
	char where[250];

	if (p->failed)
		return false;
	snprintf(where, sizeof(where), "%.*s line %d: %s", txd_shorten(p->file, strlen(p->file), 100),
			 p->file, at->line, what);
	(void) txd_refuse_value(p->err, "bad_schema", NULL, where, at->text, at->len);
	p->failed = true;
	p->token.kind = PROTO_END;
	return false;
}

bool
txd_proto_fail(ProtoParser *p, const char *what)
{
	return txd_proto_fail_at(p, &p->token, what);
}

/* At what is not read yet. */
static void
fail_here(ProtoParser *p, const char *what, size_t len)
{
	ProtoToken here = {.text = p->next, .len = len, .line = p->line};

	(void) txd_proto_fail_at(p, &here, what);
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The character at `n` behind what is read; NUL, which no file has, at the end. */
static char
ahead(const ProtoParser *p, size_t n)
{
	return n < (size_t) (p->end - p->next) ? p->next[n] : '\0';
}

/* False: it has no end. */
static bool
skip_block_comment(ProtoParser *p)
{
	p->next += 2;
	while (p->next < p->end)
	{
		if (ahead(p, 0) == '*' && ahead(p, 1) == '/')
		{
			p->next += 2;
			return true;
		}
		/* As in protoc: who writes that has forgotten the end of the first. */
		if (ahead(p, 0) == '/' && ahead(p, 1) == '*')
			return false;
		if (*p->next++ == '\n')
			p->line++;
	}
	return false;
}

/* Tells of comments by the way. */
static void
skip_space(ProtoParser *p, ProtoComments *comments)
{
	while (p->next < p->end && !p->failed)
	{
		const char *start = p->next;
		char c = *start;

		if (c == '\n')
		{
			p->line++;
			comments->newlines++;
		}
		if (c != '\0' && strchr(" \t\r\n\v\f", c) != NULL)
		{
			p->next++;
			continue;
		}
		if (c == '/' && ahead(p, 1) == '/')
			while (p->next < p->end && *p->next != '\n')
				p->next++;
		else if (c != '/' || ahead(p, 1) != '*')
			return;
		else if (!skip_block_comment(p))
			fail_here(p, "a comment has no end, or another one in it", 0);
		txd_proto_comment(comments, start, p->next);
	}
}

static size_t
digits_from(const ProtoParser *p, size_t n)
{
	while (is_digit(ahead(p, n)))
		n++;
	return n;
}

/* Length of the number that begins here, without a sign; 0: it is none. */
static size_t
measure_number(const ProtoParser *p, ProtoKind *kind)
{
	size_t n = 0;

	*kind = PROTO_INTEGER;
	if (ahead(p, 0) == '0' && (ahead(p, 1) | 0x20) == 'x')
	{
		for (n = 2;
			 is_digit(ahead(p, n)) || ((ahead(p, n) | 0x20) >= 'a' && (ahead(p, n) | 0x20) <= 'f');)
			n++;
		return n > 2 ? n : 0;
	}
	n = digits_from(p, 0);
	if (ahead(p, n) == '.')
	{
		*kind = PROTO_REAL;
		n = digits_from(p, n + 1);
	}
	if ((ahead(p, n) | 0x20) == 'e')
	{
		size_t digits = n + (ahead(p, n + 1) == '+' || ahead(p, n + 1) == '-' ? 2 : 1);

		*kind = PROTO_REAL;
		n = digits_from(p, digits);
		if (n == digits)
			return 0;
	}
	return n;
}

static void
read_number(ProtoParser *p)
{
	size_t n = measure_number(p, &p->token.kind);

	if (n == 0 || is_letter(ahead(p, n)) || ahead(p, n) == '.')
		fail_here(p, "this is no number", n + 1 < (size_t) (p->end - p->next) ? n + 1 : n);
	p->token.len = n;
}

/* Its escapes are judged when it is used. */
static void
read_string(ProtoParser *p)
{
	char quote = *p->next;
	size_t n = 1;

	for (; ahead(p, n) != quote; n++)
	{
		if (ahead(p, n) == '\\')
			n++;
		if (ahead(p, n) == '\n' || n >= (size_t) (p->end - p->next))
		{
			fail_here(p, "a string does not end in its line", n < 20 ? 0 : 20);
			return;
		}
	}
	p->token.kind = PROTO_STRING;
	p->token.len = n + 1;
}

void
txd_proto_advance(ProtoParser *p)
{
	ProtoComments comments = {0};
	size_t n = 0;
	char c;

	skip_space(p, &comments);
	if (p->failed)
		return;
	p->token = (ProtoToken){.kind = PROTO_END, .text = p->next, .line = p->line};
	if (comments.start != NULL && comments.newlines < 2)
	{
		p->token.doc = comments.start;
		p->token.doc_len = (size_t) (comments.end - comments.start);
	}
	if (p->next == p->end)
		return;
	c = *p->next;
	if (is_letter(c))
	{
		while (is_letter(ahead(p, n)) || is_digit(ahead(p, n)))
			n++;
		p->token.kind = PROTO_WORD;
		p->token.len = n;
	}
	else if (is_digit(c) || (c == '.' && is_digit(ahead(p, 1))))
		read_number(p);
	else if (c == '"' || c == '\'')
		read_string(p);
	else if (c > 0x20 && c < 0x7f)
	{
		p->token.kind = PROTO_SIGN;
		p->token.len = 1;
	}
	else
		fail_here(p, "a character that is none of a .proto file", 1);
	p->next += p->failed ? 0 : p->token.len;
}

bool
txd_proto_is(const ProtoParser *p, const char *word)
{
	return (p->token.kind == PROTO_WORD || p->token.kind == PROTO_SIGN) &&
		   p->token.len == strlen(word) && memcmp(p->token.text, word, p->token.len) == 0;
}

bool
txd_proto_take(ProtoParser *p, const char *word)
{
	if (!txd_proto_is(p, word))
		return false;
	txd_proto_advance(p);
	return true;
}

bool
txd_proto_expect(ProtoParser *p, const char *word)
{
	char what[60];

	if (txd_proto_take(p, word))
		return !p->failed;
	snprintf(what, sizeof(what), "%s is expected, not", word);
	return txd_proto_fail(p, what);
}

bool
txd_proto_word(ProtoParser *p, ProtoToken *word)
{
	if (p->token.kind != PROTO_WORD)
		return txd_proto_fail(p, "a name is expected, not");
	*word = p->token;
	txd_proto_advance(p);
	return !p->failed;
}

bool
txd_proto_full_name(ProtoParser *p, bool absolute, TxdBuf *name)
{
	if (absolute && txd_proto_take(p, "."))
		txd_buf_byte(name, '.');
	for (;;)
	{
		ProtoToken word = {0};

		if (!txd_proto_word(p, &word))
			return false;
		txd_buf_append(name, word.text, word.len);
		if (!txd_proto_take(p, "."))
			return !p->failed;
		txd_buf_byte(name, '.');
	}
}

static int
digit_value(char c)
{
	return is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

bool
txd_proto_unsigned(ProtoParser *p, uint64_t most, uint64_t *v)
{
	const ProtoToken *t = &p->token;
	unsigned base = t->len < 2 || t->text[0] != '0' ? 10 : (t->text[1] | 0x20) == 'x' ? 16 : 8;

	if (t->kind != PROTO_INTEGER)
		return txd_proto_fail(p, "a whole number is expected, not");
	*v = 0;
	for (size_t i = base == 16 ? 2 : 0; i < t->len; i++)
	{
		unsigned digit = (unsigned) digit_value(t->text[i]);

		if (digit >= base)
			return txd_proto_fail(p, "this is no octal number");
		if (digit > most || *v > (most - digit) / base)
			return txd_proto_fail(p, "this number is out of range");
		*v = *v * base + digit;
	}
	txd_proto_advance(p);
	return !p->failed;
}

bool
txd_proto_int32(ProtoParser *p, int32_t *v)
{
	bool negative = txd_proto_take(p, "-");
	uint64_t u;

	if (!txd_proto_unsigned(p, negative ? UINT64_C(1) << 31 : INT32_MAX, &u))
		return false;
	*v = (int32_t) (negative ? -(int64_t) u : (int64_t) u);
	return true;
}
