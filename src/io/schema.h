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

/* A str or opt as a C string of its own; NULL when absent. */
extern char *txp_text_read(TxpReader *r);

/* Where a registry is, or NULL; its secret is wiped from the frame. */
extern const TxdRegistry *txp_where_read(TxpReader *r);
extern void txp_where_free(const TxdRegistry *registry);

#endif
