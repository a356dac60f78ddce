/*
 * test_parquet.c — the bytes Parquet is made of, what does not fit a column, and sinks that fail. Whether others read
 * whole files is for test/t/070_parquet_readers.pl.
 */
#include <stdlib.h>

#include "check.h"

#include "parquet/chunk.h"
#include "parquet/hybrid.h"
#include "parquet/thrift.h"

/* --- runs and packed bits --- */

static void
test_hybrid(void)
{
	TxdBytes out = {0};
	uint32_t values[1000] = {0};

	/* The example of the specification: the numbers 0 to 7 in three bits. */
	for (uint32_t i = 0; i < 8; i++)
		values[i] = i;
	txd_hybrid(&out, values, 8, 3);
	CHECK_HEX(out.data, out.len, "0388c6fa");

	out.len = 0;
	for (int i = 0; i < 1000; i++)
		values[i] = 300;
	txd_hybrid(&out, values, 1000, 9);
	CHECK_HEX(out.data, out.len, "d00f2c01");

	/* Seven equal ones are no run, and groups are filled up with zeros. */
	out.len = 0;
	txd_hybrid(&out, values, 7, 9);
	CHECK_HEX(out.data, out.len, "032c59b264c992254b00");

	/* A run begins where a group ends only. */
	out.len = 0;
	for (int i = 0; i < 24; i++)
		values[i] = i < 4;
	txd_hybrid(&out, values, 24, 1);
	CHECK_HEX(out.data, out.len, "030f2000");

	out.len = 0;
	txd_hybrid(&out, values, 0, 1);
	CHECK_INT(out.len, 0);
	txd_bytes_free(&out);
}

/* --- metadata --- */

static void
test_thrift(void)
{
	TxdBytes out = {0};
	TxdThrift thrift = {.out = &out};

	txd_thrift_begin(&thrift);
	txd_thrift_i32(&thrift, 1, -1);
	txd_thrift_i64(&thrift, 3, INT64_MIN);
	txd_thrift_bool(&thrift, 4, true);
	txd_thrift_struct(&thrift, 5);
	txd_thrift_empty(&thrift, 2);
	txd_thrift_end(&thrift);
	txd_thrift_binary(&thrift, 6, "ab", 2);
	txd_thrift_list(&thrift, 7, TXD_THRIFT_I32, 2);
	txd_thrift_i32_element(&thrift, 64);
	txd_thrift_i32_element(&thrift, 0);
	txd_thrift_list(&thrift, 8, TXD_THRIFT_STRUCT, 15);
	txd_thrift_end(&thrift);
	CHECK_HEX(out.data, out.len,
			  "1501"
			  "26ffffffffffffffffff01"
			  "11"
			  "1c2c0000"
			  "18026162"
			  "1925800100"
			  "19fc0f"
			  "00");
	txd_bytes_free(&out);
}

/* --- values --- */

/* The bytes of a decimal in hexadecimal; "no": it does not fit. */
static const char *
decimal(int precision, int scale, const char *text)
{
	static char shown[2 * TXD_FIXED_MAX + 1];
	TxdParquetColumn column = {"d", TXD_PARQUET_DECIMAL, precision, scale};
	TxdParquetValue value = {.data = text, .len = strlen(text)};
	unsigned char fixed[TXD_FIXED_MAX];
	TxdPlain plain;

	if (!txd_physical_value(&column, &value, fixed, &plain))
		return "no";
	for (size_t i = 0; i < plain.len; i++)
		snprintf(shown + 2 * i, 3, "%02x", plain.data[i]);
	return shown;
}

static void
test_decimals(void)
{
	CHECK_STR(decimal(9, 2, "1.00"), "64000000");
	CHECK_STR(decimal(9, 2, "-0.01"), "ffffffff");
	CHECK_STR(decimal(9, 2, "1"), "64000000");
	CHECK_STR(decimal(9, 2, "9999999.99"), "ffc99a3b");
	CHECK_STR(decimal(9, 2, "10000000.00"), "no");
	CHECK_STR(decimal(9, 2, "1.001"), "no");
	CHECK_STR(decimal(10, 0, "-1"), "ffffffffffffffff");
	CHECK_STR(decimal(18, 18, "0.999999999999999999"), "ffff63a7b3b6e00d");
	CHECK_STR(decimal(19, 0, "-1"), "ffffffffffffffffff");
	CHECK_STR(decimal(19, 0, "9999999999999999999"), "008ac7230489e7ffff");
	CHECK_STR(decimal(38, 0, "-99999999999999999999999999999999999999"),
			  "b4c4b357a5793b85f675ddc000000001");
	CHECK_STR(decimal(38, 37, "-0.0000000000000000000000000000000000001"),
			  "ffffffffffffffffffffffffffffffff");
	CHECK_STR(decimal(38, 0, "100000000000000000000000000000000000000"), "no");
	CHECK_STR(decimal(38, 38, "1"), "no");
	CHECK_STR(decimal(5, 5, ".5"), "50c30000");
	/* With its zeros it would be 3.4e38, which 128 bits take for a small number. */
	CHECK_STR(decimal(38, 30, "340282367"), "no");
	CHECK_STR(decimal(38, 30, "-340282367"), "no");
	for (int i = 0; i < 8; i++)
	{
		static const char *none[] = {"", "-", ".", "NaN", "1e3", "1.2.3", "--1", " 1"};

		CHECK_STR(decimal(9, 2, none[i]), "no");
	}
}

/* --- statistics --- */

static TxdRange
range_of(TxdChunk *chunk, const TxdParquetValue *values, int n)
{
	TxdRange range;

	for (int i = 0; i < n; i++)
		CHECK(txd_chunk_add(chunk, &values[i]) == TXD_PARQUET_OK);
	CHECK(txd_chunk_close(chunk));
	txd_chunk_range(chunk, &range);
	return range;
}

static void
test_ranges(void)
{
	TxdChunk chunk;
	TxdRange range;
	TxdParquetColumn text = {"t", TXD_PARQUET_TEXT, 0, 0};
	TxdParquetColumn real = {"r", TXD_PARQUET_DOUBLE, 0, 0};
	TxdParquetColumn money = {"m", TXD_PARQUET_DECIMAL, 20, 0};
	char longer[65];

	/* Texts by their bytes, which are unsigned. */
	memset(longer, 'x', sizeof(longer));
	txd_chunk_init(&chunk, &text);
	range = range_of(&chunk,
					 (TxdParquetValue[]){{.data = "b", .len = 1},
										 {.is_null = true},
										 {.data = "\xc3\xa4", .len = 2},
										 {.data = "", .len = 0}},
					 4);
	CHECK(range.is_known && range.min_len == 0 && range.max_len == 2);
	CHECK_INT(chunk.nulls, 1);
	txd_chunk_clear(&chunk);
	range = range_of(&chunk, &(TxdParquetValue){.data = longer, .len = 64}, 1);
	CHECK(range.is_known);
	range = range_of(&chunk, &(TxdParquetValue){.data = longer, .len = 65}, 1);
	CHECK(!range.is_known);
	txd_chunk_clear(&chunk);
	range = range_of(&chunk, &(TxdParquetValue){.is_null = true}, 1);
	CHECK(!range.is_known);
	txd_chunk_free(&chunk);

	/* Zeros of both signs are in it, and a NaN leaves nothing to say. */
	txd_chunk_init(&chunk, &real);
	range = range_of(&chunk, &(TxdParquetValue){.real = 0.0}, 1);
	CHECK_HEX(range.min, range.min_len, "0000000000000080");
	CHECK_HEX(range.max, range.max_len, "0000000000000000");
	range = range_of(&chunk, &(TxdParquetValue){.real = strtod("nan", NULL)}, 1);
	CHECK(!range.is_known);
	txd_chunk_free(&chunk);

	txd_chunk_init(&chunk, &money);
	range =
		range_of(&chunk, (TxdParquetValue[]){{.data = "5", .len = 1}, {.data = "-5", .len = 2}}, 2);
	CHECK_HEX(range.min, range.min_len, "fffffffffffffffffb");
	CHECK_HEX(range.max, range.max_len, "000000000000000005");
	txd_chunk_free(&chunk);
}

/* --- the dictionary --- */

static void
test_dictionary(void)
{
	TxdChunk chunk;
	TxdParquetColumn column = {"i", TXD_PARQUET_INT64, 0, 0};
	bool ok = true;

	/* Of few values it stays, of values of their own it is dissolved. */
	txd_chunk_init(&chunk, &column);
	for (int64_t i = 0; i < 1000; i++)
		ok &= txd_chunk_add(&chunk, &(TxdParquetValue){.integer = i % 3}) == TXD_PARQUET_OK;
	CHECK(ok && txd_chunk_close(&chunk));
	CHECK_INT(chunk.entries, 3);
	CHECK_INT(chunk.nplain, 0);
	txd_chunk_clear(&chunk);
	for (int64_t i = 0; i < 1000; i++)
		ok &= txd_chunk_add(&chunk, &(TxdParquetValue){.integer = i}) == TXD_PARQUET_OK;
	CHECK(ok && txd_chunk_close(&chunk));
	CHECK_INT(chunk.entries, 0);
	CHECK_INT(chunk.nplain, 1000);
	txd_chunk_clear(&chunk);

	/* One that was of use is kept when it is full, and the values behind it are plain. */
	for (int64_t i = 0; i < 400000; i++)
		ok &= txd_chunk_add(&chunk, &(TxdParquetValue){.integer = i < 200000 ? i % 10 : i}) ==
			  TXD_PARQUET_OK;
	CHECK(ok);
	CHECK_INT(chunk.entries, 65536);
	CHECK_INT(chunk.indexed + chunk.nplain, 400000);
	txd_chunk_free(&chunk);
}

/* --- files --- */

typedef struct Sink
{
	TxdBytes bytes;
	size_t limit;
} Sink;

static bool
take(void *arg, const void *bytes, size_t len)
{
	Sink *sink = arg;

	if (len > sink->limit - sink->bytes.len)
		return false;
	txd_bytes_append(&sink->bytes, bytes, len);
	return true;
}

static const TxdParquetOptions options = {.created_by = "txpipe", .group_bytes = 1000};

/* Writes numbers until it fails or all are there. */
static TxdParquetResult
write_numbers(Sink *sink, int n)
{
	TxdParquetColumn column = {"i", TXD_PARQUET_INT32, 0, 0};
	TxdParquet *file = txd_parquet_new(&column, 1, &options, take, sink);
	TxdParquetResult result = TXD_PARQUET_OK;

	for (int i = 0; i < n && result == TXD_PARQUET_OK; i++)
		result = txd_parquet_row(file, &(TxdParquetValue){.integer = i});
	CHECK(result == TXD_PARQUET_OK || txd_parquet_finish(file) == result);
	if (result == TXD_PARQUET_OK)
		result = txd_parquet_finish(file);
	if (result == TXD_PARQUET_OK)
		CHECK_INT(txd_parquet_size(file), (long long) sink->bytes.len);
	txd_parquet_free(file);
	return result;
}

static void
test_sinks(void)
{
	Sink whole = {.limit = SIZE_MAX};

	CHECK(write_numbers(&whole, 2000) == TXD_PARQUET_OK);
	CHECK(memcmp(whole.bytes.data, "PAR1", 4) == 0);
	CHECK(memcmp(whole.bytes.data + whole.bytes.len - 4, "PAR1", 4) == 0);
	for (size_t limit = 0; limit < whole.bytes.len; limit += 1 + limit / 50)
	{
		Sink full = {.limit = limit};

		CHECK(write_numbers(&full, 2000) == TXD_PARQUET_FAILED);
		txd_bytes_free(&full.bytes);
	}
	txd_bytes_free(&whole.bytes);
}

static void
test_refusals(void)
{
	Sink sink = {.limit = SIZE_MAX};
	TxdParquetColumn columns[] = {{"i", TXD_PARQUET_INT32, 0, 0}, {"b", TXD_PARQUET_BOOLEAN, 0, 0}};
	TxdParquetColumn wrong[] = {
		{"d", TXD_PARQUET_DECIMAL, 39, 0}, {"d", TXD_PARQUET_DECIMAL, 0, 0},
		{"d", TXD_PARQUET_DECIMAL, 5, 6},  {"d", TXD_PARQUET_DECIMAL, 5, -1},
		{"", TXD_PARQUET_TEXT, 0, 0},      {NULL, TXD_PARQUET_TEXT, 0, 0}};
	TxdParquet *file = txd_parquet_new(columns, 2, &options, take, &sink);
	TxdParquetValue row[] = {{.integer = INT32_MAX}, {.integer = 2}};

	CHECK(txd_parquet_row(file, row) == TXD_PARQUET_BAD_VALUE);
	CHECK_INT(txd_parquet_bad_column(file), 1);
	CHECK(txd_parquet_finish(file) == TXD_PARQUET_BAD_VALUE);
	txd_parquet_free(file);
	file = txd_parquet_new(columns, 2, &options, take, &sink);
	row[0].integer = (int64_t) INT32_MAX + 1;
	CHECK(txd_parquet_row(file, row) == TXD_PARQUET_BAD_VALUE);
	CHECK_INT(txd_parquet_bad_column(file), 0);
	txd_parquet_free(file);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CHECK(txd_parquet_new(&wrong[i], 1, &options, take, &sink) == NULL);
	CHECK(txd_parquet_new(columns, 0, &options, take, &sink) == NULL);
	txd_bytes_free(&sink.bytes);
}

int
main(void)
{
	test_hybrid();
	test_thrift();
	test_decimals();
	test_ranges();
	test_dictionary();
	test_sinks();
	test_refusals();
	return check_done("test_parquet");
}
