/*
 * filetree.h — all files below a directory, as they are or not at all.
 */
#ifndef TXP_FILETREE_H
#define TXP_FILETREE_H

#include "postgres.h"
#include "common/sha2.h"
#include "nodes/pg_list.h"
#include "utils/timestamp.h"

typedef struct TxpTreeFile
{
	char *path;   /* below the directory */
	bool is_file; /* else a link or device, which is not looked into */
	int64 bytes;
	TimestampTz changed_at; /* of its entry in the directory, which nobody can set back */
} TxpTreeFile;

/*
 * Files without a dot before their names, or before that of a directory of theirs: those are being written. Sizes and times are
 * read when all names have been: what has replaced a name that is missing is seen. ERRORs when a directory cannot be read, or what is in it cannot be looked at; names that are not
 * valid in the database's encoding get a WARNING.
 */
extern List *txp_filetree_list(const char *top);

/* A file that is text, and its hash; NULL: it is not there, is no text, or is larger than a text may be. */
extern char *txp_filetree_read(const char *top, const char *path,
							   uint8 sha256[PG_SHA256_DIGEST_LENGTH]);

#endif
