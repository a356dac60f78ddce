/*
 * json_write.h — values as JSON; what JSON lacks as text that PostgreSQL's types read.
 */
#ifndef TXD_JSON_WRITE_H
#define TXD_JSON_WRITE_H

#include <stdbool.h>

#include "buf.h"

/* A text of any bytes, and one that needs no escapes. */
extern void txd_write_quoted(TxdBuf *json, const char *text, size_t len);
extern void txd_write_text(TxdBuf *json, const char *text, size_t len);

/* The input of a bytea, its backslash doubled as JSON wants it. */
extern void txd_write_hex(TxdBuf *json, const unsigned char *bytes, size_t len);

extern void txd_write_integer(TxdBuf *json, int64_t v);
extern void txd_write_unsigned(TxdBuf *json, uint64_t v);

/* The shortest number that is the same when it is read again; NaN and infinities as texts. */
extern void txd_write_real(TxdBuf *json, double v, bool is_float);

/* Big-endian two's complement, with `scale` digits behind the point. */
extern void txd_write_decimal(TxdBuf *json, const unsigned char *bytes, size_t len, int scale);

#endif
