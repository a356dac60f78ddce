/*
 * rowreader.h — decoded rows as tuples, for user SQL over the relation `batch`.
 *
 * COPY reads the decoder's rows by itself; this is the other reader of the same bytes.
 */
#ifndef TXP_ROWREADER_H
#define TXP_ROWREADER_H

#include "postgres.h"
#include "access/htup.h"
#include "nodes/bitmapset.h"
#include "utils/tuplestore.h"

#include "rowplan.h"

typedef struct TxpRowReader TxpRowReader;

/* The rows of one batch: where each begins in the block, and its tuple once it was read. */
typedef struct TxpRows
{
	const char *block;
	uint32 count;
	size_t *start; /* count + 1 entries */
	MinimalTuple *tuples;
	uint32 *first;         /* of each message, and of the end; NULL: a message is a row */
	MemoryContext context; /* of the tuples: the batch's, so that they outlive a failed attempt */
} TxpRows;

/* For all columns. Looks up the types' receive or input functions. Lives in the current memory context, as the plan must. */
extern TxpRowReader *txp_rowreader_new(const TxpRowPlan *plan);

/* The same for these columns, from 0; the others are NULL in its tuples. */
extern TxpRowReader *txp_rowreader_new_for(const TxpRowPlan *plan, const Bitmapset *columns);

/* The same with a further column in its tuples: a bigint, the row's number in the batch. */
extern TxpRowReader *txp_rowreader_new_numbered(const TxpRowPlan *plan);

/* Shape of the tuples. */
extern TupleDesc txp_rowreader_desc(const TxpRowReader *reader);

/* How many rows a block has. */
extern uint32 txp_rows_count(const TxpRowPlan *plan, const char *block, size_t len);

/* Finds the rows of a block; a block that does not hold exactly `count` rows is an error. */
extern void txp_rows_find(const TxpRowPlan *plan, const char *block, size_t len, uint32 count,
						  TxpRows *rows);

/*
 * The same of the rows of n messages, whose lengths in the block are given, or NULL: then txp_rows_first is not to be
 * asked where a message may have several rows.
 */
extern void txp_rows_find_messages(const TxpRowPlan *plan, const char *block, size_t len, uint32 n,
								   const uint32 *lengths, TxpRows *rows);

/* The first row of a message. */
static inline uint32
txp_rows_first(const TxpRows *rows, uint32 message)
{
	return rows->first ? rows->first[message] : message;
}

/* The bytes of rows first … first + count - 1 without those in `skip`: the block itself, or a copy. */
extern const char *txp_rows_bytes(const TxpRows *rows, uint32 first, uint32 count,
								  const Bitmapset *skip, size_t *len);

/* The same of the target's columns only, which are the first ones. */
extern const char *txp_rows_head(const TxpRowPlan *plan, const TxpRows *rows, uint32 first,
								 uint32 count, const Bitmapset *skip, size_t *len);

/* One row, of the rows' context. Values a type refuses are errors, as in COPY. */
extern MinimalTuple txp_rows_tuple(TxpRowReader *reader, TxpRows *rows, uint32 row);

/* Which columns of rows, from 0, are not NULL in one of them; looks at the bytes only. */
extern Bitmapset *txp_rows_filled(const TxpRowPlan *plan, const char *rows, size_t len);

/* Appends these rows to a tuplestore. Values a type refuses are errors, as in COPY. */
extern void txp_rows_store(TxpRowReader *reader, TxpRows *rows, uint32 first, uint32 count,
						   const Bitmapset *skip, Tuplestorestate *store);

/* A bigint, or boolean, column of a row. */
extern int64 txp_rows_int64(TxpRowReader *reader, TxpRows *rows, uint32 row, int column);
extern bool txp_rows_bool(TxpRowReader *reader, TxpRows *rows, uint32 row, int column);

#endif
