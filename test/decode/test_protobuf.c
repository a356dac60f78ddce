/*
 * test_protobuf.c — Protobuf to JSON: what Google's own writers made of messages, descriptors, and what is no message.
 *
 *   test_protobuf          the cases of protobuf_cases.h, limits, and what names mean
 *   test_protobuf FILE     those of a file that protobuf/make-cases --random has written
 */
#include "protobuf_cases.h"
#include "protobuf_rig.h"

/* Types that messages of the tests are of, each read once. */
static struct
{
	char name[100];
	TxdProtobuf *pb;
} types[20];

static TxdProtobuf *
type_named(const char *name)
{
	TxdError err = {0};
	int i = 0;

	while (types[i].pb != NULL && strcmp(types[i].name, name) != 0)
		i++;
	if (types[i].pb == NULL)
	{
		snprintf(types[i].name, sizeof(types[i].name), "%s", name);
		types[i].pb = txd_protobuf_own(descriptors, name, &err);
		CHECK_STR(err.message, "");
	}
	return types[i].pb;
}

static void
run_case(const char *message, const char *hex, const char *want)
{
	TxdProtobuf *pb = type_named(message);
	char *bytes = malloc(strlen(hex) / 2 + 1);
	size_t len = from_hex(hex, bytes);
	TxdBuf json = {0};
	TxdError err = {0};

	if (pb != NULL && to_json(pb, bytes, len, &json, &err))
		txd_buf_byte(&json, '\0');
	else
	{
		json.len = 0;
		txd_buf_append(&json, "+!", 2);
		txd_buf_append(&json, err.code, strlen(err.code) + 1);
	}
	CHECK_STR(json.data + 1, want);
	/* A prefix is a message or none, but never read beyond. */
	for (size_t n = 0; pb != NULL && n < len && n < 300; n++)
		(void) to_json(pb, bytes, n, &json, &err);
	txd_buf_free(&json);
	free(bytes);
}

static int
run_file(const char *name)
{
	FILE *file = fopen(name, "r");
	char *line = NULL;
	size_t size = 0;

	if (file == NULL)
		return 1;
	while (getline(&line, &size, file) > 0)
	{
		char *hex = strchr(line, '\t');
		char *want = hex != NULL ? strchr(hex + 1, '\t') : NULL;

		if (!CHECK(want != NULL))
			break;
		*hex = *want = '\0';
		want[1 + strcspn(want + 1, "\n")] = '\0';
		run_case(line, hex + 1, want + 1);
	}
	free(line);
	fclose(file);
	return 0;
}

static void
check_set(const char *text, const char *message, const char *want)
{
	TxdError err = {0};
	TxdProtobuf *pb = txd_protobuf_own(text, message, &err);

	CHECK(pb == NULL);
	CHECK_STR(err.code, "bad_schema");
	CHECK_STR(err.message, want);
	txd_protobuf_free(pb);
}

/* The set that has this one descriptor, in base64. */
static char *
set_of(const char *descriptor, size_t len)
{
	char set[130] = {0x0a, (char) len};

	memcpy(set + 2, descriptor, len);
	return base64_of(set, len + 2);
}

static void
check_file(const char *descriptor, size_t len, const char *want)
{
	char *text = set_of(descriptor, len);
	TxdError err = {0};
	TxdProtobuf *pb = txd_protobuf_own(text, NULL, &err);

	CHECK((pb != NULL) == (want == NULL));
	if (want != NULL)
		CHECK_STR(err.message, want);
	txd_protobuf_free(pb);
	free(text);
}

#define CHECK_FILE(bytes, want) check_file(bytes, sizeof(bytes) - 1, want)

/* Field 4 of a file is a message: name 1, fields 2 (name 1, number 3, label 4, type 5, type's name 6). */
static void
test_schemas(void)
{
	check_set("syntax = \"proto4\";", NULL,
			  "schema line 1: only proto2 and proto3 are read, not: \"\"proto4\"\"");
	check_set("syntax = \"proto3\";", NULL,
			  "schema: the last file has no message, or several: protobuf_message says which");
	check_set("AAAA", NULL, "schema: it is no set of file descriptors");
	check_set("", NULL,
			  "schema: the last file has no message, or several: protobuf_message says which");
	check_set("message M { optional string s = 1 [default = 'a\\0b']; }", NULL,
			  "schema: a NUL in the default of field \"s\"");
	check_set(descriptors, "nothing", "schema: there is no message \"nothing\"");
	check_set(descriptors, NULL,
			  "schema: the last file has no message, or several: protobuf_message says which");
	CHECK_FILE("\x22\x03\x0a\x01M", NULL);
	CHECK_FILE("\x22\x03\x0a\x02M", "schema: the descriptor is broken");
	CHECK_FILE("\x22\x00", "schema: the descriptor is broken");
	CHECK_FILE("\x22\x03\x0a\x01\"", "schema: the descriptor is broken");
	CHECK_FILE("\x22\x03\x0a\x01M\x22\x03\x0a\x01M", "schema: two types are named \"M\"");
	CHECK_FILE("\x62\x08"
			   "editions",
			   "schema: neither edition 2023 nor 2024 is that of file \"\"");
	CHECK_FILE("\x62\x08"
			   "editions\x70\xea\x07\x0a\x01"
			   "f",
			   "schema: neither edition 2023 nor 2024 is that of file \"f\"");
	CHECK_FILE("\x62\x06"
			   "proto4",
			   "schema: neither proto2 nor proto3, but \"proto4\"");
	/* A field without a number, of a type that there is not, of one that only its name tells, two of one number. */
	CHECK_FILE("\x22\x0a\x0a\x01M\x12\x05\x0a\x01"
			   "a\x28\x05",
			   "schema: no number of field \"a\"");
	CHECK_FILE("\x22\x0f\x0a\x01M\x12\x0a\x0a\x01"
			   "a\x18\x01\x28\x0b\x32\x01N",
			   "schema: unknown type \"N\"");
	CHECK_FILE("\x22\x0d\x0a\x01M\x12\x08\x0a\x01"
			   "a\x18\x01\x32\x01M",
			   NULL);
	CHECK_FILE("\x22\x15\x0a\x01M\x12\x07\x0a\x01"
			   "a\x18\x01\x28\x05\x12\x07\x0a\x01"
			   "b\x18\x01\x28\x05",
			   "schema: two fields have one number in \"M\"");
	CHECK_FILE("\x22\x15\x0a\x01M\x12\x07\x0a\x01"
			   "a\x18\x01\x28\x05\x12\x07\x0a\x01"
			   "a\x18\x02\x28\x05",
			   "schema: two fields are named \"a\"");
}

/* Messages within messages, and what is small but becomes large. */
static void
test_limits(void)
{
	static char bytes[600000];
	TxdBuf json = {0};
	TxdError err = {0};
	size_t len = 0;
	TxdProtobuf *pb = type_named("shop.v1.Mixed");

	/* Each level around those before it, its length in three bytes. */
	for (int i = 0; i < 200; i++)
	{
		memmove(bytes + 4, bytes, len);
		bytes[0] = 0x1a;
		put_length(bytes + 1, len);
		len += 4;
		CHECK(to_json(pb, bytes, len, &json, &err) == (i < 63));
	}
	CHECK_STR(err.code, "too_deep");
	/* 300,000 messages of two bytes, each an object of eleven fields. */
	for (size_t i = 0; i + 1 < sizeof(bytes); i += 2)
		memcpy(bytes + i, "\x12\x00", 2);
	CHECK(to_json(pb, bytes, sizeof(bytes), &json, &err));
	txd_buf_free(&json);
}

/* With a registry messages say which type of the file they are of. */
static void
test_paths(void)
{
	static const char *const name = "schema";
	static const char *const text = "syntax = \"proto3\"; message A { message B { int32 b = 1; } } "
									"message C { int32 c = 1; }";
	static const struct
	{
		const char *bytes;
		size_t len;
		const char *want;
	} paths[] = {{"\x00", 1, "+{}"},
				 {"\x02\x00", 2, "+{}"},
				 {"\x02\x02\x08\x07", 4, "+{\"c\":7}"},
				 {"\x04\x00\x00\x08\x07", 5, "+{\"b\":7}"},
				 {"", 0, NULL},
				 {"\x02", 1, NULL},
				 {"\x01\x00", 2, NULL},
				 {"\x02\x04", 2, NULL},
				 {"\x02\x01", 2, NULL},
				 {"\x04\x02\x00", 3, NULL}};
	TxdError err = {0};
	TxdProtobuf *pb = txd_protobuf_new(&name, &text, 1, &err);
	TxdBuf json = {0};

	CHECK_STR(err.message, "");
	for (size_t i = 0; pb != NULL && i < sizeof(paths) / sizeof(paths[0]); i++)
	{
		bool ok = to_json(pb, paths[i].bytes, paths[i].len, &json, &err);

		CHECK(ok == (paths[i].want != NULL));
		txd_buf_byte(&json, '\0');
		CHECK_STR(json.data, ok ? paths[i].want : "+");
		if (!ok)
			CHECK_STR(err.code, "bad_protobuf");
	}
	txd_protobuf_free(pb);
	txd_buf_free(&json);
}

/* A message of the first type of the last file, or `!` and why there is none; each imports what stands before it. */
static void
check_names(const char *money, const char *file, const char *want)
{
	static const char *const names[] = {"other.proto", "money.proto", "schema"};
	static const char bytes[] = "\x00\x0a\x02\x08\x05\x10\x05";
	const char *const texts[] = {
		P3 "package shop.common; message Money { int64 other = 1; enum E { A = 0; B = 5; } }",
		money, file};
	TxdError err = {0};
	TxdProtobuf *pb = txd_protobuf_new(names, texts, 3, &err);
	TxdBuf json = {0};

	if (pb == NULL || !to_json(pb, bytes, sizeof(bytes) - 1, &json, &err))
	{
		json.len = 0;
		txd_buf_append(&json, "+!", 2);
		txd_buf_append(&json, err.message, strlen(err.message));
	}
	txd_buf_byte(&json, '\0');
	CHECK_STR(json.data + 1, want);
	txd_protobuf_free(pb);
	txd_buf_free(&json);
}

/* What a name means depends on the scopes around it, and on what its file imports. */
static void
test_names(void)
{
	static const char *const money =
		P3 "import 'other.proto'; package common; message Money { int64 cents = 1; }";
	static const char *const passed_on =
		P3 "import public 'other.proto'; package common; message Money { int64 cents = 1; }";

	/* shop.common.Money is nearer, but only what is imported counts. */
	check_names(money, P3 "package shop; import 'money.proto'; message M { common.Money m = 1; }",
				"{\"m\":{\"cents\":5}}");
	check_names(passed_on,
				P3 "package shop; import 'money.proto'; message M { common.Money m = 1; }",
				"{\"m\":{\"other\":5}}");
	check_names(passed_on,
				P3 "package shop; import 'money.proto'; message M { .common.Money m = 1; }",
				"{\"m\":{\"cents\":5}}");
	/* A registry may have it under another name than the one it is imported by. */
	check_names(money, P3 "package shop; import 'm.proto'; message M { common.Money m = 1; }",
				"{\"m\":{\"other\":5}}");
	check_names(money,
				P3 "import 'money.proto'; message M { message common { message Money { int32 own = "
				   "1; } } common.Money m = 1; }",
				"{\"m\":{\"own\":5}}");
	check_names(money,
				"import 'other.proto'; package shop; message M { optional common.Money.E e ="
				" 2; required group G = 3 { } }",
				"!required field \"g\" is missing");
	check_names(money,
				"import 'other.proto'; package shop.x; message M { optional common.Money.E e"
				" = 2 [default = A]; }",
				"{\"e\":\"B\"}");
	check_names(money,
				"import 'other.proto'; package shop; message M { optional common.Money.E e ="
				" 2 [default = C]; }",
				"!schema: a default that does not fit field \"e\"");
	check_names(money, P3 "package shop; message M { common.Money m = 1; }",
				"!schema: unknown type \"common.Money\"");
	check_names(P3 "package", P3 "message M { }",
				"!money.proto line 1: a name is expected, not: \"\"");
	check_names(money,
				P3 "import 'google/protobuf/wrappers.proto'; message M { google.protobuf."
				   "Int64Value m = 1; }",
				"{\"m\":5}");
}

int
main(int argc, char **argv)
{
	int status = argc > 1 ? run_file(argv[1]) : 0;

	for (size_t i = 0; argc == 1 && i < sizeof(cases) / sizeof(cases[0]); i++)
		run_case(cases[i].message, cases[i].hex, cases[i].want);
	test_schemas();
	test_limits();
	test_paths();
	test_names();
	for (int i = 0; types[i].pb != NULL; i++)
		txd_protobuf_free(types[i].pb);
	return check_done("test_protobuf") | status;
}
