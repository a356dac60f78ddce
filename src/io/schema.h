/*
 * schema.h — the schema part of an opening frame.
 */
#ifndef TXP_SCHEMA_H
#define TXP_SCHEMA_H

#include "../decode/decode.h"
#include "wire.h"

/* Reads a schema into memory of its own; the reader is `bad` afterwards where the frame is broken. */
extern TxdSchema *txp_schema_read(TxpReader *r);
extern void txp_schema_free(TxdSchema *schema);

/* Does a column take its value from here? */
extern bool txp_schema_uses(const TxdSchema *schema, TxdSource source);

#endif
