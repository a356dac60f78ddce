/*
 * properties.h — servers of the wrapper txpipe_kafka and user mappings, as librdkafka's properties.
 */
#ifndef TXP_PROPERTIES_H
#define TXP_PROPERTIES_H

#include "postgres.h"
#include "lib/stringinfo.h"

/* The txpipe_kafka server of that name, on which the current user has USAGE. ERRORs otherwise. */
extern Oid txp_server_by_name(const char *name);

/*
 * Writes the librdkafka properties of the server and of `user`'s mapping as the protocol has them. The
 * buffer then holds secrets: its owner wipes it.
 */
extern void txp_pack_properties(StringInfo buf, Oid server, Oid user);

/*
 * Writes the key of pseudonyms that `user`'s mapping of the server has. ERRORs, naming the column that needs it,
 * where there is none. The buffer then holds it: its owner wipes it.
 */
extern void txp_pack_pseudonym_key(StringInfo buf, Oid server, Oid user, const char *column);

#endif
