/*
 * avro.h — Avro's binary encoding, to the JSON that means the same.
 *
 * What a schema names differently from JSON becomes text that PostgreSQL's types read: bytes and fixed "\x…", decimals exact
 * numbers, dates, times and timestamps their ISO form (instants in UTC), durations ISO 8601, NaN and infinities
 * their names. A union is the value of its branch. Logical types that do not fit what they annotate are ignored, as
 * the specification says.
 */
#ifndef TXD_AVRO_H
#define TXD_AVRO_H

#include "decode.h"

/* A writer's schema, read as a reader's where there is one. Used by one thread. */
typedef struct TxdAvro TxdAvro;

/*
 * Schemas are JSON texts, the writer's the last of n, which may name types of those before it. With a reader's schema its names, aliases, defaults, promotions and symbols apply, and fields it does
 * not have are left out. NULL with err filled (bad_schema) when one of them is none; where the two do not agree only
 * values that are concerned are refused.
 */
extern TxdAvro *txd_avro_new(const char *const *writer, int n, const char *reader, TxdError *err);
extern void txd_avro_free(TxdAvro *avro);

/* Appends the JSON of one encoded value that fills data[0..len); refuses (bad_avro, too_deep, too_long) otherwise. */
extern bool txd_avro_json(const TxdAvro *avro, const char *data, size_t len, TxdBuf *json,
						  TxdError *err);

/*
 * Appends the fields of a record as JSON: [{"name":…,"type":…,"doc":…}], types as SQL writes them; of another type one without a name.
 * Nothing with a reader's schema.
 */
extern void txd_avro_describe(const TxdAvro *avro, TxdBuf *json);

/* CRC-64-AVRO of the writer's parsing canonical form, by which the single-object encoding knows it. */
extern uint64_t txd_avro_fingerprint(const TxdAvro *avro);

#endif
