/*
 * trust.h — whose code a statement of a stream's or feed's owner may run: that of the owner, of roles with his rights, superusers
 * among them, and of those he named. What others planted under a name the statement uses is refused.
 */
#ifndef TXP_TRUST_H
#define TXP_TRUST_H

#include "postgres.h"
#include "executor/spi.h"
#include "nodes/pg_list.h"

/*
 * OIDs of the roles in the option trusted_roles and of the owner of the target, whose triggers run anyway; a table that is gone
 * and roles that do not exist are passed over. ERRORs (22023) when it is no list of names.
 */
extern List *txp_trust_roles(const char *names, Oid target);

/* ERRORs (42704) when one of them does not exist. */
extern void txp_trust_check_roles(const char *names);

/*
 * ERRORs (42501) when the prepared statement would write to a table, call a function or make a value of a type of a role that is
 * not trusted, or read a table of his on which such code is defined. As the owner, before it is planned, which evaluates
 * functions.
 */
extern void txp_trust_check(SPIPlanPtr plan, const List *trusted);

/* Locks the tables of a plan that was checked; false: names may mean something else now, and it must be prepared and checked anew. */
extern bool txp_trust_still(SPIPlanPtr plan);

/* The same for a statement that is new; as SPI_prepare. */
extern SPIPlanPtr txp_trust_prepare(const char *sql, const List *trusted);

/*
 * Runs a statement that was checked; as SPI_execute_plan_extended, with rows to `dest` where it is not NULL. It is checked again
 * whenever it is planned meanwhile.
 */
extern int txp_trust_execute(SPIPlanPtr plan, const List *trusted, DestReceiver *dest);

/* When the library is loaded. */
extern void txp_trust_init(void);

/* Is the table the owner's, or of a role with his rights, and open to him without policies? */
extern bool txp_trust_owns(Oid table, Oid owner);

#endif
