/*
 * openpgp.c — keys of OpenPGP messages, and writing them.
 */
#include "openpgp_keys.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

/* Tag 3 in the new format, 12 bytes, version 4, AES-256, salted S2K, SHA-256. */
const unsigned char txd_pgp_magic[TXD_PGP_MAGIC] = {0xC3, SESSION_PACKET - 2, 4, 9, 1, 8};

/* --- keys --- */

static bool
take_keys(TxdPgp *pgp, const char *keys)
{
	while (*keys != '\0')
	{
		size_t len = strcspn(keys, "\r\n");

		if (len > 0 && (len < TXD_PGP_MIN_KEY || pgp->nkeys == TXD_PGP_MAX_KEYS))
			return false;
		if (len > 0)
		{
			pgp->key[pgp->nkeys] = strndup(keys, len);
			if (pgp->key[pgp->nkeys] == NULL)
				return false;
			pgp->nkeys++;
		}
		keys += len;
		keys += strspn(keys, "\r\n");
	}
	return pgp->nkeys > 0;
}

TxdPgp *
txd_pgp_new(const char *keys)
{
	TxdPgp *pgp = calloc(1, sizeof(TxdPgp));

	if (pgp == NULL)
		return NULL;
	pgp->aes = EVP_CIPHER_fetch(NULL, "AES-256-CFB", NULL);
	pgp->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	pgp->sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
	pgp->derive = EVP_MD_CTX_new();
	pgp->cipher = EVP_CIPHER_CTX_new();
	pgp->mdc = EVP_MD_CTX_new();
	if (take_keys(pgp, keys) && pgp->aes != NULL && pgp->sha256 != NULL && pgp->sha1 != NULL &&
		pgp->derive != NULL && pgp->cipher != NULL && pgp->mdc != NULL)
		return pgp;
	txd_pgp_free(pgp);
	return NULL;
}

void
txd_pgp_free(TxdPgp *pgp)
{
	if (pgp == NULL)
		return;
	for (int i = 0; i < pgp->nkeys; i++)
	{
		OPENSSL_cleanse(pgp->key[i], strlen(pgp->key[i]));
		free(pgp->key[i]);
	}
	EVP_MD_CTX_free(pgp->derive);
	EVP_CIPHER_CTX_free(pgp->cipher);
	EVP_MD_CTX_free(pgp->mdc);
	EVP_CIPHER_free(pgp->aes);
	EVP_MD_free(pgp->sha256);
	EVP_MD_free(pgp->sha1);
	OPENSSL_cleanse(pgp, sizeof(*pgp));
	free(pgp);
}

bool
txd_pgp_is_message(const void *bytes, size_t len)
{
	return len >= TXD_PGP_MAGIC && memcmp(bytes, txd_pgp_magic, TXD_PGP_MAGIC) == 0;
}

bool
txd_pgp_begin(TxdPgp *pgp, int key, const unsigned char *salt, bool encrypt, EVP_CIPHER_CTX *cipher)
{
	static const unsigned char no_iv[BLOCK] = {0};
	unsigned char session[EVP_MAX_MD_SIZE];
	bool ok = EVP_DigestInit_ex(pgp->derive, pgp->sha256, NULL) == 1 &&
			  EVP_DigestUpdate(pgp->derive, salt, SALT) == 1 &&
			  EVP_DigestUpdate(pgp->derive, pgp->key[key], strlen(pgp->key[key])) == 1 &&
			  EVP_DigestFinal_ex(pgp->derive, session, NULL) == 1 &&
			  EVP_CipherInit_ex(cipher, pgp->aes, NULL, session, no_iv, encrypt) == 1;

	OPENSSL_cleanse(session, sizeof(session));
	return ok;
}

/* A call of the generator costs more than what a short value needs of it. */
static bool
take_random(TxdPgp *pgp, unsigned char *to, size_t len)
{
	if (pgp->pool_left < len)
	{
		if (RAND_bytes(pgp->pool, sizeof(pgp->pool)) != 1)
			return false;
		pgp->pool_left = sizeof(pgp->pool);
	}
	pgp->pool_left -= len;
	memcpy(to, pgp->pool + pgp->pool_left, len);
	OPENSSL_cleanse(pgp->pool + pgp->pool_left, len);
	return true;
}

/* --- writing --- */

typedef struct Writing
{
	EVP_CIPHER_CTX *cipher;
	EVP_MD_CTX *mdc;
	char *out;
	bool ok;
} Writing;

static void
put(Writing *w, const void *bytes, size_t len)
{
	memcpy(w->out, bytes, len);
	w->out += len;
}

static void
put_sealed(Writing *w, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	while (len > 0 && w->ok)
	{
		int some = len > (1 << 30) ? 1 << 30 : (int) len;
		int done;

		w->ok = EVP_DigestUpdate(w->mdc, p, (size_t) some) == 1 &&
				EVP_CipherUpdate(w->cipher, (unsigned char *) w->out, &done, p, some) == 1;
		w->out += some;
		p += some;
		len -= (size_t) some;
	}
}

static size_t
length_size(size_t len)
{
	return len < 192 ? 1 : len < 8384 ? 2 : 5;
}

/* A length in the new format. */
static size_t
encode_length(unsigned char *to, size_t len)
{
	size_t size = length_size(len);

	if (size == 1)
		to[0] = (unsigned char) len;
	else if (size == 2)
	{
		to[0] = (unsigned char) (((len - 192) >> 8) + 192);
		to[1] = (unsigned char) (len - 192);
	}
	else
	{
		to[0] = 0xFF;
		for (int i = 1; i <= 4; i++)
			to[i] = (unsigned char) (len >> (32 - 8 * i));
	}
	return size;
}

/* The session key packet. */
static bool
put_session(TxdPgp *pgp, Writing *w)
{
	unsigned char packet[SESSION_PACKET];

	memcpy(packet, txd_pgp_magic, TXD_PGP_MAGIC);
	if (!take_random(pgp, packet + TXD_PGP_MAGIC, SALT) ||
		!txd_pgp_begin(pgp, 0, packet + TXD_PGP_MAGIC, true, w->cipher) ||
		EVP_DigestInit_ex(w->mdc, pgp->sha1, NULL) != 1)
		return false;
	put(w, packet, sizeof(packet));
	return true;
}

static bool
put_prefix(TxdPgp *pgp, Writing *w)
{
	unsigned char prefix[PREFIX];

	if (!take_random(pgp, prefix, BLOCK))
		return false;
	memcpy(prefix + BLOCK, prefix + BLOCK - 2, 2);
	put_sealed(w, prefix, sizeof(prefix));
	return w->ok;
}

/* Nothing of the date, which would tell when, and no name. */
static void
put_literal_head(Writing *w, bool text)
{
	const unsigned char head[6] = {text ? 'u' : 'b', 0, 0, 0, 0, 0};

	put_sealed(w, head, sizeof(head));
}

static void
put_mdc(Writing *w)
{
	unsigned char packet[2 + EVP_MAX_MD_SIZE] = {TAG_MDC, SHA1_SIZE};
	int done;

	w->ok = w->ok && EVP_DigestUpdate(w->mdc, packet, 2) == 1 &&
			EVP_DigestFinal_ex(w->mdc, packet + 2, NULL) == 1 &&
			EVP_CipherUpdate(w->cipher, (unsigned char *) w->out, &done, packet, MDC_PACKET) == 1;
	w->out += MDC_PACKET;
}

/* A literal packet, and what a sealed packet with it has. */
static size_t
literal_size(size_t len)
{
	return 1 + length_size(len + 6) + len + 6;
}

static size_t
sealed_body(size_t len)
{
	return 1 + PREFIX + literal_size(len) + MDC_PACKET;
}

size_t
txd_pgp_sealed_size(size_t len)
{
	return SESSION_PACKET + 1 + length_size(sealed_body(len)) + sealed_body(len);
}

bool
txd_pgp_seal(TxdPgp *pgp, bool text, const char *data, size_t len, char *out)
{
	Writing w = {pgp->cipher, pgp->mdc, out, true};
	unsigned char head[7] = {TAG_SEALED};
	size_t n;

	if (sealed_body(len) > UINT32_MAX || !put_session(pgp, &w))
		return false;
	n = 1 + encode_length(head + 1, sealed_body(len));
	head[n++] = 1; /* version */
	put(&w, head, n);
	if (!put_prefix(pgp, &w))
		return false;
	head[0] = TAG_LITERAL;
	put_sealed(&w, head, 1 + encode_length(head + 1, len + 6));
	put_literal_head(&w, text);
	put_sealed(&w, data, len);
	put_mdc(&w);
	return w.ok;
}

/* --- piece by piece --- */

#define PIECE_BITS 16 /* TXD_PGP_PIECE is a power of two */

struct TxdPgpWriter
{
	TxdPgp *pgp;
	EVP_CIPHER_CTX *cipher;
	EVP_MD_CTX *mdc;
	bool begun;
	char content[TXD_PGP_PIECE]; /* of the literal packet, not yet put */
	size_t ncontent;
	char sealed[TXD_PGP_PIECE]; /* of the sealed packet, not yet put */
	size_t nsealed;
	char scratch[TXD_PGP_PIECE + 256];
};

TxdPgpWriter *
txd_pgp_writer(TxdPgp *pgp)
{
	TxdPgpWriter *w = calloc(1, sizeof(TxdPgpWriter));

	if (w == NULL)
		return NULL;
	w->pgp = pgp;
	w->cipher = EVP_CIPHER_CTX_new();
	w->mdc = EVP_MD_CTX_new();
	if (w->cipher != NULL && w->mdc != NULL)
		return w;
	txd_pgp_writer_free(w);
	return NULL;
}

void
txd_pgp_writer_free(TxdPgpWriter *w)
{
	if (w == NULL)
		return;
	EVP_CIPHER_CTX_free(w->cipher);
	EVP_MD_CTX_free(w->mdc);
	OPENSSL_cleanse(w, sizeof(*w));
	free(w);
}

size_t
txd_pgp_write_room(size_t len)
{
	return len + 2 * TXD_PGP_PIECE + 1024 + len / 1024;
}

/* Encrypted bytes into the sealed packet: full pieces of partial length leave. */
static void
flush_sealed(TxdPgpWriter *w, Writing *to, const char *bytes, size_t len)
{
	while (len > 0)
	{
		size_t room = TXD_PGP_PIECE - w->nsealed;
		size_t some = len < room ? len : room;

		memcpy(w->sealed + w->nsealed, bytes, some);
		w->nsealed += some;
		bytes += some;
		len -= some;
		if (w->nsealed < TXD_PGP_PIECE)
			break;
		put(to, &(unsigned char){224 + PIECE_BITS}, 1);
		put(to, w->sealed, TXD_PGP_PIECE);
		w->nsealed = 0;
	}
}

/* Content waiting in the literal packet: a partial length of a full piece, or the last length. */
static void
seal_content(TxdPgpWriter *w, Writing *to, bool last)
{
	Writing inner = {w->cipher, w->mdc, w->scratch, to->ok};
	unsigned char length[5] = {224 + PIECE_BITS};

	put_sealed(&inner, length, last ? encode_length(length, w->ncontent) : 1);
	put_sealed(&inner, w->content, w->ncontent);
	w->ncontent = 0;
	if (last)
		put_mdc(&inner);
	to->ok = inner.ok;
	flush_sealed(w, to, w->scratch, (size_t) (inner.out - w->scratch));
}

static void
begin(TxdPgpWriter *w, Writing *to)
{
	Writing inner = {w->cipher, w->mdc, w->scratch, true};

	w->begun = true;
	to->ok = put_session(w->pgp, to);
	put(to, &(unsigned char){TAG_SEALED}, 1);
	to->ok = to->ok && put_prefix(w->pgp, &inner);
	put_sealed(&inner, &(unsigned char){TAG_LITERAL}, 1);
	to->ok = to->ok && inner.ok;
	flush_sealed(w, to, &(char){1}, 1); /* version */
	flush_sealed(w, to, w->scratch, (size_t) (inner.out - w->scratch));
	w->content[0] = 'b';
	w->ncontent = 6;
}

size_t
txd_pgp_write(TxdPgpWriter *w, const void *data, size_t len, bool last, char *out)
{
	Writing to = {w->cipher, w->mdc, out, true};
	const char *p = data;
	unsigned char length[5];

	if (!w->begun)
		begin(w, &to);
	while (len > 0 && to.ok)
	{
		size_t room = TXD_PGP_PIECE - w->ncontent;
		size_t some = len < room ? len : room;

		memcpy(w->content + w->ncontent, p, some);
		w->ncontent += some;
		p += some;
		len -= some;
		if (w->ncontent == TXD_PGP_PIECE)
			seal_content(w, &to, false);
	}
	if (last && to.ok)
	{
		seal_content(w, &to, true);
		put(&to, length, encode_length(length, w->nsealed));
		put(&to, w->sealed, w->nsealed);
	}
	return to.ok ? (size_t) (to.out - out) : SIZE_MAX;
}
