/*
 * fuzz_openpgp.c — libFuzzer entry: OpenPGP messages of any bytes, messages whose packets are any bytes but which are
 * encrypted and protected as they should be, the same with a byte changed or the end cut off, and any content to write.
 *
 * A second reader, which takes a message as a whole, says which ones are right: those must be read, with the same
 * content, and no others. A message without its MDC is never right.
 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#include "decode/openpgp.h"

#define KEYS 2
#define SALT 8
#define HEAD (TXD_PGP_MAGIC + SALT)
#define PREFIX 18
#define SHA1_SIZE 20
#define MDC (2 + SHA1_SIZE)
#define LITERAL_HEAD 6
#define LONGEST 4096

static const char *const keys[KEYS] = {"0123456789abcdef0123456789abcdef",
									   "fedcba9876543210fedcba9876543210"};
static const uint8_t magic[TXD_PGP_MAGIC] = {0xC3, 12, 4, 9, 1, 8};

typedef struct Bytes
{
	uint8_t *data;
	size_t len;
} Bytes;

/* What is left of an input. */
typedef struct Input
{
	const uint8_t *data;
	size_t len;
} Input;

static uint8_t
take_byte(Input *in)
{
	if (in->len == 0)
		return 0;
	in->len--;
	return *in->data++;
}

static Bytes
new_bytes(size_t len)
{
	return (Bytes){malloc(len > 0 ? len : 1), len};
}

static void
append(Bytes *to, const void *bytes, size_t len)
{
	if (len > 0)
		memcpy(to->data + to->len, bytes, len);
	to->len += len;
}

/* --- the other reader --- */

static void
crypt(int key, const uint8_t *salt, bool encrypt, const uint8_t *from, size_t len, uint8_t *to)
{
	static const uint8_t no_iv[16];
	uint8_t text[SALT + 64];
	uint8_t session[32];
	size_t key_len = strlen(keys[key]);
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	int done;

	memcpy(text, salt, SALT);
	memcpy(text + SALT, keys[key], key_len);
	MUST(EVP_Digest(text, SALT + key_len, session, NULL, EVP_sha256(), NULL) == 1);
	MUST(EVP_CipherInit_ex(cipher, EVP_aes_256_cfb(), NULL, session, no_iv, encrypt) == 1);
	MUST(EVP_CipherUpdate(cipher, to, &done, from, (int) len) == 1 && (size_t) done == len);
	EVP_CIPHER_CTX_free(cipher);
}

/* The MDC of what is before it, from the prefix on. */
static void
put_mdc(uint8_t *plain, size_t len)
{
	plain[len] = 0xD3;
	plain[len + 1] = SHA1_SIZE;
	MUST(EVP_Digest(plain, len + 2, plain + len + 2, NULL, EVP_sha1(), NULL) == 1);
}

/* Length of the next piece (RFC 4880, 4.2.2), behind which *at is. */
static bool
piece_length(const uint8_t *p, size_t len, size_t *at, size_t *piece, bool *partial)
{
	uint8_t first = *at < len ? p[*at] : 0;
	size_t size = first < 192 || (first >= 224 && first < 255) ? 1 : first < 224 ? 2 : 5;

	if (len - *at < size)
		return false;
	p += *at;
	*at += size;
	*partial = first >= 224 && first < 255;
	if (*partial)
		*piece = (size_t) 1 << (first & 31);
	else if (size == 1)
		*piece = first;
	else if (size == 2)
		*piece = ((size_t) (first - 192) << 8) + p[1] + 192;
	else
		*piece = (size_t) p[1] << 24 | (size_t) p[2] << 16 | (size_t) p[3] << 8 | p[4];
	return true;
}

/* The body of a packet of exactly these bytes, whose first piece is at least so long. */
static bool
packet_body(const uint8_t *p, size_t len, uint8_t tag, size_t least, Bytes *body)
{
	size_t at = 1;
	bool partial = true;
	bool is_first = true;

	if (len == 0 || p[0] != tag)
		return false;
	while (partial)
	{
		size_t piece;

		if (!piece_length(p, len, &at, &piece, &partial) || piece > len - at ||
			(is_first && piece < least))
			return false;
		append(body, p + at, piece);
		at += piece;
		is_first = false;
	}
	return at == len;
}

/* Is the decrypted body right, and its content what? */
static bool
content_of(const uint8_t *plain, size_t len, Bytes *content)
{
	static const uint8_t no_name_and_date[LITERAL_HEAD - 1];
	uint8_t *copy = malloc(len);
	bool right;

	memcpy(copy, plain, len);
	put_mdc(copy, len - MDC);
	content->len = 0;
	right = memcmp(copy, plain, len) == 0 &&
			memcmp(plain + PREFIX - 4, plain + PREFIX - 2, 2) == 0 &&
			packet_body(plain + PREFIX, len - PREFIX - MDC, 0xCB, LITERAL_HEAD, content) &&
			(content->data[0] == 'b' || content->data[0] == 'u') &&
			memcmp(content->data + 1, no_name_and_date, sizeof(no_name_and_date)) == 0;
	free(copy);
	if (right)
	{
		content->len -= LITERAL_HEAD;
		memmove(content->data, content->data + LITERAL_HEAD, content->len);
	}
	return right;
}

static bool
is_right(Bytes message, Bytes *content)
{
	Bytes body = new_bytes(message.len);
	Bytes plain = new_bytes(message.len);
	bool right = false;

	body.len = 0;
	if (message.len >= HEAD && memcmp(message.data, magic, TXD_PGP_MAGIC) == 0 &&
		packet_body(message.data + HEAD, message.len - HEAD, 0xD2, 0, &body) &&
		body.len >= 1 + PREFIX + MDC && body.data[0] == 1)
		for (int key = 0; key < KEYS && !right; key++)
		{
			crypt(key, message.data + TXD_PGP_MAGIC, false, body.data + 1, body.len - 1,
				  plain.data);
			right = content_of(plain.data, body.len - 1, content);
		}
	free(plain.data);
	free(body.data);
	return right;
}

/* --- reading --- */

/* Whole; each buffer of exactly the size that is promised, for the sanitiser. */
static TxdPgpResult
read_whole(TxdPgp *pgp, Bytes message, Bytes *content)
{
	TxdPgpResult result;

	*content = new_bytes(message.len);
	result = txd_pgp_open(pgp, (const char *) message.data, message.len, (char *) content->data,
						  &content->len);
	MUST(content->len <= message.len);
	return result;
}

/* In pieces of so many bytes, but not in a hundred of them, and, by turns, one. */
static TxdPgpResult
read_pieces(TxdPgp *pgp, Bytes message, size_t step, Bytes *content)
{
	TxdPgpReader *r = txd_pgp_reader(pgp);
	TxdPgpResult result;
	bool single = false;

	MUST(r != NULL);
	if (step < message.len / 25)
		step = message.len / 25;
	*content = new_bytes(message.len + TXD_PGP_HELD);
	content->len = 0;
	for (size_t at = 0; at < message.len;)
	{
		size_t some = single ? 1 : message.len - at < step ? message.len - at : step;
		char *piece = malloc(some);
		char *out = malloc(some + TXD_PGP_HELD);
		size_t n;

		memcpy(piece, message.data + at, some);
		(void) txd_pgp_read(r, piece, some, out, &n);
		MUST(n <= some + TXD_PGP_HELD && content->len + n <= message.len);
		append(content, out, n);
		free(out);
		free(piece);
		at += some;
		single = !single;
	}
	result = txd_pgp_read_end(r);
	txd_pgp_reader_free(r);
	return result;
}

static bool
same(Bytes a, Bytes b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* Returns the answer to the message, which must be the other reader's, however it is read. */
static TxdPgpResult
read_message(TxdPgp *pgp, Bytes message, size_t step)
{
	Bytes wanted = new_bytes(message.len);
	Bytes whole;
	Bytes pieces;
	bool right = is_right(message, &wanted);
	bool ours = txd_pgp_is_message(message.data, message.len);
	TxdPgpResult result = read_whole(pgp, message, &whole);

	MUST(read_pieces(pgp, message, step, &pieces) == result);
	MUST(result != TXD_PGP_FAILED && (result == TXD_PGP_OK) == right);
	MUST(ours || result == TXD_PGP_NO_MESSAGE);
	MUST(!right || (same(whole, wanted) && same(pieces, wanted)));
	free(pieces.data);
	free(whole.data);
	free(wanted.data);
	return result;
}

/* --- messages made of an input --- */

/* A packet in pieces of 1 << bits bytes, or in one, with a length of five bytes. */
static void
put_packet(Bytes *to, uint8_t tag, const uint8_t *body, size_t len, int bits)
{
	size_t piece = (size_t) 1 << bits;

	append(to, &tag, 1);
	for (; bits > 0 && len > piece; body += piece, len -= piece)
	{
		append(to, &(uint8_t){(uint8_t) (224 + bits)}, 1);
		append(to, body, piece);
	}
	append(to,
		   &(uint8_t[5]){255, (uint8_t) (len >> 24), (uint8_t) (len >> 16), (uint8_t) (len >> 8),
						 (uint8_t) len},
		   5);
	append(to, body, len);
}

/*
 * The input is what stands behind the prefix. Its first byte: the key (1 bit), the pieces of the outer packet (3 bits),
 * is the MDC cut short (1 bit), is it whatever the input ends with (1 bit).
 */
static Bytes
encrypted(Input in)
{
	uint8_t how = take_byte(&in);
	size_t len = PREFIX + in.len;
	Bytes message = new_bytes(HEAD + 1 + 2 * (len + MDC) + 16);
	uint8_t *plain = calloc(1, len + MDC);
	uint8_t *body = malloc(1 + len + MDC);

	if (in.len > 0)
		memcpy(plain + PREFIX, in.data, in.len);
	if ((how & 0x20) == 0)
	{
		put_mdc(plain, len);
		len += how & 0x10 ? SHA1_SIZE : MDC;
	}
	message.len = 0;
	append(&message, magic, TXD_PGP_MAGIC);
	append(&message, "saltsalt", SALT);
	body[0] = 1;
	crypt(how & 1, (const uint8_t *) "saltsalt", true, plain, len, body + 1);
	put_packet(&message, 0xD2, body, 1 + len, how >> 1 & 7);
	free(body);
	free(plain);
	return message;
}

static Bytes
as_it_is(Input in)
{
	Bytes message = new_bytes(in.len);

	message.len = 0;
	append(&message, in.data, in.len);
	return message;
}

/* A byte is another one, or the end is missing. */
static void
damage(Bytes *message, size_t where, uint8_t how)
{
	where %= message->len;
	if (how == 0)
		message->len = where;
	else
		message->data[where] ^= how;
}

static Bytes
damaged(Input in, uint8_t how)
{
	size_t where = take_byte(&in) << 8;
	Bytes message;

	where += take_byte(&in);
	message = encrypted(in);
	damage(&message, where, how);
	return message;
}

/* Content which repeats what is given: up to 16 kB, half of the time up to 255 bytes, or up to three pieces of a file. */
static Bytes
content_to_write(Input in, bool pieces)
{
	size_t high = take_byte(&in);
	size_t low = take_byte(&in);
	size_t len = pieces ? 3 * (high << 8 | low) : high & 1 ? (high >> 2) << 8 | low : low;
	Bytes content = new_bytes(len);

	memset(content.data, 'x', len);
	for (size_t at = 0; in.len > 0 && at < len; at += in.len)
		memcpy(content.data + at, in.data, len - at < in.len ? len - at : in.len);
	return content;
}

static Bytes
write_whole(TxdPgp *pgp, bool text, Bytes content)
{
	Bytes message = new_bytes(txd_pgp_sealed_size(content.len));

	MUST(txd_pgp_seal(pgp, text, (const char *) content.data, content.len, (char *) message.data));
	return message;
}

static Bytes
write_pieces(TxdPgp *pgp, Bytes content, size_t step)
{
	TxdPgpWriter *w = txd_pgp_writer(pgp);
	Bytes message = new_bytes(content.len * 2 + 1024);
	bool last = false;

	MUST(w != NULL);
	message.len = 0;
	for (size_t at = 0; !last;)
	{
		size_t some = content.len - at < step ? content.len - at : step;
		char *out = malloc(txd_pgp_write_room(some));
		size_t n;

		last = at + some == content.len;
		n = txd_pgp_write(w, content.data + at, some, last, out);
		MUST(n <= txd_pgp_write_room(some));
		append(&message, out, n);
		free(out);
		at += some;
	}
	txd_pgp_writer_free(w);
	return message;
}

/* What is written is read to the same bytes; with a byte changed it is refused. */
static void
check_written(TxdPgp *pgp, Bytes message, Bytes content, size_t step, uint8_t change)
{
	Bytes again = new_bytes(message.len);

	MUST(read_message(pgp, message, step) == TXD_PGP_OK);
	MUST(is_right(message, &again) && same(again, content));
	damage(&message, HEAD + content.len / 2, change);
	MUST(read_message(pgp, message, step) != TXD_PGP_OK);
	free(again.data);
	free(message.data);
}

static void
try_writing(TxdPgp *pgp, uint8_t how, Input in, size_t step)
{
	Bytes content = content_to_write(in, how >> 5 == 7);

	check_written(pgp, write_whole(pgp, how & 8, content), content, step, how);
	check_written(pgp, write_pieces(pgp, content, step * 256), content, step, how);
	free(content.data);
}

/* The first bytes: what it is (2 bits; 3 with a third: writing), the size of pieces; of damage: how (6 bits), where. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static TxdPgp *pgp;
	Input in = {data, size};
	uint8_t what = take_byte(&in);
	size_t step = 1 + (size_t) take_byte(&in) * 37;
	Bytes message;

	if (size > LONGEST)
		return 0;
	if (pgp == NULL)
		pgp = txd_pgp_new("0123456789abcdef0123456789abcdef\nfedcba9876543210fedcba9876543210");
	MUST(pgp != NULL);
	if ((what & 7) == 7)
	{
		try_writing(pgp, what, in, step);
		return 0;
	}
	message = what & 1 ? encrypted(in) : what & 2 ? damaged(in, what >> 2) : as_it_is(in);
	(void) read_message(pgp, message, step);
	free(message.data);
	return 0;
}
