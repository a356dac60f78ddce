/*
 * alerts.h — what the rows of rules become: alerts, in the transaction of the batch.
 */
#ifndef TXP_ALERTS_H
#define TXP_ALERTS_H

#include "postgres.h"
#include "access/tupdesc.h"
#include "executor/spi.h"
#include "utils/timestamp.h"

#include "stream.h"

/* What makes a step a rule. */
typedef struct TxpAlertRule
{
	char *name;
	char *severity; /* unless a row has its own */
	char *topic;    /* that gets the alerts, too, or NULL; */
	bool avro;      /* as Avro */
	int64 cooldown_us;
} TxpAlertRule;

/* In microseconds; ERRORs (22023) where it is negative or has no fixed length. */
extern int64 txp_alerts_cooldown(const Interval *cooldown);

/* Columns of that shape can be alerts; ERRORs (42703, 42804) otherwise. */
extern void txp_alerts_check_shape(const char *rule, TupleDesc desc);

/*
 * Until the end of the transaction nobody else runs this rule: a rule that looks back sees what the batch before has
 * brought, also when another worker wrote that.
 */
extern void txp_alerts_lock(const TxpAlertRule *rule);

/*
 * Stores alerts for the first `n` rows, without those that a cool-down keeps back, tells them to the channel txpipe_alert
 * and puts them into the outbox, all in the current transaction. Needs a snapshot.
 */
extern void txp_alerts_take(const TxpStream *stream, const TxpAlertRule *rule, SPITupleTable *rows,
							uint64 n);

#endif
