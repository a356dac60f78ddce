/*
 * encryption.c — OpenPGP messages in the server, and the SQL functions decrypt, decrypt_bytes and encrypt.
 *
 * The functions use the mapping of the role that calls, as all functions of a session do: that it has one with the
 * key is what lets it decrypt. Nobody is shown the key.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "encryption.h"
#include "properties.h"

static void
forget(void *keys)
{
	txd_pgp_free(keys);
}

TxdPgp *
txp_encryption_keys(MemoryContext context, Oid server, Oid user)
{
	char *text = txp_mapping_key(TXP_KEY_OF_ENCRYPTION, server, user);

	if (text == NULL)
		txp_mapping_lacks_key(TXP_KEY_OF_ENCRYPTION, NULL);
	return txp_encryption_keys_of(context, text);
}

TxdPgp *
txp_encryption_keys_of(MemoryContext context, char *text)
{
	MemoryContextCallback *callback =
		MemoryContextAllocZero(context, sizeof(MemoryContextCallback));
	TxdPgp *keys = txd_pgp_new(text);

	explicit_bzero(text, strlen(text));
	pfree(text);
	if (keys == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the encryption key cannot be used"),
				 errhint("Each line of it is a key of at least %d characters.", TXD_PGP_MIN_KEY)));
	callback->func = forget;
	callback->arg = keys;
	MemoryContextRegisterResetCallback(context, callback);
	return keys;
}

bytea *
txp_encrypt(TxdPgp *keys, bool text, const char *data, Size len)
{
	Size size = txd_pgp_sealed_size(len);
	bytea *message = palloc(VARHDRSZ + size);

	SET_VARSIZE(message, VARHDRSZ + size);
	if (!txd_pgp_seal(keys, text, data, len, VARDATA(message)))
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
						errmsg("the cryptographic library could not encrypt")));
	return message;
}

static void
raise_unreadable(TxdPgpResult why)
{
	switch (why)
	{
		case TXD_PGP_NO_MESSAGE:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the value is not encrypted as txpipe does it"),
					 errhint("It is in clear, or pgp_sym_decrypt of pgcrypto may read it.")));
			break;
		case TXD_PGP_WRONG_KEY:
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("the value is encrypted with another key"),
					 errhint("Keep old keys in the key's file, one a line below the new one.")));
			break;
		case TXD_PGP_DAMAGED:
			ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
							errmsg("the encrypted value is damaged or cut short")));
			break;
		default:
			ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
							errmsg("the cryptographic library could not decrypt")));
	}
}

bytea *
txp_decrypt(TxdPgp *keys, const bytea *message)
{
	Size len = VARSIZE_ANY_EXHDR(message);
	bytea *value = palloc(VARHDRSZ + len);
	TxdPgpResult result;
	size_t value_len;

	result = txd_pgp_open(keys, VARDATA_ANY(message), len, VARDATA(value), &value_len);
	if (result != TXD_PGP_OK)
		raise_unreadable(result);
	SET_VARSIZE(value, VARHDRSZ + value_len);
	return value;
}

/* --- SQL --- */

/* The keys of a call, kept for the further ones of a statement by the same role. */
typedef struct CallKeys
{
	MemoryContext context; /* of all this: another server's keys take its place */
	char *server;
	Oid user;
	TxdPgp *keys;
} CallKeys;

static TxdPgp *
keys_of_call(FunctionCallInfo fcinfo)
{
	FmgrInfo *flinfo = fcinfo->flinfo;
	CallKeys *kept = flinfo->fn_extra;
	MemoryContext context;
	char *server = text_to_cstring(PG_GETARG_TEXT_PP(1));

	if (kept != NULL && kept->user == GetUserId() && strcmp(kept->server, server) == 0)
		return kept->keys;
	flinfo->fn_extra = NULL;
	if (kept != NULL)
		MemoryContextDelete(kept->context);
	context =
		AllocSetContextCreate(flinfo->fn_mcxt, "txpipe encryption keys", ALLOCSET_SMALL_SIZES);
	kept = MemoryContextAllocZero(context, sizeof(CallKeys));
	kept->context = context;
	kept->server = MemoryContextStrdup(context, server);
	kept->user = GetUserId();
	kept->keys = txp_encryption_keys(context, txp_server_by_name(server), kept->user);
	flinfo->fn_extra = kept;
	return kept->keys;
}

PG_FUNCTION_INFO_V1(txpipe_decrypt_bytes);
Datum
txpipe_decrypt_bytes(PG_FUNCTION_ARGS)
{
	TxdPgp *keys = keys_of_call(fcinfo);

	PG_RETURN_BYTEA_P(txp_decrypt(keys, PG_GETARG_BYTEA_PP(0)));
}

/* What was encrypted as text is UTF-8. */
PG_FUNCTION_INFO_V1(txpipe_decrypt);
Datum
txpipe_decrypt(PG_FUNCTION_ARGS)
{
	TxdPgp *keys = keys_of_call(fcinfo);
	bytea *value = txp_decrypt(keys, PG_GETARG_BYTEA_PP(0));
	int len = VARSIZE(value) - VARHDRSZ;
	char *plain;

	if (!pg_verify_mbstr(PG_UTF8, VARDATA(value), len, true))
		ereport(ERROR, (errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
						errmsg("the decrypted value is not text"),
						errhint("Use txpipe.decrypt_bytes().")));
	plain = pg_any_to_server(VARDATA(value), len, PG_UTF8);
	if (plain == VARDATA(value))
		PG_RETURN_TEXT_P((text *) value);
	PG_RETURN_TEXT_P(cstring_to_text(plain));
}

PG_FUNCTION_INFO_V1(txpipe_encrypt);
Datum
txpipe_encrypt(PG_FUNCTION_ARGS)
{
	TxdPgp *keys = keys_of_call(fcinfo);
	text *value = PG_GETARG_TEXT_PP(0);
	int len = VARSIZE_ANY_EXHDR(value);
	char *utf8 = pg_server_to_any(VARDATA_ANY(value), len, PG_UTF8);

	PG_RETURN_BYTEA_P(
		txp_encrypt(keys, true, utf8, utf8 == VARDATA_ANY(value) ? len : strlen(utf8)));
}
