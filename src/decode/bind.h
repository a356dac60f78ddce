/*
 * bind.h — messages of schemas whose values go straight to the columns. Private to src/decode.
 *
 * Where columns take nothing but fields, the fields of a schema are bound to them once, and what its messages have is noted without
 * being JSON first; only what has no counterpart among the kinds of leaves is, field by field. Whatever is unusual or wrong is left
 * to the way by JSON, from the message's first byte: so that alone decides what is accepted, and says why not.
 */
#ifndef TXD_BIND_H
#define TXD_BIND_H

#include "arena.h"
#include "decoder.h"

typedef enum TxdBoundHow
{
	TXD_BOUND_NOTHING, /* is stepped over */
	TXD_BOUND_LEAF,
	TXD_BOUND_OBJECT, /* whose fields are bound */
	TXD_BOUND_JSON    /* is written as JSON and walked as that */
} TxdBoundHow;

typedef struct TxdBound TxdBound;

/* A field where it is in messages. */
struct TxdBound
{
	TxdBoundHow how;
	TxdLeafKind kind;
	TxdLeaf leaf; /* of the present message */
	TxdField field;
	const TxdBound *object; /* that it is in */
	int depth;              /* objects around it */
	const void *of;         /* what the schema has for it */
	int null;               /* branch of a union that is null, or -1 */
	TxdLeaf absent;         /* what stands for it where messages lack it; of kind NONE: nothing */
	size_t start;           /* its JSON in the buffer */
	size_t end;
	int n;
	TxdBound *inner; /* of an object */
};

/* The fields of messages of one type. */
typedef struct TxdBinding
{
	TxdArena memory;
	TxdBound top;
	bool possible;
	int n;            /* fields in all */
	TxdBound **later; /* those of the present message that are JSON */
	int nlater;
} TxdBinding;

/* A message that is to be read so. */
struct TxdBoundMessage
{
	TxdDecoder *d;
	const char *data; /* of the value, behind what names its schema */
	size_t len;
	bool own;     /* of the schema of the stream */
	TxdBuf *json; /* of fields that are written as that */
	TxdError *err;
};

extern void txd_binding_free(TxdBinding *binding);

/* Makes room for n fields of the object; false: too many. */
extern bool txd_bind_fields(TxdBinding *b, TxdBound *object, int n);

/*
 * Binds the field of that name, as its JSON has it, as a leaf, an object or JSON: `how` and `kind` say what it can be, the columns may
 * want less. False: it cannot be bound at all.
 */
extern bool txd_bind(TxdBinding *b, TxdDecoder *d, const TxdBound *object, TxdBound *field,
					 const char *name, size_t len, TxdBoundHow how, TxdLeafKind kind);

/* Once all are bound, or cannot be. */
extern void txd_bind_end(TxdBinding *b, bool possible);

extern void txd_bound_begin(TxdBinding *b, TxdBoundMessage *m);
/* The message has the field with field->leaf; a null; as an object; as JSON that was written from field->start on. */
extern void txd_bound_leaf(TxdDecoder *d, TxdBound *field);
extern void txd_bound_null(TxdDecoder *d, TxdBound *field);
extern void txd_bound_object(TxdDecoder *d, TxdBound *field);
extern void txd_bound_json(TxdBinding *b, TxdBound *field, const TxdBuf *json);
/* At its end; false: it takes the way by JSON. */
extern bool txd_bound_end(TxdBinding *b, TxdBoundMessage *m);

/* Bytes that are to be a text; false: they are none. */
extern bool txd_leaf_text(TxdLeaf *leaf, const void *bytes, size_t len);

#endif
