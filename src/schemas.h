/*
 * schemas.h — what a stream's options say of the schemas of its messages.
 */
#ifndef TXP_SCHEMAS_H
#define TXP_SCHEMAS_H

typedef struct TxpStreamSchemas
{
	const char *avro_schema;      /* JSON, or NULL */
	const char *protobuf_schema;  /* a .proto file, or a FileDescriptorSet in base64; NULL: none */
	const char *protobuf_message; /* full name, or NULL */
	int timeout_s;                /* how long one may be missing in the registry */
} TxpStreamSchemas;

#endif
