/*
 * copying.h — a file of the lake in the making: written beside its name, compressed and encrypted on the way,
 * durable and verified before it has that name.
 */
#ifndef TXP_COPYING_H
#define TXP_COPYING_H

#include <limits.h>

#include "source.h"

typedef struct TxpCopy
{
	TxpChannel *channel;
	char *lake;
	char *directory; /* below it */
	char name[NAME_MAX + 1];
	char temp[64];
	char target[PATH_MAX];            /* for messages */
	unsigned char sha256[TXP_SHA256]; /* of the content */
	bool compress;
	TxdPgp *pgp; /* the copy is encrypted; or NULL */
	ZSTD_CCtx *zstd;
	TxdPgpWriter *writer;
	TxdBuf packed;
	TxdBuf sealed;
	int dir;
	int fd; /* of the temporary file */
} TxpCopy;

extern TxpCopy *txp_copy_new(TxpChannel *channel);
extern void txp_copy_free(TxpCopy *c);

/* Of the opening frame, whose copy of them is wiped; false after an ERROR. */
extern bool txp_copy_take_keys(TxpCopy *c, TxpSpan keys);
/* By what says what is copied, so that the file a killed process left behind is found and replaced. */
extern void txp_copy_name_temp(TxpCopy *c, const unsigned char sha256[TXP_SHA256]);
/* The path that messages name. */
extern void txp_copy_set_target(TxpCopy *c, const char *name);
/* Can it be the name of a file in a directory? */
extern bool txp_is_file_name(const char *name);

/* Makes the directory and those above it where they are missing; false after an ERROR. */
extern bool txp_copy_make_directory(TxpCopy *c);
/* Creates the temporary file; false after an ERROR. */
extern bool txp_copy_create(TxpCopy *c);
/* Writes content; `last`, with or without some: it ends, and is made durable. False with errno. */
extern bool txp_copy_write(TxpCopy *c, const void *bytes, size_t len, bool last);
/* Removes the temporary file before the answer: who has heard it finds the directory clean. Keeps errno. */
extern void txp_copy_discard(const TxpCopy *c);
/* The same, with an ERROR for errno. */
extern void txp_copy_fail(TxpCopy *c, int err, const char *what);
/* What was written is not what is there: the ERROR. */
extern void txp_copy_fail_verification(const TxpCopy *c);
/* Gives the temporary file its name; false after an ERROR. */
extern bool txp_copy_finish(TxpCopy *c);

/*
 * Does the file hold the content, as it is or, where that counts, packed? What is damaged holds other content.
 * False also after an ERROR, with *error.
 */
extern bool txp_copy_holds(TxpCopy *c, const char *name, bool may_be_packed, bool *error);
/*
 * A copy under a name is there already: fine when it is the same, never replaced when it is not. Under the name
 * of a compressed copy it is the same when it unpacks to the content. *done: nothing is left to do, because that
 * is so or an ERROR was sent.
 */
extern bool txp_copy_is_there(TxpCopy *c, const char *name, bool compressed, bool *done);

#endif
