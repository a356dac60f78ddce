/*
 * export_query.h — the query of an export: what it may be, and how it runs.
 *
 * It runs with the caller's rights and search_path in what is a read-only transaction to it, and to the functions it calls.
 */
#ifndef TXP_EXPORT_QUERY_H
#define TXP_EXPORT_QUERY_H

#include "postgres.h"
#include "executor/spi.h"
#include "tcop/dest.h"

/* Plans one SELECT, connected to SPI; ERRORs (22023) for anything else. */
extern SPIPlanPtr txp_export_prepare(const char *text);

/* The columns of its rows. */
extern TupleDesc txp_export_columns(SPIPlanPtr plan);

/* Texts of values that say them exactly, until the caller's level of settings ends. */
extern void txp_export_settings(void);

/* ERRORs (25001) unless each statement has a snapshot of its own. */
extern void txp_export_check_isolation(void);

/* Gives its rows to the receiver, with settings that do not depend on the session's. */
extern void txp_export_run(SPIPlanPtr plan, DestReceiver *receiver);

#endif
