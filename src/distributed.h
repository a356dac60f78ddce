/*
 * distributed.h — rows into tables that Citus keeps elsewhere.
 *
 * COPY below the level of statements would write into the local shell of such a table, where nobody sees them.
 */
#ifndef TXP_DISTRIBUTED_H
#define TXP_DISTRIBUTED_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"

#include "rowplan.h"

/* Does Citus keep its rows, as of distributed and reference tables? Costs a look into a cache where there is no Citus. */
extern bool txp_is_distributed(Oid relid);

/*
 * Does the statement name such a table? Citus plans it then, and finds no relation of the session in it, which must be a
 * temporary table instead. As the owner, within SPI.
 */
extern bool txp_names_distributed(const char *sql, const List *trusted);

/*
 * Inserts `len` bytes of rows, as txp_sink_copy does, with one statement that Citus plans. The commit is two-phased, so the
 * rows are there exactly if the caller's transaction is.
 */
extern uint64 txp_distributed_insert(Relation target, const TxpRowPlan *plan, const char *rows,
									 size_t len);

/* Runs an INSERT of its own over such rows, which it reads from txp_distributed_rows. */
extern void txp_distributed_execute(Relation target, const TxpRowPlan *plan, const char *sql,
									const char *rows, size_t len);

/* The rows as a relation in SQL, without a name: the plan's columns of the target in order, then the row's number. */
extern char *txp_distributed_rows(Relation target, const TxpRowPlan *plan);

#endif
