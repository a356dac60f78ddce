/*
 * spi.h — running our own SQL: prepared once per process, checked, always with the catalogs' rights.
 */
#ifndef TXP_SPI_H
#define TXP_SPI_H

#include "postgres.h"
#include "executor/spi.h"
#include "nodes/pg_list.h"

#define TXP_MAX_ARGS 16

/* A statement of ours; declare it static, the plan is kept in it. */
typedef struct TxpStatement
{
	const char *sql;
	int nargs;
	Oid argtypes[TXP_MAX_ARGS];
	SPIPlanPtr plan;
} TxpStatement;

/*
 * Runs it with the catalogs' rights inside an SPI connection of the caller and returns SPI_processed;
 * results are in SPI_tuptable. `nulls` as in SPI, or NULL. Any unexpected SPI code is an error.
 */
extern uint64 txp_spi_run(TxpStatement *statement, Datum *values, const char *nulls);

/* The same with an SPI connection of its own, for statements without a result. */
extern uint64 txp_spi_do(TxpStatement *statement, Datum *values, const char *nulls);

/* The same for a statement that gives one row of one column: never NULL, of a type passed by value. */
extern Datum txp_spi_ask(TxpStatement *statement, Datum *values, const char *nulls);

/* The same for a statement of many rows: `read` makes something of each, in the caller's memory context. */
extern List *txp_spi_list(TxpStatement *statement, Datum *values, const char *nulls,
						  void *(*read)(uint64 row));

/*
 * Commits in a procedure that may, with the rights of `owner`: triggers that still are deferred run in the
 * commit.
 */
extern void txp_spi_commit_as(Oid owner);

/* A plan without parameters that lasts as long as the caller's SPI connection. */
extern SPIPlanPtr txp_spi_prepare(const char *sql);

/* A column of row `row` of SPI_tuptable; the text form is NULL for SQL NULL. Column numbers from 1. */
extern Datum txp_spi_value(uint64 row, int column, bool *isnull);
extern char *txp_spi_text(uint64 row, int column);
/* The same for a column that is never NULL. */
extern Datum txp_spi_datum(uint64 row, int column);

/* An array argument of `n` elements; `nulls` may be NULL. */
extern Datum txp_spi_array(Oid element, Datum *values, bool *nulls, int n);

/* Does `txpipe` exist in this database, with its catalogs? */
extern bool txp_extension_exists(void);

/*
 * The same, and it stays until the transaction ends; false also while somebody drops it. For workers' looks: DROP
 * EXTENSION takes this lock before those of our tables, so that neither waits for the other in a circle.
 */
extern bool txp_extension_hold(void);

#endif
