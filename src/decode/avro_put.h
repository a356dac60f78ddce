/*
 * avro_put.h — values of JSON as Avro's primitive and logical types. Private to avro_write.c.
 *
 * Text is that of a number, or of a string with its escapes resolved. What is refused may have left bytes in `out`.
 */
#ifndef TXD_AVRO_PUT_H
#define TXD_AVRO_PUT_H

#include "avro_schema.h"
#include "value.h"

extern void txd_avro_append_long(TxdBuf *out, int64_t v);

/* Of int and long, float and double, bytes and fixed, decimals that bring their scale. */
extern bool txd_avro_put_integer(const AvroType *type, TxdKind kind, const char *text, size_t len,
								 TxdBuf *out, TxdError *err);
extern bool txd_avro_put_real(const AvroType *type, TxdKind kind, const char *text, size_t len,
							  TxdBuf *out, TxdError *err);
extern bool txd_avro_put_octets(const AvroType *type, TxdKind kind, const char *text, size_t len,
								TxdBuf *out, TxdError *err);

#endif
