/*
 * openpgp_read.c — reading the OpenPGP messages that openpgp.c writes, whole or piece by piece.
 */
#include "openpgp_keys.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

/*
 * What every message of ours begins with, decrypted: the prefix, then the literal packet's tag, its length of up to five
 * bytes, a format, no name and no date. There is always as much, since the MDC follows.
 */
#define LITERAL_HEAD 12
#define OPENING (PREFIX + LITERAL_HEAD)

/* A packet as its bytes come: its tag, then lengths in the new format, of which all but the last are partial. */
typedef struct Packet
{
	bool has_tag;
	bool partial; /* another length follows this piece */
	bool ended;
	int length_bytes; /* still to come of a length */
	unsigned char first;
	uint32_t length;
	uint64_t left; /* of the piece */
} Packet;

struct TxdPgpReader
{
	TxdPgp *pgp;
	EVP_CIPHER_CTX *cipher;
	EVP_MD_CTX *mdc;
	TxdPgpResult state;
	unsigned char head[SESSION_PACKET];
	size_t nhead;
	Packet sealed;
	bool has_version;
	unsigned char opening[OPENING]; /* encrypted */
	size_t nopening;
	unsigned char tail[MDC_PACKET]; /* the last bytes decrypted: they may be the MDC */
	size_t ntail;
	Packet literal;
	size_t nliteral_head;
	unsigned char name_left;
};

TxdPgpReader *
txd_pgp_reader(TxdPgp *pgp)
{
	TxdPgpReader *r = calloc(1, sizeof(TxdPgpReader));

	if (r == NULL)
		return NULL;
	r->pgp = pgp;
	r->cipher = EVP_CIPHER_CTX_new();
	r->mdc = EVP_MD_CTX_new();
	if (r->cipher != NULL && r->mdc != NULL)
		return r;
	txd_pgp_reader_free(r);
	return NULL;
}

void
txd_pgp_reader_free(TxdPgpReader *r)
{
	if (r == NULL)
		return;
	EVP_CIPHER_CTX_free(r->cipher);
	EVP_MD_CTX_free(r->mdc);
	OPENSSL_cleanse(r, sizeof(*r));
	free(r);
}

static bool
fail(TxdPgpReader *r, TxdPgpResult why)
{
	r->state = why;
	return false;
}

/* One byte of a length; true when the length is complete. */
static bool
take_length(Packet *p, unsigned char byte)
{
	if (p->length_bytes > 0)
	{
		p->length = p->length << 8 | byte;
		if (--p->length_bytes > 0)
			return false;
		if (p->first < 255)
			p->length += 192;
	}
	else
	{
		p->first = byte;
		p->partial = byte >= 224 && byte < 255;
		p->length = byte < 192 ? byte : p->partial ? (uint32_t) 1 << (byte & 31) : 0;
		p->length_bytes = byte == 255 ? 4 : byte >= 192 && byte < 224 ? 1 : 0;
		if (p->length_bytes == 1)
			p->length = byte - 192;
		if (p->length_bytes > 0)
			return false;
	}
	p->left = p->length;
	p->ended = p->left == 0 && !p->partial;
	return true;
}

/*
 * Takes the packet's bytes up to its next piece of body: *body of *nbody bytes, perhaps none. Returns how many
 * bytes were used; 0 at its end.
 */
static size_t
take_packet(TxdPgpReader *r, Packet *p, unsigned char tag, const unsigned char *bytes, size_t len,
			size_t *nbody)
{
	size_t used = 0;

	*nbody = 0;
	while (used < len && !p->ended && p->left == 0)
	{
		unsigned char byte = bytes[used++];

		if (!p->has_tag)
		{
			p->has_tag = true;
			if (byte != tag)
			{
				(void) fail(r, TXD_PGP_DAMAGED);
				return used;
			}
		}
		else
			(void) take_length(p, byte);
	}
	*nbody = p->left < len - used ? (size_t) p->left : len - used;
	p->left -= *nbody;
	p->ended = p->ended || (p->left == 0 && *nbody > 0 && !p->partial);
	return used;
}

static bool
is_opening(const unsigned char *plain)
{
	static const unsigned char no_name_and_date[5] = {0};
	const unsigned char *head = plain + PREFIX;
	size_t length = head[1] < 192 || (head[1] >= 224 && head[1] < 255) ? 1 : head[1] < 224 ? 2 : 5;
	const unsigned char *format = head + 1 + length;

	return memcmp(plain + BLOCK - 2, plain + BLOCK, 2) == 0 && head[0] == TAG_LITERAL &&
		   (*format == 'b' || *format == 'u') &&
		   memcmp(format + 1, no_name_and_date, sizeof(no_name_and_date)) == 0;
}

/*
 * Which key is it? The prefix alone, which repeats two bytes, would let another key seem right once in 65,536 times, and
 * the message be taken for damaged.
 */
static bool
find_key(TxdPgpReader *r, unsigned char plain[OPENING])
{
	int done;

	for (int i = 0; i < r->pgp->nkeys; i++)
	{
		if (!txd_pgp_begin(r->pgp, i, r->head + TXD_PGP_MAGIC, false, r->cipher) ||
			EVP_CipherUpdate(r->cipher, plain, &done, r->opening, OPENING) != 1 ||
			EVP_DigestInit_ex(r->mdc, r->pgp->sha1, NULL) != 1 ||
			EVP_DigestUpdate(r->mdc, plain, PREFIX) != 1)
			return fail(r, TXD_PGP_FAILED);
		if (is_opening(plain))
			return true;
	}
	return fail(r, TXD_PGP_WRONG_KEY);
}

/* The literal packet begins with its format, the length of a name, the name, and a date. */
static void
take_literal(TxdPgpReader *r, const unsigned char *p, size_t len, char **out)
{
	while (len > 0 && (r->nliteral_head < 6 || r->name_left > 0))
	{
		if (r->nliteral_head == 2 && r->name_left > 0)
			r->name_left--;
		else if (r->nliteral_head++ == 1)
			r->name_left = *p;
		p++;
		len--;
	}
	memcpy(*out, p, len);
	*out += len;
}

/* Decrypted bytes that are known not to be the MDC. */
static bool
take_plain(TxdPgpReader *r, const unsigned char *p, size_t len, char **out)
{
	if (EVP_DigestUpdate(r->mdc, p, len) != 1)
		return fail(r, TXD_PGP_FAILED);
	while (len > 0)
	{
		size_t nbody;
		size_t used = take_packet(r, &r->literal, TAG_LITERAL, p, len, &nbody);

		if (r->state != TXD_PGP_OK)
			return false;
		if (used + nbody == 0)
			return fail(r, TXD_PGP_DAMAGED); /* something follows the literal packet */
		take_literal(r, p + used, nbody, out);
		p += used + nbody;
		len -= used + nbody;
	}
	return true;
}

/* Holds back what may be the MDC. */
static bool
take_decrypted(TxdPgpReader *r, unsigned char *p, size_t len, char **out)
{
	size_t all = r->ntail + len;
	size_t from_tail = all <= MDC_PACKET ? 0 : len >= MDC_PACKET ? r->ntail : all - MDC_PACKET;
	size_t keep = len < MDC_PACKET ? len : MDC_PACKET;

	if (from_tail > 0 && !take_plain(r, r->tail, from_tail, out))
		return false;
	if (len > keep && !take_plain(r, p, len - keep, out))
		return false;
	r->ntail -= from_tail;
	memmove(r->tail, r->tail + from_tail, r->ntail);
	memcpy(r->tail + r->ntail, p + len - keep, keep);
	r->ntail += keep;
	return true;
}

/* Body of the sealed packet. */
static bool
take_sealed(TxdPgpReader *r, const unsigned char *p, size_t len, char **out)
{
	unsigned char plain[4096];
	int done;

	if (len > 0 && !r->has_version)
	{
		r->has_version = true;
		if (*p != 1)
			return fail(r, TXD_PGP_NO_MESSAGE);
		p++;
		len--;
	}
	while (len > 0 && r->nopening < OPENING)
	{
		r->opening[r->nopening++] = *p++;
		len--;
		if (r->nopening == OPENING &&
			!(find_key(r, plain) && take_decrypted(r, plain + PREFIX, LITERAL_HEAD, out)))
			return false;
	}
	while (len > 0)
	{
		size_t some = len < sizeof(plain) ? len : sizeof(plain);
		bool ok = EVP_CipherUpdate(r->cipher, plain, &done, p, (int) some) == 1;

		if (!ok)
			return fail(r, TXD_PGP_FAILED);
		if (!take_decrypted(r, plain, some, out))
			return false;
		p += some;
		len -= some;
	}
	return true;
}

TxdPgpResult
txd_pgp_read(TxdPgpReader *r, const void *bytes, size_t len, char *out, size_t *out_len)
{
	const unsigned char *p = bytes;
	char *end = out;

	while (len > 0 && r->nhead < SESSION_PACKET && r->state == TXD_PGP_OK)
	{
		r->head[r->nhead++] = *p++;
		len--;
		if (r->nhead == TXD_PGP_MAGIC && !txd_pgp_is_message(r->head, r->nhead))
			(void) fail(r, TXD_PGP_NO_MESSAGE);
	}
	while (len > 0 && r->state == TXD_PGP_OK)
	{
		size_t nbody;
		size_t used = take_packet(r, &r->sealed, TAG_SEALED, p, len, &nbody);

		if (r->state == TXD_PGP_OK && used + nbody == 0)
			(void) fail(r, TXD_PGP_DAMAGED); /* something follows the message */
		if (r->state == TXD_PGP_OK)
			(void) take_sealed(r, p + used, nbody, &end);
		p += used + nbody;
		len -= used + nbody;
	}
	*out_len = (size_t) (end - out);
	return r->state;
}

TxdPgpResult
txd_pgp_read_end(TxdPgpReader *r)
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (r->state != TXD_PGP_OK)
		return r->state;
	if (r->nhead < TXD_PGP_MAGIC)
		r->state = TXD_PGP_NO_MESSAGE;
	else if (!r->sealed.ended || !r->literal.ended || r->nliteral_head < 6 || r->ntail < MDC_PACKET)
		r->state = TXD_PGP_DAMAGED;
	else if (EVP_DigestUpdate(r->mdc, r->tail, 2) != 1 ||
			 EVP_DigestFinal_ex(r->mdc, digest, NULL) != 1)
		r->state = TXD_PGP_FAILED;
	else if (r->tail[0] != TAG_MDC || r->tail[1] != SHA1_SIZE ||
			 CRYPTO_memcmp(r->tail + 2, digest, SHA1_SIZE) != 0)
		r->state = TXD_PGP_DAMAGED;
	return r->state;
}

TxdPgpResult
txd_pgp_open(TxdPgp *pgp, const char *message, size_t len, char *out, size_t *out_len)
{
	TxdPgpReader *r = txd_pgp_reader(pgp);
	TxdPgpResult result = TXD_PGP_FAILED;

	*out_len = 0;
	if (r != NULL)
	{
		(void) txd_pgp_read(r, message, len, out, out_len);
		result = txd_pgp_read_end(r);
	}
	txd_pgp_reader_free(r);
	return result;
}
