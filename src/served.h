/*
 * served.h — one stream in the hands of a worker: opened, fed batch by batch, put off after an error.
 */
#ifndef TXP_SERVED_H
#define TXP_SERVED_H

#include "postgres.h"
#include "datatype/timestamp.h"

#include "io_client.h"
#include "link.h"

typedef struct TxpServed
{
	int32 id;
	uint32 part;           /* of a stream with workers of its own; else 0 */
	int claim;             /* in shared memory */
	int64 epoch;           /* of the definition it was opened with; -1: not opened yet */
	bool wanted;           /* still to be served, by the last look into the catalogs */
	bool shown_running;    /* the catalogs say "running" without a reason */
	int failures;          /* in a row */
	TimestampTz retry_at;  /* not opened before this */
	TimestampTz opened_at; /* of the link */
	int conflicts;         /* in a row */
	MemoryContext context; /* of the link; NULL: not open */
	TxpLink *link;
	uint32 awaited_raw; /* batch asked for again, raw; 0: none */
	uint32 skipped;     /* batch that came meanwhile and is to be asked for after it; 0: none */
	bool held;          /* not asked for yet: a guard holds */
} TxpServed;

/* Opens the stream in the child. Errors are noted in the catalogs and put the stream off. */
extern void txp_served_open(TxpServed *served, TxpIo *io);
/* A frame of its channel arrived. Errors as above; only a lost child or a signal to end are passed on. */
extern void txp_served_frame(TxpServed *served, const TxpFrame *frame);
/* Closes the channel, if open; the child may be gone already. */
extern void txp_served_close(TxpServed *served);
/* Notes a trouble that is not of its own making, and puts it off. */
extern void txp_served_fail(TxpServed *served, const char *message);
/* No guard holds any more: asks again for the batch that was put aside meanwhile, if there is one. */
extern void txp_served_release(TxpServed *served);
/* Closes it and notes that it did not answer in time, when that is so. */
extern void txp_served_check_answer(TxpServed *served);
/* When one of the functions above has to be called without a frame; DT_NOEND: not as things are. */
extern TimestampTz txp_served_due(const TxpServed *served);

#endif
