/*
 * test_json_rows.c — from JSON messages to rows: paths, matching by name, the rest, whole values.
 */
#include "rig.h"

static const char *nested[] = {"a.b"};
static const char *dotted[] = {"a\\.b"};
static const char *either[] = {"x", "y.z"};
static const char *inner[] = {"a"};
static const char *bs[] = {"back\\\\slash", "\\$oid"};

static void
test_paths(void)
{
	TxdColumn cols[] = {
		{.name = "nested", .type = TXD_STRING, .npaths = 1, .paths = nested},
		{.name = "dotted", .type = TXD_STRING, .npaths = 1, .paths = dotted},
		{.name = "either",
		 .type = TXD_STRING,
		 .npaths = 2,
		 .paths = either,
		 .default_text = "none"},
		{.name = "inner", .type = TXD_JSONTEXT, .npaths = 1, .paths = inner},
		{.name = "bs", .type = TXD_STRING, .npaths = 2, .paths = bs},
	};
	TxdSchema schema = {.format = TXD_JSON};
	Rig rig;

	COLUMNS(schema, cols);
	rig_open(&rig, &schema);
	CHECK_ROW(&rig, "{\"a\":{\"b\":\"1\"}}", "1\t\\N\tnone\t{\"b\":\"1\"}\t\\N");
	CHECK_ROW(&rig, "{\"a.b\":\"2\",\"back\\\\slash\":\"3\"}", "\\N\t2\tnone\t\\N\t3");
	CHECK_ROW(&rig, "{\"$oid\":\"4\"}", "\\N\t\\N\tnone\t\\N\t4");
	CHECK_ROW(&rig, "{\"y\":{\"z\":\"z\"},\"x\":\"x\"}", "\\N\t\\N\tx\t\\N\t\\N");
	CHECK_ROW(&rig, "{\"x\":\"x\",\"y\":{\"z\":\"z\"}}", "\\N\t\\N\tx\t\\N\t\\N");
	CHECK_ROW(&rig, "{\"y\":{\"z\":\"z\"}}", "\\N\t\\N\tz\t\\N\t\\N");
	/* null is present; a path through what is no object is absent */
	CHECK_ROW(&rig, "{\"x\":null,\"y\":{\"z\":\"z\"}}", "\\N\t\\N\t\\N\t\\N\t\\N");
	CHECK_ROW(&rig, "{\"a\":[{\"b\":1}],\"y\":5}", "\\N\t\\N\tnone\t[{\"b\":1}]\t\\N");
	CHECK_ROW(&rig, "{\"a\":null}", "\\N\t\\N\tnone\t\\N\t\\N");
	CHECK_ROW(&rig, "{\"a\":{\"b\":{\"c\":1}}}", "{\"c\":1}\t\\N\tnone\t{\"b\":{\"c\":1}}\t\\N");
	/* names and texts with escapes */
	CHECK_ROW(&rig, "{\"\\u0061\":{\"\\u0062\":\"\\u20ac\\t\\ud83d\\ude00\"}}",
			  "\xe2\x82\xac\\t\xf0\x9f\x98\x80\t\\N\tnone\t"
			  "{\"\\\\u0062\":\"\\\\u20ac\\\\t\\\\ud83d\\\\ude00\"}\t\\N");
	CHECK_ROW(&rig, "{\"a\":\"raw\"}", "\\N\t\\N\tnone\t\"raw\"\t\\N");
	/* a guess at the next name must not be fooled by escapes */
	CHECK_ROW(&rig, "{\"x\\\\\":1,\"x\":2}", "\\N\t\\N\t2\t\\N\t\\N");
	CHECK_ROW(&rig, "{\"x\\\"\":1,\"x\":2}", "\\N\t\\N\t2\t\\N\t\\N");
	CHECK_ROW(&rig, "{\"x\\\",\":1,\"x\":2}", "\\N\t\\N\t2\t\\N\t\\N");
	CHECK_ROW(&rig, "{\"x\\\\\":1,\"x\" :\"3\"}", "\\N\t\\N\t3\t\\N\t\\N");
	/* the same field twice, at any level */
	CHECK_ROW(&rig, "{\"x\":1,\"x\":2}", "duplicate_field either");
	CHECK_ROW(&rig, "{\"a\":{\"b\":1,\"\\u0062\":2}}", "duplicate_field nested");
	CHECK_ROW(&rig, "{\"a\":{\"b\":1},\"a\":{}}", "duplicate_field nested");
	CHECK_MESSAGE(&rig, "at byte 14");
	CHECK_ROW(&rig, "{\"q\":1,\"q\":2,\"a\":{\"q\":1,\"q\":1}}",
			  "\\N\t\\N\tnone\t{\"q\":1,\"q\":1}\t\\N");
	CHECK_ROW(&rig, "{\"x\":\"a\\u0000b\"}", "nul_byte either");
	CHECK_ROW(&rig, "{\"unmapped\":\"a\\u0000b\"}", "\\N\t\\N\tnone\t\\N\t\\N");
	rig_close(&rig);
}

static void
test_messages(void)
{
	TxdColumn cols[] = {{.name = "a", .type = TXD_INT4}};
	TxdSchema schema = {.format = TXD_JSON};
	char deep[300];
	Rig rig;

	COLUMNS(schema, cols);
	rig_open(&rig, &schema);
	CHECK_ROW(&rig, "{\"a\":1}", "1");
	CHECK_ROW(&rig, " {\"a\" : 1 }\n", "1");
	CHECK_ROW(&rig, "{\"a\":1", "bad_json -");
	CHECK_MESSAGE(&rig, "message ends too early at byte 7");
	CHECK_ROW(&rig, "{\"a\":1,\"bcdefghi\":x}", "bad_json -");
	CHECK_MESSAGE(&rig, "expected a value at byte 19");
	CHECK_ROW(&rig, "{\"a\":1} {\"a\":2}", "bad_json -");
	CHECK_MESSAGE(&rig, "at byte 9");
	CHECK_ROW(&rig, "\xef\xbb\xbf{\"a\":1}", "bad_json -");
	CHECK_ROW(&rig, "{\"b\":\"caf\xe9\"}", "bad_encoding -");
	CHECK_MESSAGE(&rig, "at byte 10");
	CHECK_ROW(&rig, "", "bad_json -");
	CHECK_ROW(&rig, "[]", "wrong_type -");
	CHECK_ROW(&rig, "17", "wrong_type -");
	CHECK_ROW(&rig, "null", "wrong_type -");
	CHECK_ROW(&rig, "[1,", "bad_json -");
	CHECK_ROW(&rig, "{\"a\":\"x\"}", "bad_value a");
	CHECK_ROW(&rig, "{\"a\":{}}", "wrong_type a");
	CHECK_ROW(&rig, "{\"a\":99999999999}", "out_of_range a");
	memcpy(deep, "{\"z\":", 5);
	memset(deep + 5, '[', 63);
	memset(deep + 68, ']', 63);
	deep[131] = '}';
	CHECK_STR(rig_decode(&rig, deep, 132), "\\N");
	memset(deep + 5, '[', 64);
	memset(deep + 69, ']', 64);
	deep[133] = '}';
	CHECK_STR(rig_decode(&rig, deep, 134), "too_deep -");
	rig.message.payload = NULL;
	CHECK(!txd_decode(rig.d, &rig.message, &rig.rows, &rig.err));
	CHECK_STR(rig.err.code, "tombstone");
	rig_close(&rig);
}

static void
test_names(void)
{
	TxdColumn cols[] = {
		{.name = "customer_id", .type = TXD_STRING},
		{.name = "http_server", .type = TXD_STRING},
		{.name = "total", .type = TXD_STRING},
		{.name = "MixedCase", .type = TXD_STRING},
	};
	TxdSchema schema = {.format = TXD_JSON};
	char text[100];
	Rig rig;

	COLUMNS(schema, cols);
	rig_open(&rig, &schema);
	CHECK_ROW(&rig,
			  "{\"customer_id\":\"1\",\"http_server\":\"2\",\"total\":\"3\",\"MixedCase\":\"4\"}",
			  "1\t2\t3\t4");
	CHECK_ROW(&rig,
			  "{\"customerId\":\"1\",\"HTTPServer\":\"2\",\"TOTAL\":\"3\",\"mixedcase\":\"4\"}",
			  "1\t2\t3\t4");
	CHECK_ROW(&rig, "{\"CustomerID\":\"1\",\"HttpServer\":\"2\"}", "1\t2\t\\N\t\\N");
	CHECK_ROW(&rig, "{\"customerid\":\"1\",\"Http-Server\":\"2\",\"to\":\"3\"}",
			  "\\N\t\\N\t\\N\t\\N");
	/* exact beats the rest, whatever the order; two others clash */
	CHECK_ROW(&rig, "{\"customerId\":\"1\",\"customer_id\":\"2\"}", "2\t\\N\t\\N\t\\N");
	CHECK_ROW(&rig, "{\"customer_id\":\"2\",\"customerId\":\"1\",\"CUSTOMER_ID\":\"0\"}",
			  "2\t\\N\t\\N\t\\N");
	CHECK_ROW(&rig, "{\"customerId\":\"1\",\"CustomerID\":\"2\"}", "ambiguous_field customer_id");
	CHECK_MESSAGE(&rig, "\"customerId\" and \"CustomerID\"");
	CHECK_ROW(&rig, "{\"CUSTOMER_ID\":\"1\",\"Customer_Id\":\"2\"}", "ambiguous_field customer_id");
	/* another case beats camelCase, whatever the order */
	CHECK_ROW(&rig, "{\"customerId\":\"1\",\"CUSTOMER_ID\":\"2\"}", "2\t\\N\t\\N\t\\N");
	CHECK_ROW(&rig, "{\"CUSTOMER_ID\":\"2\",\"customerId\":\"1\"}", "2\t\\N\t\\N\t\\N");
	CHECK_ROW(&rig, "{\"customerId\":1,\"CUSTOMER_ID\":2,\"customerID\":3}", "2\t\\N\t\\N\t\\N");
	CHECK_ROW(&rig, "{\"Total\":\"1\",\"TOTAL\":\"1\"}", "ambiguous_field total");
	CHECK_ROW(&rig, "{\"Total\":\"1\",\"Total\":\"1\"}", "duplicate_field total");
	CHECK_ROW(&rig, "{\"total\":\"1\",\"total\":\"1\"}", "duplicate_field total");
	CHECK_ROW(&rig, "{\"a\":{\"total\":\"1\"}}", "\\N\t\\N\t\\N\t\\N");
	/* more field names than are remembered */
	for (int i = 0; i < 2000; i++)
	{
		snprintf(text, sizeof(text), "{\"field%d\":0,\"Total\":\"%d\"}", i, i);
		DECODE(&rig, text);
		if (strtol(rig.shown + 6, NULL, 10) != i)
			break;
	}
	CHECK_STR(rig.shown, "\\N\t\\N\t1999\t\\N");
	CHECK_ROW(&rig, "{\"customerID\":\"late\"}", "late\t\\N\t\\N\t\\N");
	rig_close(&rig);
}

static void
test_ambiguous_columns(void)
{
	TxdColumn cols[] = {{.name = "ab", .type = TXD_STRING}, {.name = "AB", .type = TXD_STRING}};
	TxdSchema schema = {.format = TXD_JSON};
	Rig rig;

	COLUMNS(schema, cols);
	rig_open(&rig, &schema);
	CHECK_ROW(&rig, "{\"ab\":1,\"AB\":2}", "1\t2");
	CHECK_ROW(&rig, "{\"Ab\":1}", "ambiguous_field ab");
	rig_close(&rig);
}

static const char *category[] = {"meta.category"};
static const char *deep_path[] = {"d.e.f"};
static const char *whole_object[] = {"whole"};
static const char *in_whole[] = {"whole.part"};

static void
test_rest(void)
{
	TxdColumn cols[] = {
		{.name = "id", .type = TXD_INT4},
		{.name = "category", .type = TXD_STRING, .npaths = 1, .paths = category},
		{.name = "deep", .type = TXD_STRING, .npaths = 1, .paths = deep_path},
		{.name = "w", .type = TXD_JSONB, .npaths = 1, .paths = whole_object},
		{.name = "p", .type = TXD_STRING, .npaths = 1, .paths = in_whole},
		{.name = "rest", .type = TXD_JSONB, .source = TXD_FROM_REST},
	};
	TxdSchema schema = {.format = TXD_JSON};
	Rig rig;

	COLUMNS(schema, cols);
	rig_open(&rig, &schema);
	CHECK_ROW(&rig, "{\"id\":1}", "1\t\\N\t\\N\t\\N\t\\N\t{}");
	CHECK_ROW(&rig, "{}", "\\N\t\\N\t\\N\t\\N\t\\N\t{}");
	CHECK_ROW(&rig, "{\"x\":1,\"id\":1,\"y\":[1, 2],\"z\":\"s\"}",
			  "1\t\\N\t\\N\t\\N\t\\N\t{\"x\":1,\"y\":[1, 2],\"z\":\"s\"}");
	CHECK_ROW(
		&rig, "{\"meta\":{\"category\":\"c\",\"source\":\"s\"},\"d\":{\"e\":{\"g\":1},\"h\":null}}",
		"\\N\tc\t\\N\t\\N\t\\N\t{\"meta\":{\"source\":\"s\"},\"d\":{\"e\":{\"g\":1},\"h\":null}}");
	/* nothing left of an object: no trace; empty ones no path leads into stay */
	CHECK_ROW(&rig, "{\"meta\":{\"category\":\"c\"},\"d\":{\"e\":{\"f\":\"f\"}},\"o\":{}}",
			  "\\N\tc\tf\t\\N\t\\N\t{\"o\":{}}");
	CHECK_ROW(&rig, "{\"a\":1,\"d\":{\"e\":{\"f\":\"f\"},\"x\":2},\"b\":{}}",
			  "\\N\t\\N\tf\t\\N\t\\N\t{\"a\":1,\"d\":{\"x\":2},\"b\":{}}");
	CHECK_ROW(&rig, "{\"meta\":{}}", "\\N\t\\N\t\\N\t\\N\t\\N\t{}");
	CHECK_ROW(&rig, "{\"meta\":5,\"d\":[1]}", "\\N\t\\N\t\\N\t\\N\t\\N\t{\"meta\":5,\"d\":[1]}");
	CHECK_ROW(&rig, "{\"whole\":{\"part\":\"p\",\"other\":1}}",
			  "\\N\t\\N\t\\N\t{\"part\":\"p\",\"other\":1}\tp\t{}");
	/* what a looser rule matched but an exact name beat is left over */
	CHECK_ROW(&rig, "{\"ID\":7,\"id\":8}", "8\t\\N\t\\N\t\\N\t\\N\t{\"ID\":7}");
	CHECK_ROW(&rig, "{\"iD\":{\"x\":6},\"id\":8}", "8\t\\N\t\\N\t\\N\t\\N\t{\"iD\":{\"x\":6}}");
	CHECK_ROW(&rig, "{\"ID\":7}", "7\t\\N\t\\N\t\\N\t\\N\t{}");
	CHECK_ROW(&rig, "{\"q\":\"\\u0000\"}", "nul_byte rest");
	CHECK_ROW(&rig, "{\"q\":1e131072}", "out_of_range rest");
	CHECK_ROW(&rig, "[]", "wrong_type -");
	rig_close(&rig);
}

static void
test_value(void)
{
	TxdColumn cols[] = {{.name = "v", .type = TXD_JSONB, .source = TXD_FROM_VALUE},
						{.name = "t", .type = TXD_STRING, .source = TXD_FROM_VALUE}};
	TxdSchema schema = {.format = TXD_JSON};
	Rig rig;

	COLUMNS(schema, cols);
	rig_open(&rig, &schema);
	CHECK_ROW(&rig, "{\"a\":1}", "{\"a\":1}\t{\"a\":1}");
	CHECK_ROW(&rig, "[1]", "[1]\t[1]");
	CHECK_ROW(&rig, "\"s\"", "\"s\"\t\"s\"");
	CHECK_ROW(&rig, "17", "17\t17");
	CHECK_ROW(&rig, "{", "bad_json -");
	CHECK_ROW(&rig, "\"\\u0000\"", "nul_byte v");
	rig_close(&rig);
}

static void
test_json_columns(void)
{
	TxdColumn cols[] = {{.name = "j", .type = TXD_JSONTEXT}, {.name = "b", .type = TXD_JSONB}};
	TxdSchema schema = {.format = TXD_JSON};
	Rig rig;

	COLUMNS(schema, cols);
	rig_open(&rig, &schema);
	CHECK_ROW(&rig, "{\"j\":\"\\n\",\"b\":\"x\"}", "\"\\\\n\"\t\"x\"");
	CHECK_ROW(&rig, "{\"j\":{\"k\": 1},\"b\":[true]}", "{\"k\": 1}\t[true]");
	CHECK_ROW(&rig, "{\"j\":1.50,\"b\":false}", "1.50\tfalse");
	CHECK_ROW(&rig, "{\"j\":null,\"b\":null}", "\\N\t\\N");
	CHECK_ROW(&rig, "{\"j\":\"\\u0000\"}", "\"\\\\u0000\"\t\\N");
	CHECK_ROW(&rig, "{\"b\":\"\\u0000\"}", "nul_byte b");
	rig_close(&rig);
}

static void
test_bad_paths(void)
{
	static const char *bad[] = {"", ".", "a.", ".a", "a..b", "a\\", "a\\x", "a\\$", "a.\\$"};
	TxdColumn cols[] = {{.name = "c", .type = TXD_STRING, .npaths = 1}};
	TxdSchema schema = {.format = TXD_JSON};
	TxdError err;

	COLUMNS(schema, cols);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		cols[0].paths = &bad[i];
		memset(&err, 0, sizeof(err));
		CHECK(txd_new(&schema, &err) == NULL);
		CHECK_STR(err.code, "bad_value");
		CHECK(err.column == cols[0].name);
	}
}

static void
test_schema_number(void)
{
	static const char message[] = "\0\0\0\0\7{\"a\":1}";
	TxdColumn cols[] = {{.name = "a", .type = TXD_INT4},
						{.name = "raw", .type = TXD_BYTEA, .source = TXD_FROM_VALUE}};
	TxdSchema schema = {.format = TXD_JSON};
	Rig rig;

	COLUMNS(schema, cols);
	rig_open(&rig, &schema);
	/* a file's record has none */
	CHECK_STR(rig_decode(&rig, message, sizeof(message) - 1), "bad_json -");
	rig.message.topic = "t";
	CHECK_STR(rig_decode(&rig, message, sizeof(message) - 1), "1\t\\\\x00000000077b2261223a317d");
	CHECK_STR(rig_decode(&rig, message, 5), "bad_json -");
	CHECK_STR(rig_decode(&rig, message + 1, sizeof(message) - 2), "bad_json -");
	rig_close(&rig);
}

int
main(void)
{
	test_paths();
	test_messages();
	test_names();
	test_ambiguous_columns();
	test_rest();
	test_value();
	test_json_columns();
	test_schema_number();
	test_bad_paths();
	return check_done("json_rows");
}
