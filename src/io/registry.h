/*
 * registry.h — schemas that messages name by number, from a schema registry (Confluent's REST interface).
 */
#ifndef TXP_REGISTRY_H
#define TXP_REGISTRY_H

#include "../decode/decode.h"
#include "channel.h"

typedef struct TxpRegistry TxpRegistry;

/* Both outlive it. NULL where `where` is NULL, which the functions below take. */
extern TxpRegistry *txp_registry_new(const TxdRegistry *where, TxpChannel *channel);
extern void txp_registry_free(TxpRegistry *r);

/*
 * Sees to it that the decoder knows the schemas of message and key, or knows that there is none after it was missing for so
 * long as the stream waits. False: not now, but at txp_registry_due; why has been told as an error that passes. Asks at most 10 s
 * at a time, and no longer when the channel ends.
 */
extern bool txp_registry_serve(TxpRegistry *r, TxdDecoder *decoder, const TxdMessage *message);
/* When to ask again, in milliseconds of txp_now_ms; 0: at once. */
extern int64_t txp_registry_due(const TxpRegistry *r);

/* Was the error that it told one that ends the stream? */
extern bool txp_registry_failed(const TxpRegistry *r);
/* Does a schema keep the stream waiting, as it was told? */
extern bool txp_registry_is_awaited(const TxpRegistry *r);
/* A batch went out, which made the stream look well: a trouble that lasts is told again. */
extern void txp_registry_retell(TxpRegistry *r);

/* As txp_registry_serve for a request, which waits for no schema that is missing. False: its error has been answered. */
extern bool txp_registry_serve_request(TxpRegistry *r, TxdDecoder *decoder,
									   const TxdMessage *message);

#endif
