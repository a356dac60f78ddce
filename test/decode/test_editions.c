/*
 * test_editions.c — .proto files with editions: messages that Google's writers made, read by the descriptors of its protoc and by
 * ours of the same text.
 */
#include "edition_cases.h"
#include "protobuf_rig.h"

static void
run_case(TxdProtobuf *pb, const Case *c)
{
	char *bytes = malloc(strlen(c->hex) / 2 + 1);
	size_t len = from_hex(c->hex, bytes);
	TxdBuf json = {0};
	TxdError err = {0};

	if (to_json(pb, bytes, len, &json, &err))
		txd_buf_byte(&json, '\0');
	else
	{
		json.len = 0;
		txd_buf_append(&json, "+!", 2);
		txd_buf_append(&json, err.code, strlen(err.code) + 1);
	}
	CHECK_STR(json.data + 1, c->want);
	for (size_t n = 0; n < len; n++)
		(void) to_json(pb, bytes, n, &json, &err);
	txd_buf_free(&json);
	free(bytes);
}

static void
run_cases(int source, const char *schema)
{
	TxdError err = {0};
	TxdProtobuf *pb = txd_protobuf_own(schema, sources[source].message, &err);

	CHECK_STR(err.message, "");
	for (size_t i = 0; pb != NULL && i < sizeof(cases) / sizeof(cases[0]); i++)
		if (cases[i].source == source)
			run_case(pb, &cases[i]);
	txd_protobuf_free(pb);
}

/* A message M of these fields, bytes of it, and the JSON, or why there is none. */
static void
check(const char *schema, const char *hex, const char *want)
{
	char bytes[100];
	size_t len = from_hex(hex, bytes);
	TxdBuf json = {0};
	TxdError err = {0};
	TxdProtobuf *pb = txd_protobuf_own(schema, "M", &err);

	if (pb == NULL || !to_json(pb, bytes, len, &json, &err))
	{
		json.len = 0;
		txd_buf_byte(&json, '!');
		txd_buf_append(&json, err.message, strlen(err.message));
	}
	txd_buf_byte(&json, '\0');
	CHECK_STR(json.data + (*json.data == '+'), want);
	txd_protobuf_free(pb);
	txd_buf_free(&json);
}

#define E23 "edition = '2023'; "
#define IMPLICIT "features.field_presence = IMPLICIT"
#define REQUIRED "features.field_presence = LEGACY_REQUIRED"

/* Features of a file hold for all within, wherever they stand, until something within says otherwise. */
static void
test_inherited(void)
{
	check(E23 "message M { int32 a = 1; }", "", "{}");
	check(E23 "option " IMPLICIT "; message M { int32 a = 1; }", "", "{\"a\":0}");
	check(E23 "message M { message N { int32 a = 1; } N n = 1; } option " IMPLICIT ";", "0a00",
		  "{\"n\":{\"a\":0}}");
	check(E23 "message M { option " IMPLICIT "; message N { int32 a = 1; } N n = 1; int32 b = 2; }",
		  "0a00", "{\"n\":{\"a\":0},\"b\":0}");
	check(E23 "message N { option " IMPLICIT "; int32 a = 1; } message M { N n = 1; int32 b = 2; }",
		  "0a00", "{\"n\":{\"a\":0}}");
	check(E23 "option " IMPLICIT "; message M { int32 a = 1 [features.field_presence = EXPLICIT];"
			  "int32 b = 2; oneof o { int32 c = 3; } repeated int32 d = 4; M m = 5; }",
		  "", "{\"b\":0,\"d\":[]}");
	/* A file's presence is none of those that are in a oneof, or of a file of another syntax. */
	check(E23 "option " REQUIRED "; message M { oneof o { int32 a = 1; } }", "", "{}");
	check(E23 "option " REQUIRED "; message M { repeated int32 a = 1; }", "", "{\"a\":[]}");
	check(E23 "message M { int32 a = 1 [" REQUIRED "]; }", "", "!required field \"a\" is missing");
	check("option " REQUIRED "; message M { optional int32 a = 1; }", "", "{}");
	check("syntax = 'proto3'; message M { int32 a = 1 [" REQUIRED "]; }", "", "{\"a\":0}");
}

/* A delimited message is a group; one that is not is not taken for it. */
static void
test_delimited(void)
{
	static const char *const text =
		E23 "message M { M m = 1 [features.message_encoding = DELIMITED]; int32 a = 2; }";

	check(text, "0b10050c1006", "{\"m\":{\"a\":5},\"a\":6}");
	check(text, "0a021005", "!field \"m\" is not written as its type is at byte 2");
}

int
main(void)
{
	for (int i = 0; i < (int) (sizeof(sources) / sizeof(sources[0])); i++)
	{
		run_cases(i, sources[i].set);
		run_cases(i, sources[i].text);
	}
	test_inherited();
	test_delimited();
	return check_done("test_editions");
}
