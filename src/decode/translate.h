/*
 * translate.h — formats whose messages become the JSON that means the same, by schemas. Private to src/decode.
 *
 * With a registry a message begins with byte 0 and its schema's number in four bytes, big-endian (Confluent's wire format);
 * without, messages are values of a schema of the stream's own.
 */
#ifndef TXD_TRANSLATE_H
#define TXD_TRANSLATE_H

#include "decode.h"

#define TXD_WIRE_PREFIX 5 /* byte 0 and the number */

typedef struct TxdBoundMessage TxdBoundMessage;

/* What a format contributes; a schema is its own. */
typedef struct TxdLanguage
{
	const char *name;    /* as people write it */
	const char *refusal; /* code of messages that are not of the format */
	/* The schema that a registry gave, the last of n texts, and the names that others know them by; NULL with err filled. */
	void *(*read)(const TxdSchema *stream, const char *const *names, const char *const *texts,
				  int n, TxdError *err);
	/* The stream's own. */
	void *(*read_own)(const TxdSchema *stream, TxdError *err);
	void (*release)(void *schema);
	/* Appends the JSON of what follows the number; of a message of the stream's own schema. */
	bool (*put)(void *schema, const char *data, size_t len, TxdBuf *json, TxdError *err);
	bool (*put_own)(void *schema, const char *data, size_t len, TxdBuf *json, TxdError *err);
	/* The same without the JSON, see bind.h; false: it takes the way by that. */
	bool (*read_bound)(void *schema, TxdBoundMessage *message);
	/* Appends the fields of the message that was put last, as TXD_FROM_SCHEMA has them. */
	void (*describe)(void *schema, TxdBuf *json);
} TxdLanguage;

/* avro_message.c, protobuf_message.c */
extern const TxdLanguage txd_avro_language;
extern const TxdLanguage txd_protobuf_language;

typedef struct TxdTranslator TxdTranslator;

/* The stream's schema outlives it. NULL with err filled when there is nothing to read messages by. */
extern TxdTranslator *txd_translator_new(TxdFormat format, const TxdSchema *stream, TxdError *err);
extern void txd_translator_free(TxdTranslator *t);

/* Do the bytes begin with a number that is not known yet? */
extern bool txd_translator_wants(const TxdTranslator *t, const char *data, size_t len,
								 uint32_t *id);

/* As txd_add_schema and txd_refuse_schema. */
extern void txd_translator_add(TxdTranslator *t, uint32_t id, const char *const *names,
							   const char *const *texts, int n);
extern void txd_translator_refuse(TxdTranslator *t, uint32_t id, const char *why);

/* The JSON of the bytes, which lives until the next call; NULL with err filled. */
extern const TxdBuf *txd_translate(TxdTranslator *t, const char *data, size_t len, TxdError *err);

/* Notes the values of the bytes for the columns of the decoder; false: they are those of their JSON. */
extern bool txd_translate_bound(TxdTranslator *t, TxdDecoder *d, const char *data, size_t len,
								TxdError *err);

/* Appends what the schema says of the fields of the bytes that were translated last; nothing where it does not. */
extern void txd_translator_describe(const TxdTranslator *t, TxdBuf *json);

#endif
