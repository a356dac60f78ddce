/*
 * fuzz_json.c — libFuzzer entry: any bytes as a JSON message, against schemas that use every path
 * of the decoder. What is accepted must be text that PostgreSQL takes.
 */
#include <stdlib.h>
#include <string.h>

#include "decode/json.h"

static const char *nested[] = {"m.a"};
static const char *deeper[] = {"m.b.c", "d"};
static const char *object[] = {"o"};
static const char *inside[] = {"o.p"};

static TxdColumn columns[] = {
	{.name = "id", .type = TXD_INT4},
	{.name = "customer_id", .type = TXD_STRING},
	{.name = "amount", .type = TXD_NUMERIC, .precision = 10, .scale = 2},
	{.name = "nested", .type = TXD_STRING, .npaths = 1, .paths = nested, .convert = TXD_AS_TRIM},
	{.name = "deeper", .type = TXD_VARCHAR, .length = 8, .npaths = 2, .paths = deeper},
	{.name = "object", .type = TXD_JSONB, .npaths = 1, .paths = object},
	{.name = "inside", .type = TXD_JSONTEXT, .npaths = 1, .paths = inside},
	{.name = "at", .type = TXD_TIMESTAMPTZ, .precision = -1},
	{.name = "ok", .type = TXD_BOOL, .default_text = "false"},
	{.name = "rest", .type = TXD_JSONB, .source = TXD_FROM_REST},
	{.name = "raw", .type = TXD_STRING, .source = TXD_FROM_VALUE},
};

static TxdDecoder *decoder[2];

static void
decode(TxdDecoder *d, const char *payload, size_t len)
{
	TxdMessage message = {.payload = payload, .payload_len = len, .timestamp_ms = -1};
	TxdBuf rows = {NULL, 0, 0};
	TxdError err = {0};
	TxdError ignored;

	if (txd_decode(d, &message, &rows, &err))
	{
		if (!txd_json_valid(payload, len, false, &ignored))
			abort();
	}
	else if (rows.len != 0 || err.code == NULL || err.message[0] == '\0' ||
			 txd_utf8_prefix(err.message, strlen(err.message)) != strlen(err.message))
		abort();
	txd_buf_free(&rows);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TxdSchema schema = {
		.format = TXD_JSON, .ncolumns = sizeof(columns) / sizeof(columns[0]), .columns = columns};
	TxdError err;
	char *copy;

	for (int form = TXD_BINARY; form <= TXD_TEXT; form++)
	{
		schema.form = (TxdForm) form;
		if (decoder[form] == NULL)
			decoder[form] = txd_new(&schema, &err);
		copy = malloc(size > 0 ? size : 1); /* of exactly this size for the sanitiser */
		if (size > 0)
			memcpy(copy, data, size);
		decode(decoder[form], copy, size);
		txd_json_valid(copy, size, true, &err);
		free(copy);
	}
	return 0;
}
