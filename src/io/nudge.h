/*
 * nudge.h — when librdkafka's fetcher is to be woken, because its full queue has room again.
 *
 * Before 2.2 librdkafka looks for that once a second at most, unless something else wakes the thread of the
 * broker: a request does. Newer ones have a property for it.
 */
#ifndef TXP_NUDGE_H
#define TXP_NUDGE_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct TxpNudge
{
	size_t left;  /* messages in the queue after the last look */
	size_t bytes; /* taken since something has come */
	size_t most;  /* so many at most without a nudge */
} TxpNudge;

/* Of librdkafka since 2.2, in milliseconds. */
#define TXP_NUDGE_PROPERTY "fetch.queue.backoff.ms"
#define TXP_NUDGE_MS "10"
extern bool txp_nudge_has_property(void);

extern void txp_nudge_init(TxpNudge *nudge, rd_kafka_t *rk);

/* These n messages were taken from the queue: was much taken in which nothing has come? */
extern bool txp_nudge_due(TxpNudge *nudge, rd_kafka_queue_t *queue,
						  rd_kafka_message_t *const *taken, size_t n);

#endif
