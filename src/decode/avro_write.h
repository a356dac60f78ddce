/*
 * avro_write.h — JSON to Avro's binary encoding: the way back of avro.h.
 *
 * Values are written as txd_avro_json writes them. Dates, times and timestamps may be numbers, too: what is counted. Of a
 * union the first branch takes a value that can. A record's fields that are missing have their defaults; fields that the
 * schema does not have are refused, and so is whatever would lose digits.
 */
#ifndef TXD_AVRO_WRITE_H
#define TXD_AVRO_WRITE_H

#include "decode.h"

/* Used by one thread. */
typedef struct TxdAvroWriter TxdAvroWriter;

/* Schemas are JSON texts, the last of n what is written, which may name types of those before it. NULL with err filled. */
extern TxdAvroWriter *txd_avro_writer_new(const char *const *texts, int n, TxdError *err);
extern void txd_avro_writer_free(TxdAvroWriter *writer);

/* Appends the encoding of one JSON value, or leaves `out` as it was, with err filled; the message names the field. */
extern bool txd_avro_write(const TxdAvroWriter *writer, const char *json, size_t len, TxdBuf *out,
						   TxdError *err);

#endif
