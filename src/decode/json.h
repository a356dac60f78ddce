/*
 * json.h — strict RFC 8259 lexer and validator over a byte range; builds nothing.
 *
 * A byte-order mark, unescaped control characters, lone surrogates, invalid UTF-8 and more than
 * TXD_JSON_DEPTH nested containers are refused, everywhere in the text. Positions in messages count
 * bytes from 1.
 */
#ifndef TXD_JSON_H
#define TXD_JSON_H

#include "value.h"

#define TXD_JSON_DEPTH 64

typedef struct TxdJson
{
	const char *start;
	const char *p;
	const char *end;
	TxdError *err;
	bool jsonb; /* refuse what jsonb cannot hold: \u0000, numbers beyond numeric */
} TxdJson;

/* A value as found: of a string, what is between its quotes, escapes unresolved. */
typedef struct TxdJsonValue
{
	const char *text;
	size_t len;
	TxdKind kind;
	bool null;
	bool escaped; /* a string with at least one escape */
} TxdJsonValue;

static inline void
txd_json_space(TxdJson *j)
{
	while (j->p < j->end && (*j->p == ' ' || *j->p == '\n' || *j->p == '\r' || *j->p == '\t'))
		j->p++;
}

/* Next byte, or 0 at the end: 0 is valid nowhere outside a string. */
static inline char
txd_json_peek(const TxdJson *j)
{
	return j->p < j->end ? *j->p : '\0';
}

/* Fills err with code and "what at byte N"; returns false. */
extern bool txd_json_fail(TxdJson *j, const char *code, const char *what);

/* The same with code bad_json; at the end of the text, what is that it ends. */
extern bool txd_json_syntax(TxdJson *j, const char *what);

/*
 * Reads a member's name, the colon and the space around them; j->p is where the name should begin.
 */
extern bool txd_json_name(TxdJson *j, TxdJsonValue *name);

/* Reads the colon after a member's name and the space around it. */
static inline bool
txd_json_colon(TxdJson *j)
{
	txd_json_space(j);
	if (txd_json_peek(j) != ':')
		return txd_json_syntax(j, "expected \":\"");
	j->p++;
	txd_json_space(j);
	return true;
}

/* Reads the value at j->p, which lies inside `depth` containers. */
extern bool txd_json_value(TxdJson *j, int depth, TxdJsonValue *value);

/* Space up to the end of the text, and nothing else. */
extern bool txd_json_end(TxdJson *j);

/* Appends a valid string with its escapes resolved; returns false when \u0000 is among them. */
extern bool txd_json_unescape(const char *text, size_t len, TxdBuf *out);

/* Texts up to this length fit whatever they hold; of valid longer ones txd_json_fits knows. */
#define TXD_JSON_ALWAYS_FITS (16 * 1024 * 1024)

extern bool txd_json_fits(const char *s, size_t len);

/* Whether s is one JSON value; with `jsonb`, one that PostgreSQL's jsonb can hold. */
extern bool txd_json_valid(const char *s, size_t len, bool jsonb, TxdError *err);

#endif
