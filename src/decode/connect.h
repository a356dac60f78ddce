/*
 * connect.h — what Kafka Connect and Debezium mean by a field, beyond the type it is written with: the name of its schema
 * says so. Private to src/decode.
 */
#ifndef TXD_CONNECT_H
#define TXD_CONNECT_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

typedef enum TxdConnectBase
{
	TXD_CONNECT_INT32,
	TXD_CONNECT_INT64,
	TXD_CONNECT_STRING,
	TXD_CONNECT_BYTES,
	TXD_CONNECT_STRUCT
} TxdConnectBase;

typedef enum TxdConnectMeaning
{
	TXD_MEANS_DATE,  /* days */
	TXD_MEANS_TIME,  /* of day, counted with `digits` of a second's fraction, as the next two */
	TXD_MEANS_LOCAL, /* date and time without a zone, as if they were of UTC */
	TXD_MEANS_INSTANT,
	TXD_MEANS_ZONED,    /* ISO 8601 with its offset */
	TXD_MEANS_DECIMAL,  /* bytes; the schema has the scale */
	TXD_MEANS_VARIABLE, /* scale, and bytes as value */
	TXD_MEANS_JSON,     /* as text */
	TXD_MEANS_UUID
} TxdConnectMeaning;

typedef struct TxdConnectType
{
	const char *name;
	TxdConnectBase base;
	TxdConnectMeaning meaning;
	int digits;
} TxdConnectType;

/* What the name means of values that are written so; NULL: nothing that is known. */
extern const TxdConnectType *txd_connect_type(const char *name, TxdConnectBase base);

#define TXD_MIN_SCALE (-1000)
#define TXD_MAX_SCALE 16383 /* of numeric */

/* Appends the decimal of a scale that its value brings. False: no number has that scale. */
extern bool txd_connect_put_decimal(TxdBuf *json, const char *bytes, size_t len, int64_t scale);

/* Appends the JSON that the text is, or the text where it is none. */
extern void txd_connect_put_json(TxdBuf *json, const char *text, size_t len);

#endif
