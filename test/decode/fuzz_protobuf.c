/*
 * fuzz_protobuf.c — libFuzzer entry: the length of a descriptor in two bytes, a FileDescriptorProto, and what may be a message of it behind
 * the path to its type.
 *
 * What is accepted is JSON, but for bytes that are no UTF-8, and the same when it is read again. A refusal leaves no bytes,
 * has a code and a UTF-8 sentence.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#include "decode/json.h"
#include "decode/protobuf.h"

#define LONGEST 4096

static void
check_refusal(const TxdError *err)
{
	MUST(err->code != NULL && err->message[0] != '\0');
	MUST(txd_utf8_prefix(err->message, strlen(err->message)) == strlen(err->message));
}

static char *
base64_of(const uint8_t *bytes, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = malloc(len * 2 + 8);
	size_t n = 0;

	for (size_t i = 0; i < len; i += 3)
	{
		unsigned v = 0;

		for (size_t k = 0; k < 3; k++)
			v = v << 8 | (i + k < len ? bytes[i + k] : 0);
		for (size_t k = 0; k < 4; k++)
			text[n++] = i + k <= len ? digits[v >> (18 - 6 * k) & 63] : '=';
	}
	text[n] = '\0';
	return text;
}

static bool
read_message(TxdProtobuf *pb, const char *data, size_t len, TxdBuf *json)
{
	TxdError err = {0};
	bool ok = txd_protobuf_json(pb, data, len, json, &err);

	if (!ok)
	{
		MUST(json->len == 0);
		check_refusal(&err);
	}
	return ok;
}

static void
check_json(const TxdBuf *json)
{
	TxdError err = {0};

	MUST(txd_json_valid(json->data, json->len, false, &err) ||
		 strcmp(err.code, "bad_encoding") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t n = len >= 2 ? (size_t) data[0] << 8 | data[1] : 0;
	const char *message = (const char *) data + n + 2;
	TxdError err = {0};
	TxdBuf json = {0};
	TxdBuf again = {0};
	TxdProtobuf *pb;
	char *text;

	if (len < 2 || len > LONGEST || n + 2 > len)
		return 0;
	text = base64_of(data + 2, n);
	pb = txd_protobuf_new((const char *const *) &text, 1, &err);
	len -= n + 2;
	if (pb == NULL)
		check_refusal(&err);
	else if (read_message(pb, message, len, &json))
	{
		check_json(&json);
		MUST(read_message(pb, message, len, &again));
		MUST(json.len == again.len && memcmp(json.data, again.data, json.len) == 0);
	}
	txd_protobuf_free(pb);
	txd_buf_free(&json);
	txd_buf_free(&again);
	free(text);
	return 0;
}
