/*
 * protobuf.h — Protobuf's encoding, to the JSON that means the same.
 *
 * Fields have the names of the .proto file and come in its order. A field with presence (optional, of a oneof, a message) is
 * absent when it is not set, unless its definition has a default; one without has its zero value. What JSON lacks is text
 * that PostgreSQL's types read: bytes "\x…", timestamps their ISO form in UTC, durations ISO 8601, NaN and infinities their names.
 */
#ifndef TXD_PROTOBUF_H
#define TXD_PROTOBUF_H

#include "decode.h"

/* Descriptors, read. Used by one thread. */
typedef struct TxdProtobuf TxdProtobuf;

/*
 * Of n .proto files, or their descriptors in base64, with the names that they are imported by; messages are types of the last, which imports those before it.
 * NULL with err filled (bad_schema).
 */
extern TxdProtobuf *txd_protobuf_new(const char *const *names, const char *const *texts, int n,
									 TxdError *err);

/*
 * Of a FileDescriptorSet in base64, or of a .proto file, which has characters that base64 has not. All messages are of the named
 * type; without a name, of the only one in the last file.
 */
extern TxdProtobuf *txd_protobuf_own(const char *text, const char *message, TxdError *err);

extern void txd_protobuf_free(TxdProtobuf *pb);

/*
 * Appends the JSON of one message that fills data[0..len); refuses (bad_protobuf, too_deep, too_long) otherwise. Without a type
 * of their own, messages begin with the path to theirs in the file: how many numbers it has, and these.
 */
extern bool txd_protobuf_json(TxdProtobuf *pb, const char *data, size_t len, TxdBuf *json,
							  TxdError *err);

/*
 * Appends the fields of the message that was put last: [{"name":…,"type":…,"doc":…}], types as SQL writes them, docs the comments before
 * them. Of a type that means no object: of one without a name.
 */
extern void txd_protobuf_describe(const TxdProtobuf *pb, TxdBuf *json);

#endif
