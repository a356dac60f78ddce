/*
 * test_poison.c — messages that break consumers: each is refused with its code, or is a documented
 * value, and the next message is decoded as if nothing had been.
 */
#include "rig.h"

static const char *number[] = {"o.n"};

static TxdColumn columns[] = {
	{.name = "i2", .type = TXD_INT2},
	{.name = "i8", .type = TXD_INT8},
	{.name = "f4", .type = TXD_FLOAT4},
	{.name = "f8", .type = TXD_FLOAT8},
	{.name = "price", .type = TXD_NUMERIC, .precision = 10, .scale = 2},
	{.name = "n", .type = TXD_NUMERIC, .npaths = 1, .paths = number},
	{.name = "ok", .type = TXD_BOOL},
	{.name = "t", .type = TXD_STRING},
	{.name = "v", .type = TXD_VARCHAR, .length = 3},
	{.name = "c", .type = TXD_CHAR, .length = 3},
	{.name = "day", .type = TXD_DATE},
	{.name = "at", .type = TXD_TIMESTAMPTZ, .precision = 3},
	{.name = "u", .type = TXD_UUID},
	{.name = "j", .type = TXD_JSONTEXT},
	{.name = "b", .type = TXD_JSONB},
	{.name = "y", .type = TXD_BYTEA},
	{.name = "must", .type = TXD_INT4, .not_null = true, .default_text = "1"},
	{.name = "rest", .type = TXD_JSONB, .source = TXD_FROM_REST},
};

#define NULLS_TO_JSONB "\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t"

/* Each alone in its message, between the braces. */
static const struct
{
	const char *fields;
	const char *want;
} refused[] = {
	{"\"i2\":32768", "out_of_range i2"},
	{"\"i2\":-32769", "out_of_range i2"},
	{"\"i2\":1.5", "bad_value i2"},
	{"\"i2\":1e2", "bad_value i2"},
	{"\"i2\":\"\"", "bad_value i2"},
	{"\"i2\":\"0x10\"", "bad_value i2"},
	{"\"i2\":true", "wrong_type i2"},
	{"\"i2\":[1]", "wrong_type i2"},
	{"\"i8\":9223372036854775808", "out_of_range i8"},
	{"\"i8\":99999999999999999999999999999999999999", "out_of_range i8"},
	{"\"f4\":1e39", "out_of_range f4"},
	{"\"f4\":1e-60", "out_of_range f4"},
	{"\"f8\":1e400", "out_of_range f8"},
	{"\"f8\":\"1,5\"", "bad_value f8"},
	{"\"price\":1.005", "excess_scale price"},
	{"\"price\":123456789", "out_of_range price"},
	{"\"price\":1e9", "out_of_range price"},
	{"\"price\":\"12 EUR\"", "bad_value price"},
	{"\"price\":\"infinity\"", "out_of_range price"},
	{"\"o\":{\"n\":1e131072}", "out_of_range n"},
	{"\"o\":{\"n\":1e999999999999}", "out_of_range n"},
	{"\"o\":{\"n\":{}}", "wrong_type n"},
	{"\"ok\":\"maybe\"", "bad_value ok"},
	{"\"ok\":1", "wrong_type ok"},
	{"\"t\":\"a\\u0000b\"", "nul_byte t"},
	{"\"v\":\"abcd\"", "too_long v"},
	{"\"v\":\"\\u20ac\\u20ac\\u20ac\\u20ac\"", "too_long v"},
	{"\"v\":\"\\u0000\"", "nul_byte v"},
	{"\"c\":\"abcd\"", "too_long c"},
	{"\"day\":\"2023-02-29\"", "out_of_range day"},
	{"\"day\":\"20/05/2023\"", "bad_value day"},
	{"\"day\":20230520", "wrong_type day"},
	{"\"at\":\"2023-05-20T10:00:00.0001Z\"", "excess_scale at"},
	{"\"at\":\"300000-01-01T00:00:00Z\"", "out_of_range at"},
	{"\"u\":\"00000000-0000-0000-0000-00000000000g\"", "bad_value u"},
	{"\"b\":\"\\u0000\"", "nul_byte b"},
	{"\"b\":{\"\\u0000\":1}", "nul_byte b"},
	{"\"b\":[1e-20000]", "out_of_range b"},
	{"\"x\":[1e200000]", "out_of_range rest"},
	{"\"x\\u0000\":1", "nul_byte rest"},
	{"\"y\":\"\\\\x0\"", "bad_value y"},
	{"\"y\":\"\\\\\"", "bad_value y"},
	{"\"must\":null", "missing_value must"},
	/* twice, where a column is concerned, at any level */
	{"\"t\":1,\"t\":2", "duplicate_field t"},
	{"\"t\":1,\"\\u0074\":2", "duplicate_field t"},
	{"\"o\":{\"n\":1,\"n\":1}", "duplicate_field n"},
	{"\"o\":{},\"o\":{}", "duplicate_field n"},
	{"\"T\":1,\"T\":2", "duplicate_field t"},
	/* not JSON, or not UTF-8, also where no column is concerned */
	{"\"x\":\"\\ud800\"", "bad_json -"},
	{"\"t\":\"\\udc00\\ud800\"", "bad_json -"},
	{"\"b\":[\"\\ud83d\"]", "bad_json -"},
	{"\"\\ud83d\":1", "bad_json -"},
	{"\"t\":\"\xed\xa0\x80\"", "bad_encoding -"},
	{"\"x\":\"\xc0\x80\"", "bad_encoding -"},
	{"\"x\xff\":1", "bad_encoding -"},
	{"\"x\":NaN", "bad_json -"},
	{"\"x\":01", "bad_json -"},
	{"\"x\":1,", "bad_json -"},
	{"'t':1", "bad_json -"},
	{"\"t\":\"a\nb\"", "bad_json -"},
	{"\"t\":1}{", "bad_json -"},
};

static void
test_fields(void)
{
	TxdSchema schema = {.format = TXD_JSON};
	char text[200];
	Rig rig;

	COLUMNS(schema, columns);
	for (int track = 0; track < 2; track++)
	{
		schema.track_fields = track > 0;
		rig_open(&rig, &schema);
		for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		{
			snprintf(text, sizeof(text), "{%s}", refused[i].fields);
			if (!CHECK(strcmp(DECODE(&rig, text), refused[i].want) == 0))
				fprintf(stderr, "    %s: %s, not %s\n", text, rig.shown, refused[i].want);
			CHECK(strncmp(DECODE(&rig, "{\"i2\":7}"), "7\t\\N", 4) == 0);
		}
		rig_close(&rig);
	}
}

static void
test_bytes(void)
{
	TxdSchema schema = {.format = TXD_JSON};
	Rig rig;

	COLUMNS(schema, columns);
	rig_open(&rig, &schema);
	CHECK_STR(rig_decode(&rig, "", 0), "bad_json -");
	CHECK_STR(rig_decode(&rig, "\0", 1), "bad_json -");
	CHECK_STR(rig_decode(&rig, "{}\0", 3), "bad_json -");
	CHECK_STR(rig_decode(&rig, "{\"t\":\"\0\"}", 9), "bad_json -");
	CHECK_STR(rig_decode(&rig, "{\"\0\":1}", 7), "bad_json -");
	CHECK_ROW(&rig, "\xff\xfe{", "bad_json -");
	CHECK_ROW(&rig, "<a/>", "bad_json -");
	CHECK_ROW(&rig, "null", "wrong_type -");
	/* jsonb keeps the last of two, json both; neither is a column's business */
	CHECK_ROW(&rig, "{\"b\":{\"k\":1,\"k\":2},\"x\":{\"k\":1,\"k\":2},\"y2\":1,\"y2\":2}",
			  NULLS_TO_JSONB "{\"k\":1,\"k\":2}\t\\N\t1\t"
							 "{\"x\":{\"k\":1,\"k\":2},\"y2\":1,\"y2\":2}");
	rig_close(&rig);
}

/* {"name":[[…]]} with `levels` arrays, or objects. */
static size_t
put_nested(char *to, const char *name, int levels, bool objects)
{
	char *p = to + sprintf(to, "{\"%s\":", name);

	for (int i = 0; i < levels; i++)
		p += sprintf(p, "%s", !objects ? "[" : i < levels - 1 ? "{\"a\":" : "{");
	for (int i = 0; i < levels; i++)
		*p++ = objects ? '}' : ']';
	*p++ = '}';
	return (size_t) (p - to);
}

static void
test_nesting(void)
{
	static const char *const names[] = {"x", "b", "j", "o"};
	TxdSchema schema = {.format = TXD_JSON, .track_fields = true};
	char text[2000];
	Rig rig;

	COLUMNS(schema, columns);
	rig_open(&rig, &schema);
	for (size_t i = 0; i < 4; i++)
	{
		for (int objects = 0; objects < 2; objects++)
		{
			rig_decode(&rig, text, put_nested(text, names[i], 63, objects));
			CHECK(strncmp(rig.shown, "\\N\t", 3) == 0);
			CHECK_STR(rig_decode(&rig, text, put_nested(text, names[i], 64, objects)),
					  "too_deep -");
			CHECK_STR(rig_decode(&rig, text, put_nested(text, names[i], 100, objects)),
					  "too_deep -");
		}
	}
	rig_close(&rig);
}

/* `before`, n times `part`, `after`. */
static char *
repeated(const char *before, const char *part, size_t n, const char *after, size_t *len)
{
	size_t one = strlen(part);
	char *text = malloc(strlen(before) + n * one + strlen(after) + 1);
	char *p = text + sprintf(text, "%s", before);

	for (size_t i = 0; i < n; i++, p += one)
		memcpy(p, part, one);
	*len = (size_t) (p - text) + (size_t) sprintf(p, "%s", after);
	return text;
}

static void
check_large(const char *before, const char *part, size_t n, const char *after, const char *want)
{
	TxdColumn cols[] = {{.name = "t", .type = TXD_STRING}, {.name = "b", .type = TXD_JSONB}};
	TxdSchema schema = {.format = TXD_JSON, .form = TXD_BINARY, .ncolumns = 2, .columns = cols};
	TxdMessage m = {.timestamp_ms = -1};
	TxdError err = {.code = "accepted"};
	TxdBuf rows = {NULL, 0, 0};
	TxdDecoder *d = txd_new(&schema, &err);
	char *text = repeated(before, part, n, after, &m.payload_len);

	m.payload = text;
	(void) txd_decode(d, &m, &rows, &err);
	CHECK_STR(err.code, want);
	/* the row is the value and 14 or 15 bytes of counts, lengths and jsonb's version */
	if (strcmp(want, "accepted") == 0)
		CHECK(rows.len > n * strlen(part) && rows.len < m.payload_len + 10);
	else
		CHECK_INT(rows.len, 0);
	txd_buf_free(&rows);
	txd_free(d);
	free(text);
}

/* Limits of jsonb as PostgreSQL 15 showed them: one element or pair more is an internal error there. */
static void
test_large(void)
{
	const size_t mib50 = 50 * 1024 * 1024;

	check_large("{\"t\":\"", "a", mib50, "\"}", "accepted");
	check_large("{\"b\":\"", "a", mib50, "\"}", "accepted");
	check_large("{\"t\":\"", "a", mib50, "", "bad_json");
	check_large("{\"t\":\"", "a", mib50, "\xff\"}", "bad_encoding");
	check_large("{\"b\":[", "1,", 16777215, "1]}", "accepted");
	check_large("{\"b\":[", "1,", 16777216, "1]}", "too_long");
	check_large("{\"b\":{", "\"\":1,", 8388607, "\"\":1}}", "accepted");
	check_large("{\"b\":{", "\"\":1,", 8388608, "\"\":1}}", "too_long");
	check_large("{\"b\":[", "[[],\"\\\",\"],", 3000000, "1]}", "accepted");
	check_large("{\"b\":[", "[0,0,0,0,0,0,0],", 3200000, "1]}", "too_long");
}

static void
test_large_row(void)
{
	TxdColumn cols[] = {{.name = "a", .type = TXD_STRING},
						{.name = "b", .type = TXD_STRING, .source = TXD_FROM_VALUE},
						{.name = "c", .type = TXD_STRING, .source = TXD_FROM_VALUE}};
	TxdSchema schema = {.format = TXD_PLAIN_TEXT, .columns = cols};
	TxdMessage m = {.timestamp_ms = -1, .payload_len = 90 * 1024 * 1024};
	TxdBuf rows = {NULL, 0, 0};
	TxdError err;
	char *text = malloc(m.payload_len);

	m.payload = memset(text, 'a', m.payload_len);
	for (int n = 2; n <= 3; n++)
	{
		TxdDecoder *d;

		schema.ncolumns = n;
		d = txd_new(&schema, &err);
		rows.len = 0;
		CHECK(txd_decode(d, &m, &rows, &err) == (n == 2));
		CHECK(n == 2 || (rows.len == 0 && strcmp(err.code, "too_long") == 0));
		txd_free(d);
	}
	txd_buf_free(&rows);
	free(text);
}

int
main(void)
{
	test_fields();
	test_bytes();
	test_nesting();
	test_large();
	test_large_row();
	return check_done("poison");
}
