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
#include "partition_set.h"

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

/* Who decides whether the stream reads a partition: users by its release or adoption, or else the option. */
typedef enum TxpAssignment
{
	TXP_BY_OPTION = 0,
	TXP_RELEASED = 1,
	TXP_ADOPTED = 2
} TxpAssignment;

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
	TxpAssignment assignment;
} TxpPosition;

extern bool txp_topic_id_is_known(const pg_uuid_t *id);

/* Takes the frame apart in the current memory context. */
extern void txp_partitions_read(const TxpFrame *frame, TxpPartitions *parts);

/* The stream's position there, of a list of TxpPosition; NULL: it has none. */
extern TxpPosition *txp_offsets_find(List *positions, const char *topic, int32 partition);

/* Is the partition read by a stream of that option, with this position (NULL: none)? */
extern bool txp_offsets_wanted(const TxpPartitionSet *set, int32 partition,
							   const TxpPosition *position);

/* Leaves out the partitions that such a stream, with these positions, does not read. */
extern void txp_partitions_keep(TxpPartitions *parts, const TxpPartitionSet *set, List *positions);

/*
 * Gives partitions without a row one, and stores the ends, and the topics' ids where none is stored. A stream that has no
 * rows yet begins where start_at points; partitions that appear later are read from their beginning. Returns the number
 * of new rows.
 */
extern int txp_offsets_store(int32 stream_id, const TxpPartitions *parts);

/*
 * All positions of the stream: a list of TxpPosition in order. None when it is not in that epoch any more: what a child
 * tells of partitions is older than they are. -1: in any.
 */
extern List *txp_offsets_read(int32 stream_id, int64 epoch);

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

/*
 * Released or adopted from now on: it has a row. Returns its next offset, of the row as it is locked now: a worker may have
 * found the partition, and begun to read it, after the others were locked.
 */
extern int64 txp_offsets_assign(int32 stream_id, const char *topic, int32 partition,
								TxpAssignment assignment);

/* Forgets the last record, which nobody can compare any more. */
extern void txp_offsets_forget_last(int32 stream_id, const char *topic, int32 partition);

/*
 * The batch's first statement. True when its ranges begin at the stored offsets, none of them released, which are then
 * locked until the end of the transaction, and the stream, created at `created_at`, is in one of the `states` and still in that epoch.
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
