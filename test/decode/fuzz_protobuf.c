/*
 * fuzz_protobuf.c — libFuzzer entry: the length of a schema in two bytes, the schema, and what may be a message of it.
 *
 * The schema is tried as a .proto file, whose messages are behind the path to their type, and as the descriptor of one.
 * What is accepted is JSON, but for bytes that are no UTF-8, and the same when it is read again; rows are the same whether they come
 * from it or straight from the message. A refusal leaves no bytes,
 * has a code and a UTF-8 sentence.
 */
#include <stdlib.h>
#include <string.h>

#include "both_ways.h"
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

/* The set that has this one descriptor, in base64. */
static char *
set_of(const uint8_t *descriptor, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	/* Field 1, of a length of two bytes. */
	const unsigned char head[] = {0x0a, (unsigned char) (len | 0x80), (unsigned char) (len >> 7)};
	char *text = malloc(len * 2 + 12);
	size_t n = 0;

	for (size_t i = 0; i < len + 3; i += 3)
	{
		unsigned v = 0;

		for (size_t k = i; k < i + 3; k++)
			v = v << 8 | (k < 3 ? head[k] : k < len + 3 ? descriptor[k - 3] : 0);
		for (size_t k = 0; k < 4; k++)
			text[n++] = i + k <= len + 3 ? digits[v >> (18 - 6 * k) & 63] : '=';
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

/* An empty group of a number that no schema here has, with which a message means the same, but is not read quickly. */
#define SLOW "\xf3\xff\xff\xff\x0f\xf4\xff\xff\xff\x0f"

/* Takes the schema over, which has no such field where `slow`. */
static void
try_schema(TxdProtobuf *pb, const TxdError *err, const char *message, size_t len, bool slow)
{
	TxdBuf json = {0};
	TxdBuf again = {0};
	TxdBuf copy = {0};

	if (pb == NULL)
		check_refusal(err);
	else if (read_message(pb, message, len, &json))
	{
		check_json(&json);
		txd_buf_append(&copy, message, len);
		if (slow)
			txd_buf_append(&copy, SLOW, sizeof(SLOW) - 1);
		MUST(read_message(pb, copy.data, copy.len, &again));
		MUST(json.len == again.len && memcmp(json.data, again.data, json.len) == 0);
		again.len = 0;
		txd_protobuf_describe(pb, &again);
		if (again.len > 0)
			check_json(&again);
	}
	txd_protobuf_free(pb);
	txd_buf_free(&json);
	txd_buf_free(&again);
	txd_buf_free(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const name = "f.proto";
	size_t n = len >= 2 ? (size_t) data[0] << 8 | data[1] : 0;
	const char *message = (const char *) data + n + 2;
	TxdError err = {0};
	TxdProtobuf *pb;
	char *text;

	if (len < 2 || len > LONGEST || n + 2 > len)
		return 0;
	len -= n + 2;
	text = strndup((const char *) data + 2, n);
	pb = txd_protobuf_new(&name, (const char *const *) &text, 1, &err);
	try_schema(pb, &err, message, len, false);
	free(text);
	text = set_of(data + 2, n);
	pb = txd_protobuf_own(text, NULL, &err);
	try_schema(pb, &err, message, len, memmem(data + 2, n, "\xfe\xff\xff\xff", 4) == NULL);
	MUST(both_ways(&(TxdSchema){.format = TXD_PROTOBUF,
								.csv = {',', '"', false, false, ""},
								.protobuf_schema = text},
				   message, len, (unsigned) len) == NULL);
	free(text);
	return 0;
}
