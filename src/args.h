/*
 * args.h — arguments of SQL-callable functions, and members of JSON objects.
 */
#ifndef TXP_ARGS_H
#define TXP_ARGS_H

#include "postgres.h"
#include "fmgr.h"
#include "utils/jsonb.h"

/* A text argument; ERRORs (22004), naming the argument, when it is NULL. */
extern char *txp_arg_text(FunctionCallInfo fcinfo, int n, const char *name);
/* NULL when the argument is. */
extern char *txp_arg_text_or_null(FunctionCallInfo fcinfo, int n);
extern Jsonb *txp_arg_jsonb_or_null(FunctionCallInfo fcinfo, int n);
extern bool txp_arg_bool(FunctionCallInfo fcinfo, int n, bool if_null);
/* A bigint; ERRORs (22004) when it is NULL. */
extern int64 txp_arg_int64(FunctionCallInfo fcinfo, int n, const char *name);
extern int32 txp_arg_int32(FunctionCallInfo fcinfo, int n, const char *name);
/* An interval in milliseconds, from 0 to a day; ERRORs (22023) otherwise. */
extern int txp_arg_interval_ms(FunctionCallInfo fcinfo, int n, const char *name);
/* An integer from 1 to `max`; ERRORs (22023) otherwise. */
extern int txp_arg_count(FunctionCallInfo fcinfo, int n, const char *name, int max);
/* The names of columns in a text[], and how many; NULL when the argument is. ERRORs (22023) when it has none or one is NULL. */
extern char **txp_arg_names(FunctionCallInfo fcinfo, int n, const char *name, const char *hint,
							int *count);

/* The name of the object's next member, and its value, unread where it is nested; NULL: there is none. */
extern char *txp_next_member(JsonbIterator **it, JsonbValue *value);

#endif
