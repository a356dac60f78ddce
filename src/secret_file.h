/*
 * secret_file.h — files on the server's machine that options of the kind `…_file` name.
 */
#ifndef TXP_SECRET_FILE_H
#define TXP_SECRET_FILE_H

#include "postgres.h"

/* True for an absolute path without a "..". */
extern bool txp_secret_file_is_path(const char *path);

/*
 * What the file holds, without one newline at its end, as a string of the current memory context that the
 * caller wipes. A `secret` one must be closed to others. ERRORs name the option; the path, which not
 * everybody may know who sees a stream's last error, goes to the server log only.
 */
extern char *txp_secret_file_read(const char *option, const char *path, bool secret);

#endif
