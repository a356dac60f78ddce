/*
 * dblock.h — noticing that somebody wants a database without connections.
 */
#ifndef TXP_DBLOCK_H
#define TXP_DBLOCK_H

#include "postgres.h"

/*
 * Tries, without waiting, the lock on the database that every connection takes at its start. Refused means
 * that DROP, RENAME or CREATE … TEMPLATE of it is under way. In a transaction; held until its end.
 */
extern bool txp_database_try_lock(Oid database);

#endif
