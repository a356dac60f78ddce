/*
 * outbox_worker.h — workers deliver the outbox, beside their streams.
 *
 * A delivery is a request of the worker's child: sent after the transaction that read the messages, settled in another when
 * its answer comes. Meanwhile the worker goes on with its streams. Errors are noted with the route, which is tried again,
 * later each time.
 */
#ifndef TXP_OUTBOX_WORKER_H
#define TXP_OUTBOX_WORKER_H

#include "postgres.h"

#include "io_client.h"

/*
 * Called between batches, outside of a transaction: sends the next messages that are due, if this worker is the one who
 * delivers, or gives those up that are not answered. `io` may be NULL.
 */
extern void txp_outbox_some(TxpIo *io);

/* A frame that is no stream's. */
extern void txp_outbox_frame(const TxpFrame *frame);

/* Is there something to be sent now, so that a child is needed? */
extern bool txp_outbox_wants_child(void);
/* Does this worker have reason to stay? */
extern bool txp_outbox_waits(void);

/* The child is gone, and what was under way with it. */
extern void txp_outbox_reset(void);

#endif
