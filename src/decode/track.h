/*
 * track.h — the fields of JSON messages that have been met. Private to src/decode.
 *
 * They form a tree that stays as long as the decoder. Most messages of a topic have the same fields in
 * the same order, so each field remembers which one came after it: a right guess costs one comparison
 * and saves reading the name and looking it up, a wrong one costs a hash lookup. Where fields are
 * counted, what a message has is noted while it is walked, and counted when it has proved valid.
 */
#ifndef TXD_TRACK_H
#define TXD_TRACK_H

#include <string.h>

#include "json.h"
#include "match.h"

typedef struct TxdTracked
{
	const char *name;
	uint32_t len;
	uint32_t hash;
	int parent;
	int first;           /* the field its object began with last, or -1 */
	int next;            /* the field that came after it last, or -1 */
	bool plain;          /* the name is written in JSON as it is */
	const TxdEdge *edge; /* what the columns make of it; NULL: not asked yet */
	TxdFieldSeen seen;
	unsigned told; /* types listed before the last reset */
} TxdTracked;

typedef struct TxdTrack
{
	TxdTracked *fields; /* 0 is the message itself */
	int nfields;
	int max_fields;
	int *table;      /* open addressing over `fields`, 0: free */
	bool counts;     /* else only for the guesses */
	uint32_t *noted; /* of the message being walked: field << 3 | TxdFieldType */
	size_t nnoted;
	size_t max_noted;
	uint64_t dropped;  /* fields of this message that are beyond a limit */
	uint64_t unlisted; /* the same, of all since the last reset */
	TxdFieldSeen *listed;
	TxdBuf path;
} TxdTrack;

extern TxdTrack *txd_track_new(bool counts);
extern void txd_track_free(TxdTrack *track);

/* Forgets what was noted; counts what was noted, at the message's place. */
extern void txd_track_begin(TxdTrack *track);
extern void txd_track_commit(TxdTrack *track, const TxdMessage *message);

/* The field `name` that comes after `last` (-1: first) in `parent`; made where new; -1: beyond a limit. */
extern int txd_track_find(TxdTrack *track, int parent, int last, const char *name, size_t len);

extern void txd_track_grow(TxdTrack *track);

/* What was counted since the last reset, parents first; valid until the next call. */
extern size_t txd_track_list(TxdTrack *track, const TxdFieldSeen **fields);
extern void txd_track_reset(TxdTrack *track);
extern bool txd_track_has_news(const TxdTrack *track);

/* The field to expect after `last`, or -1. */
static inline int
txd_track_expected(const TxdTrack *track, int parent, int last)
{
	return last < 0 ? track->fields[parent].first : track->fields[last].next;
}

static inline TxdFieldType
txd_field_type(const TxdJsonValue *v)
{
	if (v->kind == TXD_KIND_TEXT)
		return TXD_FIELD_STRING;
	if (v->kind == TXD_KIND_NUMBER)
		return TXD_FIELD_NUMBER;
	if (v->kind == TXD_KIND_BOOL)
		return v->null ? TXD_FIELD_NULL : TXD_FIELD_BOOLEAN;
	return *v->text == '{' ? TXD_FIELD_OBJECT : TXD_FIELD_ARRAY;
}

/* Notes that the message has the field. */
static inline void
txd_track_note_type(TxdTrack *track, int field, TxdFieldType type)
{
	if (track->nnoted == track->max_noted)
		txd_track_grow(track);
	track->noted[track->nnoted++] = (uint32_t) field << 3 | type;
}

static inline void
txd_track_note(TxdTrack *track, int field, const TxdJsonValue *value)
{
	txd_track_note_type(track, field, txd_field_type(value));
}

/* Whether the field's name in quotes is what stands at p. */
static inline bool
txd_track_begins(const TxdTrack *track, int field, const char *p, const char *end)
{
	const TxdTracked *f = &track->fields[field];

	return f->plain && (size_t) (end - p) >= f->len + 2 && *p == '"' && p[f->len + 1] == '"' &&
		   memcmp(p + 1, f->name, f->len) == 0;
}

#endif
