/*
 * seal.c — messages that leave the child encrypted, and come back so.
 */
#include <stdio.h>
#include <string.h>

#include "link.h"
#include "put.h"
#include "seal.h"

static void
seal(TxdPgp *pgp, const char *bytes, size_t len, char *to)
{
	if (!txd_pgp_seal(pgp, false, bytes, len, to))
		txp_give_up("the cryptographic library cannot encrypt");
}

void
txp_put_sealed(TxdBuf *out, TxdPgp *pgp, const char *bytes, size_t len)
{
	size_t size = txd_pgp_sealed_size(len);

	if (bytes == NULL)
	{
		txp_put_u32(out, TXP_ABSENT);
		return;
	}
	txp_put_u32(out, (uint32_t) size);
	seal(pgp, bytes, len, txd_buf_reserve(out, size));
	out->len += size;
}

void
txp_put_sealed_text(TxdBuf *out, TxdPgp *pgp, const char *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	size_t size = txd_pgp_sealed_size(len);
	TxdBuf sealed = {0};

	if (bytes == NULL)
	{
		txp_put_u32(out, TXP_ABSENT);
		return;
	}
	seal(pgp, bytes, len, txd_buf_reserve(&sealed, size));
	txp_put_u32(out, (uint32_t) (2 * size + 2));
	txd_buf_byte(out, '"');
	for (size_t i = 0; i < size; i++)
	{
		txd_buf_byte(out, digits[(unsigned char) sealed.data[i] >> 4]);
		txd_buf_byte(out, digits[sealed.data[i] & 15]);
	}
	txd_buf_byte(out, '"');
	txd_buf_free(&sealed);
}

/* --- and back --- */

static bool
refuse(TxdError *err, const char *why)
{
	*err = (TxdError){.code = "sealed"};
	snprintf(err->message, sizeof(err->message), "the stored message cannot be decrypted: %s", why);
	return false;
}

static bool
unseal(TxdPgp *pgp, const char **bytes, size_t *len, TxdBuf *plain, TxdError *err)
{
	static const char *const why[] = {
		[TXD_PGP_NO_MESSAGE] = "it is none of OpenPGP as txpipe writes them",
		[TXD_PGP_WRONG_KEY] = "the key is another",
		[TXD_PGP_DAMAGED] = "it is damaged",
		[TXD_PGP_FAILED] = "the cryptographic library failed",
	};
	TxdPgpResult result;
	size_t got;

	if (*bytes == NULL)
		return true;
	/* Room was made for all, so that nothing moves. */
	result = txd_pgp_open(pgp, *bytes, *len, plain->data + plain->len, &got);
	if (result != TXD_PGP_OK)
		return refuse(err, why[result]);
	*bytes = plain->data + plain->len;
	*len = got;
	plain->len += got;
	return true;
}

static int
digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The JSON string of digits as bytes, put to `bytes`. */
static bool
from_text(const char **text, size_t *len, TxdBuf *bytes)
{
	const char *p = *text;
	size_t n = *len;

	if (p == NULL)
		return true;
	if (n < 2 || n % 2 != 0 || p[0] != '"' || p[n - 1] != '"')
		return false;
	*text = bytes->data + bytes->len;
	*len = n / 2 - 1;
	for (p++, n -= 2; n > 0; p += 2, n -= 2)
	{
		if (digit(p[0]) < 0 || digit(p[1]) < 0)
			return false;
		txd_buf_byte(bytes, (char) (digit(p[0]) << 4 | digit(p[1])));
	}
	return true;
}

bool
txp_unseal(TxdPgp *pgp, TxdMessage *m, TxdBuf *plain, TxdError *err)
{
	plain->len = 0;
	txd_buf_reserve(plain, m->key_len + 2 * m->headers_len + m->payload_len + 1);
	if (pgp == NULL)
		return refuse(err, "there is no key");
	if (!from_text(&m->headers, &m->headers_len, plain))
		return refuse(err, "its headers are none that were encrypted");
	return unseal(pgp, &m->key, &m->key_len, plain, err) &&
		   unseal(pgp, &m->headers, &m->headers_len, plain, err) &&
		   unseal(pgp, &m->payload, &m->payload_len, plain, err);
}
