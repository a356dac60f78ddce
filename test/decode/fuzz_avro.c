/*
 * fuzz_avro.c — libFuzzer entry: a schema of Avro, a NUL, a byte, and what may be a value of it. With bit 0 of the byte the
 * schema is also read as itself.
 *
 * What is accepted is JSON, but for bytes that are no UTF-8, and the same when the schema is read as itself; rows are the same whether
 * they come from it or straight from the value. JSON that is written by the
 * schema is read again, as what is written the same. A refusal leaves no bytes, has a code and a UTF-8 sentence.
 */
#include <string.h>

#include "both_ways.h"
#include "fuzz.h"

#include "decode/avro.h"
#include "decode/avro_write.h"
#include "decode/json.h"

#define LONGEST 4096
#define MANY_NULLS 65536

static void
check_refusal(const TxdError *err)
{
	MUST(err->code != NULL && err->message[0] != '\0');
	MUST(txd_utf8_prefix(err->message, strlen(err->message)) == strlen(err->message));
}

/* The JSON of the value; false: it is none. */
static bool
read_value(const char *schema, const char *reader, const char *data, size_t len, TxdBuf *json)
{
	TxdError err = {0};
	TxdAvro *avro = txd_avro_new(&schema, 1, reader, &err);
	bool ok = avro != NULL && txd_avro_json(avro, data, len, json, &err);

	if (!ok)
	{
		MUST(json->len == 0);
		check_refusal(&err);
	}
	txd_avro_free(avro);
	return ok;
}

static bool
is_json(const TxdBuf *json)
{
	TxdError err = {0};
	bool ok = txd_json_valid(json->data, json->len, false, &err);

	MUST(ok || strcmp(err.code, "bad_encoding") == 0);
	return ok;
}

/* False: the JSON does not fit. */
static bool
write_value(const char *schema, const TxdBuf *json, TxdBuf *out)
{
	TxdError err = {0};
	TxdAvroWriter *writer = txd_avro_writer_new(&schema, 1, &err);
	bool ok = txd_avro_write(writer, json->data, json->len, out, &err);

	if (!ok)
	{
		MUST(out->len == 0);
		check_refusal(&err);
	}
	txd_avro_writer_free(writer);
	return ok;
}

/* Another branch of a union may take a value than had it; from then on it stays the same. */
static void
write_again(const char *schema, const TxdBuf *json)
{
	TxdBuf bytes = {0};
	TxdBuf read = {0};
	TxdBuf again = {0};

	if (write_value(schema, json, &bytes) &&
		!read_value(schema, NULL, bytes.len > 0 ? bytes.data : "", bytes.len, &read))
		MUST(json->len > MANY_NULLS); /* they take no bytes, and what is read of them is bounded */
	else if (bytes.len > 0)
	{
		MUST(write_value(schema, &read, &again));
		MUST(bytes.len == again.len);
		MUST(memcmp(bytes.data, again.data, bytes.len) == 0);
	}
	txd_buf_free(&bytes);
	txd_buf_free(&read);
	txd_buf_free(&again);
}

/* By the decoder of a stream, into the rest and a column. */
static void
decode_message(const char *schema, const char *data, size_t len)
{
	const char *path = "a";
	TxdColumn columns[2] = {{.name = "a", .type = TXD_STRING, .npaths = 1, .paths = &path},
							{.name = "rest", .type = TXD_JSONTEXT, .source = TXD_FROM_REST}};
	TxdSchema stream = {.format = TXD_AVRO,
						.form = TXD_TEXT,
						.ncolumns = 2,
						.columns = columns,
						.track_fields = true,
						.csv = {',', '"', false, false, ""},
						.avro_schema = schema};
	TxdMessage m = {.payload = data, .payload_len = len, .timestamp_ms = -1};
	TxdBuf rows = {0};
	TxdError err = {0};
	TxdDecoder *decoder = txd_new(&stream, &err);

	if (decoder == NULL)
		check_refusal(&err);
	else if (!txd_decode(decoder, &m, &rows, &err))
	{
		MUST(rows.len == 0);
		check_refusal(&err);
	}
	txd_free(decoder);
	txd_buf_free(&rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *schema = (const char *) data;
	size_t schema_len = strnlen(schema, len);
	const char *value = schema + schema_len + 2;
	TxdBuf json = {0};
	TxdBuf again = {0};

	if (len > LONGEST || schema_len + 2 > len)
		return 0;
	len -= schema_len + 2;
	if (read_value(schema, NULL, value, len, &json) && is_json(&json))
	{
		write_again(schema, &json);
		if ((value[-1] & 1) != 0 && read_value(schema, schema, value, len, &again))
			MUST(json.len == again.len && memcmp(json.data, again.data, json.len) == 0);
	}
	decode_message(schema, value, len);
	MUST(both_ways(&(TxdSchema){.format = TXD_AVRO,
								.csv = {',', '"', false, false, ""},
								.avro_schema = schema},
				   value, len, (unsigned char) value[-1]) == NULL);
	txd_buf_free(&json);
	txd_buf_free(&again);
	return 0;
}
