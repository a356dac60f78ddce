/*
 * protobuf_rig.h — what the tests of Protobuf write messages and descriptors with. Private to them.
 */
#ifndef TXD_PROTOBUF_RIG_H
#define TXD_PROTOBUF_RIG_H

#include <stdlib.h>

#include "check.h"
#include "decode/protobuf.h"

#define P3 "syntax = \"proto3\"; "

/* An empty group of a number that no schema here has, with which a message means the same, but is not read quickly. */
#define SLOW "\xf3\xff\xff\xff\x0f\xf4\xff\xff\xff\x0f"

static inline void
check_slow(TxdProtobuf *pb, const char *bytes, size_t len, const TxdBuf *json)
{
	TxdBuf copy = {0};
	TxdBuf again = {0};
	TxdError err = {0};

	txd_buf_append(&copy, bytes, len);
	txd_buf_append(&copy, SLOW, sizeof(SLOW) - 1);
	txd_buf_append(&again, "+", 1);
	CHECK(txd_protobuf_json(pb, copy.data, copy.len, &again, &err));
	CHECK(again.len == json->len && memcmp(again.data, json->data, json->len) == 0);
	txd_buf_free(&copy);
	txd_buf_free(&again);
}

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
	if (ok)
		check_slow(pb, bytes, len, json);
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
