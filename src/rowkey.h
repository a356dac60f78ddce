/*
 * rowkey.h — what makes two rows of a table the same one: the columns of a unique index and how it compares them.
 */
#ifndef TXP_ROWKEY_H
#define TXP_ROWKEY_H

#include "postgres.h"
#include "utils/relcache.h"

#include "rowplan.h"
#include "stream.h"

/* A key column: where it is in the plan, and how the index compares it; the texts are SQL. */
typedef struct TxpKeyColumn
{
	int column;
	char *collate; /* " COLLATE …", or empty */
	Oid collation; /* that of the index, or InvalidOid */
	char *opclass;
	char *less; /* OPERATOR(schema.name) */
	char *equal;
} TxpKeyColumn;

/*
 * The columns of the unique index on the stream's key columns, or of the primary key; returns how many. Makes
 * them required in the plan. ERRORs when the target has no such index (42P10), or when the messages do not fill
 * a column; in mode upsert_delete, when it is not filled from what messages without a value have, too.
 */
extern int txp_rowkey_find(const TxpStream *stream, Relation target, TxpRowPlan *plan,
						   TxpKeyColumn **columns);

/* Is the column filled from what messages that delete a row do not have? */
static inline bool
txp_rowkey_goes_with_value(const TxdColumn *column)
{
	return column->source == TXD_FROM_FIELD || column->source == TXD_FROM_VALUE ||
		   column->source == TXD_FROM_REST;
}

/* Name of the table for SQL, with its schema. */
extern char *txp_rowkey_table(Relation table);

#endif
