/*
 * outbox.h — messages to Kafka that are sent when, and only when, their transaction has committed: the tables.
 *
 * A route is a topic as one owner reaches it. Its messages are delivered in the order of their numbers, and its failures
 * put off nobody else's.
 */
#ifndef TXP_OUTBOX_H
#define TXP_OUTBOX_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "io_client.h"
#include "stream.h"

/* How long the brokers have for the messages of one delivery. */
#define TXP_DELIVERY_TIMEOUT_MS 10000

/* Messages of one route that are sent together; all in the memory context it was loaded in. */
typedef struct TxpDelivery
{
	int32 route_id;
	char *topic;
	int n;
	Datum *ids;
	StringInfoData payload; /* PRODUCE_ALL; holds secrets until it is sent */
} TxpDelivery;

/* Puts these alerts (bigint[]) into the outbox of the stream's owner, as JSON or Avro. */
extern void txp_outbox_add_alerts(const TxpStream *stream, const char *topic, bool avro,
								  Datum alert_ids);

/*
 * One message of the current user, who has been checked; returns its number. Datums are text and jsonb, 0: NULL; format: of
 * txp_message_format.
 */
extern int64 txp_outbox_add(const char *server, const char *topic, Datum key, Datum value,
							Datum headers, const Jsonb *format);

/* Workers look at the outbox when this transaction commits. */
extern void txp_outbox_wake_at_commit(void);
/* Has this process committed messages since it last asked? */
extern bool txp_outbox_was_filled(void);

/*
 * One process delivers at a time: a lock of the session, until it ends or lets go. `wait`: otherwise false when another
 * has it. In a transaction.
 */
extern bool txp_outbox_lock(bool wait);
extern void txp_outbox_unlock(void);

/*
 * Routes with messages to be sent, the longest waiting first: those that are due, or all; a list of their numbers. *next:
 * when the next one is due, DT_NOEND: none waits.
 */
extern List *txp_outbox_routes(bool all, TimestampTz *next);

/*
 * Reads the route's next messages, as their owner. False when there are none. ERRORs when owner or server are not what
 * they were; then txp_outbox_failed. `all`: those that the brokers have refused, too.
 */
extern bool txp_outbox_load(int32 route_id, bool all, TxpDelivery *delivery);

/* PRODUCED_ALL or ERROR; returns how many were delivered, *why: the first reason of those that were not, or NULL. */
extern int txp_outbox_settle(const TxpDelivery *delivery, const TxpFrame *answer, char **why);

/* Nothing of the route can be delivered now. */
extern void txp_outbox_failed(int32 route_id, const char *why);

/* Deletes some of the messages that were delivered a day ago, more than a delivery adds. */
extern void txp_outbox_prune(void);

#endif
