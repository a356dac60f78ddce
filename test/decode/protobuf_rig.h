/*
 * protobuf_rig.h — what the tests of Protobuf write messages and descriptors with. Private to them.
 */
#ifndef TXD_PROTOBUF_RIG_H
#define TXD_PROTOBUF_RIG_H

#include <stdlib.h>

#include "check.h"
#include "decode/protobuf.h"

#define P3 "syntax = \"proto3\"; "

/* Decodes a copy of exactly that size, so that a sanitiser sees reads beyond it. */
static inline bool
to_json(TxdProtobuf *pb, const char *bytes, size_t len, TxdBuf *json, TxdError *err)
{
	char *copy = malloc(len > 0 ? len : 1);
	bool ok;

	memcpy(copy, bytes, len);
	json->len = 0;
	txd_buf_append(json, "+", 1);
	ok = txd_protobuf_json(pb, copy, len, json, err);
	CHECK(ok || json->len == 1);
	free(copy);
	return ok;
}

static inline char *
base64_of(const char *bytes, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = malloc(len * 2 + 8);
	size_t n = 0;

	for (size_t i = 0; i < len; i += 3)
	{
		unsigned v = 0;

		for (size_t k = i; k < i + 3; k++)
			v = v << 8 | (k < len ? (unsigned char) bytes[k] : 0);
		for (size_t k = 0; k < 4; k++)
			text[n++] = i + k <= len ? digits[v >> (18 - 6 * k) & 63] : '=';
	}
	text[n] = '\0';
	return text;
}

/* A length in three bytes. */
static inline void
put_length(char *bytes, size_t len)
{
	bytes[0] = (char) (0x80 | (len & 0x7f));
	bytes[1] = (char) (0x80 | (len >> 7 & 0x7f));
	bytes[2] = (char) (len >> 14);
}

#endif
