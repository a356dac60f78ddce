/*
 * io_process.h — the process of a txpipe_io child: from fork to the program's first line.
 */
#ifndef TXP_IO_PROCESS_H
#define TXP_IO_PROCESS_H

#include "postgres.h"

#include <sys/types.h>

#define TXP_IO_PROGRAM "txpipe_io"

/* Starts one; *fd is our end of its socket, which does not block. ERRORs when that fails. */
extern pid_t txp_io_spawn(pgsocket *fd);

#endif
