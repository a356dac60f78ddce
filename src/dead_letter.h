/*
 * dead_letter.h — messages that could not become rows.
 */
#ifndef TXP_DEAD_LETTER_H
#define TXP_DEAD_LETTER_H

#include "batch_read.h"
#include "stream.h"

/*
 * Stores the batch's decoder rejects and, of a raw batch, the rows that PostgreSQL refused (a list of
 * TxpRefusal), in the current transaction. `topics`: names of the topics by number.
 * `encrypted`: the messages came sealed.
 */
extern void txp_dead_letters_store(const TxpStream *stream, char *const *topics,
								   const TxpBatch *batch, List *refusals, bool encrypted);

#endif
