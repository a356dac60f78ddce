/*
 * rowplan.h — how messages or file records become rows: the columns the decoder fills, their types, and
 * the row's shape for PostgreSQL.
 *
 * Without a mapping, fields fill a target's columns by name; columns with a default, identity or
 * generation expression are then left to PostgreSQL, and columns named kafka_topic, kafka_partition,
 * kafka_offset, kafka_timestamp, kafka_key, kafka_headers and kafka_row get the message's own data.
 */
#ifndef TXP_ROWPLAN_H
#define TXP_ROWPLAN_H

#include "postgres.h"
#include "access/tupdesc.h"
#include "decode/decode.h"
#include "lib/stringinfo.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"
#include "schemas.h"
#include "utils/jsonb.h"
#include "utils/relcache.h"

typedef struct TxpRowPlan
{
	TxdFormat format;
	TxdForm form; /* text as soon as one column has a type the decoder does not know */
	int ncolumns;
	TxdColumn *columns;
	TupleDesc desc; /* one attribute per column, in order */
	List *names;    /* those of the target as String nodes, COPY's column list; they come first */
	TxdCsvOptions csv;
	bool tombstones;   /* messages without a value are rows (upsert_delete) */
	bool track_fields; /* the child lists the fields it sees */
	TxdEnvelope envelope;
	const char *rows; /* where a message has its rows, any number of them; NULL: it is one */
	int ntopics;      /* that have a format of their own */
	TxdTopicFormat *topics;
	TxdKeyFormat key_format;
	bool encrypts;  /* what is kept of messages beside their rows, and no error shows a value */
	Oid key_server; /* whose mapping for key_user has the key of pseudonyms; or InvalidOid */
	Oid encryption_server; /* the same for the keys of encryption */
	Oid key_user;
	TxpStreamSchemas schemas; /* the stream's own */
	Oid registry_server;      /* whose options say where other schemas are; or InvalidOid */
} TxpRowPlan;

/* "json", "csv", "text", "bytea", "avro", "protobuf"; ERRORs for another name. */
extern TxdFormat txp_format_by_name(const char *name);

/*
 * Plan for rows of `target`. `columns` (may be NULL) is {"column": "path"} or {"column": {"path": p | [p …],
 * "as": conversion, "default": text, "required": true}}; with `may_be_more` members with a "type" may name no column of the
 * target, and are left out. CSV files have a header, CSV messages have none.
 */
extern TxpRowPlan *txp_rowplan_for_target(Relation target, TxdFormat format, Jsonb *columns,
										  bool may_be_more, const TxdCsvOptions *csv);

/* Plan without a target: each column of the mapping says its "type" (default text). */
extern TxpRowPlan *txp_rowplan_for_mapping(TxdFormat format, Jsonb *columns,
										   const TxdCsvOptions *csv);

/* What is around the fields of a row, as the option envelope says it, and where rows are (empty: a message is one). */
extern void txp_rowplan_set_shape(TxpRowPlan *plan, const char *envelope, const char *rows);

/* Adds a column that is the same in every row (file_id), or the record's line (source LINE). */
extern void txp_rowplan_add(TxpRowPlan *plan, const char *name, Oid type, TxdSource source,
							const char *constant);

/* The same with a column that the target does not have. */
extern void txp_rowplan_add_hidden(TxpRowPlan *plan, const char *name, Oid type, TxdSource source);

/*
 * Adds, hidden, what only steps see: columns of the mapping that the target does not have, and those of
 * kafka_topic … kafka_headers that the plan does not have, and kafka_row where a message may have several rows.
 */
extern void txp_rowplan_add_for_steps(TxpRowPlan *plan, Jsonb *columns);

/* Makes those of the message's own data NULL that were added so and are not in `needs`. */
extern void txp_rowplan_leave_out(TxpRowPlan *plan, const Bitmapset *needs);

/*
 * Writes the plan as the protocol's `schema`, with the changes of txpipe.input_time_zone, and with the keys where
 * it has some: then the buffer's owner wipes it.
 */
extern void txp_rowplan_pack(const TxpRowPlan *plan, StringInfo buf);

/* column_type.c: takes over the type, TXD_OTHER where the decoder does not know it. */
extern void txp_column_set_type(TxdColumn *column, Oid type, int32 typmod);

/* Metadata have one sensible set of types each: ERRORs where the decoder would refuse every single row. */
extern void txp_column_check_type(const TxdColumn *column);

/* mapping.c: fills `column` from one member of a mapping; the type is set already, or by "type" (then
 * *type and *typmod are set). */
extern void txp_mapping_column(TxdColumn *column, JsonbValue *spec, Oid *type, int32 *typmod);

/* Names of servers, "": none, whose mappings for `user` have the keys. */
typedef struct TxpPlanKeys
{
	const char *pseudonym_server;
	const char *encryption_server;
	bool encrypts; /* even when no column does */
	Oid user;
} TxpPlanKeys;

/* plan_keys.c: the current user needs USAGE on the servers whose keys are used; appends the schema's keys. */
extern void txp_rowplan_set_keys(TxpRowPlan *plan, const TxpPlanKeys *keys);
extern void txp_pack_keys(const TxpRowPlan *plan, StringInfo buf);

/*
 * plan_topics.c: reads which topics have a format of their own. ERRORs where the stream does not read one, or formats do not
 * mix.
 */
extern void txp_rowplan_set_topics(TxpRowPlan *plan, const char *topics, Jsonb *topic_formats);

/*
 * plan_schemas.c: formats of topics and of keys; with formats that have schemas, where these are: the stream's own and, for the owner's
 * eyes, the registry of the server. ERRORs where there are none. Appends them.
 */
extern void txp_rowplan_set_schemas(TxpRowPlan *plan, const char *server, Oid user,
									const TxpStreamSchemas *schemas);
extern void txp_pack_schemas(const TxpRowPlan *plan, StringInfo buf);

/* tzchanges.c: appends the schema's time zone part; for rows of another than the current user it is the database's. */
extern void txp_pack_zone(const TxpRowPlan *plan, StringInfo buf);

#endif
