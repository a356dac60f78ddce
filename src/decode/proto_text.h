/*
 * proto_text.h — from the text of a .proto file to its FileDescriptorProto, without protoc.
 */
#ifndef TXD_PROTO_TEXT_H
#define TXD_PROTO_TEXT_H

#include "decode.h"

#define TXD_PROTO_MAX_TEXT ((size_t) 4 << 20)
#define TXD_PROTO_MAX_NESTED 64 /* messages within messages */
#define TXD_PROTO_DOC                                                                              \
	1000 /* of a field's descriptor: the comment before it, which protoc keeps elsewhere */

/* FileDescriptorProto.edition */
#define TXD_PROTO_EDITION_2023 1000
#define TXD_PROTO_EDITION_2024 1001

/*
 * Appends the descriptor of a file of proto2, proto3 or the editions 2023 and 2024, or returns false with err filled (bad_schema) and `descriptor` as it was.
 *
 * As protoc's parser leaves it: fields of a named type have the name as it is written and, but for groups and maps, no type,
 * since that is known with the imported files only. Of options there are packed, deprecated, allow_alias and map_entry, of
 * features field_presence and message_encoding; services are read and left out.
 */
extern bool txd_proto_compile(const char *name, const char *text, size_t len, TxdBuf *descriptor,
							  TxdError *err);

#endif
