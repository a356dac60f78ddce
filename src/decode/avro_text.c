/*
 * avro_text.c — Avro's values as JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "avro_schema.h"
#include "connect.h"
#include "datetime.h"

#define DAY_S INT64_C(86400)

void
txd_avro_put_long(TxdBuf *json, const AvroType *type, int64_t v)
{
	char text[TXD_DATETIME_TEXT];
	int64_t second = type->digits == 3 ? 1000 : type->digits == 6 ? 1000000 : 1000000000;

	if (type->logical == AVRO_DATE)
		txd_write_text(json, text, txd_unix_day_text(v, text));
	else if (type->logical == AVRO_INSTANT)
		txd_write_text(json, text, txd_unix_text(v, type->digits, "+00", text));
	else if (type->logical == AVRO_LOCAL)
		txd_write_text(json, text, txd_unix_text(v, type->digits, "", text));
	else if (type->logical == AVRO_TIME && v >= 0 && v < DAY_S * second)
		txd_write_text(json, text, txd_clock_text(v, type->digits, text));
	else
		txd_write_integer(json, v);
}

static uint32_t
little32(const unsigned char *p)
{
	return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 | (uint32_t) p[3] << 24;
}

static void
put_uuid(TxdBuf *json, const unsigned char *p)
{
	char text[40];
	int n = 0;

	for (int i = 0; i < 16; i++)
		n += snprintf(text + n, sizeof(text) - (size_t) n,
					  i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", p[i]);
	txd_write_text(json, text, (size_t) n);
}

void
txd_avro_put_bytes(TxdBuf *json, const AvroType *type, const unsigned char *p, size_t len)
{
	char text[80];
	int n;

	switch (type->logical)
	{
		case AVRO_DECIMAL:
			txd_write_decimal(json, p, len, type->digits);
			break;
		case AVRO_UUID:
			put_uuid(json, p);
			break;
		case AVRO_DURATION:
			n = snprintf(text, sizeof(text), "P%uM%uDT%u.%03uS", little32(p), little32(p + 4),
						 little32(p + 8) / 1000, little32(p + 8) % 1000);
			txd_write_text(json, text, (size_t) n);
			break;
		default:
			txd_write_hex(json, p, len);
	}
}

void
txd_avro_put_string(TxdBuf *json, const AvroType *type, const char *p, size_t len)
{
	if (type->logical == AVRO_JSON)
		txd_connect_put_json(json, p, len);
	else
		txd_write_quoted(json, p, len);
}
