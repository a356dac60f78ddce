/*
 * version.c — the library and the extension's SQL are of one version, or nothing is read or written.
 *
 * They differ between a restart that loads another library and ALTER EXTENSION UPDATE, or the other way round. Statements
 * of the one on the catalogs of the other could go wrong unseen.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "compat.h"
#include "version.h"

/* There is no system cache of pg_extension. NULL: no extension. */
static char *
version_here(void)
{
	ScanKeyData key;
	Relation rel = table_open(ExtensionRelationId, AccessShareLock);
	SysScanDesc scan;
	HeapTuple tuple;
	char *version = NULL;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("txpipe"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool isnull;
		Datum value =
			heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(rel), &isnull);

		version = TextDatumGetCString(value);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return version;
}

/* By its numbers: is version a before b? */
static bool
is_before(const char *a, const char *b)
{
	int x[3] = {0};
	int y[3] = {0};

	(void) sscanf(a, "%d.%d.%d", &x[0], &x[1], &x[2]);
	(void) sscanf(b, "%d.%d.%d", &y[0], &y[1], &y[2]);
	for (int i = 0; i < 3; i++)
	{
		if (x[i] != y[i])
			return x[i] < y[i];
	}
	return false;
}

static const char *
remedy(const char *here)
{
	return is_before(TXP_VERSION, here)
			   ? "restart the server, which has another library loaded than is installed"
			   : "ALTER EXTENSION txpipe UPDATE";
}

char *
txp_version_problem(void)
{
	char *here = version_here();

	if (here == NULL || strcmp(here, TXP_VERSION) == 0)
		return NULL;
	return psprintf(
		"the library of txpipe is of version %s, the extension in this database of %s: %s",
		TXP_VERSION, here, remedy(here));
}

void
txp_version_check(void)
{
	char *here;

	if (creating_extension)
		return;
	here = version_here();
	if (here != NULL && strcmp(here, TXP_VERSION) != 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the library of txpipe is of version %s, the extension in this "
							   "database of %s",
							   TXP_VERSION, here),
						errhint("%c%s.", pg_toupper(*remedy(here)), remedy(here) + 1)));
}

void
txp_version_check_once(void)
{
	static LocalTransactionId checked = InvalidLocalTransactionId;

	if (checked == TXP_MY_LXID)
		return;
	txp_version_check();
	checked = TXP_MY_LXID;
}

PG_FUNCTION_INFO_V1(txpipe_loaded_version);
Datum
txpipe_loaded_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(TXP_VERSION));
}
