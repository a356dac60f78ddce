/*
 * seal.h — messages that leave the child encrypted, and come back so.
 */
#ifndef TXP_SEAL_H
#define TXP_SEAL_H

#include "../decode/buf.h"
#include "../decode/decode.h"

/* An opt with the bytes as an OpenPGP message; absent where they are. Ends the process when the library fails. */
extern void txp_put_sealed(TxdBuf *out, TxdPgp *pgp, const char *bytes, size_t len);
/* The same as a JSON string of hexadecimal digits, for a column of jsonb. */
extern void txp_put_sealed_text(TxdBuf *out, TxdPgp *pgp, const char *bytes, size_t len);

/*
 * Makes the key, headers and payload of a message plain; they live in `plain` then. False with err filled. `pgp` may
 * be NULL: then there is no key.
 */
extern bool txp_unseal(TxdPgp *pgp, TxdMessage *m, TxdBuf *plain, TxdError *err);

#endif
