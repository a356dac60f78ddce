/*
 * manifest.h — the file that says which parts are the content of a data set.
 */
#ifndef TXP_MANIFEST_H
#define TXP_MANIFEST_H

#include "postgres.h"
#include "common/sha2.h"
#include "nodes/pg_list.h"

#define TXP_MANIFEST "_manifest.json"

typedef struct TxpPart
{
	char *staged;    /* its name in the hidden directory */
	char *directory; /* "" or with a slash behind it */
	char *file;
	int64 rows;
	int64 bytes;
	char sha256[2 * PG_SHA256_DIGEST_LENGTH + 1];
} TxpPart;

/* Its text. `facts`: members between the data set's name and its sums, a JSON object without its braces. */
extern char *txp_manifest_text(const char *dataset, const char *facts, const List *parts);

/* The text of a data set's manifest, by its path below txpipe.export_directory; NULL: there is none. ERRORs as txp_outdir_check. */
extern char *txp_manifest_read(const char *path);

#endif
