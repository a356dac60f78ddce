/*
 * buf.c — growable byte buffer, and allocation that ends the process when memory does.
 */
#include "buf.h"

#include <stdlib.h>
#include <string.h>

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

char *
txd_buf_reserve(TxdBuf *buf, size_t more)
{
	/* Room for nothing is a place all the same, which NULL is not. */
	if (more > buf->cap - buf->len || buf->data == NULL)
	{
		size_t cap = buf->cap > 0 ? buf->cap : 256;

		if (more > SIZE_MAX / 4 - buf->len)
			abort();
		while (cap < buf->len + more)
			cap *= 2;
		buf->data = txd_realloc(buf->data, cap);
		buf->cap = cap;
	}
	return buf->data + buf->len;
}

void
txd_buf_append(TxdBuf *buf, const void *bytes, size_t len)
{
	if (len == 0)
		return;
	memcpy(txd_buf_reserve(buf, len), bytes, len);
	buf->len += len;
}

void
txd_buf_free(TxdBuf *buf)
{
	free(buf->data);
	buf->data = NULL;
	buf->len = buf->cap = 0;
}
