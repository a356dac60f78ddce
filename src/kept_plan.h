/*
 * kept_plan.h — the plan of a statement over `batch`, kept as long as it is likely to fit.
 */
#ifndef TXP_KEPT_PLAN_H
#define TXP_KEPT_PLAN_H

#include "postgres.h"
#include "access/tupdesc.h"
#include "executor/spi.h"
#include "nodes/pg_list.h"

/* All zero: none yet. */
typedef struct TxpKeptPlan
{
	SPIPlanPtr plan;
	uint32 rows; /* it was made for so many */
	int64 made_us;
	int64 life_us;
} TxpKeptPlan;

/*
 * Plans the statement for `batch` of so many rows, unless its plan still fits; true: it is a new one. Within an SPI
 * connection in which the statement's relation is registered. ERRORs when it would run code of roles that are not trusted.
 */
extern bool txp_plan_keep(TxpKeptPlan *kept, const char *sql, const List *trusted, uint32 count);

/* What a relation of `count` rows is to be registered with, so that a plan also fits somewhat more. */
extern uint32 txp_plan_rows(uint32 count);

extern void txp_plan_free(TxpKeptPlan *kept);

/*
 * Executes the statement, over the registered relation with this name and these columns, as SPI_execute does, by a plan
 * that the session keeps.
 */
extern int txp_plan_execute(const char *sql, const List *trusted, const char *relation,
							TupleDesc desc, uint32 count);

#endif
