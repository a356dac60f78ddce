/*
 * stage.h — the hidden directory of an export that writes a data set.
 */
#ifndef TXP_STAGE_H
#define TXP_STAGE_H

#include "postgres.h"

typedef struct TxpStage
{
	char *dataset;
	char *path; /* below the export directory */
	int owner;  /* the locked file's descriptor */
} TxpStage;

/* The data set's directory, locked: no other export moves parts or begins meanwhile. Closing it ends that. */
extern int txp_stage_lock(const char *dataset);

/*
 * Makes it, and the data set's directory, and removes those that a crash left. False: it is to be alone, and another export
 * is at work.
 */
extern bool txp_stage_begin(TxpStage *stage, const char *dataset, const char *token, bool alone);
/* Removes it with what is in it; never fails. */
extern void txp_stage_end(TxpStage *stage);

#endif
