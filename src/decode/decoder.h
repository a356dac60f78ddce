/*
 * decoder.h — what a decoder holds, and the steps its formats contribute. Private to src/decode.
 *
 * Decoding has two steps: the format finds each column's value in the message (or refuses the
 * message as a whole), then decode.c writes the row in column order.
 */
#ifndef TXD_DECODER_H
#define TXD_DECODER_H

#include "clean.h"
#include "csv.h"
#include "hmac.h"
#include "json.h"
#include "leaf.h"
#include "match.h"
#include "track.h"
#include "translate.h"

/* A column's value in the message numbered `serial`; of an older number: absent. */
typedef struct TxdFound
{
	TxdJsonValue value;
	const TxdLeaf *leaf; /* it is this, NULL: `value` */
	uint64_t serial;
	int rank; /* alternative it came from, or TxdNameMatch; the lowest wins */
} TxdFound;

/* A field that matches a column by one of the looser name rules. */
typedef struct TxdLoose
{
	TxdJsonValue name;
	TxdJsonValue value;
	const TxdLeaf *leaf;
	int column;
	TxdNameMatch how;
	bool ambiguous;
} TxdLoose;

/* One field of an object. */
typedef struct TxdField
{
	TxdJsonValue name;
	TxdJsonValue value;
	const TxdEdge *edge; /* what the columns make of it */
	TxdEdge unknown;
	int tracked; /* of the track, -1: not known there */
} TxdField;

/* Which fields of a record, counted from 0, may fill a column: the first the record has does. */
typedef struct TxdCsvPlaces
{
	int n;
	int *field;
} TxdCsvPlaces;

struct TxdDecoder
{
	TxdSchema schema; /* a copy; its strings live in `arena` */
	void *arena;
	TxdBuf *presets; /* per column its default or constant, encoded; data NULL: none */
	uint64_t serial;
	TxdBuf scratch;  /* a value with escapes or doubled quotes resolved */
	TxdBuf cleaned;  /* what a conversion makes of it */
	uint64_t *fixed; /* per column the values that its conversion changed, */
	int *changed;    /* and the columns of the present row where it did */
	int nchanged;
	TxdHmac hmac; /* of pseudonyms */
	TxdPgp *pgp;  /* of encryption */

	/* JSON */
	TxdMatch *match;
	TxdTrack *track;
	TxdFound *found;
	bool needs_object; /* a column is filled from a field or from the rest */
	bool wants_rest;
	TxdBuf name; /* a field name with escapes resolved */
	TxdBuf rest;
	TxdLoose *loose;
	size_t nloose;
	size_t max_loose;

	/* Formats that become JSON */
	TxdTranslator *translator[TXD_PROTOBUF + 1]; /* by format; NULL: none of them, or of no topic */
	TxdTranslator *reader;                       /* of those, the present message's, or NULL */
	bool binds;                                  /* columns take nothing but fields of them */
	const TxdMessage
		*given; /* the message as it came; the one decoded has its JSON, and its key's */

	/* What is between the JSON of a message and its rows; NULL: nothing */
	struct TxdShape *shape;
	uint32_t row;

	struct TxdHeaders *headers; /* that columns come from; NULL: none */

	/* The key */
	TxdMatch *key_match; /* NULL: no column comes from its fields */
	TxdTrack *key_track;
	bool reads_key;                /* it becomes JSON */
	TxdTranslator *key_translator; /* NULL: it is that already */
	TxdSchema key_schema;          /* what it is read by, as messages are */

	/* CSV */
	TxdCsvPlaces *places;
	TxdCsvRecord record;
	int nheader;    /* fields a record should have */
	bool bound;     /* places are known */
	bool any_width; /* columns chose field numbers: further fields are not an error */
};

/* Copies the schema into one block of memory, which is returned; refuses what makes no sense. */
extern bool txd_schema_check(const TxdSchema *schema, TxdError *err);
extern void *txd_schema_copy(const TxdSchema *from, TxdSchema *to);

/* as_json.c: makes what reads messages and keys that are no JSON. */
extern bool txd_as_json_prepare(TxdDecoder *d, TxdError *err);
extern void txd_as_json_end(TxdDecoder *d);

/*
 * Lets *message be *copy, with its JSON in place of a value and of a key that are of formats with fields; of a key only
 * where a column comes from it.
 */
extern bool txd_as_json(TxdDecoder *d, const TxdMessage **message, TxdMessage *copy, TxdError *err);

/* The same for the key, while the value's fields are found without JSON; false: the value takes the way by that. */
extern bool txd_bound_value(TxdDecoder *d, TxdMessage *message, TxdError *err);

/* decode.c: appends the row of a message, or of a part of one. */
extern bool txd_decode_row(TxdDecoder *d, const TxdMessage *message, TxdBuf *rows, TxdError *err);

/* rows.c: what the schema says of envelopes and rows. Appends all rows of a message of JSON, or without value. */
extern bool txd_shape_prepare(TxdDecoder *d, TxdError *err);
extern void txd_shape_end(TxdDecoder *d);
extern bool txd_shape_rows(TxdDecoder *d, const TxdMessage *message, TxdBuf *rows, TxdError *err);

/*
 * json_fields.c: the same for fields that are read one by one. A message begins; has a leaf; has JSON, `depth` containers
 * around its object; and ends. Fields are not counted until txd_track_commit.
 */
extern void txd_fields_begin(TxdDecoder *d);
extern void txd_note_leaf(TxdDecoder *d, const TxdField *f, const TxdLeaf *leaf, TxdFieldType type);
extern bool txd_json_field(TxdDecoder *d, TxdField *f, int depth, const char *text, size_t len,
						   TxdError *err);
extern bool txd_fields_settle(TxdDecoder *d, TxdError *err);

/* Finds the columns' values in a JSON message. */
extern bool txd_json_fields(TxdDecoder *d, const TxdMessage *message, TxdError *err);

/* The same for the columns from fields of the key; of an absent key nothing is found. */
extern bool txd_json_key_fields(TxdDecoder *d, const char *key, size_t len, TxdError *err);

/* The same in an object beside the message. */
extern bool txd_json_side_fields(TxdDecoder *d, TxdMatch *match, TxdTrack *track,
								 const char *object, size_t len, TxdError *err);

/* Makes an error say that it is about the key; returns false. */
extern bool txd_refuse_key(TxdError *err);

/* Splits a CSV record and checks its width. */
extern bool txd_csv_fields(TxdDecoder *d, const TxdMessage *message, TxdError *err);

/* Binds columns to field numbers: given in their paths, else in order of the columns. */
extern bool txd_csv_bind_numbers(TxdDecoder *d, TxdError *err);

/* The column's field in the split record, or NULL where it is absent. */
extern const TxdCsvField *txd_csv_find(const TxdDecoder *d, int column);

/* Checks bytes from outside to be UTF-8 without NUL. */
extern bool txd_check_text(const TxdColumn *column, const char *text, size_t len, TxdError *err);

/* Appends a value of JSON: a string is its text, but to json. */
extern bool txd_put_json(TxdDecoder *d, const TxdColumn *column, const TxdJsonValue *value,
						 TxdBuf *rows, TxdError *err);

/* Appends column i's default, or constant, or NULL. */
extern bool txd_put_preset(TxdDecoder *d, int i, TxdBuf *rows, TxdError *err);

/* metadata.c: appends column i from what the message brings besides its value. */
extern bool txd_put_metadata(TxdDecoder *d, int i, const TxdMessage *m, TxdBuf *rows,
							 TxdError *err);

/* header.c: single headers of a message that has been read. */
extern void txd_headers_prepare(TxdDecoder *d);
extern bool txd_headers_read(TxdDecoder *d, const TxdMessage *message, TxdError *err);
extern bool txd_put_header(TxdDecoder *d, int i, TxdBuf *rows, TxdError *err);

/* Applies the column's conversion and appends the value; `checked` as in txd_value. */
extern bool txd_put_text(TxdDecoder *d, const TxdColumn *column, TxdKind kind, const char *text,
						 size_t len, bool checked, TxdBuf *rows, TxdError *err);

/* conceal.c: takes the schema's keys over; appends what the value is for columns of pseudonyms and encrypted ones. */
extern bool txd_conceal_prepare(TxdDecoder *d, TxdError *err);
extern bool txd_conceal(TxdDecoder *d, const TxdColumn *column, TxdKind kind, const char *text,
						size_t len, bool checked, TxdBuf *rows, TxdError *err);

/* Appends what a format without fields makes of its payload. */
extern bool txd_put_plain(TxdDecoder *d, const TxdColumn *column, const TxdMessage *message,
						  TxdBuf *rows, TxdError *err);

static inline const TxdZone *
txd_zone_of(const TxdDecoder *d)
{
	return d->schema.zone.offset != NULL ? &d->schema.zone : NULL;
}

static inline bool
txd_is_json(const TxdColumn *column)
{
	return column->type == TXD_JSONTEXT || column->type == TXD_JSONB;
}

/* At most `most` bytes of text, cut at a character boundary: for "%.*s" in messages. */
static inline int
txd_shorten(const char *text, size_t len, int most)
{
	int n = most;

	if (len <= (size_t) most)
		return (int) len;
	while (n > 0 && ((unsigned char) text[n] & 0xc0) == 0x80)
		n--;
	return n;
}

#endif
