/*
 * alerts.h — what the rows of rules become: alerts, in the transaction of the batch.
 */
#ifndef TXP_ALERTS_H
#define TXP_ALERTS_H

#include "postgres.h"
#include "access/tupdesc.h"
#include "executor/spi.h"

#include "stream.h"

/* What makes a step a rule. */
typedef struct TxpAlertRule
{
	char *name;
	char *severity; /* unless a row has its own */
	char *topic;    /* that gets the alerts, too, or NULL */
	int64 cooldown_us;
} TxpAlertRule;

/* Columns of that shape can be alerts; ERRORs (42703, 42804) otherwise. */
extern void txp_alerts_check_shape(const char *rule, TupleDesc desc);

/*
 * Stores alerts for the first `n` rows, without those that a cool-down keeps back, tells them to the channel txpipe_alert
 * and puts them into the outbox, all in the current transaction. Needs a snapshot.
 */
extern void txp_alerts_take(const TxpStream *stream, const TxpAlertRule *rule, SPITupleTable *rows,
							uint64 n);

#endif
