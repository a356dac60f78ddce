/*
 * test_protobuf_limits.c — descriptors and messages that would cost much more than their bytes.
 */
#include "protobuf_rig.h"

/* A set of one file, which has one message behind `head`: with a name of `name_len` bytes and n empty oneofs. */
static char *
message_set(const char *head, size_t head_len, size_t name_len, size_t n)
{
	size_t message = 4 + name_len + 2 * n;
	size_t file = head_len + 4 + message;
	char *set = calloc(1, 4 + file);
	char *p = set;
	char *text;

	*p = 0x0a;
	put_length(p + 1, file);
	memcpy(p + 4, head, head_len);
	p += 4 + head_len;
	*p = 0x22;
	put_length(p + 1, message);
	p[4] = 0x0a;
	put_length(p + 5, name_len);
	memset(p + 8, 'M', name_len);
	p += 8 + name_len;
	for (size_t i = 0; i < 2 * n; i += 2)
		p[i] = 0x42;
	text = base64_of(set, 4 + file);
	free(set);
	return text;
}

/* Descriptors of which much would be kept, or cleared for each message. */
static void
test_large_schemas(void)
{
	static const struct
	{
		const char *package;
		size_t name_len;
		size_t oneofs;
		const char *want;
	} schemas[] = {
		{"", 1, 10000, ""},
		{"", 1, 10001, "schema: more than 10000 oneofs in \"M\""},
		{"", 1000, 0, ""},
		{"\x12\x02pq", 997, 0, ""},
		{"\x12\x02pq", 998, 0, "schema: more than 1000 bytes in the name of \""},
		{"", 1001, 0, "schema: more than 1000 bytes in the name of \""},
	};

	for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++)
	{
		char *text = message_set(schemas[i].package, strlen(schemas[i].package),
								 schemas[i].name_len, schemas[i].oneofs);
		TxdError err = {0};
		TxdProtobuf *pb = txd_protobuf_own(text, NULL, &err);

		CHECK((pb != NULL) == (*schemas[i].want == '\0'));
		err.message[strlen(schemas[i].want)] = '\0';
		CHECK_STR(err.message, schemas[i].want);
		txd_protobuf_free(pb);
		free(text);
	}
}

static void
check_cost(const char *text, const char *bytes, size_t len, const char *want)
{
	TxdError err = {0};
	TxdProtobuf *pb = txd_protobuf_own(text, "M", &err);
	TxdBuf json = {0};

	CHECK_STR(err.message, "");
	CHECK(pb != NULL && to_json(pb, bytes, len, &json, &err) == (want == NULL));
	CHECK_STR(err.code != NULL ? err.code : "-", want != NULL ? want : "-");
	txd_protobuf_free(pb);
	txd_buf_free(&json);
}

/* Writes n times one of what `format` makes of numbers from 1 on. */
static char *
repeat(char *to, int n, const char *format)
{
	for (int i = 1; i <= n; i++)
		to += sprintf(to, format, i, i, i);
	return to;
}

/* Each message of a type with many oneofs has a slot for each. */
static void
test_oneofs(char *bytes)
{
	char *text = malloc(1000000);
	char *p = repeat(text, 1, P3 "message M { repeated N n = %d; } message N {");

	p = repeat(p, 10000, "oneof o%d { bool b%d = %d; } ");
	(void) repeat(p, 1, "}");
	for (size_t i = 0; i < 20000; i += 2)
		memcpy(bytes + i, "\x0a\x00", 2);
	check_cost(text, bytes, 8000, NULL);
	check_cost(text, bytes, 20000, "too_long");
	free(text);
}

/* Entries of the maps that are open at a time: two, one within the other. */
static void
test_map_entries(char *bytes)
{
	static const char *const text = P3 "message M { map<int32, M> a = 1; }";
	static const size_t sizes[] = {800000, 1200000};

	for (size_t k = 0; k < 2; k++)
	{
		size_t size = sizes[k];

		for (size_t i = 0; i < 2 * size + 8; i += 2)
			memcpy(bytes + i, "\x0a\x00", 2);
		bytes[size] = 0x0a;
		put_length(bytes + size + 1, size + 4);
		bytes[size + 4] = 0x12;
		put_length(bytes + size + 5, size);
		check_cost(text, bytes, size, NULL);
		check_cost(text, bytes, 2 * size + 8, k == 0 ? NULL : "too_long");
	}
}

/* The end of a group is looked for at each level. */
static void
test_groups(char *bytes)
{
	char text[3000];
	char *p = repeat(text, 1, "syntax = 'proto2'; message M {");

	p = repeat(p, 60, "optional group G%d = 1 {");
	(void) repeat(p, 61, "}");
	for (size_t size = 100000; size <= 6000000; size += 5900000)
	{
		memset(bytes, 0x0b, 60);
		for (size_t i = 60; i < 60 + size; i += 2)
			memcpy(bytes + i, "\x10\x00", 2);
		memset(bytes + 60 + size, 0x0c, 60);
		check_cost(text, bytes, size + 120, size == 100000 ? NULL : "too_long");
	}
}

/* What costs more than its bytes. */
static void
test_costs(void)
{
	char *bytes = malloc(6000200);

	test_oneofs(bytes);
	test_map_entries(bytes);
	test_groups(bytes);
	free(bytes);
}

int
main(void)
{
	test_large_schemas();
	test_costs();
	return check_done("test_protobuf_limits");
}
