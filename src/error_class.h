/*
 * error_class.h — errors by what is at fault: rows, the statement they met, or the surroundings.
 */
#ifndef TXP_ERROR_CLASS_H
#define TXP_ERROR_CLASS_H

#include "postgres.h"

/*
 * Is the error one that rows cause (bad data, constraint, limit, whatever a trigger raises), so that leaving
 * them out helps? The classes of trouble with the surroundings (no such table, lock timeout, disk full …) are
 * not.
 */
extern bool txp_error_is_of_rows(int sqlerrcode);

/* Is it of rows or of the statement they met (no such table, no privilege), so that another try would not help? */
extern bool txp_error_is_of_statement(int sqlerrcode);

/* What may be said of an error of a row in place of its message, which may quote values. */
extern char *txp_error_without_values(const ErrorData *error);

/* Leaves nothing that could quote a row, such as "Failing row contains (…)". */
extern void txp_error_hide_values(ErrorData *error);

#endif
