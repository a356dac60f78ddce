/*
 * test_header.c — columns from single headers.
 */
#include "rig.h"

static const char *trace[] = {"trace.id"};
static const char *count[] = {"n", "count"};

static TxdColumn columns[] = {
	{.name = "trace", .type = TXD_STRING, .source = TXD_FROM_HEADER, .npaths = 1, .paths = trace},
	{.name = "raw", .type = TXD_BYTEA, .source = TXD_FROM_HEADER, .npaths = 1, .paths = trace},
	{.name = "count",
	 .type = TXD_INT4,
	 .source = TXD_FROM_HEADER,
	 .npaths = 2,
	 .paths = count,
	 .default_text = "9"},
	{.name = "v", .type = TXD_INT4},
};

static const char *
decode_headers(Rig *rig, const char *headers, const char *payload)
{
	rig->message.headers = headers;
	rig->message.headers_len = headers != NULL ? strlen(headers) : 0;
	return rig_decode(rig, payload, payload != NULL ? strlen(payload) : 0);
}

#define CHECK_HEADERS(rig, headers, want)                                                          \
	CHECK_STR(decode_headers((rig), (headers), "{\"v\":1}"), want)

static void
test_headers(void)
{
	TxdSchema schema = {.format = TXD_JSON, .tombstones = true};
	Rig rig;

	COLUMNS(schema, columns);
	rig_open(&rig, &schema);
	CHECK_HEADERS(&rig, "{\"trace.id\": \"a\\\"b\", \"count\": \"7\"}", "a\"b\t\\\\x612262\t7\t1");
	CHECK_HEADERS(&rig, NULL, "\\N\t\\N\t9\t1");
	CHECK_HEADERS(&rig, "{}", "\\N\t\\N\t9\t1");
	CHECK_HEADERS(&rig, "{\"trace\": \"x\", \"count\": null, \"trace.id\": \"\"}",
				  "\t\\\\x\t\\N\t1");
	/* the last of a name, the first alternative that is there */
	CHECK_HEADERS(&rig, "{\"trace.id\": [\"a\", null, \"b\\n\"], \"count\": \"1\", \"n\": \"2\"}",
				  "b\\n\t\\\\x620a\t2\t1");
	CHECK_HEADERS(&rig, "{\"trace.id\": [\"a\", null]}", "\\N\t\\N\t9\t1");
	CHECK_HEADERS(&rig, "{\"n\": \"seven\"}", "bad_value count");
	CHECK_STR(decode_headers(&rig, "{\"trace.id\": \"t\", \"n\": \"3\"}", NULL),
			  "t\t\\\\x74\t3\t\\N");
	/* what is no UTF-8 comes as its bytes in hexadecimal; what could be is what somebody wrote */
	CHECK_HEADERS(&rig, "{\"trace.id\": \"\\\\x61ff\"}", "bad_encoding trace");
	CHECK_HEADERS(&rig, "{\"trace.id\": \"\\\\x00\"}", "nul_byte trace");
	CHECK_HEADERS(&rig, "{\"trace.id\": \"\\\\x6162\"}", "\\\\x6162\t\\\\x5c7836313632\t9\t1");
	CHECK_HEADERS(&rig, "{\"trace.id\": \"\\\\xfg\"}", "\\\\xfg\t\\\\x5c786667\t9\t1");
	CHECK_HEADERS(&rig, "{\"trace.id\": \"\\\\x\"}", "\\\\x\t\\\\x5c78\t9\t1");
	rig_close(&rig);

	schema.columns = &columns[1];
	schema.ncolumns = 3;
	rig_open(&rig, &schema);
	CHECK_HEADERS(&rig, "{\"trace.id\": \"\\\\x61ff\"}", "\\\\x61ff\t9\t1");
	rig_close(&rig);
}

static void
test_bad(void)
{
	TxdColumn column = {.name = "a", .type = TXD_STRING, .source = TXD_FROM_HEADER};
	TxdSchema schema = {.format = TXD_JSON, .ncolumns = 1, .columns = &column};
	TxdError err = {0};

	CHECK(txd_new(&schema, &err) == NULL);
	CHECK_STR(err.message, "a field of the key needs a path, a header a name");
	column.paths = trace;
	column.npaths = 1;
	column.type = TXD_BYTEA;
	column.convert = TXD_AS_ENCRYPTED;
	schema.encryption_keys = "0123456789abcdef0123456789abcdef";
	CHECK(txd_new(&schema, &err) == NULL);
	CHECK_STR(err.column, "a");
}

int
main(void)
{
	test_headers();
	test_bad();
	return check_done("header");
}
