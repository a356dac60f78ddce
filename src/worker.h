/*
 * worker.h — a stream worker: one of a small pool per database, each serving many streams.
 */
#ifndef TXP_WORKER_H
#define TXP_WORKER_H

#include "postgres.h"

extern PGDLLEXPORT void txp_worker_main(Datum arg);

#endif
