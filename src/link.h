/*
 * link.h — a stream's channel in a child: from its definition to the first batch.
 *
 *     txp_link_open       sends STREAM_OPEN                 (in a transaction; no lock outlives it)
 *     PARTITIONS arrives  txp_link_start stores the offsets (in a transaction)
 *                         txp_link_send_start sends them    (after its commit)
 *     BATCH arrives       batch.h
 */
#ifndef TXP_LINK_H
#define TXP_LINK_H

#include "postgres.h"
#include "access/tupdesc.h"
#include "lib/stringinfo.h"
#include "utils/uuid.h"

#include "archive.h"
#include "io_client.h"
#include "rowplan.h"
#include "rowreader.h"
#include "stream.h"
#include "stream_steps.h"
#include "upsert.h"

/* For dead_letter_max_bytes (budget.h): what the stream's dead letters take. */
typedef struct TxpLetterBytes
{
	int64 bytes;
	int64 counted_us; /* when they were counted, CLOCK_MONOTONIC; 0: never */
} TxpLetterBytes;

typedef struct TxpLink
{
	TxpStream *stream;
	TxpIo *io;
	uint32 channel;
	uint32 part; /* of a stream that several workers share */
	MemoryContext context;
	TxpRowPlan *plan;
	TxpUpsert *upsert;     /* NULL in mode append */
	List *steps;           /* of TxpStreamStep, in order */
	TxpArchive *archive;   /* NULL: none is kept */
	Bitmapset *needs;      /* columns of the plan, from 0, that steps and archive look at */
	TxpRowReader *reader;  /* of those; NULL: there are neither */
	TupleDesc target_desc; /* of the target when the plan was made */
	char **topics;         /* by the numbers frames name them by, */
	pg_uuid_t *topic_ids;  /* and their ids; all 0: not known */
	int ntopics;
	List *before;         /* positions when it was opened */
	StringInfoData start; /* STREAM_START to be sent after the commit; data NULL: none */
	int64 commit_us;      /* what the commit of the last batch took; -1: there was none */
	int64 history_row;    /* of small batches, */
	int64 history_second; /* in this Unix second; 0: none */
	TxpLetterBytes letters;
	bool started;
	bool behind; /* there were messages to read at the start */
	bool paused; /* a policy has paused the stream in this transaction */
	bool replay; /* for dead letters: nothing stops it */
} TxpLink;

/* Longest wait for the broker's first answer. */
#define TXP_OPEN_TIMEOUT_MS 10000

/*
 * Plans the rows as the stream's owner and asks the child to open the stream. ERRORs when the definition
 * does not work (any more). The link is allocated in the current memory context.
 */
extern TxpLink *txp_link_open(TxpIo *io, TxpStream *stream, uint32 part, int timeout_ms);

/*
 * The first half: a link without a channel, for rows that are there already. ERRORs unless mapping, target and
 * rights work, as far as that needs no broker.
 */
extern TxpLink *txp_link_plan(TxpStream *stream);

/* What only the decoder knows of a plan: whether defaults fit and conversions make sense. ERRORs unless. */
extern void txp_link_check_decoder(TxpIo *io, const TxpRowPlan *plan);

/* The same in a child of its own. */
extern void txp_link_check_plan(const TxpRowPlan *plan);

/*
 * The second: STREAM_OPEN for any plan, with the server, topic, start and limits of `stream`, as its owner.
 * Returns the channel.
 */
extern uint32 txp_link_send_open(TxpIo *io, const TxpStream *stream, const TxpRowPlan *plan,
								 int timeout_ms);

/*
 * On PARTITIONS, the first and later ones: stores an offset row for partitions that have none and finds what is
 * to be read; offsets that are not there any more are the policy's (lost.h). After the commit
 * txp_link_send_start tells the child, unless the policy has paused the stream.
 */
extern void txp_link_start(TxpLink *link, const TxpFrame *partitions);
extern void txp_link_send_start(TxpLink *link);

/* On VERIFIED and LOST: as above, for one place or a few. */
extern void txp_link_verdict(TxpLink *link, const TxpFrame *verified);
extern void txp_link_lost(TxpLink *link, const TxpFrame *lost);

/* Ends the channel. */
extern void txp_link_close(TxpLink *link);

#endif
