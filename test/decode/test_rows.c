/*
 * test_rows.c — the row's form, metadata columns, defaults, the formats text and bytea, bad
 * schemas.
 */
#include "rig.h"

static void
test_binary(void)
{
	TxdColumn cols[] = {{.name = "a", .type = TXD_INT4},
						{.name = "b", .type = TXD_STRING},
						{.name = "c", .type = TXD_BOOL, .default_text = "true"},
						{.name = "o", .type = TXD_INT8, .source = TXD_FROM_OFFSET}};
	TxdSchema schema = {.format = TXD_JSON, .form = TXD_BINARY};
	TxdMessage m = {
		.payload = "{\"a\":7,\"b\":null}", .payload_len = 16, .topic = "t", .offset = 258};
	TxdBuf rows = {NULL, 0, 0};
	TxdError err = {0};
	TxdDecoder *d;

	COLUMNS(schema, cols);
	d = txd_new(&schema, &err);
	CHECK(d != NULL && txd_decode(d, &m, &rows, &err));
	CHECK_HEX(rows.data, rows.len,
			  "0004"
			  "0000000400000007"
			  "ffffffff"
			  "0000000101"
			  "000000080000000000000102");
	txd_buf_free(&rows);
	txd_free(d);
}

static TxdColumn meta[] = {
	{.name = "kafka_topic", .type = TXD_STRING, .source = TXD_FROM_TOPIC},
	{.name = "kafka_partition", .type = TXD_INT4, .source = TXD_FROM_PARTITION},
	{.name = "kafka_offset", .type = TXD_INT8, .source = TXD_FROM_OFFSET},
	{.name = "kafka_timestamp",
	 .type = TXD_TIMESTAMPTZ,
	 .precision = -1,
	 .source = TXD_FROM_TIMESTAMP},
	{.name = "ms", .type = TXD_INT8, .source = TXD_FROM_TIMESTAMP},
	{.name = "key_text", .type = TXD_STRING, .source = TXD_FROM_KEY},
	{.name = "kafka_headers", .type = TXD_JSONB, .source = TXD_FROM_HEADERS},
	{.name = "line", .type = TXD_INT4, .source = TXD_FROM_LINE},
	{.name = "file_id", .type = TXD_INT8, .source = TXD_FROM_CONSTANT, .default_text = "42"},
	{.name = "nothing", .type = TXD_STRING, .source = TXD_FROM_CONSTANT},
};

static void
test_metadata(void)
{
	TxdSchema schema = {.format = TXD_JSON};
	Rig rig;

	COLUMNS(schema, meta);
	rig_open(&rig, &schema);
	/* a file's record has a line, and nothing of Kafka's */
	rig.message.line = 3;
	CHECK_ROW(&rig, "[1]", "\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t3\t42\t\\N");
	rig.message.topic = "orders";
	rig.message.partition = 5;
	rig.message.offset = 1234567890123;
	rig.message.timestamp_ms = 1700000000123;
	rig.message.key = "k\tey";
	rig.message.key_len = 4;
	rig.message.headers = "{\"h\":\"v\"}";
	rig.message.headers_len = 9;
	CHECK_ROW(&rig, "1",
			  "orders\t5\t1234567890123\t2023-11-14 22:13:20.123000+00\t1700000000123\tk\\tey\t"
			  "{\"h\":\"v\"}\t3\t42\t\\N");
	rig.message.timestamp_ms = INT64_MAX;
	CHECK_ROW(&rig, "1", "out_of_range kafka_timestamp");
	rig.message.timestamp_ms = 0;
	rig.message.key = "\xff";
	rig.message.key_len = 1;
	CHECK_ROW(&rig, "1", "bad_encoding key_text");
	rig.message.key = "";
	rig.message.key_len = 0;
	CHECK_ROW(&rig, "1",
			  "orders\t5\t1234567890123\t1970-01-01 00:00:00+00\t0\t\t{\"h\":\"v\"}\t3\t42\t\\N");
	rig.message.headers = "{";
	rig.message.headers_len = 1;
	CHECK_ROW(&rig, "1", "bad_json kafka_headers");
	rig_close(&rig);
}

static void
test_key_bytes(void)
{
	TxdColumn cols[] = {{.name = "k", .type = TXD_BYTEA, .source = TXD_FROM_KEY},
						{.name = "v", .type = TXD_BYTEA, .source = TXD_FROM_VALUE}};
	TxdSchema schema = {.format = TXD_JSON};
	Rig rig;

	COLUMNS(schema, cols);
	rig_open(&rig, &schema);
	rig.message.key = "\xff\0";
	rig.message.key_len = 2;
	CHECK_ROW(&rig, "{}", "\\\\xff00\t\\\\x7b7d");
	CHECK_ROW(&rig, "{", "bad_json -");
	rig_close(&rig);
}

static void
test_plain(void)
{
	TxdColumn cols[] = {{.name = "t", .type = TXD_VARCHAR, .length = 5},
						{.name = "p", .type = TXD_INT4, .source = TXD_FROM_PARTITION}};
	TxdColumn two[] = {{.name = "a", .type = TXD_STRING}, {.name = "b", .type = TXD_STRING}};
	TxdSchema schema = {.format = TXD_PLAIN_TEXT};
	TxdError err = {0};
	Rig rig;

	COLUMNS(schema, cols);
	rig_open(&rig, &schema);
	CHECK_ROW(&rig, "a\tb\n", "a\\tb\\n\t\\N");
	CHECK_ROW(&rig, "", "\t\\N");
	CHECK_ROW(&rig, "caf\xe9", "bad_encoding t");
	CHECK_ROW(&rig, "abcdef", "too_long t");
	CHECK_STR(rig_decode(&rig, "a\0b", 3), "nul_byte t");
	rig_close(&rig);

	schema.format = TXD_BYTES;
	cols[0].type = TXD_BYTEA;
	rig_open(&rig, &schema);
	CHECK_STR(rig_decode(&rig, "\\x\0\xff", 4), "\\\\x5c7800ff\t\\N");
	rig_close(&rig);

	COLUMNS(schema, two);
	CHECK(txd_new(&schema, &err) == NULL);
	CHECK_STR(err.column, "b");
}

static void
test_conversions(void)
{
	TxdColumn cols[] = {
		{.name = "id", .type = TXD_INT4, .convert = TXD_AS_WHOLE, .default_text = "9"},
		{.name = "t",
		 .type = TXD_STRING,
		 .convert = TXD_AS_TRIM,
		 .not_null = true,
		 .default_text = " "},
		{.name = "at",
		 .type = TXD_TIMESTAMPTZ,
		 .precision = -1,
		 .convert = TXD_AS_EPOCH_MS,
		 .default_text = "2020-01-01 00:00:00+00"},
	};
	TxdSchema schema = {.format = TXD_JSON};
	Rig rig;

	COLUMNS(schema, cols);
	rig_open(&rig, &schema);
	/* defaults are in the type's own syntax; no conversion applies to them */
	CHECK_ROW(&rig, "{}", "9\t \t2020-01-01 00:00:00+00");
	CHECK_ROW(&rig, "{\"id\":2.0,\"t\":\" x \",\"at\":1700000000123}",
			  "2\tx\t2023-11-14 22:13:20.123000+00");
	CHECK_ROW(&rig, "{\"id\":\"3.\",\"t\":\"x\"}", "3\tx\t2020-01-01 00:00:00+00");
	CHECK_ROW(&rig, "{\"id\":null,\"t\":\"x\"}", "\\N\tx\t2020-01-01 00:00:00+00");
	CHECK_ROW(&rig, "{\"id\":2.5}", "bad_value id");
	CHECK_ROW(&rig, "{\"id\":true}", "wrong_type id");
	CHECK_ROW(&rig, "{\"id\":[1]}", "wrong_type id");
	CHECK_ROW(&rig, "{\"t\":\"\\t\"}", "missing_value t");
	CHECK_ROW(&rig, "{\"t\":null}", "missing_value t");
	CHECK_ROW(&rig, "{\"t\":\"\\u0000\"}", "nul_byte t");
	rig_close(&rig);
}

static void
check_refused(TxdSchema *schema, const char *code, const char *column)
{
	TxdError err = {0};

	CHECK(txd_new(schema, &err) == NULL);
	CHECK_STR(err.code, code);
	CHECK_STR(err.column, column);
}

/* What no catalog says, a broken frame may: the encoders compute with these. */
static void
test_bad_modifiers(void)
{
	static const int32_t offsets[] = {3600, -86400};
	static const int64_t changes[] = {0};
	TxdColumn col = {.name = "c", .type = TXD_TIMESTAMPTZ, .precision = 7};
	TxdSchema schema = {.format = TXD_JSON, .ncolumns = 1, .columns = &col};

	check_refused(&schema, "bad_value", "c");
	col.precision = -2;
	check_refused(&schema, "bad_value", "c");
	col = (TxdColumn){.name = "c", .type = TXD_NUMERIC, .precision = 1001};
	check_refused(&schema, "bad_value", "c");
	col.precision = 5;
	col.scale = INT32_MIN;
	check_refused(&schema, "bad_value", "c");
	col.scale = 2;
	schema.zone = (TxdZone){1, changes, offsets};
	check_refused(&schema, "bad_value", NULL);
}

static void
test_bad_schemas(void)
{
	TxdColumn cols[] = {{.name = "a", .type = TXD_INT4}, {.name = "b", .type = TXD_STRING}};
	TxdSchema schema = {.format = TXD_JSON};

	check_refused(&schema, "bad_value", NULL);
	COLUMNS(schema, cols);
	cols[0].default_text = "none";
	check_refused(&schema, "bad_value", "a");
	cols[0].default_text = NULL;
	cols[1].type = TXD_OTHER;
	check_refused(&schema, "wrong_type", "b");
	cols[1].type = TXD_STRING;
	schema.format = TXD_CSV;
	check_refused(&schema, "bad_value", NULL);
	schema.csv = (TxdCsvOptions){'"', '"', false, false, NULL};
	check_refused(&schema, "bad_value", NULL);
	schema.csv.delimiter = '\n';
	check_refused(&schema, "bad_value", NULL);
	schema.csv.delimiter = '\t';
	cols[1].source = TXD_FROM_REST;
	check_refused(&schema, "bad_value", "b");
	cols[1].name = NULL;
	check_refused(&schema, "bad_value", NULL);
	txd_free(NULL);
}

int
main(void)
{
	test_binary();
	test_metadata();
	test_key_bytes();
	test_plain();
	test_conversions();
	test_bad_modifiers();
	test_bad_schemas();
	return check_done("rows");
}
