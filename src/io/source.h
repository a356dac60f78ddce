/*
 * source.h — a file being read: its bytes and their SHA-256; its content, unpacked and as UTF-8.
 */
#ifndef TXP_SOURCE_H
#define TXP_SOURCE_H

#include <openssl/evp.h>
#include <sys/stat.h>

#include "../decode/openpgp.h"
#include "channel.h"
#include "charset.h"
#include "unpack.h"
#include "wire.h"

#define TXP_SHA256 32
#define TXP_CHUNK (256 * 1024)
#define TXP_SEALED_SUFFIX ".pgp" /* of copies in the lake that are encrypted */

typedef struct TxpSource
{
	TxpChannel *channel;
	bool answers; /* errors are a request's answer */
	char *path;   /* for messages */
	int fd;
	struct stat st;
	TxdPgp *pgp;          /* set by the caller: of copies that are encrypted; or NULL */
	bool stays_sealed;    /* likewise: a landing file, whose copy is encrypted once more */
	TxdPgpReader *sealed; /* of such a copy */
	EVP_MD_CTX *hash;
	EVP_MD_CTX *content_hash;
	int64_t bytes; /* read so far, as stored, encrypted or not */
	bool at_end;
	bool packed;    /* and unpacked as it is read */
	bool forgiving; /* damage of packed data is no ERROR, but sets `damaged` */
	bool damaged;
	bool unreadable; /* and what follows cannot be decrypted, which is no ERROR either */
	TxpUnpack unpack;
	bool converts;
	TxpCharset charset;
	TxdBuf raw; /* content before it is UTF-8 */
	unsigned char chunk[TXP_CHUNK + TXD_PGP_HELD];
	unsigned char raw_chunk[TXP_CHUNK]; /* before it is decrypted */
	size_t chunk_len;
	size_t chunk_at;
} TxpSource;

/* Opens a regular file below a directory (below.h); NULL when an ERROR has been sent. */
extern TxpSource *txp_source_open(TxpChannel *channel, bool answers, TxpSpan top, TxpSpan path);
/* The same for a descriptor, which is taken over, and a path for messages. */
extern TxpSource *txp_source_of(TxpChannel *channel, bool answers, int fd, const char *path);
/* Content is in this encoding; false after an ERROR. */
extern bool txp_source_set_encoding(TxpSource *s, const char *encoding);
extern void txp_source_close(TxpSource *s);

/* Reads the next chunk as stored, decrypted, into s->chunk; false at the end (at_end) or after an ERROR. */
extern bool txp_source_read(TxpSource *s);

/*
 * Appends the next piece of content, unpacked and converted; false at the end (at_end), where the last of it
 * is appended, or after an ERROR.
 */
extern bool txp_source_content(TxpSource *s, TxdBuf *to);

/* SHA-256 of all that was read, decrypted; once. */
extern void txp_source_hash(TxpSource *s, unsigned char sha256[TXP_SHA256]);
/* Reads all of it for that; false after an ERROR, or when the channel has ended. */
extern bool txp_source_hash_all(TxpSource *s, unsigned char sha256[TXP_SHA256]);
/* SHA-256 of the content of a packed file, unpacked; once. */
extern void txp_source_content_hash(TxpSource *s, unsigned char sha256[TXP_SHA256]);

/* The span as text of its own; NULL where it is absent or empty, or holds a NUL. */
extern char *txp_span_dup(TxpSpan span);

/* Sends ERROR (fatal) for errno and a file: its SQLSTATE, "could not WHAT "path": reason". */
extern void txp_file_error(TxpChannel *channel, bool answers, int err, const char *what,
						   const char *path);

#endif
