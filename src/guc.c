/*
 * guc.c — settings of the extension (txpipe.*).
 */
#include "postgres.h"

#include <limits.h>

#include "utils/guc.h"

#include "guc.h"

int txp_max_workers = 2;
int txp_child_timeout = 30000;
char *txp_landing_directory = NULL;
char *txp_lake_directory = NULL;
char *txp_export_directory = NULL;
int txp_lake_compression = TXP_LAKE_PLAIN;
int txp_settle_time = 10000;
int txp_groups_per_transaction = 20;
int txp_min_free_space = 1024;
int txp_max_replication_lag = 0;
int txp_dashboard_interval = 0;
int txp_progress_interval = 10000;

static const struct config_enum_entry lake_compressions[] = {
	{"none", TXP_LAKE_PLAIN, false}, {"zstd", TXP_LAKE_ZSTD, false}, {NULL, 0, false}};

static void
define_directory(const char *name, const char *description, char **variable)
{
	DefineCustomStringVariable(name, description, NULL, variable, "", PGC_SUSET, GUC_SUPERUSER_ONLY,
							   NULL, NULL, NULL);
}

void
txp_guc_init(void)
{
	DefineCustomIntVariable("txpipe.max_workers", "Stream workers per database.",
							"Each serves many streams, a batch at a time.", &txp_max_workers, 2, 1,
							32, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"txpipe.child_timeout", "A txpipe_io that does not answer for so long is ended.",
		"What it was at is begun anew by another one. 0: it is never ended.", &txp_child_timeout,
		30000, 0, INT_MAX / 1000, PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	define_directory("txpipe.landing_directory", "Directory where groups of files arrive.",
					 &txp_landing_directory);
	define_directory("txpipe.lake_directory", "Directory that keeps every loaded file unchanged.",
					 &txp_lake_directory);
	DefineCustomEnumVariable(
		"txpipe.lake_compression", "How copies in the lake are stored.",
		"zstd: compressed, unless the file arrived so; none: with the bytes of the file.",
		&txp_lake_compression, TXP_LAKE_PLAIN, lake_compressions, PGC_SUSET, 0, NULL, NULL, NULL);
	define_directory("txpipe.export_directory", "Directory that exports are written to.",
					 &txp_export_directory);
	DefineCustomIntVariable(
		"txpipe.groups_per_transaction",
		"Small groups of files that wait are loaded together, up to so many in a transaction.",
		"1: each in its own. A group that fails is undone alone.", &txp_groups_per_transaction, 20,
		1, 1000, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"txpipe.settle_time", "A file is read when it has not changed for this long.", NULL,
		&txp_settle_time, 10000, 0, INT_MAX, PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"txpipe.min_free_space",
		"Streams wait while the data directory's or the lake's file system has less free space.",
		"0: they never do.", &txp_min_free_space, 1024, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MB, NULL,
		NULL, NULL);
	DefineCustomIntVariable("txpipe.max_replication_lag",
							"Streams wait while a standby or a replication slot is further behind.",
							"0: they never do.", &txp_max_replication_lag, 0, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"txpipe.progress_interval", "How often a long call says in a NOTICE how far it is.",
		"0: never; the view txpipe.progress shows it all the time.", &txp_progress_interval, 10000,
		0, INT_MAX, PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("txpipe.dashboard_interval",
							"A worker writes the dashboard to dashboard.html this often.",
							"0: none does; at least one second.", &txp_dashboard_interval, 0, 0,
							INT_MAX, PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	MarkGUCPrefixReserved("txpipe");
}
