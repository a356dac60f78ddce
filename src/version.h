/*
 * version.h — are the library and the extension's SQL of one version? Everything that reads our catalogs relies on it.
 *
 * All of it inside a transaction.
 */
#ifndef TXP_VERSION_H
#define TXP_VERSION_H

#include "postgres.h"

/* What is wrong, as a clause that ends with what to do; NULL: they agree, or there is no extension here. */
extern char *txp_version_problem(void);

/* ERRORs (55000) unless they agree. Scripts of CREATE and ALTER EXTENSION may do what they like. */
extern void txp_version_check(void);

/* The same, once for each transaction. */
extern void txp_version_check_once(void);

#endif
