/*
 * bytes.c — growable bytes that say when memory ran out.
 */
#include "bytes.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 256

bool
txd_bytes_reserve(TxdBytes *bytes, size_t more)
{
	size_t cap = bytes->cap > 0 ? bytes->cap : FIRST_BYTES;
	unsigned char *data;

	if (bytes->failed || more > SIZE_MAX / 4 - bytes->len)
	{
		bytes->failed = true;
		return false;
	}
	if (more <= bytes->cap - bytes->len && bytes->data != NULL)
		return true;
	while (cap < bytes->len + more)
		cap *= 2;
	data = realloc(bytes->data, cap);
	if (data == NULL)
	{
		bytes->failed = true;
		return false;
	}
	bytes->data = data;
	bytes->cap = cap;
	return true;
}

void
txd_bytes_append(TxdBytes *bytes, const void *data, size_t len)
{
	if (!txd_bytes_reserve(bytes, len))
		return;
	if (len > 0)
		memcpy(bytes->data + bytes->len, data, len);
	bytes->len += len;
}

void
txd_bytes_byte(TxdBytes *bytes, unsigned char c)
{
	txd_bytes_append(bytes, &c, 1);
}

void
txd_bytes_little(TxdBytes *bytes, uint64_t value, int width)
{
	unsigned char little[8];

	for (int i = 0; i < width; i++)
		little[i] = (unsigned char) (value >> 8 * i);
	txd_bytes_append(bytes, little, (size_t) width);
}

void
txd_bytes_varint(TxdBytes *bytes, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		txd_bytes_byte(bytes, (unsigned char) (value | 0x80));
	txd_bytes_byte(bytes, (unsigned char) value);
}

void
txd_bytes_free(TxdBytes *bytes)
{
	free(bytes->data);
	*bytes = (TxdBytes){0};
}
