/*
 * avro_schema.h — Avro schemas taken apart, and the steps that reading one as another takes. Private to avro*.c.
 */
#ifndef TXD_AVRO_SCHEMA_H
#define TXD_AVRO_SCHEMA_H

#include <jansson.h>

#include "arena.h"
#include "avro.h"
#include "json_write.h"

/* Bytes of a decimal, some 9,800 digits: what writing one out costs grows with the square of it. */
#define AVRO_MAX_DECIMAL 4096

/* Types within types, by names that may chain any number of them. */
#define AVRO_MAX_NESTED 500

typedef enum AvroKind
{
	AVRO_NULL,
	AVRO_BOOLEAN,
	AVRO_INT,
	AVRO_LONG,
	AVRO_FLOAT,
	AVRO_DOUBLE,
	AVRO_BYTES,
	AVRO_STRING,
	AVRO_RECORD,
	AVRO_ENUM,
	AVRO_ARRAY,
	AVRO_MAP,
	AVRO_FIXED,
	AVRO_UNION
} AvroKind;

typedef enum AvroLogical
{
	AVRO_PLAIN,
	AVRO_DECIMAL,
	AVRO_DATE,
	AVRO_TIME,    /* of day, */
	AVRO_INSTANT, /* timestamps: counted with `digits` of a second's fraction */
	AVRO_LOCAL,
	AVRO_UUID,
	AVRO_DURATION,
	AVRO_VARIABLE_DECIMAL, /* a record of its scale and its bytes */
	AVRO_ZONED,            /* a string that is an instant, */
	AVRO_JSON              /* or JSON */
} AvroLogical;

typedef struct AvroType AvroType;

typedef struct AvroField
{
	const char *name;
	json_t *aliases; /* an array, or NULL */
	json_t *preset;  /* its default, or NULL */
	const char *doc; /* or NULL */
	AvroType *type;
} AvroField;

struct AvroType
{
	AvroKind kind;
	AvroLogical logical;
	int digits;    /* scale of a decimal; of a second's fraction */
	int precision; /* of a decimal */
	size_t size;
	const char *name; /* full, of named types */
	const char *doc;  /* of one that is no record, or NULL */
	json_t *aliases;
	json_t *preset; /* of an enum */
	const char *space;
	int n;            /* fields, symbols or branches */
	AvroField *field; /* of a record */
	const char **symbol;
	AvroType **branch; /* of a union; [0]: items or values */
};

/* What a schema's parts live in; freed as a whole. */
typedef struct AvroArena
{
	TxdArena memory;
	json_t **trees;
	int ntrees;
} AvroArena;

extern void txd_avro_free_arena(AvroArena *arena);

/*
 * avro_schema.c: the last of the texts; types of the others can be named. NULL with err filled when one is no schema;
 * `which` says whose it is in messages.
 */
extern AvroType *txd_avro_parse(AvroArena *arena, const char *const *texts, int n,
								const char *which, TxdError *err);

/* JSON that is there beforehand. */
typedef struct AvroText
{
	const char *data; /* NULL: none */
	size_t len;
} AvroText;

/* A step of reading: what the bytes are, and how they are to be written. */
typedef struct AvroStep AvroStep;

struct AvroStep
{
	const AvroType *type; /* the writer's */
	bool as_text;         /* bytes that are read as a string */
	bool as_bytes;        /* and the other way round */
	bool too_deep;        /* within more than AVRO_MAX_NESTED others: no message has it */
	const char *why;      /* cannot be read as the reader's: refused with this where it occurs */
	AvroStep **child;     /* fields, branches; [0]: items or values */
	AvroText *
		text; /* of fields `,"name":`, of enums the symbol; without data: left out, or no counterpart */
	AvroText tail; /* of a record: the fields that only the reader has, `,"name":value` each */
};

/* avro_resolve.c: reader may be NULL. */
extern AvroStep *txd_avro_resolve(AvroArena *arena, const AvroType *writer, const AvroType *reader);

/* avro_text.c: values as JSON. */
extern void txd_avro_put_long(TxdBuf *json, const AvroType *type, int64_t v);
/* Bytes of bytes and fixed, as their logical type says. */
extern void txd_avro_put_bytes(TxdBuf *json, const AvroType *type, const unsigned char *p,
							   size_t len);

extern void txd_avro_put_string(TxdBuf *json, const AvroType *type, const char *p, size_t len);

/* avro_default.c: a default as JSON; false: it does not fit the type. */
extern bool txd_avro_put_default(TxdBuf *json, const AvroType *type, const json_t *preset);

/* avro.c: what messages are written with, unless they are read as another schema. */
extern const AvroType *txd_avro_top(const TxdAvro *avro);

/* avro_canonical.c */
extern uint64_t txd_avro_canonical_hash(const AvroType *type);

#endif
