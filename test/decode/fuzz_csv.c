/*
 * fuzz_csv.c — libFuzzer entry: any bytes as a CSV file. Its records must cover it exactly, in
 * whatever pieces it arrives; each is decoded after the first was bound as the header.
 */
#include <stdlib.h>
#include <string.h>

#include "decode/decode.h"

static const char *address[] = {"address", "Address"};

static TxdColumn columns[] = {
	{.name = "id", .type = TXD_INT4, .convert = TXD_AS_WHOLE},
	{.name = "email", .type = TXD_STRING, .convert = TXD_AS_EMAIL},
	{.name = "street", .type = TXD_STRING, .npaths = 2, .paths = address, .convert = TXD_AS_STREET},
	{.name = "city", .type = TXD_STRING, .npaths = 2, .paths = address, .convert = TXD_AS_CITY},
	{.name = "day", .type = TXD_DATE, .default_text = "2024-01-01"},
	{.name = "line", .type = TXD_INT8, .source = TXD_FROM_LINE},
	{.name = "record", .type = TXD_BYTEA, .source = TXD_FROM_VALUE},
};

/*
 * Length of the record at p; of a part that ends `cut` bytes early it must be the same, or unknown.
 */
static size_t
record_length(const TxdCsvOptions *csv, const char *p, size_t len, size_t cut, size_t *line_ends)
{
	size_t n = txd_csv_record(csv, p, len, true, line_ends);
	size_t part = len > cut ? len - cut : 0;
	size_t ends;
	size_t early = txd_csv_record(csv, p, part, false, &ends);

	if (n == 0 || n > len || (early != 0 && (early != n || ends != *line_ends)))
		abort();
	return n;
}

static void
decode_file(const TxdSchema *schema, const char *p, size_t len)
{
	TxdBuf rows = {NULL, 0, 0};
	TxdError err;
	TxdDecoder *d = txd_new(schema, &err);
	TxdMessage message = {.timestamp_ms = -1, .line = 1};
	bool header = schema->csv.header;

	if (d == NULL)
		abort();
	while (len > 0)
	{
		size_t ends;
		size_t n = record_length(&schema->csv, p, len, len / 3, &ends);
		size_t used = rows.len;

		message.payload = p;
		message.payload_len = n;
		if (header)
			txd_bind_header(d, p, n, &err);
		else if (!txd_decode(d, &message, &rows, &err) && rows.len != used)
			abort();
		header = false;
		message.line += (int64_t) ends;
		p += n;
		len -= n;
	}
	txd_buf_free(&rows);
	txd_free(d);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TxdSchema schema = {.format = TXD_CSV,
						.form = TXD_TEXT,
						.ncolumns = sizeof(columns) / sizeof(columns[0]),
						.columns = columns,
						.csv = {',', '"', false, false, ""}};
	char *copy;

	if (size == 0)
		return 0;
	schema.csv.header = data[0] & 1;
	schema.csv.ragged = data[0] & 2;
	columns[2].npaths = columns[3].npaths = schema.csv.header ? 2 : 0; /* names need a header */
	if (size > 4096)
		size = 4096;
	copy = malloc(size - 1 > 0 ? size - 1 : 1); /* of exactly this size for the sanitiser */
	memcpy(copy, data + 1, size - 1);
	decode_file(&schema, copy, size - 1);
	free(copy);
	return 0;
}
