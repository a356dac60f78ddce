/*
 * buf.h — growable byte buffer of the decoders and the child process.
 *
 * Memory exhaustion ends the process: the child is disposable, its worker starts another.
 */
#ifndef TXD_BUF_H
#define TXD_BUF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct TxdBuf
{
	char *data;
	size_t len;
	size_t cap;
} TxdBuf;

extern void txd_buf_grow(TxdBuf *buf, size_t more);
extern void txd_buf_free(TxdBuf *buf);

/* Empties what is filled anew for each message: one that was large does not keep its memory. */
extern void txd_buf_clear(TxdBuf *buf);

/* malloc and realloc that abort instead of returning NULL. */
extern void *txd_alloc(size_t size);
extern void *txd_realloc(void *ptr, size_t size);

/* Makes room for `more` further bytes and returns where they go; the length is unchanged. */
static inline char *
txd_buf_reserve(TxdBuf *buf, size_t more)
{
	/* Room for nothing is a place all the same, which NULL is not: an empty buffer grows for it, too. */
	if (more >= buf->cap - buf->len)
		txd_buf_grow(buf, more);
	return buf->data + buf->len;
}

static inline void
txd_buf_append(TxdBuf *buf, const void *bytes, size_t len)
{
	char *to = txd_buf_reserve(buf, len);

	/* Nothing may come from NULL, which memcpy does not allow. */
	if (len > 0)
		memcpy(to, bytes, len);
	buf->len += len;
}

static inline void
txd_buf_byte(TxdBuf *buf, char c)
{
	*txd_buf_reserve(buf, 1) = c;
	buf->len++;
}

/* Big-endian integers, as COPY BINARY has them. */
static inline void
txd_buf_be16(TxdBuf *buf, uint16_t v)
{
	unsigned char b[2] = {(unsigned char) (v >> 8), (unsigned char) v};

	txd_buf_append(buf, b, sizeof(b));
}

static inline void
txd_buf_be32(TxdBuf *buf, uint32_t v)
{
	txd_buf_be16(buf, (uint16_t) (v >> 16));
	txd_buf_be16(buf, (uint16_t) v);
}

static inline void
txd_buf_be64(TxdBuf *buf, uint64_t v)
{
	txd_buf_be32(buf, (uint32_t) (v >> 32));
	txd_buf_be32(buf, (uint32_t) v);
}

#endif
