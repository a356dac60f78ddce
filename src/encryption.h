/*
 * encryption.h — OpenPGP messages in the server: what users decrypt, and what they gave in clear to be kept.
 */
#ifndef TXP_ENCRYPTION_H
#define TXP_ENCRYPTION_H

#include "postgres.h"

#include "decode/openpgp.h"

/* The keys of `user`'s mapping for the server, as long as the context lives. ERRORs where there are none. */
extern TxdPgp *txp_encryption_keys(MemoryContext context, Oid server, Oid user);

/* The same of keys as a mapping has them; they are wiped. */
extern TxdPgp *txp_encryption_keys_of(MemoryContext context, char *text);

extern bytea *txp_encrypt(TxdPgp *keys, bool text, const char *data, Size len);

/* ERRORs where the value is no message of ours (22023), of another key (22000) or damaged (XX001). */
extern bytea *txp_decrypt(TxdPgp *keys, const bytea *message);

#endif
