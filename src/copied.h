/*
 * copied.h — noticing that this database is a copy of another, whose streams must not go on by themselves.
 */
#ifndef TXP_COPIED_H
#define TXP_COPIED_H

#include "postgres.h"

/* What the reason of a stream says that was paused as a copy. */
#define TXP_COPIED "copied"

/*
 * Pauses all streams that belong to another installation, in the caller's transaction; true: it was noticed just now that this is
 * a copy. To be called before anything is served, created, resumed or archived; costs one small query where there is nothing to do.
 */
extern bool txp_copied_pause(void);

/* Logs, when somebody takes up a stream that was paused as a copy, that it was. */
extern void txp_copied_log(int32 stream_id);

#endif
