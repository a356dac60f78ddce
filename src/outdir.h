/*
 * outdir.h — txpipe.export_directory: is it there, which names may be in it, who gives names now, and directories below it.
 */
#ifndef TXP_OUTDIR_H
#define TXP_OUTDIR_H

#include "postgres.h"

/*
 * ERRORs: 22023 for a name that is not plain, 55000 when txpipe.export_directory is not set, 58P01 when it does not
 * exist.
 */
extern void txp_outdir_check(const char *name);
/* The same of each component of a path. */
extern void txp_outdir_check_path(const char *path);

/* ERROR with errno: "could not DOING file NAME". */
extern void txp_outdir_fail(const char *doing, const char *name);

/* Waits until nobody else gives names in an open directory; its descriptor, whose close ends that. */
extern int txp_outdir_lock(int dir, const char *name);

/* Makes each directory of a path below it before a slash, readable for the group. */
extern void txp_outdir_make(const char *path);
/* Opens one; -1 with errno. */
extern int txp_outdir_open(const char *path);

/* Calls `visit` for each entry of an open directory; what cannot be read has none. */
typedef void (*TxpVisit)(int dir, const char *name, const void *arg);
extern void txp_outdir_each(int dir, TxpVisit visit, const void *arg);

/* The time of day as files say it: 2023-05-20T10:00:00Z. */
extern const char *txp_outdir_now(void);

#endif
