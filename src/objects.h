/*
 * objects.h — object stores as the server sees them: servers of the wrapper txpipe_object, and what the child is asked about objects.
 */
#ifndef TXP_OBJECTS_H
#define TXP_OBJECTS_H

#include "postgres.h"
#include "common/sha2.h"
#include "lib/stringinfo.h"
#include "utils/timestamp.h"

#include "io_client.h"

typedef struct TxpObjects
{
	char *location; /* endpoint/bucket/prefix: where files go */
	char *prefix;   /* of names in the bucket: "", or with a slash behind it */
	/* What each request begins with; it holds a secret. */
	StringInfoData opening;
	TxpIo *io;
	MemoryContext context; /* all of this, and the child */
} TxpObjects;

/* What became an object. */
typedef struct TxpObject
{
	int64 bytes;
	TimestampTz changed_at; /* of the file's entry in its directory */
	uint8 sha256[PG_SHA256_DIGEST_LENGTH];
} TxpObject;

/* The server of that name, as the current user uses it. ERRORs: 42704, 42809, 42501, 55000 where the key is missing. */
extern TxpObjects *txp_objects_open(const char *server);
/* Wipes the secret, and ends the child. */
extern void txp_objects_close(TxpObjects *objects);

/*
 * Makes the file below `top` an object of the same path, of that hash unless it is NULL; or removes an object. False: it failed, and why.
 * To be called without a snapshot: it takes as long as the network does.
 */
extern bool txp_object_put(TxpObjects *objects, const char *top, const char *path,
						   const uint8 *sha256, TxpObject *object, TxpIoError *error);
extern bool txp_object_delete(TxpObjects *objects, const char *path, TxpIoError *error);

#endif
