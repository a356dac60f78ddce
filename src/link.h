/*
 * link.h — a stream's channel in a child: from its definition to the first batch.
 *
 *     txp_link_open       sends STREAM_OPEN                       (in a transaction; no lock outlives it)
 *     PARTITIONS arrives  txp_link_start stores and sends offsets (in a transaction)
 *     BATCH arrives       batch.h
 */
#ifndef TXP_LINK_H
#define TXP_LINK_H

#include "postgres.h"
#include "access/tupdesc.h"

#include "io_client.h"
#include "rowplan.h"
#include "stream.h"

typedef struct TxpLink
{
	TxpStream *stream;
	TxpIo *io;
	uint32 channel;
	TxpRowPlan *plan;
	TupleDesc target_desc; /* of the target when the plan was made */
	bool started;
	bool behind; /* there were messages to read at the start */
} TxpLink;

/* Longest wait for the broker's first answer. */
#define TXP_OPEN_TIMEOUT_MS 10000

/*
 * Plans the rows as the stream's owner and asks the child to open the stream. ERRORs when the definition
 * does not work (any more). The link is allocated in the current memory context.
 */
extern TxpLink *txp_link_open(TxpIo *io, TxpStream *stream, int timeout_ms);

/* ERRORs unless the stream's mapping, target, rights and server work, as far as that needs no broker. */
extern void txp_link_check(TxpStream *stream);

/*
 * On PARTITIONS: stores an offset row for partitions that have none, refuses offsets the topic does not
 * have any more, and starts the channel.
 */
extern void txp_link_start(TxpLink *link, const TxpFrame *partitions);

/* Stores the partitions' start offsets without a channel; for create_stream. */
extern void txp_offsets_store(int32 stream_id, const char *topic, const TxpFrame *partitions);

/* Ends the channel. */
extern void txp_link_close(TxpLink *link);

#endif
