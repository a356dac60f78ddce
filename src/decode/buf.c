/*
 * buf.c — growable byte buffer, and allocation that ends the process when memory does.
 */
#include "buf.h"

#include <stdlib.h>
#include <string.h>

#define KEEP_BYTES (1024 * 1024)

void *
txd_alloc(size_t size)
{
	return txd_realloc(NULL, size);
}

void *
txd_realloc(void *ptr, size_t size)
{
	void *p = realloc(ptr, size > 0 ? size : 1);

	if (p == NULL)
		abort();
	return p;
}

void
txd_buf_grow(TxdBuf *buf, size_t more)
{
	size_t cap = buf->cap > 0 ? buf->cap : 256;

	if (more > SIZE_MAX / 4 - buf->len)
		abort();
	while (cap <= buf->len + more)
		cap *= 2;
	buf->data = txd_realloc(buf->data, cap);
	buf->cap = cap;
}

void
txd_buf_free(TxdBuf *buf)
{
	free(buf->data);
	buf->data = NULL;
	buf->len = buf->cap = 0;
}

void
txd_buf_clear(TxdBuf *buf)
{
	if (buf->cap > KEEP_BYTES)
		txd_buf_free(buf);
	buf->len = 0;
}
