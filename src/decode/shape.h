/*
 * shape.h — what is between the JSON of a message and its rows: an envelope around their fields, an array or lines
 * that hold them. Private to src/decode; decoders without either never come here.
 */
#ifndef TXD_SHAPE_H
#define TXD_SHAPE_H

#include "connect_json.h"
#include "decoder.h"

/* A part of a message's JSON. */
typedef struct TxdPiece
{
	const char *text; /* NULL: there is none */
	size_t len;
} TxdPiece;

typedef struct TxdName
{
	char *text;
	size_t len;
} TxdName;

typedef struct TxdShape
{
	TxdMatch *match; /* of the fields around the rows; NULL: no column takes one */
	TxdTrack *track;
	int *kept; /* columns from those and from the key: found once, the same in all rows */
	int nkept;
	uint64_t serial;    /* under which they were found */
	TxdName *path;      /* to the array */
	int npath;          /* 0: it is the value itself */
	TxdPiece *elements; /* of the present message */
	uint32_t nelements;
	uint32_t max_elements;
	bool suspect;            /* the present message may lack values */
	TxdBuf attributes;       /* of a CloudEvent in headers, as JSON */
	TxdConnectJson *connect; /* schemas beside change events; NULL: there are none */
	TxdBuf event;            /* that a schema gave its meaning, */
	TxdBuf key;              /* and its key */
} TxdShape;

/* A message taken out of its envelope. */
typedef struct TxdOpened
{
	TxdPiece body;   /* what the row's fields are in; none: a tombstone */
	TxdPiece around; /* the object around it */
	TxdPiece key;
	bool deletes; /* the event says so: the message has a value */
} TxdOpened;

/* A member of an object that is looked for. */
typedef struct TxdMember
{
	const char *name;
	size_t len;
	TxdJsonValue value; /* text NULL: the object has none of that name */
} TxdMember;

/* envelope.c */
extern bool txd_envelope_open(TxdDecoder *d, const TxdMessage *message, TxdOpened *opened,
							  TxdError *err);

/*
 * Whether rows may have a value that their event lacks; then, once a row is decoded, refuses it where a column has one
 * (unavailable_value).
 */
extern bool txd_envelope_is_suspect(const TxdDecoder *d, TxdPiece around);
extern bool txd_envelope_check(TxdDecoder *d, TxdPiece row, TxdError *err);

/*
 * members.c: reads one JSON value to the end of the text. Of an object, fills those of n members that it has, and
 * *count with how many it has in all; a member that is looked for and there twice is refused (duplicate_field).
 */
extern bool txd_read_members(TxdDecoder *d, TxdPiece text, TxdMember *members, int n, int *count,
							 TxdJsonValue *whole, TxdError *err);

/*
 * Reads the next member of the object whose "{" lies before j->p; `first` is true for the first one. 1: there is one,
 * 0: the object has ended, -1: err says why not.
 */
extern int txd_next_member(TxdJson *j, bool *first, TxdJsonValue *name, TxdJsonValue *value);

/* The value with the quotes of a string. */
static inline TxdPiece
txd_piece_of(const TxdJsonValue *value)
{
	bool string = value->kind == TXD_KIND_TEXT;

	return (TxdPiece){value->text - string, value->len + 2 * string};
}

static inline bool
txd_is_object(const TxdJsonValue *value)
{
	return value->kind == TXD_KIND_JSON && *value->text == '{';
}

#endif
