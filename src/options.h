/*
 * options.h — checking and reading options, whether written in OPTIONS (…) or in an `options` jsonb.
 */
#ifndef TXP_OPTIONS_H
#define TXP_OPTIONS_H

#include "postgres.h"
#include "utils/jsonb.h"

#include "option_table.h"

/*
 * Checks every member of `options`: known in this scope, right type, within its range. ERRORs (22023) with
 * the list of valid options otherwise.
 */
extern void txp_options_check(TxpOptionScope scope, Jsonb *options);

/* ERRORs (42704) when the option trusted_roles names a role that does not exist. For those that are set: it may be dropped later. */
extern void txp_options_check_roles(Jsonb *options);

/* Options with `changes` over them, checked; JSON null takes one away. */
extern Jsonb *txp_options_merge(TxpOptionScope scope, Jsonb *options, Jsonb *changes);

/* A checked option's value, or its default; options may be NULL. */
extern int64 txp_option_int(TxpOptionScope scope, Jsonb *options, const char *name);
extern bool txp_option_bool(TxpOptionScope scope, Jsonb *options, const char *name);
extern char *txp_option_text(TxpOptionScope scope, Jsonb *options, const char *name);
extern Jsonb *txp_option_object(TxpOptionScope scope, Jsonb *options, const char *name);

/* The option of that name; ERRORs when there is none in the scope, or when `value` does not suit it. */
extern const TxpOption *txp_option_check(TxpOptionScope scope, const char *name, const char *value);

/*
 * A checked value in the one form that librdkafka takes, too: words of a choice as the table has them, true or
 * false, a number without spaces and leading zeros, which there would make it an octal one.
 */
extern char *txp_option_plain(const TxpOption *option, char *value);

#endif
