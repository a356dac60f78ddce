/*
 * guc.h — settings of the extension (txpipe.*).
 */
#ifndef TXP_GUC_H
#define TXP_GUC_H

#include "postgres.h"

typedef enum TxpLakeCompression
{
	TXP_LAKE_PLAIN,
	TXP_LAKE_ZSTD
} TxpLakeCompression;

extern int txp_max_workers;         /* txpipe.max_workers: pool size per database */
extern int txp_child_timeout;       /* txpipe.child_timeout, in milliseconds; 0: off */
extern char *txp_landing_directory; /* txpipe.landing_directory; superuser only, "" when unset */
extern char *txp_lake_directory;    /* txpipe.lake_directory */
extern char *txp_export_directory;  /* txpipe.export_directory */
extern int txp_lake_compression;    /* txpipe.lake_compression, a TxpLakeCompression */
extern int txp_groups_per_transaction;
extern int txp_settle_time;         /* txpipe.settle_time, in milliseconds */
extern int txp_min_free_space;      /* txpipe.min_free_space, in MB; 0: off */
extern int txp_dashboard_interval;  /* txpipe.dashboard_interval, in milliseconds; 0: off */
extern int txp_max_replication_lag; /* txpipe.max_replication_lag, in kB; 0: off */
extern int txp_progress_interval;   /* txpipe.progress_interval, in milliseconds; 0: off */

/* Defines these settings, and reserves the prefix. */
extern void txp_guc_init(void);

#endif
