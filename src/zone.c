/*
 * zone.c — txpipe.input_time_zone, the zone of zone-less times.
 *
 * What a session has set, or its role, must not shift another's times. But a session that has a value of its own is not told
 * what the server's becomes. The launcher is, and has none: it publishes the server's. The database's is in its catalog.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/pg_db_role_setting.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "zone.h"

#define SETTING "txpipe.input_time_zone"

static char *input_time_zone = NULL;
static TxpServerZone *server_zone = NULL;

/* Without shared memory: what this process last saw of the server's. */
static char seen_zone[TZ_STRLEN_MAX + 1] = "UTC";

static pg_tz *
find_zone(const char *name)
{
	pg_tz *zone = pg_tzset(name);

	return zone && pg_tz_acceptable(zone) ? zone : NULL;
}

static bool
check(char **newval, void **extra, GucSource source)
{
	if (find_zone(*newval) == NULL)
	{
		GUC_check_errdetail("Time zone \"%s\" is not known.", *newval);
		GUC_check_errhint("Names are listed in pg_timezone_names.");
		return false;
	}
	if (source < PGC_S_GLOBAL)
		strlcpy(seen_zone, *newval, sizeof(seen_zone));
	return true;
}

void
txp_zone_init(void)
{
	DefineCustomStringVariable(SETTING, "Time zone of times in messages and files that carry none.",
							   NULL, &input_time_zone, "UTC", PGC_USERSET, 0, check, NULL, NULL);
}

void
txp_zone_share(TxpServerZone *zone)
{
	SpinLockInit(&zone->lock);
	server_zone = zone;
	txp_zone_publish();
}

void
txp_zone_publish(void)
{
	SpinLockAcquire(&server_zone->lock);
	strlcpy(server_zone->name, input_time_zone, sizeof(server_zone->name));
	SpinLockRelease(&server_zone->lock);
}

static pg_tz *
zone_of_server(void)
{
	char name[TZ_STRLEN_MAX + 1];

	if (server_zone == NULL)
		return find_zone(seen_zone);
	SpinLockAcquire(&server_zone->lock);
	strlcpy(name, server_zone->name, sizeof(name));
	SpinLockRelease(&server_zone->lock);
	return find_zone(name);
}

/* The last of these settings that is one of the zone; NULL: none is. */
static pg_tz *
zone_among(ArrayType *settings)
{
	pg_tz *zone = NULL;
	Datum *items;
	int n;

	deconstruct_array(settings, TEXTOID, -1, false, TYPALIGN_INT, &items, NULL, &n);
	for (int i = 0; i < n; i++)
	{
		char *item = TextDatumGetCString(items[i]);

		if (pg_strncasecmp(item, SETTING "=", strlen(SETTING "=")) == 0)
			zone = find_zone(item + strlen(SETTING "="));
	}
	return zone;
}

/* What ALTER DATABASE has set, or for InvalidOid ALTER ROLE ALL; NULL: nothing. */
static pg_tz *
zone_of_database(Oid database)
{
	Relation catalog = table_open(DbRoleSettingRelationId, AccessShareLock);
	pg_tz *zone = NULL;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&keys[0], Anum_pg_db_role_setting_setdatabase, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(database));
	ScanKeyInit(&keys[1], Anum_pg_db_role_setting_setrole, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(InvalidOid));
	scan = systable_beginscan(catalog, DbRoleSettingDatidRolidIndexId, true, NULL, 2, keys);
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool isnull;
		Datum settings = heap_getattr(tuple, Anum_pg_db_role_setting_setconfig,
									  RelationGetDescr(catalog), &isnull);

		if (!isnull)
			zone = zone_among(DatumGetArrayTypeP(settings));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return zone;
}

pg_tz *
txp_database_zone(void)
{
	pg_tz *zone = zone_of_database(MyDatabaseId);

	if (zone == NULL)
		zone = zone_of_database(InvalidOid);
	return zone ? zone : zone_of_server();
}

pg_tz *
txp_input_zone(void)
{
	return pg_tzset(input_time_zone);
}
