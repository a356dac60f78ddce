/*
 * fuzz_proto_text.c — libFuzzer entry: the text of a .proto file.
 *
 * What is accepted gives a descriptor whose parts end where they should, the same with a comment behind the text. A refusal
 * leaves no bytes, has a code and a UTF-8 sentence.
 */
#include <string.h>

#include "fuzz.h"

#include "decode/proto_text.h"
#include "decode/value.h"

#define LONGEST 8192

static bool
compile(const char *text, size_t len, TxdBuf *descriptor)
{
	TxdError err = {0};

	if (txd_proto_compile("f.proto", text, len, descriptor, &err))
		return true;
	MUST(descriptor->len == 0);
	MUST(err.code != NULL && strcmp(err.code, "bad_schema") == 0 && err.message[0] != '\0');
	MUST(txd_utf8_prefix(err.message, strlen(err.message)) == strlen(err.message));
	return false;
}

static uint64_t
read_varint(const unsigned char **p, const unsigned char *end)
{
	uint64_t v = 0;
	int shift = 0;

	for (;; shift += 7)
	{
		MUST(*p < end && shift < 64);
		v |= (uint64_t) (**p & 0x7f) << shift;
		if (*(*p)++ < 0x80)
			return v;
	}
}

/* Is this field of a message a message? The same of all messages in a descriptor that are looked into: fields and types. */
static bool
is_message(int depth, uint64_t field)
{
	return depth == 0 ? field == 4 || field == 7 : field == 2 || field == 3 || field == 6;
}

static void
walk(const unsigned char *p, const unsigned char *end, int depth, bool message)
{
	MUST(depth <= TXD_PROTO_MAX_NESTED + 1);
	while (p < end)
	{
		uint64_t tag = read_varint(&p, end);
		uint64_t v = read_varint(&p, end);
		uint64_t field = tag >> 3;

		MUST((field >= 1 && field <= 17) || field == TXD_PROTO_DOC);
		MUST((tag & 7) == 0 || (tag & 7) == 2);
		if ((tag & 7) == 0)
			continue;
		MUST(v <= (uint64_t) (end - p));
		if (message && is_message(depth, field))
			walk(p, p + v, depth + 1, field == (depth == 0 ? 4 : 3));
		p += v;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char comment[] = " /* done */";
	TxdBuf descriptor = {0};
	TxdBuf text = {0};
	TxdBuf again = {0};

	if (len > LONGEST)
		return 0;
	if (compile((const char *) data, len, &descriptor))
	{
		const unsigned char *p = (const unsigned char *) descriptor.data;

		walk(p, p + descriptor.len, 0, true);
		txd_buf_append(&text, data, len);
		/* Behind a comment to the end of the line it would be part of that. */
		txd_buf_byte(&text, '\n');
		txd_buf_append(&text, comment, strlen(comment));
		MUST(compile(text.data, text.len, &again));
		MUST(again.len == descriptor.len && memcmp(again.data, descriptor.data, again.len) == 0);
	}
	txd_buf_free(&descriptor);
	txd_buf_free(&text);
	txd_buf_free(&again);
	return 0;
}
