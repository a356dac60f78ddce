/*
 * test_key.c — columns from the message key, and messages without a value.
 */
#include "rig.h"

static const char *id[] = {"id"};
static const char *nested[] = {"a.b", "c\\.d"};
static const char *at[] = {"at"};
static const char *value_id[] = {"id"};

static const char *
decode_key(Rig *rig, const char *key, const char *payload)
{
	rig->message.key = key;
	rig->message.key_len = key != NULL ? strlen(key) : 0;
	return DECODE(rig, payload);
}

/* The row of a message without a value. */
static const char *
decode_tombstone(Rig *rig, const char *key)
{
	rig->message.key = key;
	rig->message.key_len = key != NULL ? strlen(key) : 0;
	return rig_decode(rig, NULL, 0);
}

#define CHECK_KEY(rig, key, want) CHECK_STR(decode_key((rig), (key), "{\"id\":\"v\"}"), want)
#define CHECK_TOMBSTONE(rig, key, want) CHECK_STR(decode_tombstone((rig), (key)), want)

static TxdColumn fields[] = {
	{.name = "k",
	 .type = TXD_INT4,
	 .not_null = true,
	 .source = TXD_FROM_KEY_FIELD,
	 .npaths = 1,
	 .paths = id},
	{.name = "n",
	 .type = TXD_STRING,
	 .source = TXD_FROM_KEY_FIELD,
	 .npaths = 2,
	 .paths = nested,
	 .convert = TXD_AS_TRIM,
	 .default_text = "none"},
	{.name = "at",
	 .type = TXD_TIMESTAMPTZ,
	 .precision = -1,
	 .source = TXD_FROM_KEY_FIELD,
	 .npaths = 1,
	 .paths = at,
	 .convert = TXD_AS_EPOCH_MS},
	{.name = "id", .type = TXD_STRING, .npaths = 1, .paths = value_id},
	{.name = "j", .type = TXD_JSONB, .source = TXD_FROM_KEY},
};

static void
test_fields(void)
{
	TxdSchema schema = {.format = TXD_JSON};
	Rig rig;

	COLUMNS(schema, fields);
	rig_open(&rig, &schema);
	CHECK_KEY(&rig, "{\"id\":7}", "7\tnone\t\\N\tv\t{\"id\":7}");
	CHECK_KEY(&rig, "{\"id\":\"7\",\"a\":{\"b\":\" x \"},\"at\":0}",
			  "7\tx\t1970-01-01 00:00:00+00\tv\t"
			  "{\"id\":\"7\",\"a\":{\"b\":\" x \"},\"at\":0}");
	/* the first alternative wins, whatever the order */
	CHECK_KEY(&rig, "{\"id\":1,\"c.d\":\"2\",\"a\":{\"b\":\"1\"}}",
			  "1\t1\t\\N\tv\t{\"id\":1,\"c.d\":\"2\",\"a\":{\"b\":\"1\"}}");
	CHECK_KEY(&rig, "{\"id\":1,\"c.d\":\"2\"}", "1\t2\t\\N\tv\t{\"id\":1,\"c.d\":\"2\"}");
	CHECK_KEY(&rig, "{\"id\":2147483648}", "out_of_range k");
	CHECK_KEY(&rig, "{\"id\":true}", "wrong_type k");
	CHECK_KEY(&rig, "{\"id\":null}", "missing_value k");
	CHECK_KEY(&rig, "{\"ID\":1}", "missing_value k");
	CHECK_KEY(&rig, "{\"id\":1,\"a\":{\"b\":\"\\u0000\"}}", "nul_byte n");
	CHECK_KEY(&rig, "{\"id\":1,\"id\":2}", "duplicate_field k");
	CHECK_MESSAGE(&rig, "message key: field is given twice, again at byte 9");
	/* what is no JSON object */
	CHECK_KEY(&rig, "abc", "bad_json k");
	CHECK_MESSAGE(&rig, "message key: ");
	CHECK_KEY(&rig, "{\"id\":1", "bad_json k");
	CHECK_MESSAGE(&rig, "message key: message ends too early at byte 8");
	CHECK_KEY(&rig, "{\"id\":1}x", "bad_json k");
	CHECK_KEY(&rig, "\xff", "bad_json k");
	CHECK_KEY(&rig, "{\"id\":\"\xff\"}", "bad_encoding k");
	CHECK_KEY(&rig, "7", "wrong_type k");
	CHECK_MESSAGE(&rig, "message key: not a JSON object");
	CHECK_KEY(&rig, "null", "wrong_type k");
	/* none */
	CHECK_KEY(&rig, "", "missing_value k");
	CHECK_KEY(&rig, NULL, "missing_value k");
	/* a message that is refused anyway does not hide the next key */
	CHECK_STR(decode_key(&rig, "{\"id\":1}", "{"), "bad_json -");
	CHECK_KEY(&rig, "{\"id\":3}", "3\tnone\t\\N\tv\t{\"id\":3}");
	rig_close(&rig);
}

static void
test_whole(void)
{
	TxdColumn cols[] = {
		{.name = "t", .type = TXD_STRING, .source = TXD_FROM_KEY},
		{.name = "j", .type = TXD_JSONB, .source = TXD_FROM_KEY},
	};
	TxdSchema schema = {.format = TXD_JSON};
	Rig rig;

	COLUMNS(schema, cols);
	rig_open(&rig, &schema);
	CHECK_KEY(&rig, "17", "17\t17");
	CHECK_KEY(&rig, "[1]", "[1]\t[1]");
	CHECK_KEY(&rig, "", "\t\\N");
	CHECK_KEY(&rig, NULL, "\\N\t\\N");
	CHECK_KEY(&rig, "k1", "bad_json j");
	CHECK_MESSAGE(&rig, "message key: ");
	CHECK_KEY(&rig, "\"\\u0000\"", "nul_byte j");
	CHECK_KEY(&rig, "\xff", "bad_encoding t");
	rig_close(&rig);

	cols[0].not_null = true;
	rig_open(&rig, &schema);
	CHECK_KEY(&rig, "", "missing_value t");
	CHECK_KEY(&rig, NULL, "missing_value t");
	rig_close(&rig);
}

/* Key fields do not depend on the format of the value. */
static void
test_formats(void)
{
	TxdColumn cols[] = {
		{.name = "k", .type = TXD_STRING, .source = TXD_FROM_KEY_FIELD, .npaths = 1, .paths = id},
		{.name = "t", .type = TXD_STRING},
	};
	TxdSchema schema = {.format = TXD_CSV};
	Rig rig;

	COLUMNS(schema, cols);
	rig_open(&rig, &schema);
	CHECK_STR(decode_key(&rig, "{\"id\":\"7\"}", "x"), "7\tx");
	rig_close(&rig);
	schema.format = TXD_PLAIN_TEXT;
	rig_open(&rig, &schema);
	CHECK_STR(decode_key(&rig, "{\"id\":\"7\"}", "x"), "7\tx");
	CHECK_STR(decode_key(&rig, "7", "x"), "wrong_type k");
	rig_close(&rig);
}

static TxdColumn all[] = {
	{.name = "k",
	 .type = TXD_INT4,
	 .not_null = true,
	 .source = TXD_FROM_KEY_FIELD,
	 .npaths = 1,
	 .paths = id},
	{.name = "key", .type = TXD_STRING, .not_null = true, .source = TXD_FROM_KEY},
	{.name = "v", .type = TXD_INT4, .not_null = true, .npaths = 1, .paths = value_id},
	{.name = "d", .type = TXD_INT4, .npaths = 1, .paths = at, .default_text = "9"},
	{.name = "w", .type = TXD_JSONB, .not_null = true, .source = TXD_FROM_VALUE},
	{.name = "r", .type = TXD_JSONB, .not_null = true, .source = TXD_FROM_REST},
	{.name = "o", .type = TXD_INT8, .not_null = true, .source = TXD_FROM_OFFSET},
	{.name = "c", .type = TXD_INT4, .source = TXD_FROM_CONSTANT, .default_text = "5"},
	{.name = "gone", .type = TXD_BOOL, .not_null = true, .source = TXD_FROM_IS_TOMBSTONE},
};

static void
test_tombstones(void)
{
	TxdSchema schema = {.format = TXD_JSON, .tombstones = true};
	Rig rig;

	COLUMNS(schema, all);
	rig_open(&rig, &schema);
	rig.message.topic = "t";
	rig.message.offset = 3;
	CHECK_STR(decode_key(&rig, "{\"id\":7}", "{\"id\":1}"),
			  "7\t{\"id\":7}\t1\t9\t{\"id\":1}\t{}\t3\t5\tf");
	CHECK_TOMBSTONE(&rig, "{\"id\":7}", "7\t{\"id\":7}\t\\N\t\\N\t\\N\t\\N\t3\t5\tt");
	CHECK_TOMBSTONE(&rig, "{\"id\":null}", "missing_value k");
	CHECK_TOMBSTONE(&rig, "", "missing_value k");
	CHECK_TOMBSTONE(&rig, NULL, "missing_value k");
	CHECK_TOMBSTONE(&rig, "7", "wrong_type k");
	/* no bytes and the word null are values */
	CHECK_STR(decode_key(&rig, "{\"id\":7}", ""), "bad_json -");
	CHECK_STR(decode_key(&rig, "{\"id\":7}", "null"), "wrong_type -");
	rig_close(&rig);

	schema.tombstones = false;
	rig_open(&rig, &schema);
	CHECK_TOMBSTONE(&rig, "{\"id\":7}", "tombstone -");
	rig_close(&rig);
}

static void
test_other_tombstones(void)
{
	TxdColumn cols[] = {
		{.name = "k", .type = TXD_STRING, .not_null = true, .source = TXD_FROM_KEY},
		{.name = "t", .type = TXD_STRING, .not_null = true},
		{.name = "gone", .type = TXD_BOOL, .source = TXD_FROM_IS_TOMBSTONE},
	};
	TxdSchema schema = {.format = TXD_PLAIN_TEXT, .tombstones = true};
	Rig rig;

	COLUMNS(schema, cols);
	rig_open(&rig, &schema);
	CHECK_STR(decode_key(&rig, "k", ""), "k\t\tf");
	CHECK_TOMBSTONE(&rig, "k", "k\t\\N\tt");
	rig_close(&rig);
	schema.format = TXD_CSV;
	rig_open(&rig, &schema);
	CHECK_STR(decode_key(&rig, "k", "x"), "k\tx\tf");
	CHECK_TOMBSTONE(&rig, "k", "k\t\\N\tt");
	rig_close(&rig);
}

static void
test_binary_tombstone(void)
{
	TxdSchema schema = {.format = TXD_JSON, .tombstones = true};
	TxdMessage m = {.key = "{\"id\":7}", .key_len = 8, .topic = "t", .offset = 258};
	TxdBuf rows = {NULL, 0, 0};
	TxdError err = {0};
	TxdDecoder *d;

	COLUMNS(schema, all);
	d = txd_new(&schema, &err);
	CHECK(d != NULL && txd_decode(d, &m, &rows, &err));
	CHECK_HEX(rows.data, rows.len,
			  "0009"
			  "0000000400000007"
			  "000000087b226964223a377d"
			  "ffffffff"
			  "ffffffff"
			  "ffffffff"
			  "ffffffff"
			  "000000080000000000000102"
			  "0000000400000005"
			  "0000000101");
	txd_buf_free(&rows);
	txd_free(d);
}

static void
test_bad_schemas(void)
{
	TxdColumn cols[] = {{.name = "a", .type = TXD_STRING, .source = TXD_FROM_KEY_FIELD}};
	TxdSchema schema = {.format = TXD_JSON};
	TxdError err = {0};
	static const char *bad[] = {"a..b"};

	COLUMNS(schema, cols);
	CHECK(txd_new(&schema, &err) == NULL);
	CHECK_STR(err.code, "bad_value");
	CHECK_STR(err.column, "a");
	cols[0].paths = bad;
	cols[0].npaths = 1;
	err.code = NULL;
	CHECK(txd_new(&schema, &err) == NULL);
	CHECK_STR(err.code, "bad_value");
	CHECK(err.column == cols[0].name);
	cols[0].source = TXD_FROM_IS_TOMBSTONE;
	CHECK(txd_new(&schema, &err) == NULL);
	CHECK_STR(err.code, "wrong_type");
}

int
main(void)
{
	test_fields();
	test_whole();
	test_formats();
	test_tombstones();
	test_other_tombstones();
	test_binary_tombstone();
	test_bad_schemas();
	return check_done("key");
}
