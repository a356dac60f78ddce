/*
 * headers.h — a message's headers as one JSON object.
 *
 * Values are strings; a value that is not UTF-8 text without NUL becomes "\x" and its bytes in hexadecimal,
 * a header without value null, and a name that occurs more than once an array of its values in order.
 */
#ifndef TXP_HEADERS_H
#define TXP_HEADERS_H

#include <stdbool.h>

#include <librdkafka/rdkafka.h>

#include "../decode/buf.h"

/* Appends the object to `out`; false (and nothing appended) when the message has no headers. */
extern bool txp_headers_json(const rd_kafka_message_t *message, TxdBuf *out);

/* Bytes of the headers as they were sent. */
extern size_t txp_headers_bytes(const rd_kafka_message_t *message);

#endif
