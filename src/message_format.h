/*
 * message_format.h — how values and keys of messages that are sent are written: what `format` and `options` of produce and enqueue say.
 */
#ifndef TXP_MESSAGE_FORMAT_H
#define TXP_MESSAGE_FORMAT_H

#include "postgres.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/*
 * Checks them (22023) and returns both as one object, {"format": …, "registry": does the server name one, options}, which a message in the
 * outbox keeps. NULL: values and keys are sent as they are. The key, or NULL, is checked, too: it may have to be JSON (22P02).
 */
extern Jsonb *txp_message_format(Oid server, const char *format, char *key, Jsonb *options);

/* The part `encodings` of a frame: a list of such objects, as the user writes to the topic. */
extern void txp_put_encodings(StringInfo buf, Oid server, Oid user, const char *topic,
							  List *formats);

#endif
