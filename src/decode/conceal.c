/*
 * conceal.c — values that leave the decoder as pseudonyms or encrypted.
 */
#include <string.h>

#include "decoder.h"
#include "value.h"

bool
txd_conceal_prepare(TxdDecoder *d, TxdError *err)
{
	if (d->schema.key != NULL)
		txd_hmac_init(&d->hmac, d->schema.key, strlen(d->schema.key));
	d->schema.key = NULL;
	if (d->schema.encryption_keys == NULL)
		return true;
	d->pgp = txd_pgp_new(d->schema.encryption_keys);
	d->schema.encryption_keys = NULL;
	for (int i = 0; i < d->schema.ncolumns; i++)
		d->schema.columns[i].discreet = true;
	return d->pgp != NULL ||
		   txd_refuse(err, "bad_value", NULL,
					  "the encryption key cannot be used: each of its lines is a key of at least "
					  "%d characters",
					  TXD_PGP_MIN_KEY);
}

/* Names must not come back out of an error or a count of what was changed, so this is no cleaning. */
static bool
put_pseudonym(TxdDecoder *d, const TxdColumn *column, const char *text, size_t len, TxdBuf *rows,
			  TxdError *err)
{
	char hex[TXD_HMAC_HEX];

	txd_hmac_hex(&d->hmac, text, len, hex);
	return txd_value(column, d->schema.form, NULL, TXD_KIND_TEXT, hex, sizeof(hex), true, rows,
					 err);
}

static bool
put_encrypted(TxdDecoder *d, const TxdColumn *column, bool is_text, const char *text, size_t len,
			  TxdBuf *rows, TxdError *err)
{
	size_t size = txd_pgp_sealed_size(len);

	d->cleaned.len = 0;
	if (!txd_pgp_seal(d->pgp, is_text, text, len, txd_buf_reserve(&d->cleaned, size)))
		return txd_refuse(err, "bad_value", column, "the cryptographic library failed");
	return txd_value(column, d->schema.form, NULL, TXD_KIND_BYTES, d->cleaned.data, size, true,
					 rows, err);
}

/* JSON of any kind is encrypted as it is written. */
bool
txd_conceal(TxdDecoder *d, const TxdColumn *column, TxdKind kind, const char *text, size_t len,
			bool checked, TxdBuf *rows, TxdError *err)
{
	bool encrypts = column->convert == TXD_AS_ENCRYPTED;
	bool is_text = !encrypts || kind != TXD_KIND_BYTES;

	if (!encrypts && (kind == TXD_KIND_JSON || kind == TXD_KIND_BOOL))
		return txd_refuse(err, "wrong_type", column, "expected a text or a number");
	if (is_text && !checked && !txd_check_text(column, text, len, err))
		return false;
	if (encrypts)
		return put_encrypted(d, column, is_text, text, len, rows, err);
	return put_pseudonym(d, column, text, len, rows, err);
}
