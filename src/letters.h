/*
 * letters.h — dead letters that are there: chosen, read for a replay, settled.
 */
#ifndef TXP_LETTERS_H
#define TXP_LETTERS_H

#include "postgres.h"
#include "fmgr.h"
#include "utils/portal.h"

#include "batch_read.h"

/* Which open dead letters of a stream: bigint[] ids and text[] codes; 0: any. */
typedef struct TxpLetterChoice
{
	int32 stream_id;
	Datum ids;
	Datum codes;
} TxpLetterChoice;

typedef struct TxpLetter
{
	int64 id;
	char *topic;
	bool encrypted;
	TxpMessage message; /* spans NULL where the message had none; no topic number yet */
} TxpLetter;

/* Why a letter could not become a row this time either. */
typedef struct TxpLetterFailure
{
	int64 id;
	char *code;
	char *message;
	char *column; /* or NULL */
} TxpLetterFailure;

/*
 * The chosen letters in the order of their places, each locked as it is fetched; those somebody else settles at
 * the moment are left out. Within an SPI connection; fetch returns NULL at the end, and allocates in the current
 * memory context.
 */
extern Portal txp_letters_open(const TxpLetterChoice *choice);
extern TxpLetter *txp_letters_fetch(Portal letters);

/* `fixed`: the payload they were replayed with, bytea; 0: their own. */
extern void txp_letters_replayed(const int64 *ids, int n, Datum fixed);
/* Counts the attempt; with `reasons` the new reasons take the place of the old ones. */
extern void txp_letters_failed(const TxpLetterFailure *failures, int n, bool reasons);

/* How many. */
extern int64 txp_letters_dismiss(const TxpLetterChoice *choice);

/* Removes those that were replayed or dismissed at least `older_than` (interval) ago. */
extern int64 txp_letters_delete(int32 stream_id, Datum older_than);

/* How many are open. */
extern int64 txp_letters_count_open(const TxpLetterChoice *choice);

#endif
