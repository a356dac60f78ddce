/*
 * below.h — files below a directory: no path leads out of it.
 *
 * The directory itself is the administrator's and may be reached through symbolic links; below it every
 * component is opened from the one before, no link is followed, and "." and ".." are refused. Used by the
 * child and by the server: plain C that allocates nothing. Functions return -1 and set errno: ELOOP for a
 * link, EINVAL for a path that is none.
 */
#ifndef TXP_BELOW_H
#define TXP_BELOW_H

#include <sys/stat.h>

/* Directory of the path's last component, which *name then points to; for fstatat and the like. */
extern int txp_below_parent(const char *top, const char *path, const char **name);

/* What is there, which may be a link. */
extern int txp_below_stat(const char *top, const char *path, struct stat *st);

/* Opens a regular file for reading; EMEDIUMTYPE: it is none. A FIFO or device is not waited for. */
extern int txp_below_open(const char *top, const char *path, struct stat *st);

/* Makes what is missing of a directory (mode 0700) and opens it. All of it is durable then, whoever made it. */
extern int txp_below_make(const char *top, const char *path);

/* Makes a file of an opened directory durable, and its name there. */
extern int txp_below_sync(int dir, const char *name);

/* Removes a regular file. */
extern int txp_below_unlink(const char *top, const char *path);

/* Removes the directories above the path's last component that are empty, but for the first `kept`. */
extern void txp_below_prune(const char *top, const char *path, int kept);

/*
 * Removes a file when it is the one described (device, inode, size and time of modification), also when it is
 * replaced meanwhile. 0: it is gone; 1: another one is there, which stays.
 */
extern int txp_below_remove(const char *top, const char *path, const struct stat *expected);

#endif
