/*
 * stream.h — definitions and states of streams, as the catalogs have them.
 */
#ifndef TXP_STREAM_H
#define TXP_STREAM_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "io/frame.h"
#include "partition_set.h"
#include "schemas.h"

typedef struct TxpStream
{
	int32 id;
	char *name;
	Oid owner; /* as stored; txp_stream_check_owner before work is run as him */
	char *owner_name;
	char *server;
	char *topic;
	Oid target;       /* InvalidOid when the table is gone */
	bool is_replaced; /* found by its name only; txp_stream_check_target before work is run on it */
	char *target_name;
	List *trusted; /* whose code its steps may run, see trust.h */
	char *format;
	Jsonb *columns; /* or NULL */
	char *start_at;
	Jsonb *options;
	char **key_columns; /* NULL: the primary key of the target, in modes that need one */
	int nkey_columns;
	uint32 batch_rows; /* of the options, as the following */
	uint32 batch_bytes;
	uint32 linger_ms;
	uint32 gather_ms; /* from the first message of a batch; 0 where batches follow each other */
	uint32 workers;
	TxpPartitionSet partitions; /* read unless released, besides those adopted */
	int64 rows_per_second;      /* 0: no limit */
	int64 bytes_per_second;
	bool stop_on_error;
	bool encrypt;         /* dead letters, even when no column is encrypted */
	char *mode;           /* append, upsert, upsert_delete */
	char *version_column; /* or empty */
	char *on_lost_offset; /* stop, earliest, latest */
	char *on_new_field;   /* rest, column, stop */
	bool track_fields;
	bool archive;
	char *envelope; /* none, debezium, cloudevents */
	char *rows;     /* where they are in a message; empty: it is one */
	TxpStreamSchemas schemas;
	int batch_timeout_ms;
	int64 error_budget; /* 0: none, as of the next four */
	int error_ratio;    /* per cent */
	int64 refused_budget;
	int refused_ratio;
	int64 dead_letter_max_bytes;
	int error_window; /* s */
	char *state;      /* running, paused, error */
	char *reason;     /* of that state, or NULL */
	TimestampTz created_at;
	int64 epoch;
} TxpStream;

/* Reads one definition, in a transaction; NULL when there is none. By id when name is NULL. */
extern TxpStream *txp_stream_load(const char *name, int32 id);

/* Fills the fields that come from the (checked) options. */
extern void txp_stream_apply_options(TxpStream *stream);

/* A mapping as users write it, checked to be an object; JSON null: fields match columns by name, NULL. */
extern Jsonb *txp_stream_columns(Jsonb *columns);

/* Load, and ERRORs unless it exists and the current user may change it; copies are paused first. */
extern TxpStream *txp_stream_of_user(const char *name);

/* The same; nobody else changes it until the end of the transaction. */
extern TxpStream *txp_stream_of_user_locked(const char *name);

/* The same, of who may pause and resume it. */
extern TxpStream *txp_stream_of_operator(const char *name);

/* A stream that shall run in this database. */
typedef struct TxpRunnable
{
	int32 id;
	int64 epoch; /* a link opened in an earlier one is out of date */
	int workers;
	bool healthy; /* not in error */
} TxpRunnable;

/* All of them that are no copies, TxpRunnable in the order of their ids. */
extern List *txp_stream_runnable(void);

/* ERRORs unless the owner still is the role the stream was created by. */
extern void txp_stream_check_owner(const TxpStream *stream);

/* ERRORs when the target is another table than it was and another role could have put it there. */
extern void txp_stream_check_target(const TxpStream *stream);

/* ERRORs unless the current user is the owner himself: "only the owner … can `what`". */
extern void txp_stream_require_owner(const TxpStream *stream, const char *what);

/* Changes the state by a user's call. */
extern void txp_stream_set_state(int32 id, const char *state, const char *reason);

/* Lets no other change of the definition in between until the end of the transaction. False: it is gone. */
extern bool txp_stream_lock(int32 id);

/* Columns and options are new, or only the positions: who serves the stream opens it anew. */
extern void txp_stream_store_definition(const TxpStream *stream);
extern bool txp_stream_grow_epoch(int32 id);

/* A policy pauses the stream, with the reason as its last error. */
extern void txp_stream_pause_for(int32 id, const char *reason);

/*
 * Notes what a worker found: running, or the error. A paused stream stays paused, an unchanged state writes
 * nothing.
 */
extern void txp_stream_note(int32 id, const char *error);

/* Where start_at points: kind and, for a timestamp, Unix milliseconds. ERRORs on nonsense. */
extern TxpStartAt txp_start_parse(const char *start_at, int64 *unix_ms);

#endif
