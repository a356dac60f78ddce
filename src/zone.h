/*
 * zone.h — txpipe.input_time_zone, the zone of zone-less times: of this session, and of the database whoever asks.
 */
#ifndef TXP_ZONE_H
#define TXP_ZONE_H

#include "postgres.h"
#include "pgtime.h"
#include "storage/spin.h"

/* What the server has, in shared memory. */
typedef struct TxpServerZone
{
	slock_t lock;
	char name[TZ_STRLEN_MAX + 1];
} TxpServerZone;

/* Defines the setting; before txp_guc_init. */
extern void txp_zone_init(void);

/* In the postmaster: this is where the server's is kept. */
extern void txp_zone_share(TxpServerZone *zone);
/* In a process without role and database, whose setting is the server's. */
extern void txp_zone_publish(void);

/* The zone of a new session in this database, whatever its role and this session have set. In a transaction. */
extern pg_tz *txp_database_zone(void);

/* The zone of this session. */
extern pg_tz *txp_input_zone(void);

#endif
