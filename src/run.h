/*
 * run.h — run_hourly: what has arrived, and every complete group.
 */
#ifndef TXP_RUN_H
#define TXP_RUN_H

#include "postgres.h"

/*
 * Loads at most max_groups groups (-1: all), with a commit after each; `atomic`: all in the caller's
 * transaction.
 */
extern void txp_run_hourly(int64 max_groups, bool atomic);

#endif
