/*
 * test_protobuf_doc.c — what is said of a message's fields: types as SQL names them, and comments of .proto files and of descriptors.
 */
#include <stdlib.h>

#include "protobuf_rig.h"

/* What is said after a message without fields; the schema is taken over. */
static void
check_described(TxdProtobuf *pb, const TxdError *err, const char *want)
{
	TxdBuf json = {0};
	TxdBuf said = {0};

	if (pb == NULL)
		fprintf(stderr, "%s\n", err->message);
	if (CHECK(pb != NULL))
	{
		txd_protobuf_describe(pb, &said);
		CHECK(said.len == 0);
		CHECK(to_json(pb, "", 0, &json, &(TxdError){0}));
		txd_protobuf_describe(pb, &said);
		txd_buf_byte(&said, '\0');
		CHECK_STR(said.data, want);
	}
	txd_protobuf_free(pb);
	txd_buf_free(&json);
	txd_buf_free(&said);
}

static void
check_file(const char *text, const char *want)
{
	TxdError err = {0};

	check_described(txd_protobuf_own(text, "M", &err), &err, want);
}

/* The comment of field a, whose line is behind it. */
static void
check_comment(const char *before, const char *doc)
{
	char text[1000];
	char want[1000];

	snprintf(text, sizeof(text), "syntax = \"proto3\"; message M {\n%sint32 a = 1; }\n// end",
			 before);
	if (doc == NULL)
		snprintf(want, sizeof(want), "[{\"name\":\"a\",\"type\":\"integer\"}]");
	else
		snprintf(want, sizeof(want), "[{\"name\":\"a\",\"type\":\"integer\",\"doc\":\"%s\"}]", doc);
	check_file(text, want);
}

static void
test_comments(void)
{
	check_comment("", NULL);
	check_comment("// one\n", "one");
	check_comment("// one\n//   two  \r\n//\n/// three\n", "one\\u000atwo\\u000a\\u000athree");
	check_comment("/* one\n * two\n */ ", "one\\u000atwo");
	check_comment("/** one */\n", "one");
	check_comment("/**/\n", NULL);
	check_comment("//\n", NULL);
	check_comment("// detached\n\n", NULL);
	check_comment("// detached\n\n// one\n", "one");
	check_comment("/* detached */\n// one\n", "one");
	check_comment("// detached\n/* one */\n", "one");
	check_file(P3 "message M {\nint32 b = 2; // behind\nint32 a = 1; }",
			   "[{\"name\":\"b\",\"type\":\"integer\"},{\"name\":\"a\",\"type\":\"integer\"}]");
	check_comment("// \"q\" \\ \303\274 \n", "\\\"q\\\" \\\\ \303\274");
	check_comment("// no \377 text\n", NULL);
	check_comment("optional // of a label\n", NULL);
}

static void
test_types(void)
{
	check_file("syntax = 'proto3'; import 'google/protobuf/timestamp.proto'; message E { } enum N "
			   "{ Z = 0; } "
			   "message M { google.protobuf.Timestamp t = 1; google.type.Date d = 2; "
			   "google.protobuf.NullValue z = "
			   "3; N n = 4; E e = 5; map<int32, E> m = 6; repeated bytes r = 7; "
			   "google.protobuf.FieldMask f = 8; "
			   "confluent.type.Decimal c = 9; google.protobuf.UInt64Value u = 10; sint64 s = 11; "
			   "fixed32 x = 12; }",
			   "[{\"name\":\"t\",\"type\":\"timestamptz\"},{\"name\":\"z\",\"type\":\"jsonb\"},{"
			   "\"name\":\"n\",\"type\":"
			   "\"text\"},{\"name\":\"e\",\"type\":\"jsonb\"},{\"name\":\"m\",\"type\":\"jsonb\"},{"
			   "\"name\":\"r\",\"type\":"
			   "\"jsonb\"},{\"name\":\"f\",\"type\":\"text\"},{\"name\":\"c\",\"type\":\"numeric\"}"
			   ",{\"name\":\"u\",\"type\":"
			   "\"numeric(20,0)\"},{\"name\":\"s\",\"type\":\"bigint\"},{\"name\":\"x\",\"type\":"
			   "\"bigint\"}]");
	check_file("syntax = 'proto3'; message M { }", "");
	check_file("syntax = 'proto3'; message M { google.type.Date d = 1; }", "");
}

/* A descriptor whose SourceCodeInfo has this location. */
static void
check_location(const char *location, size_t len, const char *want)
{
	static const char file[] = "\x0a\x01"
							   "f\x22\x1e\x0a\x01M\x12\x09\x0a\x01"
							   "a\x18\x01\x20\x01\x28\x05\x1a\x0e\x0a\x01N\x12\x09\x0a\x01"
							   "b\x18\x01\x20\x01\x28\x05";
	char bytes[200] = {0x0a, (char) (sizeof(file) - 1 + 4 + len)};
	size_t n = 2;
	TxdError err = {0};
	char *text;

	memcpy(bytes + n, file, sizeof(file) - 1);
	n += sizeof(file) - 1;
	memcpy(bytes + n, (char[]){0x4a, (char) (len + 2), 0x0a, (char) len}, 4);
	memcpy(bytes + n + 4, location, len);
	text = base64_of(bytes, n + 4 + len);
	check_described(txd_protobuf_own(text, "M", &err), &err, want);
	free(text);
}

static void
test_locations(void)
{
	const char *none = "[{\"name\":\"a\",\"type\":\"integer\"}]";

	check_location("\x0a\x04\x04\x00\x02\x00\x1a\x04 x \n", 12,
				   "[{\"name\":\"a\",\"type\":\"integer\",\"doc\":\"x\"}]");
	/* Of a type within, of the message, of fields and types that there are not; paths that end early, and without end. */
	check_location("\x0a\x06\x04\x00\x03\x00\x02\x00\x1a\x01x", 11, none);
	check_location("\x0a\x02\x04\x00\x1a\x01x", 7, none);
	check_location("\x0a\x04\x04\x00\x02\x01\x1a\x01x", 9, none);
	check_location("\x0a\x04\x04\x01\x02\x00\x1a\x01x", 9, none);
	check_location("\x0a\x06\x04\x00\x03\x01\x02\x00\x1a\x01x", 11, none);
	check_location("\x0a\x05\x04\x00\x02\x00\x08\x1a\x01x", 10, none);
	check_location("\x0a\x04\x04\x00\x02\xff\x1a\x01x", 9, none);
	check_location("\x1a\x01x", 3, none);
	check_location("\x0a\x7f", 2, none);
	check_location("\x0a\x04\x04\x00\x02\x00\x1a\x02x\xff", 10, none);
}

int
main(void)
{
	test_comments();
	test_types();
	test_locations();
	return check_done("test_protobuf_doc");
}
