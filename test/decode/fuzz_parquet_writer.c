/*
 * fuzz_parquet_writer.c — libFuzzer entry: any schema and any values into a Parquet file. Whatever they are, the writer takes
 * them or says which column it is, and a file that it finishes has its magic at both ends and the length of its metadata.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#include "parquet/bytes.h"
#include "parquet/parquet.h"

#define MAX_COLUMNS 6

typedef struct Input
{
	const uint8_t *data;
	size_t len;
} Input;

static uint8_t
next(Input *input)
{
	if (input->len == 0)
		return 0;
	input->len--;
	return *input->data++;
}

static bool
take(void *arg, const void *bytes, size_t len)
{
	TxdBytes *to = arg;

	txd_bytes_append(to, bytes, len);
	return true;
}

static void
make_value(Input *input, TxdParquetValue *value)
{
	uint8_t kind = next(input);
	uint64_t bits = 0;

	*value = (TxdParquetValue){.is_null = kind == 0};
	for (int i = 0; i < (kind & 7) + 1; i++)
		bits = bits << 8 | next(input);
	value->integer = (kind & 8) ? -(int64_t) (bits >> 1) : (int64_t) bits;
	memcpy(&value->real, &bits, sizeof(bits));
	value->len = (kind >> 4) * (kind >> 4);
	value->len = value->len < input->len ? value->len : input->len;
	value->data = (const char *) input->data;
	input->data += value->len;
	input->len -= value->len;
}

static void
check_file(const TxdBytes *file)
{
	const unsigned char *end = file->data + file->len;
	size_t len = 0;

	MUST(file->len > 12 && memcmp(file->data, "PAR1", 4) == 0 && memcmp(end - 4, "PAR1", 4) == 0);
	for (int i = 0; i < 4; i++)
		len |= (size_t) end[i - 8] << 8 * i;
	MUST(len > 0 && len <= file->len - 12);
}

static TxdParquet *
open_file(Input *input, TxdParquetColumn *columns, int n, TxdBytes *out)
{
	TxdParquetOptions options = {.created_by = "fuzz", .group_bytes = (size_t) next(input) + 1};
	int sorted = 0;

	options.sorted = &sorted;
	options.nsorted = next(input) & 1;
	for (int i = 0; i < n; i++)
	{
		columns[i].name = "column";
		columns[i].type = (TxdParquetType) (next(input) % (TXD_PARQUET_BINARY + 1));
		columns[i].precision = next(input) % 41;
		columns[i].scale = (int8_t) next(input) % 41;
	}
	return txd_parquet_new(columns, n, &options, take, out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input input = {data, size};
	TxdParquetColumn columns[MAX_COLUMNS];
	TxdParquetValue values[MAX_COLUMNS];
	TxdBytes out = {0};
	int n = next(&input) % MAX_COLUMNS + 1;
	TxdParquet *file = open_file(&input, columns, n, &out);
	TxdParquetResult result = TXD_PARQUET_OK;

	if (file == NULL)
		return 0;
	while (input.len > 0 && result == TXD_PARQUET_OK)
	{
		/* Of a row often many, as they are in tables. */
		int times = next(&input) % 40;

		for (int i = 0; i < n; i++)
			make_value(&input, &values[i]);
		for (int i = 0; i <= times && result == TXD_PARQUET_OK; i++)
			result = txd_parquet_row(file, values);
	}
	MUST(result == TXD_PARQUET_OK || result == TXD_PARQUET_BAD_VALUE);
	MUST(txd_parquet_bad_column(file) >= 0 && txd_parquet_bad_column(file) < n);
	MUST(txd_parquet_finish(file) == result);
	if (result == TXD_PARQUET_OK)
		check_file(&out);
	MUST(txd_parquet_size(file) == out.len);
	txd_parquet_free(file);
	txd_bytes_free(&out);
	return 0;
}
