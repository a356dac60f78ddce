/*
 * init.c — what happens when the library is loaded.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "compat.h"
#include "guc.h"
#include "launcher.h"
#include "shared.h"
#include "trust.h"
#include "zone.h"

PG_MODULE_MAGIC;

void _PG_init(void);

void
_PG_init(void)
{
	txp_zone_init();
	txp_guc_init();
	txp_trust_init();
	if (process_shared_preload_libraries_in_progress)
	{
		txp_shared_init();
		/* pg_upgrade starts both servers: nothing may change in them. */
		if (!IsBinaryUpgrade)
			txp_launcher_register();
	}
}
