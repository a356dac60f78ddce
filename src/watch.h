/*
 * watch.h — clocks that run while a worker is at one stream.
 */
#ifndef TXP_WATCH_H
#define TXP_WATCH_H

#include "postgres.h"

/* Once per worker, after it is connected. */
extern void txp_watch_init(void);

/* Around everything done for one stream: after a quarter of a second the worker's other streams go to other workers. */
extern void txp_watch_begin(int32 stream_id, uint32 part);
extern void txp_watch_end(void);

/* Around the user's part of a batch: it is cancelled after so long; 0: never. */
extern void txp_watch_limit(int timeout_ms);
extern void txp_watch_unlimit(void);

#endif
