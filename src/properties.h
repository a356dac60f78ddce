/*
 * properties.h — servers of the wrapper txpipe_kafka and user mappings, as librdkafka's properties.
 */
#ifndef TXP_PROPERTIES_H
#define TXP_PROPERTIES_H

#include "postgres.h"
#include "lib/stringinfo.h"

#include "compat.h"

/* The txpipe_kafka server of that name, on which the current user has USAGE. ERRORs otherwise. */
extern Oid txp_server_by_name(const char *name);

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
