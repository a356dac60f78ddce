/*
 * test_avro_write.c — JSON to Avro: what avro's own writers made of the same values, and what does not fit a schema.
 */
#include <stdlib.h>
#include <time.h>

#include "avro_cases.h"

#include "avro_write_cases.h"
#include "check.h"
#include "decode/avro.h"
#include "decode/avro_write.h"

/* Writes a copy of exactly that size, so that a sanitiser sees reads beyond it: bytes, or "!code message". */
static void
write_shown(const char *schema, const char *json, char *shown, size_t room)
{
	size_t len = strlen(json);
	char *copy = malloc(len > 0 ? len : 1);
	TxdBuf out = {0};
	TxdError err = {0};
	TxdAvroWriter *writer = txd_avro_writer_new(&schema, 1, &err);

	memcpy(copy, json, len);
	txd_buf_append(&out, "+", 1);
	shown[0] = '\0';
	if (!CHECK(writer != NULL))
		return;
	if (!txd_avro_write(writer, copy, len, &out, &err))
	{
		CHECK(out.len == 1 && err.message[0] != '\0' && err.column == NULL);
		snprintf(shown, room, "!%s %s", err.code, err.message);
	}
	else
		for (size_t i = 1; i < out.len; i++)
			snprintf(shown + 2 * (i - 1), room - 2 * (i - 1), "%02x", (unsigned char) out.data[i]);
	txd_avro_writer_free(writer);
	txd_buf_free(&out);
	free(copy);
}

/*
 * What is read is written again as it was; but for blocks that tell their size, which are not written, and a decimal that
 * fastavro gives a byte more than it needs, unlike Java.
 */
static void
test_what_is_read(void)
{
	char shown[4000];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const Case *c = &cases[i];

		if (c->reader != NULL || c->want[0] == '!' || strncmp(c->hex, "0304", 4) == 0 ||
			strcmp(c->hex, "04ff80") == 0)
			continue;
		write_shown(c->writer, c->want, shown, sizeof(shown));
		CHECK_STR(shown, c->hex);
	}
}

static void
test_cases(void)
{
	char shown[4000];

	for (size_t i = 0; i < sizeof(write_cases) / sizeof(write_cases[0]); i++)
	{
		const WriteCase *c = &write_cases[i];

		write_shown(c->schema, c->json, shown, sizeof(shown));
		if (c->want[0] == '!' && strlen(shown) > strlen(c->want))
			shown[strlen(c->want)] = '\0';
		CHECK_STR(shown, c->want);
	}
}

/* What is written by the schema and read again. */
static void
check_same(const char *schema, const char *json, const char *want)
{
	TxdError err = {0};
	TxdAvro *avro = txd_avro_new(&schema, 1, NULL, &err);
	TxdAvroWriter *writer = txd_avro_writer_new(&schema, 1, &err);
	TxdBuf out = {0};
	TxdBuf back = {0};

	if (!txd_avro_write(writer, json, strlen(json), &out, &err))
		CHECK_STR(err.message, want);
	else if (!txd_avro_json(avro, out.data, out.len, &back, &err))
		CHECK_STR(err.message, want);
	else
	{
		txd_buf_byte(&back, '\0');
		CHECK_STR(back.data, want);
	}
	txd_buf_free(&out);
	txd_buf_free(&back);
	txd_avro_writer_free(writer);
	txd_avro_free(avro);
}

#define VARIABLE                                                                                   \
	"{\"type\":\"record\",\"name\":\"v\",\"connect.name\":\"io.debezium.data.VariableScaleDecimal" \
	"\",\"fields\":[{\"name\":\"scale\",\"type\":\"int\"},{\"name\":\"value\",\"type\":\"bytes\"}" \
	"]}"
#define JSON "{\"type\":\"string\",\"connect.name\":\"io.debezium.data.Json\"}"

/* Debezium's types, which are read as what they mean. */
static void
test_debezium(void)
{
	static const char *const values[] = {"{\"a\":[1,\"x\"]}", "\"5\"", "5", "true"};
	static const char *const decimals[] = {"12.50", "-0.007", "0.00", "0", "-128", "340282366920"};
	const char *presets =
		"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"d\",\"type\":" VARIABLE
		",\"default\":{\"scale\":2,\"value\":\"\\u0004\\u00e2\"}},{\"name\":\"j\",\"type\":" JSON
		",\"default\":\"{\\\"a\\\":1}\"}]}";

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		check_same(JSON, values[i], values[i]);
	for (size_t i = 0; i < sizeof(decimals) / sizeof(decimals[0]); i++)
		check_same(VARIABLE, decimals[i], decimals[i]);
	check_same(VARIABLE, "\"1.5\"", "1.5");
	check_same(VARIABLE, "1.2e3", "12e2");
	check_same(VARIABLE, "-5e1000", "-5e1000");
	check_same("[\"null\"," VARIABLE "]", "12.50", "12.50");
	check_same(VARIABLE, "{\"scale\":2,\"value\":\"\\\\x04e2\"}",
			   "not a single value: \"{\"scale\":2,\"value\":\"\\\\x04e2\"}\"");
	check_same(VARIABLE, "1e-16384", "no decimal of Avro: \"1e-16384\"");
	check_same(VARIABLE, "1e1001", "no decimal of Avro: \"1e1001\"");
	check_same(presets, "{}", "{\"d\":12.50,\"j\":{\"a\":1}}");
}

/* An array of a thousand such numbers takes less than two seconds. */
static void
check_effort(const char *schema, const char *number)
{
	TxdError err = {0};
	TxdAvroWriter *writer = txd_avro_writer_new(&schema, 1, &err);
	TxdBuf json = {0};
	TxdBuf out = {0};
	clock_t start = clock();

	for (int i = 0; i < 1000; i++)
	{
		txd_buf_append(&json, i == 0 ? "[" : ",", 1);
		txd_buf_append(&json, number, strlen(number));
	}
	txd_buf_byte(&json, ']');
	CHECK(txd_avro_write(writer, json.data, json.len, &out, &err));
	CHECK(clock() - start < 2 * CLOCKS_PER_SEC);
	txd_avro_writer_free(writer);
	txd_buf_free(&json);
	txd_buf_free(&out);
}

/* Digits that no value of the schema has are not worked out, and those it has not one by one. */
static void
test_effort(void)
{
	check_effort("{\"type\":\"array\",\"items\":[\"null\",{\"type\":\"bytes\",\"logicalType\":"
				 "\"decimal\",\"precision\":10,\"scale\":2},\"string\"]}",
				 "\"1e9999\"");
	check_effort("{\"type\":\"array\",\"items\":[{\"type\":\"fixed\",\"name\":\"f\",\"size\":9,"
				 "\"logicalType\":\"decimal\",\"precision\":9900},\"string\"]}",
				 "\"1e9800\"");
	check_effort("{\"type\":\"array\",\"items\":{\"type\":\"bytes\",\"logicalType\":\"decimal\","
				 "\"precision\":9900,\"scale\":900}}",
				 "7e8900");
	check_effort("{\"type\":\"array\",\"items\":" VARIABLE "}", "-3e999");
}

/* The greatest and the least that so many bytes have, and what is one beyond: the digits alone do not tell. */
static void
test_sizes(void)
{
	static const char *const most[] = {"127", "32767", "2147483647", "9223372036854775807",
									   "39614081257132168796771975167"};
	static const char *const least[] = {"-128", "-32768", "-2147483648", "-9223372036854775808",
										"-39614081257132168796771975168"};
	static const int sizes[] = {1, 2, 4, 8, 12};
	char schema[200];
	char beyond[60];
	char want[100];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		snprintf(schema, sizeof(schema),
				 "{\"type\":\"fixed\",\"name\":\"f\",\"size\":%d,\"logicalType\":\"decimal\","
				 "\"precision\":50}",
				 sizes[i]);
		check_same(schema, most[i], most[i]);
		check_same(schema, least[i], least[i]);
		/* None of them ends with a nine. */
		snprintf(beyond, sizeof(beyond), "%s", most[i]);
		beyond[strlen(beyond) - 1]++;
		snprintf(want, sizeof(want), "more than the schema's 50 digits: \"%s\"", beyond);
		check_same(schema, beyond, want);
		snprintf(beyond, sizeof(beyond), "%s", least[i]);
		beyond[strlen(beyond) - 1]++;
		snprintf(want, sizeof(want), "more than the schema's 50 digits: \"%s\"", beyond);
		check_same(schema, beyond, want);
	}
}

/* Unions of records that hold unions: each level would be tried twice for each of the one above. */
static void
test_tries(void)
{
	const char *schema =
		"[\"null\",{\"type\":\"record\",\"name\":\"a\",\"fields\":[{\"name\":\"x\",\"type\":["
		"\"null\",\"a\",{\"type\":\"record\",\"name\":\"b\",\"fields\":[{\"name\":\"x\",\"type\":["
		"\"null\",\"a\",\"b\"]}]}]}]}]";
	char json[1000] = "";
	char shown[1000];

	for (int i = 0; i < 60; i++)
		strcat(json, "{\"x\":");
	strcat(json, "1");
	for (int i = 0; i < 60; i++)
		strcat(json, "}");
	write_shown(schema, json, shown, sizeof(shown));
	CHECK(strncmp(shown, "!too_deep", 9) == 0);
}

/* A decimal of nearly as many digits as can be read, and of more. */
static void
test_digits(void)
{
	const char *schema =
		"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":20000,\"scale\":5}";
	static char json[20001];
	static char shown[9000];
	TxdBuf back = {0};
	TxdError err = {0};
	TxdAvro *avro = txd_avro_new(&schema, 1, NULL, &err);
	TxdBuf out = {0};
	TxdAvroWriter *writer = txd_avro_writer_new(&schema, 1, &err);

	memset(json, '7', 9800);
	memcpy(json + 9800, ".12345", 6);
	CHECK(txd_avro_write(writer, json, 9806, &out, &err));
	CHECK(txd_avro_json(avro, out.data, out.len, &back, &err));
	CHECK(back.len == 9806 && memcmp(back.data, json, back.len) == 0);
	memset(json, '9', 20000);
	write_shown(schema, json, shown, sizeof(shown));
	CHECK(strncmp(shown, "!out_of_range", 13) == 0);
	txd_avro_writer_free(writer);
	txd_avro_free(avro);
	txd_buf_free(&out);
	txd_buf_free(&back);
}

/* Hours whose milliseconds are 2^64 and one together. */
static void
test_long_duration(void)
{
	char json[2000] = "\"PT";
	char shown[200];

	for (int i = 0; i < 119; i++)
		strcat(json, "42949672949H");
	strcat(json, "13084495099H1551.617S\"");
	write_shown("{\"type\":\"fixed\",\"name\":\"f\",\"size\":12,\"logicalType\":\"duration\"}",
				json, shown, sizeof(shown));
	CHECK(strncmp(shown, "!bad_value", 10) == 0);
}

int
main(void)
{
	TxdError err = {0};

	CHECK(txd_avro_writer_new(&(const char *){"\"nothing\""}, 1, &err) == NULL);
	CHECK_STR(err.code, "bad_schema");
	test_what_is_read();
	test_cases();
	test_debezium();
	test_effort();
	test_sizes();
	test_tries();
	test_digits();
	test_long_duration();
	return check_done("test_avro_write");
}
