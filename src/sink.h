/*
 * sink.h — decoded rows into a table, through PostgreSQL's own COPY.
 *
 * The caller has switched to the owner's rights and holds a transaction and a snapshot.
 */
#ifndef TXP_SINK_H
#define TXP_SINK_H

#include "postgres.h"
#include "utils/relcache.h"

#include "rowplan.h"

/*
 * Checks that the current user may insert the plan's columns into the relation and that COPY can do it.
 * ERRORs otherwise: privileges, row-level security, views, rules, materialised views.
 */
extern void txp_sink_check(Relation target, const TxpRowPlan *plan);

/* Inserts `len` bytes of rows (of the plan's form). Returns the number COPY inserted. */
extern uint64 txp_sink_copy(Relation target, const TxpRowPlan *plan, const char *rows, size_t len);

/*
 * Which of its rows the last COPY stopped at, from 1; 0: it did not, or was asked already. Mostly the row
 * at fault: constraints, triggers before the row, unique keys; late triggers stop it anywhere.
 */
extern uint64 txp_sink_failed_row(void);

/*
 * Runs what constraints and triggers have deferred to the commit, so that it fails here, where the rows at
 * fault can still be found, and with the rights of the current user.
 */
extern void txp_sink_fire_deferred(void);

/* From here on all that can be deferred is, until the next call of that, which leaves everything immediate. */
extern void txp_sink_defer(void);

#endif
