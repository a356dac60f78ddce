/*
 * transaction.h — a worker's transactions.
 */
#ifndef TXP_TRANSACTION_H
#define TXP_TRANSACTION_H

#include "postgres.h"

/* Transactions leave this context as the current one. */
extern void txp_transaction_init(MemoryContext scratch);

/* With a snapshot. */
extern void txp_transaction_begin(void);
extern void txp_transaction_commit(void);
/* As the owner: what is still deferred must not run with our rights. */
extern void txp_transaction_commit_as(Oid owner);
extern void txp_transaction_abort(void);

/* Takes the error out of PG_CATCH and ends its transaction. */
extern ErrorData *txp_transaction_take_error(void);

/*
 * Between transactions: takes away what users' triggers and views may have left in the session, as DISCARD ALL does; what
 * is next may be another owner's.
 */
extern void txp_session_discard(void);

/* Work in a subtransaction; false: what it did is to be undone. */
typedef bool (*TxpWork)(void *arg);

/*
 * Does work in a subtransaction. An error undoes it, and is returned in that memory context; else NULL. The work begins
 * in the current one, which is the current one again when it has ended.
 */
extern ErrorData *txp_subtransaction_try(TxpWork work, void *arg, MemoryContext error_context);

/*
 * The same for one of many. A statement with transition tables leaves up to work_mem of free memory in
 * CurTransactionContext, and a subtransaction that commits keeps its own until the whole transaction ends. Here it
 * is the parent's, where the next one uses that memory again.
 */
extern ErrorData *txp_subtransaction_try_many(TxpWork work, void *arg, MemoryContext error_context);

#endif
