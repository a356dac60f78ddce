/*
 * hmac.h — HMAC-SHA256 (RFC 2104, FIPS 180-4), for the conversion "pseudonym".
 */
#ifndef TXD_HMAC_H
#define TXD_HMAC_H

#include <stddef.h>
#include <stdint.h>

#define TXD_HMAC_HEX 64

/* What SHA-256 makes of the two padded keys, so that a short value costs two blocks. */
typedef struct TxdHmac
{
	uint32_t inner[8];
	uint32_t outer[8];
} TxdHmac;

extern void txd_hmac_init(TxdHmac *hmac, const char *key, size_t len);

/* The digest of `text` as TXD_HMAC_HEX lower-case hexadecimal digits, without a zero byte. */
extern void txd_hmac_hex(const TxdHmac *hmac, const char *text, size_t len, char *hex);

#endif
