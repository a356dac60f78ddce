/*
 * schemas.h — what a stream's options say of the schemas of its messages.
 */
#ifndef TXP_SCHEMAS_H
#define TXP_SCHEMAS_H

#include "postgres.h"
#include "utils/jsonb.h"

typedef struct TxpOwnSchema
{
	const char *avro;     /* JSON, or NULL */
	const char *protobuf; /* a .proto file, or a FileDescriptorSet in base64; NULL: none */
	const char *message;  /* of those, its full name, or NULL */
} TxpOwnSchema;

typedef struct TxpStreamSchemas
{
	TxpOwnSchema own;     /* of values, */
	TxpOwnSchema key;     /* and of keys, */
	char *key_format;     /* which are text, json, avro or protobuf */
	const char *topics;   /* that the stream reads: a name, a list, or a pattern, */
	Jsonb *topic_formats; /* and which of them have a format of their own; or NULL */
	int timeout_s;        /* how long one may be missing in the registry */
} TxpStreamSchemas;

#endif
