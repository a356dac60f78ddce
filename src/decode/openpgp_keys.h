/*
 * openpgp_keys.h — what writing and reading of OpenPGP share. Private to openpgp*.c.
 */
#ifndef TXD_OPENPGP_KEYS_H
#define TXD_OPENPGP_KEYS_H

#include <openssl/evp.h>

#include "openpgp.h"

#define SALT 8
#define SESSION_PACKET 14 /* bytes of the session key packet: TXD_PGP_MAGIC, then the salt */
#define BLOCK 16
#define PREFIX (BLOCK + 2) /* random block, whose last two bytes are repeated */
#define SHA1_SIZE 20
#define MDC_PACKET (2 + SHA1_SIZE)
#define RANDOM_POOL 4096

#define TAG_SEALED 0xD2  /* symmetrically encrypted and integrity protected data, new format */
#define TAG_LITERAL 0xCB /* literal data */
#define TAG_MDC 0xD3

struct TxdPgp
{
	int nkeys;
	char *key[TXD_PGP_MAX_KEYS];
	EVP_CIPHER *aes;
	EVP_MD *sha256;
	EVP_MD *sha1;
	EVP_MD_CTX *derive;
	EVP_CIPHER_CTX *cipher; /* of whole values */
	EVP_MD_CTX *mdc;
	unsigned char pool[RANDOM_POOL];
	size_t pool_left;
};

extern const unsigned char txd_pgp_magic[TXD_PGP_MAGIC];

/* Begins en- or decrypting with the key that comes of the salt. */
extern bool txd_pgp_begin(TxdPgp *pgp, int key, const unsigned char *salt, bool encrypt,
						  EVP_CIPHER_CTX *cipher);

#endif
