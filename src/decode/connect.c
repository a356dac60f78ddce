/*
 * connect.c — names of Connect's and Debezium's schemas.
 */
#include <stdio.h>
#include <string.h>

#include "connect.h"
#include "json.h"
#include "json_write.h"

static const TxdConnectType types[] = {
	{"io.debezium.time.Date", TXD_CONNECT_INT32, TXD_MEANS_DATE, 0},
	{"io.debezium.time.Time", TXD_CONNECT_INT32, TXD_MEANS_TIME, 3},
	{"io.debezium.time.MicroTime", TXD_CONNECT_INT64, TXD_MEANS_TIME, 6},
	{"io.debezium.time.NanoTime", TXD_CONNECT_INT64, TXD_MEANS_TIME, 9},
	{"io.debezium.time.Timestamp", TXD_CONNECT_INT64, TXD_MEANS_LOCAL, 3},
	{"io.debezium.time.MicroTimestamp", TXD_CONNECT_INT64, TXD_MEANS_LOCAL, 6},
	{"io.debezium.time.NanoTimestamp", TXD_CONNECT_INT64, TXD_MEANS_LOCAL, 9},
	{"io.debezium.time.ZonedTimestamp", TXD_CONNECT_STRING, TXD_MEANS_ZONED, 0},
	{"io.debezium.data.VariableScaleDecimal", TXD_CONNECT_STRUCT, TXD_MEANS_VARIABLE, 0},
	{"io.debezium.data.Json", TXD_CONNECT_STRING, TXD_MEANS_JSON, 0},
	{"io.debezium.data.Uuid", TXD_CONNECT_STRING, TXD_MEANS_UUID, 0},
	{"org.apache.kafka.connect.data.Date", TXD_CONNECT_INT32, TXD_MEANS_DATE, 0},
	{"org.apache.kafka.connect.data.Time", TXD_CONNECT_INT32, TXD_MEANS_TIME, 3},
	{"org.apache.kafka.connect.data.Timestamp", TXD_CONNECT_INT64, TXD_MEANS_INSTANT, 3},
	{"org.apache.kafka.connect.data.Decimal", TXD_CONNECT_BYTES, TXD_MEANS_DECIMAL, 0},
};

const TxdConnectType *
txd_connect_type(const char *name, TxdConnectBase base)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].base == base && strcmp(types[i].name, name) == 0)
			return &types[i];
	return NULL;
}

bool
txd_connect_put_decimal(TxdBuf *json, const char *bytes, size_t len, int64_t scale)
{
	char exponent[16];
	int n;

	if (scale < TXD_MIN_SCALE || scale > TXD_MAX_SCALE)
		return false;
	txd_write_decimal(json, (const unsigned char *) bytes, len, scale > 0 ? (int) scale : 0);
	if (scale >= 0)
		return true;
	n = snprintf(exponent, sizeof(exponent), "e%d", (int) -scale);
	txd_buf_append(json, exponent, (size_t) n);
	return true;
}

void
txd_connect_put_json(TxdBuf *json, const char *text, size_t len)
{
	TxdError ignored;

	if (txd_json_valid(text, len, false, &ignored))
		txd_buf_append(json, text, len);
	else
		txd_write_quoted(json, text, len);
}
