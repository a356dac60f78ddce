/*
 * isolate.h — finding the rows PostgreSQL refuses, and telling them from trouble that is not a row's.
 */
#ifndef TXP_ISOLATE_H
#define TXP_ISOLATE_H

#include "postgres.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"

/* One refused row. */
typedef struct TxpRefusal
{
	uint32 row; /* position in the batch, from 0; of the message where one may have several rows */
	char *code; /* SQLSTATE */
	char *message;
	char *discreet; /* the message without values */
	char *column;   /* or NULL */
} TxpRefusal;

/*
 * Applies rows first … first + count - 1, except those in `skip`; ERRORs when they are refused. What is a row here is a
 * message with all its rows where it may have several.
 */
typedef void (*TxpApply)(void *arg, uint32 first, uint32 count, const Bitmapset *skip);

/* The discreet messages take the others' place. */
extern void txp_refusals_hide_values(List *refusals);

/*
 * Finds the rows out of `nrows`, with `several` messages of any number of rows, that make `apply` fail, by halving in
 * subtransactions which are all rolled back. Returns the list of TxpRefusal in row order. Errors that are not of rows are passed on.
 * Must be called in a transaction; allocates in the current memory context.
 */
extern List *txp_isolate(uint32 nrows, bool several, TxpApply apply, void *arg);

/*
 * The same, but what passes stays, applied in row order and in the pieces that passed. With `stop` the search
 * ends at the first refused row: then the rows before it stay.
 */
extern List *txp_isolate_kept(uint32 nrows, bool several, bool stop, TxpApply apply, void *arg);

#endif
