/*
 * dblock.c — noticing that somebody wants a database without connections.
 */
#include "postgres.h"

#include "catalog/pg_database.h"
#include "storage/lock.h"

#include "dblock.h"

bool
txp_database_try_lock(Oid database)
{
	LOCKTAG tag;

	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, database, 0);
	return LockAcquire(&tag, RowExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}
