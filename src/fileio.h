/*
 * fileio.h — what a session asks of its txpipe_io child about files: hashes, copies, records.
 */
#ifndef TXP_FILEIO_H
#define TXP_FILEIO_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "feed.h"
#include "io_client.h"

#define TXP_SHA256_SIZE 32

/* The child, started when it is first needed. */
typedef struct TxpFileIo
{
	MemoryContext context; /* the child's lifetime; a child of the caller's */
	TxpIo *io;
	struct TxpFileChannel *ahead; /* what will be read next */
	uint8 ahead_request[TXP_SHA256_SIZE];
} TxpFileIo;

extern TxpFileIo *txp_fileio_new(MemoryContext parent);
/* Ends the child and whatever it was doing; the next request starts another. */
extern void txp_fileio_reset(TxpFileIo *files);

/* Starts the child, for who will ask it soon and has other work until then. */
extern void txp_fileio_start(TxpFileIo *files);

/*
 * Hash of a landing file as it is stored, and its size and time then; false (and a LOG line) when it cannot be
 * read.
 */
extern bool txp_fileio_hash(TxpFileIo *files, const char *name, uint8 *sha256, int64 *bytes,
							TimestampTz *modified_at);

/*
 * Copies a landing file with the expected content into a directory of the lake. A copy that is there is left
 * alone; where the name is taken by other content the first 8 digits of the hash go into it. Returns the name
 * used: with txpipe.lake_compression it ends in .zst, unless the file came packed. With `keys` of encryption it is encrypted, and ends in .pgp.
 */
extern char *txp_fileio_copy(TxpFileIo *files, const char *source, const char *directory,
							 const char *name, const uint8 *sha256, const char *keys);

/* A copy of the lake once more, without some of its records. */
typedef struct TxpRewriting
{
	const char *path;        /* of the copy; the new one is beside it */
	const char *name;        /* of the file, which the new one is named after */
	const TxpFeedPlan *plan; /* how its records are told apart */
	const uint8 *sha256;     /* of what it must hold, as the ledger has it */
	int nlines;
	const int64 *lines; /* ascending: the first lines of those records, which become empty lines */
	const char *keys;   /* of encryption, of both; or NULL */
} TxpRewriting;

typedef struct TxpRewritten
{
	char *path;
	bool made; /* else it was there, from an attempt before */
	int64 bytes;
	uint8 sha256[TXP_SHA256_SIZE]; /* of the content, neither packed nor encrypted */
} TxpRewritten;

extern void txp_fileio_rewrite(TxpFileIo *files, const TxpRewriting *what, TxpRewritten *result);

/* A file's records on their way. */
typedef struct TxpFileChannel
{
	TxpFileIo *files;
	uint32 channel;
	List *pending; /* frames that came while another was waited for */
	MemoryContext context;
} TxpFileChannel;

/* Begins to read a file of the lake, or of the landing directory; frames are allocated in the current memory context. */
extern TxpFileChannel *txp_fileio_open(TxpFileIo *files, bool landing, const char *name,
									   const TxpFeedPlan *plan);
/* The same for the file of the lake that is opened after the present one, so that it is read while that one is loaded. */
extern void txp_fileio_open_ahead(TxpFileIo *files, const char *name, const TxpFeedPlan *plan);
/* Next BATCH or FILE_END; errors of the child are raised. */
extern TxpFrame *txp_fileio_next(TxpFileChannel *channel);
/* The batch again, with the records themselves. */
extern TxpFrame *txp_fileio_repeat(TxpFileChannel *channel, uint32 seq);
/* The batch is written. */
extern void txp_fileio_done(TxpFileChannel *channel, uint32 seq);
extern void txp_fileio_close(TxpFileChannel *channel);

/* The hashes of FILE_END, which come next in the reader: is it the file, as it is or compressed by us? */
extern bool txp_fileio_is_content(TxpReader *end, const uint8 *sha256);

#endif
