/*
 * guard.h — the server's own troubles that streams wait for: a file system that runs full, standbys far behind.
 *
 * While one lasts no batch is written. Nothing is noted in the catalogs: it is over as soon as it is not there.
 */
#ifndef TXP_GUARD_H
#define TXP_GUARD_H

#include "postgres.h"
#include "datatype/timestamp.h"

/* What streams would wait for now, as a sentence in the current memory context; NULL: nothing. */
extern char *txp_guard_problem(void);

/* For workers: is there something? Looked at every two seconds by one of the database's workers. */
extern bool txp_guard_holds(void);

/* What the workers of this database wait for, and since when; NULL: nothing. */
extern char *txp_guard_shown(TimestampTz *since);

#endif
