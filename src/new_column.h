/*
 * new_column.h — a field of messages that fills no column, and the column it gets with on_new_field = column.
 */
#ifndef TXP_NEW_COLUMN_H
#define TXP_NEW_COLUMN_H

#include "link.h"

/* Is `inner` the path `outer`, or below it? */
extern bool txp_path_is_within(const char *inner, const char *outer);

/*
 * Does the field fill a column of the plan, lie within one that does (an object stored as a whole), or contain
 * one? `path` is dotted, with "\." for a dot in a name.
 */
extern bool txp_path_is_covered(const TxpRowPlan *plan, const char *path);

/*
 * Adds a column for the field to the target, as the stream's owner, and to the stream's mapping where it has one.
 * Name: the path in snake_case; type: text, numeric, boolean, or jsonb for anything else. False when nothing was
 * done: only nulls were seen yet, or a column of that name is there already. ERRORs when the owner may not.
 */
extern bool txp_new_column_add(TxpLink *link, const char *path, uint32 json_types);

#endif
