/*
 * moves.h — lines of files loaded before that a step says are something else now: the ledger counts them anew.
 */
#ifndef TXP_MOVES_H
#define TXP_MOVES_H

#include "postgres.h"

/* What a line can move between. Rejected lines come and go by replay alone: that has their bytes. */
typedef enum TxpSide
{
	TXP_SIDE_LOADED,
	TXP_SIDE_DUPLICATE,
	TXP_SIDE_FILTERED,
	TXP_SIDE_SUPERSEDED,
	TXP_NSIDES
} TxpSide;

/* Collected for one statement; begins as zeroes. */
typedef struct TxpMoves
{
	int count;
	int allocated;
	Datum *files;
	Datum *before;
	Datum *after;
} TxpMoves;

/* Side of that name; ERRORs, naming the step, when there is none. */
extern TxpSide txp_moves_side(const char *step, const char *name);

/* Allocates in the current memory context. */
extern void txp_moves_add(TxpMoves *moves, int64 file_id, TxpSide before, TxpSide after);

/*
 * Moves the counts of the files named. ERRORs, naming the step, unless all are loaded files of feeds of the
 * current user and no count falls below zero.
 */
extern void txp_moves_apply(const TxpMoves *moves, const char *step);

#endif
