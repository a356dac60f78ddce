/*
 * source.h — a file being read: its bytes, their SHA-256, and gzip undone.
 */
#ifndef TXP_SOURCE_H
#define TXP_SOURCE_H

#include <openssl/evp.h>
#include <sys/stat.h>
#include <zlib.h>

#include "channel.h"
#include "wire.h"

#define TXP_SHA256 32
#define TXP_CHUNK (256 * 1024)

typedef struct TxpSource
{
	TxpChannel *channel;
	bool answers; /* errors are a request's answer */
	char *path;
	int fd;
	struct stat st;
	EVP_MD_CTX *hash;
	int64_t bytes; /* read so far, as stored */
	bool at_end;
	bool unpacks; /* the file is gzip, and its content is wanted */
	bool member_done;
	z_stream z;
	unsigned char chunk[TXP_CHUNK];
	size_t chunk_len;
	size_t chunk_at;
} TxpSource;

/* Opens a regular file (no symbolic link); NULL when an ERROR has been sent. */
extern TxpSource *txp_source_open(TxpChannel *channel, bool answers, TxpSpan path);
extern void txp_source_close(TxpSource *s);

/* Reads the next chunk as stored, into s->chunk; false at the end (at_end) or after an ERROR. */
extern bool txp_source_read(TxpSource *s);

/* Appends the next piece of content, unpacked; false at the end (at_end) or after an ERROR. */
extern bool txp_source_content(TxpSource *s, TxdBuf *to);

/* SHA-256 of all that was read; once. */
extern void txp_source_hash(TxpSource *s, unsigned char sha256[TXP_SHA256]);

/* Sends ERROR (fatal) for errno and a file: its SQLSTATE, "could not WHAT "path": reason". */
extern void txp_file_error(TxpChannel *channel, bool answers, int err, const char *what,
						   const char *path);

#endif
