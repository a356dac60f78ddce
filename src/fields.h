/*
 * fields.h — the fields of a stream's JSON messages: every path seen is listed (txpipe.stream_field), and the
 * option on_new_field says what becomes of one that fills no column.
 */
#ifndef TXP_FIELDS_H
#define TXP_FIELDS_H

#include "link.h"

typedef enum TxpFieldsResult
{
	TXP_FIELDS_KNOWN, /* write the batch */
	TXP_FIELDS_ACTED /* a column was added or the stream paused: commit that, and nothing of the batch */
} TxpFieldsResult;

/* Before the batch's rows, in its transaction: does what on_new_field says. */
extern TxpFieldsResult txp_fields_decide(TxpLink *link, const TxpBatch *batch);

/* After its rows: adds what the batch had; fields never seen before are an event. */
extern void txp_fields_store(const TxpLink *link, const TxpBatch *batch);

#endif
