/*
 * launcher.h — the static background worker that starts stream workers.
 */
#ifndef TXP_LAUNCHER_H
#define TXP_LAUNCHER_H

#include "postgres.h"

extern void txp_launcher_register(void);
extern PGDLLEXPORT void txp_launcher_main(Datum arg);

#endif
