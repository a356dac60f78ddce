/*
 * offsets.h — how far a stream has come: the rows of txpipe.stream_offset, and what PARTITIONS frames say.
 *
 * All of it in the caller's transaction.
 */
#ifndef TXP_OFFSETS_H
#define TXP_OFFSETS_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/uuid.h"

#include "batch_read.h"
#include "io_client.h"

/* A PARTITIONS frame, taken apart. */
typedef struct TxpPlace
{
	uint32 topic; /* number within the channel */
	int32 partition;
	int64 low;
	int64 high;
	int64 start; /* where start_at points */
} TxpPlace;

typedef struct TxpPartitions
{
	int ntopics;
	char **topics;
	pg_uuid_t *topic_ids; /* Kafka's; all 0: not known */
	int n;
	TxpPlace *places;
} TxpPartitions;

/* Where the stream stands in one partition. */
typedef struct TxpPosition
{
	char *topic;
	int32 partition;
	int64 next;
	int64 end;         /* as last heard; -1: never */
	int64 last_offset; /* record read last; -1: none, or not to be compared */
	int64 last_hash;
	pg_uuid_t topic_id; /* of the topic that was read; all 0: not known */
} TxpPosition;

extern bool txp_topic_id_is_known(const pg_uuid_t *id);

/* Takes the frame apart in the current memory context. */
extern void txp_partitions_read(const TxpFrame *frame, TxpPartitions *parts);

/* Leaves out the partitions that the stream does not read. */
extern void txp_partitions_keep(TxpPartitions *parts, const Bitmapset *wanted);

/*
 * Gives partitions without a row one, and stores the ends, and the topics' ids where none is stored. A stream that has no
 * rows yet begins where start_at points; partitions that appear later are read from their beginning. Returns the number
 * of new rows.
 */
extern int txp_offsets_store(int32 stream_id, const TxpPartitions *parts);

/* All positions of the stream: a list of TxpPosition in order. */
extern List *txp_offsets_read(int32 stream_id);

/*
 * Sets a position by decision, not by reading: `to` becomes the next offset, the partition ends at `end`, and the last
 * record is forgotten. `id`, when it is known, is the topic's from now on.
 * False when the position is not `from` any more or somebody is writing there.
 */
extern bool txp_offsets_jump(int32 stream_id, const char *topic, const pg_uuid_t *id,
							 int32 partition, int64 from, int64 to, int64 end);

/*
 * Locks all positions of the stream until the end of the transaction; a batch at work is waited for, some
 * seconds long. ERRORs (55P03) when it does not end.
 */
extern void txp_offsets_lock_all(int32 stream_id);

/* Sets one position, locked or not there yet, as a user wishes; `end` is the end of the partition. */
extern void txp_offsets_set(int32 stream_id, const char *topic, const pg_uuid_t *id,
							int32 partition, int64 next, int64 end);

/* Forgets the last record, which nobody can compare any more. */
extern void txp_offsets_forget_last(int32 stream_id, const char *topic, int32 partition);

/*
 * The batch's first statement. True when its ranges begin at the stored offsets, which are then locked until the
 * end of the transaction, and the stream, created at `created_at`, is in one of the `states` and still in that epoch.
 */
extern bool txp_offsets_lock(int32 stream_id, TimestampTz created_at, int64 epoch,
							 const char *states, char *const *topics, const TxpBatch *batch);

/* Moves the offsets to the ends of the ranges; refused[i] rows of range i became dead letters. */
extern void txp_offsets_move(int32 stream_id, char *const *topics, const TxpBatch *batch,
							 const int64 *refused);

/* Stores the ends of an ENDS frame; true when nothing holds the stream up. */
extern bool txp_offsets_store_ends(int32 stream_id, char *const *topics, int ntopics,
								   const TxpFrame *ends);
/* The same of a batch that is not written yet. */
extern void txp_offsets_store_ends_of(int32 stream_id, char *const *topics, int ntopics,
									  const TxpBatch *batch);

#endif
