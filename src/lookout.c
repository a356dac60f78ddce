/*
 * lookout.c — a worker's look about itself, once a second.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "dblock.h"
#include "lookout.h"
#include "page.h"
#include "shared.h"
#include "steady.h"
#include "version.h"

/* How long a database is left alone for the one who needs it. */
#define YIELD_MS 1000

static Oid extension = InvalidOid; /* another OID is another extension, with other streams */
static TimestampTz next_look = 0;
static TxpOutlook outlook = TXP_STAY;

static TxpOutlook
look_at_extension(void)
{
	Oid now = get_extension_oid("txpipe", true);
	char *problem;

	if (!OidIsValid(extension))
		extension = now;
	if (!OidIsValid(now))
	{
		txp_worker_report(0, 0, txp_worker_generation());
		txp_page_end();
	}
	if (!OidIsValid(now) || now != extension)
		return TXP_LEAVE;
	problem = txp_version_problem();
	if (problem == NULL)
		return TXP_STAY;
	if (outlook != TXP_OUTDATED)
		ereport(WARNING, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						  errmsg("no stream of database \"%s\" is served: %s",
								 get_database_name(MyDatabaseId), problem)));
	return TXP_OUTDATED;
}

TxpOutlook
txp_look_out(void)
{
	MemoryContext context = CurrentMemoryContext;

	if (txp_steady_now() < next_look)
		return outlook;
	next_look = TimestampTzPlusMilliseconds(txp_steady_now(), TXP_LOOK_MS);
	StartTransactionCommand();
	if (txp_database_try_lock(MyDatabaseId))
		outlook = look_at_extension();
	else
	{
		txp_worker_yield_database(YIELD_MS);
		outlook = TXP_LEAVE;
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return outlook;
}
