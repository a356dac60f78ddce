/*
 * openpgp.h — symmetric messages of OpenPGP (RFC 4880), for the conversion "encrypt" and for what is kept of
 * streams and feeds that encrypt. pgp_sym_decrypt of pgcrypto and gpg read them.
 *
 * A message is a session key packet (version 4, AES-256, salted S2K with SHA-256, so each message has its own
 * key), and an integrity protected packet with one literal packet in it. Of other kinds none are read: the S2K
 * is one hash, which is right for random keys only.
 *
 * Plain C for both sides of the protocol; memory that runs out is an answer here, not an end.
 */
#ifndef TXD_OPENPGP_H
#define TXD_OPENPGP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TXD_PGP_MIN_KEY 32 /* characters */
#define TXD_PGP_MAX_KEYS 64

/* Keys, and the library's contexts; for one thread. */
typedef struct TxdPgp TxdPgp;

typedef enum TxdPgpResult
{
	TXD_PGP_OK,
	TXD_PGP_NO_MESSAGE, /* it does not begin as what is written here */
	TXD_PGP_WRONG_KEY,
	TXD_PGP_DAMAGED, /* or cut short */
	TXD_PGP_FAILED   /* the library refused, or memory ran out */
} TxdPgpResult;

/*
 * One key a line: the first encrypts, each is tried to decrypt. NULL when there is none, one is shorter than
 * TXD_PGP_MIN_KEY, or the library offers no AES-256.
 */
extern TxdPgp *txd_pgp_new(const char *keys);
extern void txd_pgp_free(TxdPgp *pgp);

/* Do the bytes begin as a message of ours? TXD_PGP_MAGIC of them tell. */
#define TXD_PGP_MAGIC 6
extern bool txd_pgp_is_message(const void *bytes, size_t len);

/* A whole value. `text`: it is UTF-8. `out` has room for the sealed size. False: the library failed. */
extern size_t txd_pgp_sealed_size(size_t len);
extern bool txd_pgp_seal(TxdPgp *pgp, bool text, const char *data, size_t len, char *out);

/* The value of a whole message: `out` has room for `len` bytes, *out_len is how many there are. */
extern TxdPgpResult txd_pgp_open(TxdPgp *pgp, const char *message, size_t len, char *out,
								 size_t *out_len);

/* --- piece by piece, for files --- */

#define TXD_PGP_PIECE 65536 /* content of one partial body length */

typedef struct TxdPgpWriter TxdPgpWriter;

/* Most bytes that one call appends to `out` for that much content. */
extern size_t txd_pgp_write_room(size_t len);
/* NULL when the library failed. */
extern TxdPgpWriter *txd_pgp_writer(TxdPgp *pgp);
/* Returns how many bytes were put to `out`; `last` ends the message. SIZE_MAX: the library failed. */
extern size_t txd_pgp_write(TxdPgpWriter *w, const void *data, size_t len, bool last, char *out);
extern void txd_pgp_writer_free(TxdPgpWriter *w);

typedef struct TxdPgpReader TxdPgpReader;

extern TxdPgpReader *txd_pgp_reader(TxdPgp *pgp);
/*
 * Takes the next bytes of a message and puts content to `out`, which has room for `len` bytes and
 * TXD_PGP_HELD. Content is to be trusted when txd_pgp_read_end says so.
 */
#define TXD_PGP_HELD 32
extern TxdPgpResult txd_pgp_read(TxdPgpReader *r, const void *bytes, size_t len, char *out,
								 size_t *out_len);
extern TxdPgpResult txd_pgp_read_end(TxdPgpReader *r);
extern void txd_pgp_reader_free(TxdPgpReader *r);

#endif
