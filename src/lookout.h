/*
 * lookout.h — a worker's look about itself, once a second: may it stay in this database, and is the extension of its version?
 */
#ifndef TXP_LOOKOUT_H
#define TXP_LOOKOUT_H

#include "postgres.h"

#define TXP_LOOK_MS 1000

typedef enum TxpOutlook
{
	TXP_STAY,
	TXP_LEAVE, /* somebody needs the database, or it is another extension than the one it began with */
	TXP_OUTDATED /* library and extension are of different versions */
} TxpOutlook;

/* Outside of transactions; between two looks what the last one found. */
extern TxpOutlook txp_look_out(void);

#endif
