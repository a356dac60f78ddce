/*
 * landing.h — the landing and lake directories as the server sees them: settings, paths, what is there.
 */
#ifndef TXP_LANDING_H
#define TXP_LANDING_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* A file of the landing directory; its name is the path below it. */
typedef struct TxpLandingFile
{
	char *name;
	int64 bytes;
	TimestampTz modified_at;
} TxpLandingFile;

/* ERRORs unless both directories are set, exist and can be used. */
extern void txp_landing_check(void);

/* All regular files: no symbolic link is followed, names that begin with a dot are left alone. */
extern List *txp_landing_scan(void);

/* Reads size and time of a file again; false when it is no regular file any more. */
extern bool txp_landing_stat(const char *name, int64 *bytes, TimestampTz *modified_at);

/* Is this copy of so many bytes, unless it is packed or encrypted, in the lake? */
extern bool txp_lake_has(const char *lake_path, int64 bytes);

/*
 * Removes a file from the landing directory when it still is the one described and its copy is in the lake
 * (lake_path NULL: clean_lake has removed that) with so many bytes. Returns NULL when it is not there any more, by us or
 * otherwise, else why it stays.
 */
extern char *txp_landing_remove(const TxpLandingFile *file, const char *lake_path,
								int64 lake_bytes);

#endif
