/*
 * test_avro.c — Avro to JSON: what avro's own writers made of values, resolution of schemas, and what is no value.
 *
 * The fingerprints were computed by fastavro 1.13 and by Apache's avro 1.12.
 */
#include <stdlib.h>

#include "avro_cases.h"

/* A change of a schema, and one of the directions in which it is read. */
typedef struct Evolution
{
	const char *name;
	Case of;
} Evolution;

#include "avro_evolution.h"
#include "both_ways.h"
#include "check.h"
#include "decode/avro.h"

/* Decodes a copy of exactly that size, so that a sanitiser sees reads beyond it. */
static bool
to_json(const TxdAvro *avro, const char *bytes, size_t len, TxdBuf *json, TxdError *err)
{
	char *copy = malloc(len > 0 ? len : 1);
	bool ok;

	memcpy(copy, bytes, len);
	json->len = 0;
	txd_buf_append(json, "+", 1);
	ok = txd_avro_json(avro, copy, len, json, err);
	CHECK(ok || json->len == 1);
	free(copy);
	return ok;
}

/* As the value, and as the only field of a record, which has no bytes of its own. */
static void
check_both_ways(const char *writer, const char *bytes, size_t len)
{
	char *wrapped = malloc(strlen(writer) + 100);
	TxdSchema schema = {.format = TXD_AVRO, .csv = {',', '"', false, false, ""}};

	sprintf(wrapped,
			"{\"type\":\"record\",\"name\":\"wrapped\",\"fields\":[{\"name\":\"f\",\"type\":%s}]}",
			writer);
	for (unsigned seed = 0; seed < 90; seed++)
	{
		schema.avro_schema = seed % 3 == 0 ? writer : wrapped;
		CHECK_STR(both_ways(&schema, bytes, len, seed / 3), NULL);
	}
	free(wrapped);
}

static void
run_case(const Case *c)
{
	char *bytes = malloc(strlen(c->hex) / 2 + 1);
	size_t len = from_hex(c->hex, bytes);
	char shown[2000];
	TxdBuf json = {0};
	TxdError err = {0};
	TxdAvro *avro = txd_avro_new(&c->writer, 1, c->reader, &err);

	if (CHECK(avro != NULL) && to_json(avro, bytes, len, &json, &err))
		snprintf(shown, sizeof(shown), "%.*s", (int) json.len - 1, json.data + 1);
	else
		snprintf(shown, sizeof(shown), "!%s", err.code);
	CHECK_STR(shown, c->want);
	check_both_ways(c->writer, bytes, len);
	/* No prefix of a value is one; the empty one of nothing is all there is of a null. */
	for (size_t n = 0; avro != NULL && c->want[0] != '!' && n < len; n++)
		CHECK(!to_json(avro, bytes, n, &json, &err));
	txd_avro_free(avro);
	txd_buf_free(&json);
	free(bytes);
}

static void
test_evolutions(void)
{
	for (size_t i = 0; i < sizeof(evolutions) / sizeof(evolutions[0]); i++)
	{
		int failed = check_failed;

		run_case(&evolutions[i].of);
		if (check_failed > failed)
			fprintf(stderr, "    of %s\n", evolutions[i].name);
	}
}

/* What Debezium means, by the name beside the type. */
static void
test_connect(void)
{
#define NAMED(type, name) "{\"type\":\"" type "\",\"connect.name\":\"" name "\"}"
#define VARIABLE                                                                                   \
	"{\"type\":\"record\",\"name\":\"VariableScaleDecimal\",\"namespace\":\"io.debezium.data\","   \
	"\"fields\":[{\"name\":\"scale\",\"type\":\"int\"},{\"name\":\"value\",\"type\":\"bytes\"}],"  \
	"\"connect.name\":\"io.debezium.data.VariableScaleDecimal\"}"
	static const Case cases_of[] = {
		{NAMED("int", "io.debezium.time.Date"), NULL, "8cb502", "\"2024-02-29\""},
		{NAMED("int", "io.debezium.time.Date"), NULL, "01", "\"1969-12-31\""},
		{NAMED("int", "io.debezium.time.Time"), NULL, "d00f", "\"00:00:01\""},
		{NAMED("long", "io.debezium.time.MicroTime"), NULL, "02", "\"00:00:00.000001\""},
		{NAMED("long", "io.debezium.time.NanoTime"), NULL, "02", "\"00:00:00.000000001\""},
		{NAMED("long", "io.debezium.time.Timestamp"), NULL, "d00f", "\"1970-01-01 00:00:01\""},
		{NAMED("long", "io.debezium.time.MicroTimestamp"), NULL, "01",
		 "\"1969-12-31 23:59:59.999999\""},
		{NAMED("long", "io.debezium.time.NanoTimestamp"), NULL, "02",
		 "\"1970-01-01 00:00:00.000000001\""},
		{"{\"type\":\"long\",\"logicalType\":\"timestamp-millis\",\"connect.name\":"
		 "\"org.apache.kafka.connect.data.Timestamp\"}",
		 NULL, "d00f", "\"1970-01-01 00:00:01+00\""},
		{NAMED("string", "io.debezium.time.ZonedTimestamp"), NULL, "0278", "\"x\""},
		{NAMED("string", "io.debezium.data.Json"), NULL, "0e7b2261223a317d", "{\"a\":1}"},
		{NAMED("string", "io.debezium.data.Json"), NULL, "047b7d", "{}"},
		{NAMED("string", "io.debezium.data.Json"), NULL, "027b", "\"{\""},
		{VARIABLE, NULL, "040404d2", "12.34"},
		{VARIABLE, NULL, "0004ff38", "-200"},
		{VARIABLE, NULL, "050201", "1e3"},
		{VARIABLE, NULL, "c0b8020201", "!bad_avro"},
		{"[\"null\"," VARIABLE "]", NULL, "02040404d2", "12.34"},
		{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":" VARIABLE
		 "},{\"name\":\"b\",\"type\":[\"null\",\"io.debezium.data.VariableScaleDecimal\"]}]}",
		 NULL, "020201020402ff", "{\"a\":0.1,\"b\":-0.01}"},
		/* names of other types, and others' names */
		{NAMED("string", "io.debezium.time.Date"), NULL, "0278", "\"x\""},
		{NAMED("long", "io.debezium.time.Date"), NULL, "02", "1"},
		{NAMED("long", "io.debezium.time.MicroDuration"), NULL, "02", "1"},
	};

	for (size_t i = 0; i < sizeof(cases_of) / sizeof(cases_of[0]); i++)
		run_case(&cases_of[i]);
#undef NAMED
#undef VARIABLE
}

static void
test_schemas(void)
{
	static const char *const bad[] = {
		"",
		"{",
		"5",
		"\"nothing\"",
		"[]",
		"[[\"int\"]]",
		"{}",
		"{\"type\":\"record\"}",
		"{\"type\":\"record\",\"name\":\"r\"}",
		"{\"type\":\"array\"}",
		"{\"type\":\"map\"}",
		"{\"type\":\"fixed\",\"name\":\"f\"}",
		"{\"type\":\"fixed\",\"name\":\"f\",\"size\":-1}",
		"{\"type\":\"enum\",\"name\":\"e\"}",
		"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[1]}",
		"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\"}]}",
		"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"type\":\"int\"}]}",
		"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"},"
		"{\"name\":\"a\",\"type\":\"int\"}]}",
		"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":"
		"{\"type\":\"fixed\",\"name\":\"r\",\"size\":1}}]}",
	};
	char deep[4000] = "";

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		TxdError err = {0};

		CHECK(txd_avro_new(&bad[i], 1, NULL, &err) == NULL);
		CHECK_STR(err.code, "bad_schema");
	}
	for (int i = 0; i < 100; i++)
		strcat(deep, "{\"type\":\"array\",\"items\":");
	CHECK(txd_avro_new(&(const char *){deep}, 1, NULL, &(TxdError){0}) == NULL);
}

/* What costs more than its bytes is refused, at once. */
static void
check_refused(const char *schema, const char *reader, const char *bytes, size_t len,
			  const char *code)
{
	TxdBuf json = {0};
	TxdError err = {0};
	TxdAvro *avro = txd_avro_new(&schema, 1, reader, &err);

	if (CHECK(avro != NULL))
		CHECK(!to_json(avro, bytes, len, &json, &err));
	CHECK_STR(err.code, code);
	txd_avro_free(avro);
	txd_buf_free(&json);
}

static void
test_limits(void)
{
	static char bytes[300004];
	static char schema[250000] = "{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"";
	size_t n = strlen(schema);
	const char *texts[2] = {schema, "\"R1900\""};
	TxdError err = {0};
	TxdAvro *avro;

	/* A symbol of 200 kB, 3,000 times. */
	memset(schema + n, 'x', 200000);
	strcpy(schema + n + 200000, "\"]}");
	{
		char *array = malloc(260000);

		snprintf(array, 260000, "{\"type\":\"array\",\"items\":%s}", schema);
		bytes[0] = (char) 0xf0;
		bytes[1] = 0x2e; /* 3000 */
		check_refused(array, NULL, bytes, 3003, "too_long");
		free(array);
	}
	/* A decimal of 300 kB. */
	memset(bytes, 0x7f, sizeof(bytes));
	memcpy(bytes, "\xc0\xcf\x24", 3); /* 300000 */
	check_refused("{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":9}", NULL, bytes,
				  300003, "bad_avro");
	/* Arrays of nulls that the reader leaves out: 65,536 of them in three bytes, again and again. */
	for (size_t i = 1; i + 4 < sizeof(bytes); i += 4)
		memcpy(bytes + i, "\x80\x80\x08\0", 4);
	bytes[0] = 0x7e;
	check_refused("{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":{"
				  "\"type\":\"array\","
				  "\"items\":{\"type\":\"array\",\"items\":\"null\"}}}]}",
				  "{\"type\":\"record\",\"name\":\"r\",\"fields\":[]}", bytes, 4000, "bad_avro");
	/* Types that name one another, 1,900 deep. */
	n = (size_t) sprintf(schema, "[\"null\"");
	for (int i = 0; i <= 1900; i++)
	{
		n += (size_t) sprintf(
			schema + n,
			",{\"type\":\"record\",\"name\":\"R%d\",\"fields\":[{\"name\":\"f\",\"type\":", i);
		n += (size_t) (i == 0 ? sprintf(schema + n, "\"int\"}]}")
							  : sprintf(schema + n, "\"R%d\"}]}", i - 1));
	}
	strcpy(schema + n, "]");
	avro = txd_avro_new(texts, 2, NULL, &err);
	CHECK(avro != NULL);
	txd_avro_free(avro);
}

static void
test_references(void)
{
	static const char *const texts[] = {
		"{\"type\":\"fixed\",\"name\":\"id\",\"namespace\":\"common\",\"size\":1}",
		"{\"type\":\"record\",\"name\":\"r\",\"namespace\":\"app\",\"fields\":"
		"[{\"name\":\"a\",\"type\":\"common.id\"}]}"};
	TxdBuf json = {0};
	TxdError err = {0};
	TxdAvro *avro = txd_avro_new(texts, 2, NULL, &err);

	CHECK(txd_avro_new(texts + 1, 1, NULL, &(TxdError){0}) == NULL);
	if (CHECK(avro != NULL) && CHECK(to_json(avro, "\x07", 1, &json, &err)))
	{
		txd_buf_byte(&json, '\0');
		CHECK_STR(json.data, "+{\"a\":\"\\\\x07\"}");
	}
	txd_avro_free(avro);
	txd_buf_free(&json);
}

static void
check_fingerprint(const char *schema, uint64_t want)
{
	TxdAvro *avro = txd_avro_new(&schema, 1, NULL, &(TxdError){0});

	if (CHECK(avro != NULL))
		CHECK(txd_avro_fingerprint(avro) == want);
	txd_avro_free(avro);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		run_case(&cases[i]);
	test_evolutions();
	test_connect();
	test_schemas();
	test_references();
	test_limits();
	check_fingerprint("\"int\"", UINT64_C(0x7275d51a3f395c8f));
	check_fingerprint(
		"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"long\"},"
		"{\"name\":\"n\",\"type\":[\"null\",\"string\"],\"default\":null},{\"name\":\"t\","
		"\"type\":{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"in\",\"fields\":"
		"[{\"name\":\"a\",\"type\":\"int\"}]}}}]}",
		UINT64_C(0x7155fe21160fa017));
	check_fingerprint(
		"{\"type\":\"record\",\"name\":\"User\",\"namespace\":\"a.b\",\"doc\":\"x\",\"fields\":"
		"[{\"name\":\"f\",\"type\":{\"type\":\"fixed\",\"size\":16,\"name\":\"md5\"}},"
		"{\"name\":\"e\",\"type\":{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}},"
		"{\"name\":\"g\",\"type\":[\"null\",\"a.b.md5\",{\"type\":\"map\",\"values\":\"long\"}]}]}",
		UINT64_C(0xb3db00f87072452c));
	return check_done("test_avro");
}
