/*
 * properties.h — servers of the wrapper txpipe_kafka and user mappings, as librdkafka's properties.
 */
#ifndef TXP_PROPERTIES_H
#define TXP_PROPERTIES_H

#include "postgres.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"

#include "compat.h"
#include "option_table.h"

/* The txpipe_kafka server of that name, on which the current user has USAGE. ERRORs otherwise. */
extern Oid txp_server_by_name(const char *name);

/* The same for a server of another wrapper; `options`: what a hint proposes. */
extern Oid txp_server_of_wrapper(const char *name, const char *wrapper, const char *options);

/* Options as they were written: checked, each by itself and that none is there twice; and that their writer may name files. */
extern void txp_options_of_check(TxpOptionScope scope, List *options);
extern void txp_options_check_files(TxpOptionScope scope, List *options);
/* The value given for a property, under whichever name, or NULL; a file is not read. */
extern const char *txp_option_given(TxpOptionScope scope, List *options, const char *property);
/* Writes it, or what its file holds; absent where it is not among them. */
extern void txp_option_put(StringInfo buf, TxpOptionScope scope, List *options,
						   const char *property);
/* Options of the mapping of `user`, else of PUBLIC, else none. */
extern List *txp_mapping_options(Oid server, Oid user);
/* ERRORs (42501) when the mapping names a file of a secret and the server's owner may not read files: he decides where it is sent to. */
extern void txp_server_check_owner(const ForeignServer *server, TxpOptionScope scope,
								   List *of_mapping);

/*
 * Writes the librdkafka properties of the server and of `user`'s mapping as the protocol has them. The
 * buffer then holds secrets: its owner wipes it.
 */
extern void txp_pack_properties(StringInfo buf, Oid server, Oid user);

/* Keys in a mapping that are not the brokers'. */
typedef enum TxpKey
{
	TXP_KEY_OF_PSEUDONYMS,
	TXP_KEY_OF_ENCRYPTION /* one a line */
} TxpKey;

/* The key that `user`'s mapping of the server has, which the caller wipes; NULL where there is none. */
extern char *txp_mapping_key(TxpKey which, Oid server, Oid user);

/*
 * Where the schema registry of the server is and how `user` logs in there: address, user and password, certificates, each
 * absent where there is none. The buffer then holds secrets.
 */
extern void txp_pack_registry(StringInfo buf, Oid server, Oid user);
extern bool txp_has_registry(Oid server);

/* ERRORs because there is none, for a column or, NULL, for what is kept of messages. */
pg_noreturn extern void txp_mapping_lacks_key(TxpKey which, const char *column);

#endif
