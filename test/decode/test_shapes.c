/*
 * test_shapes.c — envelopes, several rows of a message, and paths to elements of arrays.
 */
#include "rig.h"

static const char *
decode_with(Rig *rig, const char *key, const char *headers, const char *payload)
{
	rig->message.key = key;
	rig->message.key_len = key != NULL ? strlen(key) : 0;
	rig->message.headers = headers;
	rig->message.headers_len = headers != NULL ? strlen(headers) : 0;
	return rig_decode(rig, payload, payload != NULL ? strlen(payload) : 0);
}

#define CHECK_CHANGE(rig, key, payload, want)                                                      \
	CHECK_STR(decode_with((rig), (key), NULL, (payload)), want)
#define CHECK_EVENT(rig, headers, payload, want)                                                   \
	CHECK_STR(decode_with((rig), NULL, (headers), (payload)), want)

/* --- Debezium --- */

static const char *op[] = {"op"};
static const char *lsn[] = {"source.lsn"};

static TxdColumn change[] = {
	{.name = "customer_id", .type = TXD_INT4, .not_null = true, .or_key = true},
	{.name = "name", .type = TXD_STRING, .not_null = true},
	{.name = "op",
	 .type = TXD_STRING,
	 .not_null = true,
	 .source = TXD_FROM_ENVELOPE_FIELD,
	 .npaths = 1,
	 .paths = op},
	{.name = "lsn", .type = TXD_INT8, .source = TXD_FROM_ENVELOPE_FIELD, .npaths = 1, .paths = lsn},
	{.name = "rest", .type = TXD_JSONB, .source = TXD_FROM_REST},
	{.name = "gone", .type = TXD_BOOL, .source = TXD_FROM_IS_TOMBSTONE},
};

static void
test_changes(void)
{
	TxdSchema schema = {.format = TXD_JSON, .envelope = TXD_DEBEZIUM, .tombstones = true};
	const char *key = "{\"customerId\":7}";
	Rig rig;

	COLUMNS(schema, change);
	rig_open(&rig, &schema);
	CHECK_CHANGE(
		&rig, key,
		"{\"before\":null,\"after\":{\"customerId\":7,\"name\":\"a\",\"x\":1},\"op\":\"c\","
		"\"source\":{\"lsn\":5}}",
		"7\ta\tc\t5\t{\"x\":1}\tf");
	CHECK_CHANGE(&rig, key, "{\"op\":\"u\",\"after\":{\"name\":\"b\",\"customerId\":7}}",
				 "7\tb\tu\t\\N\t{}\tf");
	CHECK_CHANGE(&rig, key, "{\"op\":\"r\",\"after\":{\"name\":\"b\",\"customerId\":7}}",
				 "7\tb\tr\t\\N\t{}\tf");
	/* as JsonConverter writes with schemas.enable, key and value each on its own */
	CHECK_CHANGE(
		&rig, "{\"schema\":{},\"payload\":{\"customerId\":7}}",
		"{\"schema\":{\"name\":\"v\"},\"payload\":{\"op\":\"c\",\"after\":{\"name\":\"c\"}}}",
		"7\tc\tc\t\\N\t{}\tf");
	/* without a key the row has its own */
	CHECK_CHANGE(&rig, NULL, "{\"op\":\"c\",\"after\":{\"customer_id\":8,\"name\":\"c\"}}",
				 "8\tc\tc\t\\N\t{}\tf");
	/* deletes and what follows them */
	CHECK_CHANGE(&rig, key, "{\"op\":\"d\",\"before\":{\"customerId\":7},\"after\":null}",
				 "7\t\\N\td\t\\N\t\\N\tt");
	CHECK_CHANGE(&rig, key, NULL, "7\t\\N\t\\N\t\\N\t\\N\tt");
	CHECK_CHANGE(&rig, key, "{\"schema\":null,\"payload\":null}", "7\t\\N\t\\N\t\\N\t\\N\tt");
	CHECK_CHANGE(&rig, key, "null", "7\t\\N\t\\N\t\\N\t\\N\tt");
	CHECK_CHANGE(&rig, NULL, "{\"op\":\"d\",\"before\":{\"customerId\":7}}",
				 "missing_value customer_id");
	CHECK_CHANGE(&rig, "7", "{\"op\":\"d\"}", "wrong_type customer_id");
	/* escapes in names, one of which is looked for */
	CHECK_CHANGE(&rig, key, "{\"\\u006fp\":\"c\",\"after\":{\"name\":\"e\"}}",
				 "7\te\tc\t\\N\t{}\tf");
	rig_close(&rig);
}

static void
test_no_changes(void)
{
	TxdSchema schema = {.format = TXD_JSON, .envelope = TXD_DEBEZIUM, .tombstones = true};
	const char *key = "{\"customerId\":7}";
	Rig rig;

	COLUMNS(schema, change);
	rig_open(&rig, &schema);
	CHECK_CHANGE(&rig, key, "{\"op\":\"t\",\"before\":null,\"after\":null}", "truncate -");
	CHECK_CHANGE(&rig, key, "{\"op\":\"m\",\"message\":{}}", "unknown_op -");
	CHECK_CHANGE(&rig, key, "{\"op\":\"cc\",\"after\":{}}", "unknown_op -");
	CHECK_CHANGE(&rig, key, "{\"op\":\"\",\"after\":{}}", "unknown_op -");
	CHECK_CHANGE(&rig, key, "{\"op\":1,\"after\":{}}", "bad_envelope -");
	CHECK_CHANGE(&rig, key, "{\"op\":\"c\",\"after\":null}", "bad_envelope -");
	CHECK_CHANGE(&rig, key, "{\"op\":\"c\",\"after\":\"{}\"}", "bad_envelope -");
	CHECK_CHANGE(&rig, key, "{\"op\":\"c\"}", "bad_envelope -");
	CHECK_CHANGE(&rig, key, "{\"customerId\":7,\"name\":\"a\"}", "bad_envelope -");
	CHECK_CHANGE(&rig, key, "{\"schema\":{},\"payload\":7}", "bad_envelope -");
	CHECK_CHANGE(&rig, key, "{}", "bad_envelope -");
	CHECK_CHANGE(&rig, key, "[]", "bad_envelope -");
	CHECK_CHANGE(&rig, key, "{\"op\":\"c\",\"op\":\"d\",\"after\":{}}", "duplicate_field -");
	CHECK_CHANGE(&rig, key, "{\"op\":\"d\"", "bad_json -");
	CHECK_CHANGE(&rig, key, "{\"op\":\"d\"}x", "bad_json -");
	CHECK_CHANGE(&rig, key, "", "bad_json -");
	/* what an update did not touch is not sent, and must not be taken for a value */
	CHECK_CHANGE(&rig, key, "{\"op\":\"u\",\"after\":{\"name\":\"__debezium_unavailable_value\"}}",
				 "unavailable_value name");
	CHECK_CHANGE(&rig, key,
				 "{\"op\":\"u\",\"after\":{\"name\":\"n\","
				 "\"y\":\"__debezium_unavailable_value\"}}",
				 "unavailable_value rest");
	CHECK_CHANGE(&rig, key,
				 "{\"op\":\"u\",\"after\":{\"name\":\"n\","
				 "\"y\":[\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"]}}",
				 "unavailable_value rest");
	CHECK_CHANGE(&rig, key,
				 "{\"op\":\"u\",\"after\":{\"name\":\"n\",\"y\":\"\\\\x"
				 "5f5f646562657a69756d5f756e617661696c61626c655f76616c7565\"}}",
				 "unavailable_value rest");
	CHECK_CHANGE(&rig, key, "{\"op\":\"__debezium_unavailable_value\",\"after\":{\"name\":\"n\"}}",
				 "unknown_op -");
	/* a text that only speaks of it is one */
	CHECK_CHANGE(&rig, key,
				 "{\"op\":\"u\",\"after\":{\"name\":\"no __debezium_unavailable_value\","
				 "\"y\":\"{\\\"a\\\":\\\"__debezium_unavailable_value\\\"}\"}}",
				 "7\tno __debezium_unavailable_value\tu\t\\N\t{\"y\":\"{\\\\\"a\\\\\":"
				 "\\\\\"__debezium_unavailable_value\\\\\"}\"}\tf");
	rig_close(&rig);

	schema.tombstones = false;
	rig_open(&rig, &schema);
	CHECK_CHANGE(&rig, key, "{\"op\":\"d\"}", "tombstone -");
	CHECK_MESSAGE(&rig, "upsert_delete");
	CHECK_CHANGE(&rig, key, NULL, "tombstone -");
	rig_close(&rig);
}

/* The same where what stands for the value is not in a field of its own column. */
static void
test_unavailable(void)
{
	static const char *after[] = {"after.y"};
	static const char *before[] = {"before.y"};
	static const char *const held =
		"{\"op\":\"u\",\"before\":{\"y\":\"b\"},"
		"\"after\":{\"y\":\"__debezium_unavailable_value\",\"items\":[{}]}}";
	static const char *const held_before =
		"{\"op\":\"u\",\"before\":{\"y\":\"__debezium_unavailable_value\"},"
		"\"after\":{\"y\":\"a\",\"items\":[{}]}}";
	TxdColumn col = {.name = "c", .type = TXD_JSONB};
	const struct
	{
		TxdSource source;
		TxdType type;
		const char **path;
		const char *want;
		const char *want_before;
		const char *rows;
	} columns[] = {
		{TXD_FROM_VALUE, TXD_JSONB, NULL, "unavailable_value c", "{\"y\":\"a\",\"items\":[{}]}",
		 NULL},
		{TXD_FROM_REST, TXD_JSONB, NULL, "unavailable_value c", "{\"y\":\"a\",\"items\":[{}]}",
		 NULL},
		{TXD_FROM_ENVELOPE_FIELD, TXD_STRING, after, "unavailable_value c", "a", NULL},
		{TXD_FROM_ENVELOPE_FIELD, TXD_STRING, before, "b", "unavailable_value c", NULL},
		{TXD_FROM_ENVELOPE_FIELD, TXD_STRING, after, "unavailable_value c", "a", "items"},
		{TXD_FROM_ENVELOPE_FIELD, TXD_STRING, op, "u", "u", NULL},
	};
	TxdSchema schema = {
		.format = TXD_JSON, .envelope = TXD_DEBEZIUM, .columns = &col, .ncolumns = 1};

	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
	{
		Rig rig;

		col.source = columns[i].source;
		col.type = columns[i].type;
		col.paths = columns[i].path;
		col.npaths = columns[i].path != NULL;
		schema.rows = columns[i].rows;
		rig_open(&rig, &schema);
		CHECK_CHANGE(&rig, NULL, held, columns[i].want);
		CHECK_CHANGE(&rig, NULL, held_before, columns[i].want_before);
		rig_close(&rig);
	}
}

/* --- CloudEvents --- */

static const char *type[] = {"type"};
static const char *order[] = {"data.order"};

static TxdColumn event[] = {
	{.name = "a", .type = TXD_INT4},
	{.name = "type",
	 .type = TXD_STRING,
	 .source = TXD_FROM_ENVELOPE_FIELD,
	 .npaths = 1,
	 .paths = type},
	{.name = "order_id",
	 .type = TXD_INT4,
	 .source = TXD_FROM_ENVELOPE_FIELD,
	 .npaths = 1,
	 .paths = order},
};

static void
test_cloudevents(void)
{
	TxdSchema schema = {.format = TXD_JSON, .envelope = TXD_CLOUDEVENTS};
	const char *binary = "{\"content-type\": \"application/json\", \"ce_specversion\": \"1.0\", "
						 "\"ce_type\": \"t\\\"1\", \"other\": \"x\"}";
	const char *structured = "{\"content-type\": \"Application/CloudEvents+json; charset=UTF-8\"}";
	Rig rig;

	COLUMNS(schema, event);
	rig_open(&rig, &schema);
	CHECK_EVENT(&rig, NULL,
				"{\"specversion\":\"1.0\",\"type\":\"t\",\"data\":{\"a\":1,\"order\":2}}",
				"1\tt\t2");
	CHECK_EVENT(&rig, structured, "{\"specversion\":\"1.0\",\"type\":\"t\",\"data\":{\"a\":1}}",
				"1\tt\t\\N");
	CHECK_EVENT(&rig, binary, "{\"a\":1,\"order\":2}", "1\tt\"1\t2");
	CHECK_EVENT(&rig, "{\"ce_specversion\": \"1.0\"}", "{\"a\":2}", "2\t\\N\t\\N");
	/* what has no data has no fields */
	CHECK_EVENT(&rig, NULL, "{\"specversion\":\"1.0\",\"type\":\"t\"}", "\\N\tt\t\\N");
	CHECK_EVENT(&rig, NULL, "{\"specversion\":\"1.0\",\"type\":\"t\",\"data\":null}",
				"\\N\tt\t\\N");
	CHECK_EVENT(&rig, NULL, "{\"specversion\":\"1.0\",\"data\":\"text\"}", "wrong_type -");
	CHECK_EVENT(&rig, NULL, "{\"specversion\":\"1.0\",\"data_base64\":\"e30=\"}", "bad_envelope -");
	CHECK_EVENT(&rig, NULL, "{\"a\":1}", "bad_envelope -");
	CHECK_EVENT(&rig, NULL, "{\"specversion\":1,\"data\":{}}", "bad_envelope -");
	CHECK_EVENT(&rig, NULL, "[]", "bad_envelope -");
	CHECK_EVENT(&rig, structured, "{\"a\":1}", "bad_envelope -");
	CHECK_EVENT(&rig, "{\"content-type\": \"application/cloudevents-batch+json\"}", "[]",
				"bad_envelope -");
	CHECK_EVENT(&rig, binary, "{\"a\":", "bad_json -");
	CHECK_EVENT(&rig, binary, "7", "wrong_type -");
	CHECK_EVENT(&rig, binary, NULL, "tombstone -");
	rig_close(&rig);
}

/* --- rows --- */

static const char *order_id[] = {"orderId"};

static TxdColumn item[] = {
	{.name = "sku", .type = TXD_STRING, .not_null = true},
	{.name = "n", .type = TXD_INT4, .default_text = "1"},
	{.name = "row", .type = TXD_INT4, .source = TXD_FROM_ROW},
	{.name = "order_id",
	 .type = TXD_INT4,
	 .source = TXD_FROM_ENVELOPE_FIELD,
	 .npaths = 1,
	 .paths = order_id},
};

static void
test_rows(void)
{
	TxdSchema schema = {.format = TXD_JSON, .rows = "items", .track_fields = true};
	const TxdFieldSeen *fields;
	uint64_t unlisted;
	Rig rig;

	COLUMNS(schema, item);
	rig_open(&rig, &schema);
	CHECK_ROW(&rig, "{\"orderId\":5,\"items\":[{\"sku\":\"a\",\"n\":2},{\"sku\":\"b\"}]}",
			  "a\t2\t0\t5\nb\t1\t1\t5");
	CHECK_ROW(&rig, " { \"items\" : [ { \"sku\" : \"a\" } ] , \"orderId\" : 6 } ", "a\t1\t0\t6");
	CHECK(txd_fields_seen(rig.d, &fields, &unlisted) == 2);
	CHECK_STR(fields[0].path, "sku");
	CHECK(fields[0].count == 3 && fields[1].count == 1);
	/* nothing is no row, and no refusal */
	CHECK_ROW(&rig, "{\"items\":[]}", "");
	CHECK(rig.err.code == NULL);
	CHECK_ROW(&rig, "{\"items\":[ ]}", "");
	/* all or nothing */
	CHECK_ROW(&rig, "{\"items\":[{\"sku\":\"a\"},{\"n\":1}]}", "missing_value sku");
	CHECK_MESSAGE(&rig, "row 1: ");
	CHECK_ROW(&rig, "{\"items\":[{\"sku\":\"a\"},7]}", "wrong_type -");
	CHECK_MESSAGE(&rig, "row 1: ");
	CHECK_ROW(&rig, "{\"items\":[{\"sku\":\"a\"}],\"orderId\":\"x\"}", "bad_value order_id");
	/* no array */
	CHECK_ROW(&rig, "{\"orderId\":5}", "missing_value -");
	CHECK_ROW(&rig, "{\"items\":null}", "missing_value -");
	CHECK_ROW(&rig, "{\"items\":{\"sku\":\"a\"}}", "wrong_type -");
	CHECK_ROW(&rig, "{\"items\":\"[]\"}", "wrong_type -");
	CHECK_ROW(&rig, "{\"items\":[{\"sku\":\"a\"}],\"items\":[]}", "duplicate_field -");
	CHECK_ROW(&rig, "{\"items\":[{\"sku\":\"a\"},]}", "bad_json -");
	CHECK_ROW(&rig, "{\"items\":[{\"sku\":\"a\"}]", "bad_json -");
	CHECK_ROW(&rig, "[]", "missing_value -");
	rig_close(&rig);

	schema.rows = "order.the\\.lines";
	item[3].paths[0] = "order.id";
	rig_open(&rig, &schema);
	CHECK_ROW(&rig, "{\"order\":{\"id\":5,\"the.lines\":[{\"sku\":\"a\"},{\"sku\":\"b\"}]}}",
			  "a\t1\t0\t5\nb\t1\t1\t5");
	CHECK_ROW(&rig, "{\"order\":[]}", "missing_value -");
	rig_close(&rig);
	item[3].paths[0] = "orderId";
}

/* The message itself is the array, or lines of JSON. */
static void
test_whole_rows(void)
{
	TxdColumn cols[] = {
		item[0], item[1], item[2], {.name = "whole", .type = TXD_JSONB, .source = TXD_FROM_VALUE}};
	TxdSchema schema = {.format = TXD_JSON, .rows = TXD_ROWS_VALUE};
	Rig rig;

	COLUMNS(schema, cols);
	rig_open(&rig, &schema);
	CHECK_ROW(&rig, " [{\"sku\":\"a\"}, {\"sku\":\"b\"}] ",
			  "a\t1\t0\t{\"sku\":\"a\"}\nb\t1\t1\t{\"sku\":\"b\"}");
	CHECK_ROW(&rig, "[]", "");
	CHECK_ROW(&rig, "[1]", "wrong_type -");
	CHECK_ROW(&rig, "[,]", "bad_json -");
	CHECK_ROW(&rig, "[{\"sku\":\"a\"}] x", "bad_json -");
	CHECK_ROW(&rig, "{\"sku\":\"a\"}", "wrong_type -");
	rig_close(&rig);

	schema.rows = TXD_ROWS_LINES;
	rig_open(&rig, &schema);
	CHECK_ROW(&rig, "{\"sku\":\"a\"}\r\n\n{\"sku\":\"b\"}\n",
			  "a\t1\t0\t{\"sku\":\"a\"}\nb\t1\t1\t{\"sku\":\"b\"}");
	CHECK_ROW(&rig, "{\"sku\":\"a\"}", "a\t1\t0\t{\"sku\":\"a\"}");
	CHECK_ROW(&rig, " \n", "");
	CHECK_ROW(&rig, "{\"sku\":\"a\"}\n{\"sku\":", "bad_json -");
	CHECK_MESSAGE(&rig, "row 1: ");
	rig_close(&rig);
}

static void
test_event_rows(void)
{
	TxdColumn cols[] = {item[0], event[1], event[2]};
	TxdSchema schema = {.format = TXD_JSON, .envelope = TXD_CLOUDEVENTS, .rows = "items"};
	Rig rig;

	COLUMNS(schema, cols);
	rig_open(&rig, &schema);
	CHECK_EVENT(&rig, "{\"ce_specversion\": \"1.0\", \"ce_type\": \"t\"}",
				"{\"order\":3,\"items\":[{\"sku\":\"a\"},{\"sku\":\"b\"}]}", "a\tt\t3\nb\tt\t3");
	CHECK_EVENT(&rig, NULL,
				"{\"specversion\":\"1.0\",\"type\":\"t\",\"data\":{\"order\":3,"
				"\"items\":[{\"sku\":\"a\"}]}}",
				"a\tt\t3");
	rig_close(&rig);
}

/* --- elements --- */

static const char *first_sku[] = {"items[0].sku"};
static const char *matrix[] = {"m[1][0]"};
static const char *literal[] = {"x\\[0]"};
static const char *key_part[] = {"ids[1]"};

static void
test_elements(void)
{
	TxdColumn cols[] = {
		{.name = "sku", .type = TXD_STRING, .npaths = 1, .paths = first_sku},
		{.name = "m", .type = TXD_INT4, .npaths = 1, .paths = matrix},
		{.name = "x", .type = TXD_STRING, .npaths = 1, .paths = literal},
		{.name = "k",
		 .type = TXD_INT4,
		 .source = TXD_FROM_KEY_FIELD,
		 .npaths = 1,
		 .paths = key_part},
		{.name = "rest", .type = TXD_JSONB, .source = TXD_FROM_REST},
	};
	TxdSchema schema = {.format = TXD_JSON};

	COLUMNS(schema, cols);
	for (int track = 0; track < 2; track++)
	{
		const char *key = "{\"ids\":[1,2]}";
		Rig rig;

		schema.track_fields = track > 0;
		rig_open(&rig, &schema);
		CHECK_CHANGE(&rig, key,
					 "{\"items\":[{\"sku\":\"a\",\"n\":1},{\"sku\":\"b\"}],\"m\":[[1],[2,3],4],"
					 "\"x[0]\":\"l\",\"z\":1}",
					 "a\t2\tl\t2\t{\"items\":[{\"sku\":\"a\",\"n\":1},{\"sku\":\"b\"}],"
					 "\"m\":[[1],[2,3],4],\"z\":1}");
		/* absent: too few, no array, an object with such a name */
		CHECK_CHANGE(&rig, "{\"ids\":[1]}", "{\"items\":[],\"m\":[1]}",
					 "\\N\t\\N\t\\N\t\\N\t{\"items\":[],\"m\":[1]}");
		CHECK_CHANGE(&rig, key, "{\"items\":{\"0\":{\"sku\":\"a\"}},\"m\":[0,7]}",
					 "\\N\t\\N\t\\N\t2\t{\"items\":{\"0\":{\"sku\":\"a\"}},\"m\":[0,7]}");
		CHECK_CHANGE(&rig, key, "{\"items\":[{\"sku\":\"a\",\"sku\":\"b\"}]}",
					 "duplicate_field sku");
		CHECK_CHANGE(&rig, key, "{\"items\":[{\"sku\":\"a\"}", "bad_json -");
		CHECK_CHANGE(&rig, key, "{\"items\":[{\"sku\":\"a\"},]}", "bad_json -");
		CHECK_CHANGE(&rig, key, "{\"m\":[0,[\"x\"]]}", "bad_value m");
		rig_close(&rig);
	}
}

/* --- what makes no sense --- */

static void
check_refused(const TxdSchema *schema, const char *column)
{
	TxdError err = {0};
	TxdDecoder *d = txd_new(schema, &err);

	CHECK(d == NULL);
	CHECK_STR(err.code != NULL ? err.code : "-", "bad_value");
	CHECK_STR(err.column != NULL ? err.column : "-", column);
	txd_free(d);
}

static void
test_bad_schemas(void)
{
	static const char *const paths[] = {"a[",    "a[]", "a[x]",  "a[0",        "a[0]b",
										"a[0].", "[0]", "a.[0]", "a[1234567]", "a[-1]"};
	static const char *const places[] = {"$x", "a..b", "a[0]", ""};
	const char *path[1];
	TxdColumn cols[] = {{.name = "c", .type = TXD_STRING, .npaths = 1, .paths = path}};
	TxdSchema schema = {.format = TXD_JSON};

	COLUMNS(schema, cols);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
	{
		path[0] = paths[i];
		check_refused(&schema, "c");
	}
	path[0] = "a";
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
	{
		schema.rows = places[i];
		check_refused(&schema, "-");
	}
	schema.rows = "items";
	schema.tombstones = true;
	check_refused(&schema, "-");
	schema.tombstones = false;
	schema.rows = TXD_ROWS_LINES;
	schema.envelope = TXD_CLOUDEVENTS;
	check_refused(&schema, "-");
	schema.rows = NULL;
	schema.format = TXD_PLAIN_TEXT;
	check_refused(&schema, "-");
	schema.format = TXD_JSON;
	schema.envelope = TXD_NO_ENVELOPE;
	cols[0].source = TXD_FROM_ENVELOPE_FIELD;
	check_refused(&schema, "c");
	schema.rows = TXD_ROWS_VALUE;
	check_refused(&schema, "c");
}

/* Around an encrypted field there is it in clear. */
static void
test_leaks(void)
{
	static const char *name[] = {"name"};
	static const char *clear[][2] = {{"before.name", "op"}, {"data", "type"}, {"items[0]", "id"}};
	TxdColumn cols[] = {
		{.name = "c", .type = TXD_BYTEA, .npaths = 1, .paths = name, .convert = TXD_AS_ENCRYPTED},
		{.name = "e", .type = TXD_STRING, .source = TXD_FROM_ENVELOPE_FIELD, .npaths = 1}};
	TxdSchema schema = {.format = TXD_JSON, .encryption_keys = "0123456789abcdef0123456789abcdef"};
	TxdError err = {0};
	TxdDecoder *d;

	COLUMNS(schema, cols);
	for (int i = 0; i < 3; i++)
	{
		schema.envelope = i == 0 ? TXD_DEBEZIUM : i == 1 ? TXD_CLOUDEVENTS : TXD_NO_ENVELOPE;
		schema.rows = i == 2 ? "items" : NULL;
		cols[1].paths = &clear[i][0];
		check_refused(&schema, "e");
		cols[1].paths = &clear[i][1];
		d = txd_new(&schema, &err);
		CHECK(d != NULL);
		txd_free(d);
	}
}

int
main(void)
{
	test_changes();
	test_no_changes();
	test_unavailable();
	test_cloudevents();
	test_rows();
	test_whole_rows();
	test_event_rows();
	test_elements();
	test_bad_schemas();
	test_leaks();
	return check_done("shapes");
}
