/*
 * outfile.h — files below txpipe.export_directory: each appears whole or not at all.
 *
 * A file is written under a hidden temporary name, flushed, and renamed; the directory is flushed, too. What
 * was left by a crash is removed by the next export. ROLLBACK undoes nothing of it.
 */
#ifndef TXP_OUTFILE_H
#define TXP_OUTFILE_H

#include "postgres.h"
#include "common/sha2.h"

typedef struct TxpOutFile TxpOutFile;

/* What a side file says of its file besides name, size, hash and time. */
typedef struct TxpOutFacts
{
	int64 rows;
	const char *more; /* further members of the JSON object; NULL: none */
} TxpOutFacts;

/*
 * Begins a file. An error must end in txp_outfile_abandon. ERRORs: 22023 for a name that is not plain, 55000 when
 * txpipe.export_directory is not set, 58P01 when it does not exist.
 */
extern TxpOutFile *txp_outfile_open(const char *name);
/* The same in two steps, the second with a path below the directory that is the caller's own: what may not be ERRORs in the first. */
extern void txp_outfile_prepare(const char *name);
extern void txp_outfile_prepare_below(const char *path);
extern TxpOutFile *txp_outfile_open_below(const char *path);
/* Adds bytes; UTF-8 is what readers expect. */
extern void txp_outfile_write(TxpOutFile *file, const char *bytes, size_t len);
/* Gives the file its name, with a side file NAME.json behind it unless `facts` is NULL; returns its path. */
extern char *txp_outfile_publish(TxpOutFile *file, const TxpOutFacts *facts);
/* Removes what is unfinished; never fails. */
extern void txp_outfile_abandon(TxpOutFile *file);

extern int64 txp_outfile_size(const TxpOutFile *file);
/* Hash of what was published. */
extern const uint8 *txp_outfile_sha256(const TxpOutFile *file);

/* Hash of the file of this name; false: there is none. */
extern bool txp_outfile_hash(const char *name, uint8 sha256[PG_SHA256_DIGEST_LENGTH]);

#endif
