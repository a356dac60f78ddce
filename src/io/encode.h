/*
 * encode.h — how values and keys that are sent are written: by schemas, which a registry may have.
 */
#ifndef TXP_ENCODE_H
#define TXP_ENCODE_H

#include "../decode/decode.h"
#include "channel.h"
#include "wire.h"

typedef struct TxpEncodings TxpEncodings;

/* Why a message cannot be sent, or none of an encoding. */
typedef struct TxpUnsent
{
	const char *sqlstate;
	char message[400];
	char detail[400];
	const char *hint;
} TxpUnsent;

/* The part `encodings` of a frame (frame.h); the reader is `bad` afterwards where that is broken. */
extern TxpEncodings *txp_encodings_read(TxpReader *r, TxpChannel *channel);
extern void txp_encodings_free(TxpEncodings *e);

/* Asks the registry for what it has to know. False: it does not answer, which has been answered as the request's error. */
extern bool txp_encodings_open(TxpEncodings *e);

/*
 * Key and value by the encoding of that number; TXP_ABSENT: as they are. Of none there is none. They live until the next call. False: the
 * message is not to be sent.
 */
extern bool txp_encode(TxpEncodings *e, uint32_t number, TxpSpan *key, TxpSpan *value,
					   TxpUnsent *why);

#endif
