/*
 * event.h — the log of a stream, as people SELECT it from txpipe.stream_event.
 */
#ifndef TXP_EVENT_H
#define TXP_EVENT_H

#include "postgres.h"

/* What an event is about; topic NULL: the stream as a whole, offsets -1: none. */
typedef struct TxpEventPlace
{
	const char *topic;
	int32 partition;
	int64 from; /* half-open */
	int64 to;
} TxpEventPlace;

/* Writes one event in the current transaction; place may be NULL. */
extern void txp_event_log(int32 stream_id, const char *event, const char *message,
						  const TxpEventPlace *place);

#endif
