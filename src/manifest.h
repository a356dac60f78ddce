/*
 * manifest.h — the file that says which parts are the content of a data set.
 */
#ifndef TXP_MANIFEST_H
#define TXP_MANIFEST_H

#include "postgres.h"
#include "common/sha2.h"
#include "nodes/pg_list.h"

#define TXP_MANIFEST "_manifest.json"

#define TXP_CURATED "curated" /* the directory of export_curated() */
#define TXP_RAW "raw"         /* that of export_archive() */

typedef struct TxpPart
{
	char
		*staged; /* its name in the hidden directory; NULL: it is of an earlier export, and stays */
	const char *base; /* of a set of data sets: the one it is of, with a slash behind it; else "" */
	char *directory;  /* there: "" or with a slash behind it */
	char *file;
	const char *state; /* what its rows are of; NULL: that is not kept */
	int64 rows;
	int64 bytes;
	char sha256[2 * PG_SHA256_DIGEST_LENGTH + 1];
} TxpPart;

/*
 * Its text, of the parts from number `first` on. `facts`: members between the data set's name and its sums, a JSON
 * object without its braces.
 */
extern char *txp_manifest_text(const char *dataset, const char *facts, const List *parts, int first,
							   const char *written_at);

/*
 * The text of a data set's manifest, by its path below txpipe.export_directory; NULL: there is none. ERRORs as
 * txp_outdir_check; XX001: it is no text.
 */
extern char *txp_manifest_read(const char *path);

#endif
