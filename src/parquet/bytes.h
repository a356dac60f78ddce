/*
 * bytes.h — growable bytes that say when memory ran out, instead of ending the process: the server uses them, too.
 */
#ifndef TXD_BYTES_H
#define TXD_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct TxdBytes
{
	unsigned char *data;
	size_t len;
	size_t cap;
	bool failed; /* something is missing: whoever reads the bytes looks here first */
} TxdBytes;

/* Room for `more` further bytes; false when there is none. */
extern bool txd_bytes_reserve(TxdBytes *bytes, size_t more);
extern void txd_bytes_append(TxdBytes *bytes, const void *data, size_t len);
extern void txd_bytes_byte(TxdBytes *bytes, unsigned char c);
/* The low `width` bytes, the lowest first. */
extern void txd_bytes_little(TxdBytes *bytes, uint64_t value, int width);
/* Seven bits in a byte, the lowest first (ULEB128). */
extern void txd_bytes_varint(TxdBytes *bytes, uint64_t value);
extern void txd_bytes_free(TxdBytes *bytes);

#endif
