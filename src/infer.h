/*
 * infer.h — the table a stream without a target gets: columns from a sample of the topic's messages.
 */
#ifndef TXP_INFER_H
#define TXP_INFER_H

#include "postgres.h"
#include "nodes/pg_list.h"

#include "io_client.h"
#include "stream.h"

typedef struct TxpInferredColumn
{
	char *name;
	const char *type; /* as SQL writes it, schema-qualified */
	char *path;       /* as a mapping writes it */
	const char *doc;  /* of the field, in its schema, or NULL */
	bool key;
} TxpInferredColumn;

/*
 * The columns: a list of TxpInferredColumn. Without a mapping one for each top-level field of up to 1,000
 * messages from the beginning (JSON) and `rest` for the others, or one for the whole message (text, bytea); then
 * kafka_partition, kafka_offset and kafka_timestamp, kafka_topic where several are read. With a mapping its
 * columns, of the "type" each one says (default text). ERRORs when the topic holds nothing to infer from, and
 * for CSV without a mapping, whose fields have no names.
 */
extern List *txp_infer_columns(TxpIo *io, const TxpStream *stream);

/* The mapping that fills them, with the types or, as streams store it, without. */
extern Jsonb *txp_infer_mapping(const TxpStream *stream, List *columns, bool types);

/* ERRORs when the schema is none or has a relation of the stream's name already. */
extern void txp_infer_check(const TxpStream *stream, const char *schema);

/*
 * Creates the table as the current user, and sets target, columns and key_columns of `stream`, whose key_columns
 * may name columns or paths.
 */
extern void txp_infer_create(TxpStream *stream, List *columns, const char *schema);

#endif
