/*
 * test_key_formats.c — keys of JSON, Avro and Protobuf, whatever the format of the value is.
 */
#include "rig.h"

static const char *id[] = {"id"};
static const char *city[] = {"at.city"};

/* Of bytes, with their length. */
static const char *
decode_bytes(Rig *rig, const char *key, size_t len, const char *payload)
{
	rig->message.key = key;
	rig->message.key_len = len;
	return rig_decode(rig, payload, payload != NULL ? strlen(payload) : 0);
}

#define CHECK_KEY(rig, key, want)                                                                  \
	CHECK_STR(decode_bytes((rig), (key), sizeof(key) - 1, "{\"v\":1}"), want)

static TxdColumn fields[] = {
	{.name = "id", .type = TXD_INT8, .source = TXD_FROM_KEY_FIELD, .npaths = 1, .paths = id},
	{.name = "city", .type = TXD_STRING, .source = TXD_FROM_KEY_FIELD, .npaths = 1, .paths = city},
	{.name = "j", .type = TXD_JSONB, .source = TXD_FROM_KEY},
	{.name = "raw", .type = TXD_BYTEA, .source = TXD_FROM_KEY},
	{.name = "v", .type = TXD_INT4},
};

static const char *const avro_key =
	"{\"type\":\"record\",\"name\":\"k\",\"fields\":[{\"name\":\"id\",\"type\":\"long\"},"
	"{\"name\":\"at\",\"type\":{\"type\":\"record\",\"name\":\"p\",\"fields\":["
	"{\"name\":\"city\",\"type\":\"string\"}]}}]}";

static const char *const proto_key =
	"syntax = \"proto3\"; message K { int64 id = 1; P at = 2; message P { string city = 1; } }";

static void
test_records(void)
{
	TxdSchema schema = {.format = TXD_JSON, .key_format = TXD_KEY_AVRO};
	Rig rig;

	COLUMNS(schema, fields);
	schema.key_avro_schema = avro_key;
	rig_open(&rig, &schema);
	CHECK_KEY(&rig,
			  "\x0e\x04"
			  "ab",
			  "7\tab\t{\"id\":7,\"at\":{\"city\":\"ab\"}}\t\\\\x0e046162\t1");
	CHECK_KEY(&rig, "\x0e\x04\x61", "bad_avro -");
	CHECK_MESSAGE(&rig, "message key: ");
	CHECK_KEY(&rig, "", "\\N\t\\N\t\\N\t\\\\x\t1");
	CHECK_STR(decode_bytes(&rig, NULL, 0, "{\"v\":1}"), "\\N\t\\N\t\\N\t\\N\t1");
	CHECK_KEY(&rig, "\x0e\x02x", "7\tx\t{\"id\":7,\"at\":{\"city\":\"x\"}}\t\\\\x0e0278\t1");
	rig_close(&rig);

	schema.key_format = TXD_KEY_PROTOBUF;
	schema.key_protobuf_schema = proto_key;
	schema.key_protobuf_message = "K";
	rig_open(&rig, &schema);
	CHECK_KEY(&rig, "\x08\x07\x12\x03\x0a\x01x",
			  "7\tx\t{\"id\":7,\"at\":{\"city\":\"x\"}}\t\\\\x080712030a0178\t1");
	CHECK_KEY(&rig, "\x08", "bad_protobuf -");
	rig_close(&rig);

	/* behind the number of a JSON Schema, or not */
	schema.key_format = TXD_KEY_JSON;
	rig_open(&rig, &schema);
	rig.message.topic = "t";
	CHECK_KEY(&rig, "\0\0\0\0\1{\"id\":5}",
			  "5\t\\N\t{\"id\":5}\t\\\\x00000000017b226964223a357d\t1");
	CHECK_KEY(&rig, "{\"id\":5}", "5\t\\N\t{\"id\":5}\t\\\\x7b226964223a357d\t1");
	CHECK_KEY(&rig, "{\"id\":", "bad_json id");
	CHECK_KEY(&rig, "\0\0\0\0\1", "bad_json id");
	rig_close(&rig);
}

/* What the schema of a key says of it, or of its fields. */
static void
test_described(void)
{
	static TxdColumn column[] = {
		{.name = "said", .type = TXD_STRING, .source = TXD_FROM_KEY_SCHEMA}};
	TxdSchema schema = {.format = TXD_JSON, .key_format = TXD_KEY_AVRO};
	Rig rig;

	COLUMNS(schema, column);
	schema.key_avro_schema = avro_key;
	rig_open(&rig, &schema);
	CHECK_KEY(&rig,
			  "\x0e\x04"
			  "ab",
			  "[{\"name\":\"id\",\"type\":\"bigint\"},{\"name\":\"at\",\"type\":\"jsonb\"}]");
	CHECK_KEY(&rig, "", "\\N");
	CHECK_STR(decode_bytes(&rig, NULL, 0, "{}"), "\\N");
	rig_close(&rig);

	schema.key_avro_schema =
		"[\"null\",{\"type\":\"int\",\"logicalType\":\"date\",\"doc\":\"The \\\"day\\\"\"}]";
	rig_open(&rig, &schema);
	CHECK_KEY(&rig, "\x02\x02",
			  "[{\"name\":\"\",\"type\":\"date\",\"doc\":\"The \\\\\"day\\\\\"\"}]");
	rig_close(&rig);

	schema.key_format = TXD_KEY_PROTOBUF;
	schema.key_protobuf_schema =
		"syntax = \"proto3\"; import \"google/protobuf/wrappers.proto\"; message M { }";
	schema.key_protobuf_message = "google.protobuf.StringValue";
	rig_open(&rig, &schema);
	CHECK_KEY(&rig, "\x0a\x01x", "[{\"name\":\"\",\"type\":\"text\"}]");
	schema.key_protobuf_message = "M";
	rig_close(&rig);
	rig_open(&rig, &schema);
	CHECK_KEY(&rig, "\x08\x01", "\\N");
	rig_close(&rig);
}

/* "$key" as a text is the string that the key is, without quotes; anything else as JSON has it. */
static void
test_scalars(void)
{
	static TxdColumn whole[] = {
		{.name = "t", .type = TXD_STRING, .source = TXD_FROM_KEY},
		{.name = "n", .type = TXD_STRING, .not_null = true, .source = TXD_FROM_KEY},
		{.name = "v", .type = TXD_INT4},
	};
	TxdSchema schema = {.format = TXD_JSON, .key_format = TXD_KEY_AVRO};
	Rig rig;

	COLUMNS(schema, whole);
	schema.key_avro_schema = "\"string\"";
	rig_open(&rig, &schema);
	CHECK_KEY(&rig, "\x06\x61\"b", "a\"b\ta\"b\t1");
	CHECK_KEY(&rig, "\x02\xff", "bad_encoding t");
	CHECK_KEY(&rig, "", "missing_value n");
	rig_close(&rig);
	schema.key_avro_schema = "[\"null\", \"long\"]";
	rig_open(&rig, &schema);
	CHECK_KEY(&rig, "\x02\x0e", "7\t7\t1");
	CHECK_KEY(&rig, "\0", "missing_value n");
	rig_close(&rig);
	schema.key_format = TXD_KEY_JSON;
	rig_open(&rig, &schema);
	CHECK_KEY(&rig, " \"\\u0061\\n\" ", "a\\n\ta\\n\t1");
	CHECK_KEY(&rig, "{\"a\": [1]}", "{\"a\": [1]}\t{\"a\": [1]}\t1");
	CHECK_KEY(&rig, "true", "true\ttrue\t1");
	CHECK_KEY(&rig, "abc", "bad_json t");
	CHECK_MESSAGE(&rig, "message key: ");
	CHECK_KEY(&rig, "\"\\u0000\"", "nul_byte t");
	CHECK_KEY(&rig, "1 2", "bad_json t");
	rig_close(&rig);
	/* as it is */
	schema.key_format = TXD_KEY_TEXT;
	rig_open(&rig, &schema);
	CHECK_KEY(&rig, "\"a\"", "\"a\"\t\"a\"\t1");
	rig_close(&rig);
}

/* Keys of change events, deletions and tombstones included. */
static void
test_changes(void)
{
	static TxdColumn change[] = {
		{.name = "id", .type = TXD_INT8, .not_null = true, .or_key = true},
		{.name = "name", .type = TXD_STRING},
		{.name = "gone", .type = TXD_BOOL, .source = TXD_FROM_IS_TOMBSTONE},
	};
	TxdSchema schema = {.format = TXD_JSON,
						.envelope = TXD_DEBEZIUM,
						.tombstones = true,
						.key_format = TXD_KEY_AVRO,
						.key_avro_schema = avro_key};
	Rig rig;

	COLUMNS(schema, change);
	rig_open(&rig, &schema);
	CHECK_STR(
		decode_bytes(&rig, "\x0e\x02x", 3, "{\"op\":\"c\",\"after\":{\"id\":7,\"name\":\"a\"}}"),
		"7\ta\tf");
	CHECK_STR(decode_bytes(&rig, "\x0e\x02x", 3, "{\"op\":\"d\",\"before\":{\"id\":7}}"),
			  "7\t\\N\tt");
	CHECK_STR(decode_bytes(&rig, "\x0e\x02x", 3, NULL), "7\t\\N\tt");
	CHECK_STR(decode_bytes(&rig, "\x0e", 1, NULL), "bad_avro -");
	rig_close(&rig);
}

static void
add(TxdDecoder *d, const TxdWanted *wanted, const char *text)
{
	static const char *const name = "schema";

	txd_add_schema(d, wanted, &name, &text, 1);
}

/* Numbers of keys are apart from those of values. */
static void
test_registry(void)
{
	static TxdColumn cols[] = {
		{.name = "id", .type = TXD_INT8, .source = TXD_FROM_KEY_FIELD, .npaths = 1, .paths = id},
		{.name = "v", .type = TXD_INT4},
	};
	static const TxdRegistry registry = {.url = "http://r"};
	TxdSchema schema = {.format = TXD_AVRO, .key_format = TXD_KEY_PROTOBUF, .registry = &registry};
	TxdMessage m = {.payload = "\0\0\0\0\7\2",
					.payload_len = 6,
					.key = "\0\0\0\0\7\0\x08\x09",
					.key_len = 8,
					.timestamp_ms = -1};
	TxdBuf rows = {0};
	TxdError err = {0};
	TxdWanted wanted;
	TxdDecoder *d;

	schema.form = TXD_TEXT;
	COLUMNS(schema, cols);
	d = txd_new(&schema, &err);
	CHECK(d != NULL && txd_wants_schema(d, &m, &wanted));
	CHECK(wanted.format == TXD_AVRO && !wanted.of_key && wanted.id == 7);
	add(d, &wanted,
		"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"v\",\"type\":\"int\"}]}");
	CHECK(txd_wants_schema(d, &m, &wanted));
	CHECK(wanted.format == TXD_PROTOBUF && wanted.of_key && wanted.id == 7);
	CHECK(!txd_decode(d, &m, &rows, &err));
	CHECK_STR(err.code, "unknown_schema");
	add(d, &wanted, proto_key);
	CHECK(!txd_wants_schema(d, &m, &wanted));
	CHECK(txd_decode(d, &m, &rows, &err));
	CHECK(rows.len == 4 && memcmp(rows.data, "9\t1\n", 4) == 0);
	/* a tombstone wants that of its key */
	m.payload = NULL;
	m.key = "\0\0\0\0\10\0\x08\x09";
	CHECK(txd_wants_schema(d, &m, &wanted) && wanted.of_key && wanted.id == 8);
	txd_refuse_schema(d, &wanted, "no");
	CHECK(!txd_wants_schema(d, &m, &wanted));
	m.payload = "\0\0\0\0\7\2";
	CHECK(!txd_decode(d, &m, &rows, &err));
	CHECK_STR(err.code, "bad_schema");
	CHECK_STR(err.message, "message key: schema 8: no");
	txd_free(d);

	/* a key that no column comes from */
	schema.ncolumns = 1;
	schema.columns = &cols[1];
	m.key = "x";
	d = txd_new(&schema, &err);
	CHECK(d != NULL && txd_wants_schema(d, &m, &wanted) && !wanted.of_key);
	add(d, &wanted,
		"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"v\",\"type\":\"int\"}]}");
	CHECK(!txd_wants_schema(d, &m, &wanted));
	txd_free(d);
	txd_buf_free(&rows);
}

static void
test_bad(void)
{
	TxdSchema schema = {.format = TXD_JSON, .key_format = TXD_KEY_AVRO};
	TxdError err = {0};

	COLUMNS(schema, fields);
	CHECK(txd_new(&schema, &err) == NULL);
	CHECK_STR(err.message, "message key: Avro needs a schema, or a registry of them");
	schema.key_avro_schema = "{";
	CHECK(txd_new(&schema, &err) == NULL);
	CHECK_STR(err.code, "bad_schema");
}

int
main(void)
{
	test_records();
	test_described();
	test_scalars();
	test_changes();
	test_registry();
	test_bad();
	return check_done("key formats");
}
