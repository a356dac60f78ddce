/*
 * rates.h — how fast streams are, counted in shared memory.
 */
#ifndef TXP_RATES_H
#define TXP_RATES_H

#include "postgres.h"

typedef struct TxpRates
{
	double rows_1;  /* a second, over the last full second */
	double rows_10; /* over the last ten */
	double bytes_1;
	double bytes_10;
} TxpRates;

/* A batch of the unit was committed by this worker, whose claim is at `claim`. */
extern void txp_rates_add(int claim, int32 stream_id, uint32 part, int64 rows, int64 bytes);

/* Of all parts of the stream; false without shared memory. */
extern bool txp_rates_read(int32 stream_id, TxpRates *rates);

#endif
