/*
 * upsert.h — rows that replace those with the same key (modes upsert and upsert_delete).
 *
 * Of several messages with one key in a batch the last one in order of arrival wins. A row that is there gets
 * the mapped columns and keeps the others; in mode upsert_delete a message without a value deletes it.
 */
#ifndef TXP_UPSERT_H
#define TXP_UPSERT_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"

#include "rowplan.h"
#include "stream.h"

typedef struct TxpUpsert TxpUpsert;

/*
 * What the stream's mode needs, as the current user; NULL in mode append. Makes the key columns of the plan
 * required and, in mode upsert_delete, lets it take messages without a value. ERRORs when the target has no
 * fitting unique index (42P10), the key cannot be had from the messages, or a privilege is missing.
 * Lives in the current memory context, as the plan must.
 */
extern TxpUpsert *txp_upsert_new(const TxpStream *stream, Relation target, TxpRowPlan *plan);

/*
 * Writes the rows of n messages as the current user. Without their lengths in the block (NULL) a row that PostgreSQL
 * refuses is an error. With them messages with such rows are left out and returned, a list of TxpRefusal in their order;
 * when the stream stops at errors, only the first of them, and only the messages before it are written.
 */
extern List *txp_upsert_rows(TxpUpsert *upsert, Relation target, const char *rows, size_t len,
							 uint32 n, const uint32 *lengths);

#endif
