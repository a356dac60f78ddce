/*
 * step_check.h — what statement a step may be.
 */
#ifndef TXP_STEP_CHECK_H
#define TXP_STEP_CHECK_H

#include "postgres.h"

/* Is it one statement that can be a step? ERRORs otherwise. Nothing but its grammar is checked. */
extern void txp_step_check(const char *step, const char *sql);

/* ERRORs when SPI's code says that it was something else. */
extern void txp_step_check_code(const char *step, int code);

#endif
