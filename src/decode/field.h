/*
 * field.h — what the value encoders share: stores in network order, white space, refusals.
 *
 * Every encoder below takes text without outer white space where its type allows some, appends the field
 * with its length word in COPY BINARY form and returns true, or leaves `out` alone, fills err and returns
 * false. None of them allocates but through `out`.
 */
#ifndef TXD_FIELD_H
#define TXD_FIELD_H

#include <stdio.h>
#include <string.h>

#include "value.h"

static inline char *
txd_put16(char *p, uint16_t v)
{
	p[0] = (char) (v >> 8);
	p[1] = (char) v;
	return p + 2;
}

static inline char *
txd_put32(char *p, uint32_t v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	v = __builtin_bswap32(v);
#endif
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static inline char *
txd_put64(char *p, uint64_t v)
{
	txd_put32(p, (uint32_t) (v >> 32));
	return txd_put32(p + 4, (uint32_t) v);
}

/* Fields of a fixed width, with their length word. */
static inline void
txd_field16(TxdBuf *out, uint16_t v)
{
	txd_put16(txd_put32(txd_buf_reserve(out, 6), 2), v);
	out->len += 6;
}

static inline void
txd_field32(TxdBuf *out, uint32_t v)
{
	txd_put32(txd_put32(txd_buf_reserve(out, 8), 4), v);
	out->len += 8;
}

static inline void
txd_field64(TxdBuf *out, uint64_t v)
{
	txd_put64(txd_put32(txd_buf_reserve(out, 12), 8), v);
	out->len += 12;
}

static inline void
txd_field_bytes(TxdBuf *out, const char *bytes, size_t len)
{
	char *p = txd_put32(txd_buf_reserve(out, 4 + len), (uint32_t) len);

	if (len > 0)
		memcpy(p, bytes, len);
	out->len += 4 + len;
}

/* White space as isspace() has it in the C locale. */
static inline bool
txd_is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline bool
txd_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline void
txd_trim(const char **text, size_t *len)
{
	while (*len > 0 && txd_is_space((*text)[0]))
		(*text)++, (*len)--;
	while (*len > 0 && txd_is_space((*text)[*len - 1]))
		(*len)--;
}

/* True when text is the given lower-case ASCII word, in any case. */
extern bool txd_is_word(const char *text, size_t len, const char *word);

/* Refusal that shows the value: `what: "value"`, the value shortened and made readable. */
extern bool txd_refuse_value(TxdError *err, const char *code, const TxdColumn *column,
							 const char *what, const char *text, size_t len);

/* scalar.c */
extern bool txd_put_integer(const TxdColumn *column, const char *text, size_t len, TxdBuf *out,
							TxdError *err);
extern bool txd_put_bool(const TxdColumn *column, const char *text, size_t len, TxdBuf *out,
						 TxdError *err);
extern bool txd_put_uuid(const TxdColumn *column, const char *text, size_t len, TxdBuf *out,
						 TxdError *err);
extern bool txd_put_bytea(const TxdColumn *column, const char *text, size_t len, TxdBuf *out,
						  TxdError *err);

/* numeric.c and real.c */
extern bool txd_put_numeric(const TxdColumn *column, const char *text, size_t len, TxdBuf *out,
							TxdError *err);
extern bool txd_put_real(const TxdColumn *column, const char *text, size_t len, TxdBuf *out,
						 TxdError *err);

#endif
