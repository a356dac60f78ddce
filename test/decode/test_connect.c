/*
 * test_connect.c — what the schemas beside change events say of their values, which they do not say themselves.
 */
#include <malloc.h>

#include "rig.h"

static TxdColumn columns[] = {
	{.name = "customer_id", .type = TXD_INT4, .or_key = true},
	{.name = "rest", .type = TXD_JSONB, .source = TXD_FROM_REST},
	{.name = "gone", .type = TXD_BOOL, .source = TXD_FROM_IS_TOMBSTONE},
};
static TxdColumn instants[] = {
	{.name = "us", .type = TXD_TIMESTAMPTZ, .precision = -1, .convert = TXD_AS_EPOCH_US},
	{.name = "ms", .type = TXD_TIMESTAMP, .precision = -1, .convert = TXD_AS_EPOCH_MS},
};
static TxdColumn id_only[] = {{.name = "customer_id", .type = TXD_INT4, .or_key = true}};

static const char *
decode_change(Rig *rig, const char *key, const char *payload)
{
	rig->message.key = key;
	rig->message.key_len = key != NULL ? strlen(key) : 0;
	return rig_decode(rig, payload, payload != NULL ? strlen(payload) : 0);
}

#define CHECK_CHANGE(rig, key, payload, want)                                                      \
	CHECK_STR(decode_change((rig), (key), (payload)), want)

#define AFTER(fields, values)                                                                      \
	"{\"schema\":{\"type\":\"struct\",\"fields\":[{\"type\":\"struct\",\"field\":\"after\","       \
	"\"fields\":[" fields "]},{\"type\":\"string\",\"field\":\"op\"}]},"                           \
	"\"payload\":{\"op\":\"c\",\"after\":{\"customerId\":1," values "}}}"
#define CHECK_MEANING(type, more, value, want)                                                     \
	CHECK_CHANGE(rig, NULL,                                                                        \
				 AFTER("{\"field\":\"x\",\"type\":\"" type "\"" more "}", "\"x\":" value),         \
				 "1\t{\"x\":" want "}\tf")
#define NAMED(name) ",\"name\":\"" name "\",\"version\":1"
#define DECIMAL(scale)                                                                             \
	NAMED("org.apache.kafka.connect.data.Decimal") ",\"parameters\":{\"scale\":\"" scale "\"}"

#define LEAST "-9223372036854775808"
#define MOST "9223372036854775807"

static void
test_times(Rig *rig)
{
	CHECK_MEANING("int32", NAMED("io.debezium.time.Date"), "19782", "\"2024-02-29\"");
	CHECK_MEANING("int32", NAMED("io.debezium.time.Date"), "null", "null");
	CHECK_MEANING("int32", NAMED("org.apache.kafka.connect.data.Date"), "-1", "\"1969-12-31\"");
	CHECK_MEANING("int32", NAMED("io.debezium.time.Time"), "1000", "\"00:00:01\"");
	CHECK_MEANING("int64", NAMED("io.debezium.time.MicroTime"), "1", "\"00:00:00.000001\"");
	CHECK_MEANING("int64", NAMED("io.debezium.time.MicroTime"), "-1", "-1");
	CHECK_MEANING("int64", NAMED("io.debezium.time.Timestamp"), "1000", "\"1970-01-01 00:00:01\"");
	CHECK_MEANING("int64", NAMED("io.debezium.time.MicroTimestamp"), "1704164645678901",
				  "\"2024-01-02 03:04:05.678901\"");
	CHECK_MEANING("int64", NAMED("org.apache.kafka.connect.data.Timestamp"), "1000",
				  "\"1970-01-01 00:00:01+00\"");
	CHECK_MEANING("string", NAMED("io.debezium.time.ZonedTimestamp"), "\"2024-01-02T03:04:05Z\"",
				  "\"2024-01-02T03:04:05Z\"");
}

/* What the types have no room for, and what has room in them but in no date. */
static void
test_far_times(Rig *rig)
{
	CHECK_MEANING("int32", NAMED("io.debezium.time.Date"), "2147483648", "2147483648");
	CHECK_MEANING("int32", NAMED("io.debezium.time.Date"), LEAST, LEAST);
	CHECK_MEANING("int32", NAMED("io.debezium.time.Date"), MOST, MOST);
	CHECK_MEANING("int32", NAMED("io.debezium.time.Date"), "2147483647", "\"5881580-07-11\"");
	CHECK_MEANING("int32", NAMED("io.debezium.time.Date"), "-2147483648", "\"5877642-06-23 BC\"");
	CHECK_MEANING("int32", NAMED("io.debezium.time.Time"), LEAST, LEAST);
	CHECK_MEANING("int32", NAMED("io.debezium.time.Time"), MOST, MOST);
	CHECK_MEANING("int64", NAMED("io.debezium.time.MicroTime"), LEAST, LEAST);
	CHECK_MEANING("int64", NAMED("io.debezium.time.NanoTime"), MOST, MOST);
	CHECK_MEANING("int64", NAMED("io.debezium.time.Timestamp"), LEAST,
				  "\"292275056-05-16 16:47:04.192 BC\"");
	CHECK_MEANING("int64", NAMED("org.apache.kafka.connect.data.Timestamp"), MOST,
				  "\"292278994-08-17 07:12:55.807+00\"");
	CHECK_MEANING("int64", NAMED("io.debezium.time.MicroTimestamp"), LEAST,
				  "\"290309-12-21 19:59:05.224192 BC\"");
	CHECK_MEANING("int64", NAMED("io.debezium.time.NanoTimestamp"), LEAST,
				  "\"1677-09-21 00:12:43.145224192\"");
	CHECK_MEANING("int64", NAMED("io.debezium.time.NanoTimestamp"), MOST,
				  "\"2262-04-11 23:47:16.854775807\"");
}

static void
test_bytes(Rig *rig)
{
	CHECK_MEANING("bytes", DECIMAL("2"), "\"BNI=\"", "12.34");
	CHECK_MEANING("bytes", DECIMAL("0"), "\"/w==\"", "-1");
	CHECK_MEANING("bytes", DECIMAL("0"), "\"\\/w==\"", "-1");
	CHECK_MEANING("bytes", DECIMAL("-2"), "\"AQ==\"", "1e2");
	CHECK_MEANING("bytes", DECIMAL("2"), "12.5", "12.5");
	CHECK_MEANING("bytes", DECIMAL("2"), "\"*\"", "\"*\"");
	CHECK_MEANING("bytes", DECIMAL("x"), "\"AQ==\"", "\"AQ==\"");
	CHECK_MEANING("bytes", "", "\"AP8=\"", "\"\\\\\\\\x00ff\"");
	CHECK_MEANING("struct", NAMED("io.debezium.data.VariableScaleDecimal"),
				  "{\"scale\":1,\"value\":\"BNI=\"}", "123.4");
	CHECK_MEANING("struct", NAMED("io.debezium.data.VariableScaleDecimal"), "{\"scale\":1}",
				  "{\"scale\":1}");
	CHECK_MEANING("string", NAMED("io.debezium.data.Json"), "\"{\\\"a\\\": [1]}\"", "{\"a\": [1]}");
	CHECK_MEANING("string", NAMED("io.debezium.data.Json"), "\"{\"", "\"{\"");
}

static void
test_others(Rig *rig)
{
	CHECK_MEANING("array", ",\"items\":{\"type\":\"int32\"" NAMED("io.debezium.time.Date") "}",
				  "[0, null,1]", "[\"1970-01-01\",null,\"1970-01-02\"]");
	CHECK_MEANING("array", ",\"items\":{\"type\":\"int32\"" NAMED("io.debezium.time.Date") "}",
				  "[]", "[]");
	CHECK_MEANING("map", ",\"values\":{\"type\":\"bytes\"" DECIMAL("1") "}",
				  "{\"a\":\"AQ==\",\"b\":null}", "{\"a\":0.1,\"b\":null}");
	/* not as the schema has it, or of a name that is not known */
	CHECK_MEANING("int32", NAMED("io.debezium.time.Date"), "\"x\"", "\"x\"");
	CHECK_MEANING("int32", NAMED("io.debezium.time.Date"), "1.5", "1.5");
	CHECK_MEANING("int32", NAMED("io.debezium.time.Date"), "99999999999999999999",
				  "99999999999999999999");
	CHECK_MEANING("int32", NAMED("io.debezium.time.Year"), "2024", "2024");
	CHECK_MEANING("int64", NAMED("io.debezium.time.Date"), "1", "1");
	/* a large value that was left alone, in base64 */
	CHECK_CHANGE(rig, NULL,
				 AFTER("{\"field\":\"x\",\"type\":\"bytes\"}",
					   "\"x\":\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\""),
				 "unavailable_value rest");
	/* the key has a schema of its own */
	CHECK_CHANGE(rig,
				 "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"field\":\"customerId\","
				 "\"type\":\"bytes\"" DECIMAL("0") "}]},\"payload\":{\"customerId\":\"Bw==\"}}",
				 NULL, "7\t\\N\tt");
}

/* Few bytes that mean many: digits behind the point. */
static void
test_growth(Rig *rig)
{
	static const char before[] = AFTER(
		"{\"field\":\"x\",\"type\":\"array\",\"items\":{\"type\":\"bytes\"" DECIMAL("16383") "}}",
		"\"x\":[");
	TxdBuf text = {0};

	txd_buf_append(&text, before, sizeof(before) - 4);
	for (int size = 0; size < TXD_MAX_ROW; size += 16383)
		txd_buf_append(&text, "\"AQ==\",", 7);
	txd_buf_append(&text, "null]}}}", 9);
	CHECK_CHANGE(rig, NULL, text.data, "too_long -");
	CHECK_MESSAGE(rig, "as JSON");
	CHECK_CHANGE(rig, text.data, NULL, "too_long -");
	CHECK_MESSAGE(rig, "message key");
	txd_buf_free(&text);
}

#define US_MS(us, ms) "\"us\":" us ",\"ms\":" ms
#define INSTANTS "2024-01-02 03:04:05.678901+00\t1970-01-01 01:00:01"

/* A mapping that says what is counted is right, too: in UTC, whatever zone times without one are in. */
static void
test_epochs(TxdSchema schema)
{
	static const int32_t offset[] = {3600};
	Rig rig;

	COLUMNS(schema, instants);
	schema.zone.offset = offset;
	rig_open(&rig, &schema);
	CHECK_CHANGE(&rig, NULL, AFTER("", US_MS("1704164645678901", "1000")), INSTANTS);
	CHECK_CHANGE(&rig, NULL,
				 AFTER("{\"field\":\"us\",\"type\":\"int64\"" NAMED(
						   "io.debezium.time.MicroTimestamp") "},"
															  "{\"field\":\"ms\",\"type\":"
															  "\"int64\"" NAMED(
																  "org.apache.kafka.connect.data."
																  "Timestamp") "}",
					   US_MS("1704164645678901", "1000")),
				 INSTANTS);
	CHECK_CHANGE(&rig, NULL,
				 AFTER("{\"field\":\"us\",\"type\":\"int32\"" NAMED("io.debezium.time.Date") "}",
					   US_MS("1", "1000")),
				 "bad_value us");
	CHECK_CHANGE(&rig, NULL, AFTER("", US_MS("\"infinity\"", "1000")), "bad_value us");
	CHECK_CHANGE(&rig, NULL, AFTER("", US_MS("\"294276-12-31 23:59:59\"", "1000")),
				 "out_of_range us");
	rig_close(&rig);
	schema.envelope = TXD_NO_ENVELOPE;
	schema.format = TXD_AVRO;
	schema.avro_schema = "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"us\","
						 "\"type\":{\"type\":\"long\","
						 "\"connect.name\":\"io.debezium.time.MicroTimestamp\"}}]}";
	rig_open(&rig, &schema);
	CHECK_STR(rig_decode(&rig, "\x02", 1), "1970-01-01 00:00:00.000001+00\t\\N");
	rig_close(&rig);
}

static void
append_text(TxdBuf *text, const char *s, int times)
{
	for (; times > 0; times--)
		txd_buf_append(text, s, strlen(s));
}

/* The row with a schema of its own, in which so many fields are none, and so many values. */
static const char *
large_change(TxdBuf *text, int number, int fields, int values)
{
	char head[100];

	snprintf(head, sizeof(head), "{\"schema\":{\"number\":%d,\"type\":\"struct\",\"fields\":[",
			 number);
	text->len = 0;
	append_text(text, head, 1);
	append_text(text, "1,", fields);
	append_text(
		text,
		"{\"field\":\"x\",\"type\":\"array\",\"items\":{\"type\":\"int32\"" NAMED(
			"io.debezium.time.Date") "}}]},\"payload\":{\"op\":\"c\",\"after\":{\"customerId\":1},"
									 "\"customerId\":1,\"x\":[",
		1);
	append_text(text, "0,", values);
	append_text(text, "0]}}", 1);
	txd_buf_byte(text, '\0');
	return text->data;
}

#define MEGABYTE ((size_t) 1 << 20)

static size_t
memory_in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* What is kept of schemas, messages and keys that are large. */
static void
test_memory(Rig *rig)
{
	TxdBuf text = {0};
	TxdBuf key = {0};
	size_t before;

	CHECK_CHANGE(rig, large_change(&key, -1, 0, 0), large_change(&text, -1, 0, 0), "1");
	before = memory_in_use();
	CHECK_CHANGE(rig, NULL, large_change(&text, 12, 10000000, 0), "too_long -");
	for (int i = 0; i < 4; i++)
	{
		/* nodes of 24 bytes for two of text, text of megabytes, values */
		CHECK_CHANGE(rig, NULL, large_change(&text, 3 * i, 300000, 0), "1");
		CHECK_CHANGE(rig, NULL, large_change(&text, 3 * i + 1, 2000000, 0), "1");
		CHECK_CHANGE(rig, large_change(&key, 3 * i, 1, 300000),
					 large_change(&text, 3 * i + 2, 1, 300000), "1");
	}
	CHECK_CHANGE(rig, large_change(&key, 13, 0, 0), large_change(&text, 13, 0, 0), "1");
	txd_buf_free(&text);
	txd_buf_free(&key);
	CHECK_INT(memory_in_use() / MEGABYTE, before / MEGABYTE);
}

int
main(void)
{
	TxdSchema schema = {.format = TXD_JSON, .envelope = TXD_DEBEZIUM, .tombstones = true};
	Rig rig;

	COLUMNS(schema, columns);
	rig_open(&rig, &schema);
	test_times(&rig);
	test_far_times(&rig);
	test_bytes(&rig);
	test_others(&rig);
	test_growth(&rig);
	rig_close(&rig);
	test_epochs(schema);
	COLUMNS(schema, id_only);
	rig_open(&rig, &schema);
	test_memory(&rig);
	rig_close(&rig);
	return check_done("connect");
}
