/*
 * options.h — every option users can write in OPTIONS (…) or in an `options` jsonb, in one table.
 */
#ifndef TXP_OPTIONS_H
#define TXP_OPTIONS_H

#include "postgres.h"
#include "lib/stringinfo.h"
#include "utils/jsonb.h"

typedef enum TxpOptionScope
{
	TXP_OPTION_SERVER,
	TXP_OPTION_MAPPING,
	TXP_OPTION_STREAM,
	TXP_OPTION_FEED
} TxpOptionScope;

/*
 * Checks every member of `options`: known in this scope, right type, within its range. ERRORs (22023) with
 * the list of valid options otherwise.
 */
extern void txp_options_check(TxpOptionScope scope, Jsonb *options);

/* A checked option's value, or its default; options may be NULL. */
extern int64 txp_option_int(TxpOptionScope scope, Jsonb *options, const char *name);
extern bool txp_option_bool(TxpOptionScope scope, Jsonb *options, const char *name);
extern char *txp_option_text(TxpOptionScope scope, Jsonb *options, const char *name);

/* Writes the librdkafka properties of the server and of `user`'s mapping as the protocol has them. */
extern void txp_pack_properties(StringInfo buf, Oid server, Oid user);

/* The txpipe_kafka server of that name, on which the current user has USAGE. ERRORs otherwise. */
extern Oid txp_server_by_name(const char *name);

#endif
