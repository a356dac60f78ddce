/*
 * payload.h — writing and reading what frames carry.
 */
#ifndef TXP_PAYLOAD_H
#define TXP_PAYLOAD_H

#include "postgres.h"
#include "lib/stringinfo.h"
#include "utils/jsonb.h"

#include "io/frame.h"
#include "io/wire.h"

/* Payload writing. */
extern void txp_put_u8(StringInfo buf, uint8 v);
extern void txp_put_u32(StringInfo buf, uint32 v);
extern void txp_put_i32(StringInfo buf, int32 v);
extern void txp_put_i64(StringInfo buf, int64 v);
extern void txp_put_bytes(StringInfo buf, const char *data, uint32 len);
extern void txp_put_str(StringInfo buf, const char *s); /* NULL is written as absent */
/* [str name, opt value] of a JSON object of strings; NULL: none. ERRORs (22023) on anything else. */
extern void txp_put_headers(StringInfo buf, Jsonb *headers);

/* Payload reading: a span as a palloc'd C string, NULL when absent; an incomplete payload is an error. */
extern char *txp_span_text(TxpSpan span);
extern void txp_reader_check(const TxpReader *r);

#endif
