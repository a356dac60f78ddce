/*
 * bind.c — the fields of a schema, bound to the columns of a decoder.
 */
#include <math.h>
#include <string.h>

#include "bind.h"
#include "json_plain.h"

#define MAX_DEPTH 8 /* of objects: schemas may contain themselves */

void
txd_binding_free(TxdBinding *b)
{
	txd_arena_free(&b->memory);
}

bool
txd_bind_fields(TxdBinding *b, TxdBound *object, int n)
{
	if (n > TXD_MAX_FIELDS - b->n)
		return false;
	b->n += n;
	object->n = n;
	object->inner = txd_arena_alloc(&b->memory, ((size_t) n + 1) * sizeof(TxdBound));
	return true;
}

/* Do values of the kind fit all columns that the field can fill? */
static bool
fits(const TxdDecoder *d, const TxdEdge *edge, TxdLeafKind kind)
{
	const TxdColumn *columns = d->schema.columns;

	if (edge->node < 0)
		return edge->loose < 0 || txd_leaf_fits(d, &columns[edge->loose], kind);
	if (d->match->nodes[edge->node].inner)
		return false;
	for (int h = d->match->nodes[edge->node].hit; h >= 0; h = d->match->hits[h].next)
		if (!txd_leaf_fits(d, &columns[d->match->hits[h].column], kind))
			return false;
	return true;
}

/* Are fields of the object wanted, and not itself? */
static bool
is_only_entered(const TxdDecoder *d, const TxdEdge *edge)
{
	if (edge->node >= 0)
		return d->match->nodes[edge->node].hit < 0;
	return edge->loose < 0 && d->track->counts;
}

static bool
has_twin(const TxdBound *object, const TxdBound *field)
{
	const TxdJsonValue *name = &field->field.name;

	for (const TxdBound *f = object->inner; f < field; f++)
		if (f->how != TXD_BOUND_NOTHING && f->field.name.len == name->len &&
			memcmp(f->field.name.text, name->text, name->len) == 0)
			return true;
	return false;
}

/* The node of the columns' paths within an object. */
static int
node_of(const TxdDecoder *d, const TxdBound *object)
{
	const TxdEdge *edge = object->field.edge;

	if (edge == NULL)
		return 0;
	return edge->node >= 0 && d->match->nodes[edge->node].inner ? edge->node : -1;
}

bool
txd_bind(TxdBinding *b, TxdDecoder *d, const TxdBound *object, TxdBound *field, const char *name,
		 size_t len, TxdBoundHow how, TxdLeafKind kind)
{
	TxdField *f = &field->field;

	if (txd_json_plain_end(name, name + len) != name + len)
		return false;
	*field = (TxdBound){.kind = kind, .depth = object->depth + 1, .null = -1};
	field->absent.kind = TXD_LEAF_NONE;
	f->name = (TxdJsonValue){txd_arena_copy(&b->memory, name, len), len, TXD_KIND_TEXT, 0, 0};
	if (has_twin(object, field))
		return false;
	f->edge = txd_match_field(d->match, node_of(d, object), f->name.text, len, &f->unknown);
	f->tracked = -1;
	field->object = object;
	field->how = how;
	if ((how == TXD_BOUND_LEAF && !fits(d, f->edge, kind)) ||
		(how == TXD_BOUND_OBJECT && (field->depth == MAX_DEPTH || !is_only_entered(d, f->edge))))
		field->how = TXD_BOUND_JSON;
	return true;
}

void
txd_bind_end(TxdBinding *b, bool possible)
{
	b->possible = possible;
	if (!possible)
	{
		txd_binding_free(b);
		return;
	}
	b->later = txd_arena_alloc(&b->memory, ((size_t) b->n + 1) * sizeof(TxdBound *));
}

void
txd_bound_begin(TxdBinding *b, TxdBoundMessage *m)
{
	b->nlater = 0;
	txd_fields_begin(m->d);
}

static TxdFieldType
type_of(const TxdLeaf *leaf)
{
	switch (leaf->kind)
	{
		case TXD_LEAF_NULL:
			return TXD_FIELD_NULL;
		case TXD_LEAF_BOOL:
			return TXD_FIELD_BOOLEAN;
		case TXD_LEAF_INTEGER:
		case TXD_LEAF_DECIMAL:
			return TXD_FIELD_NUMBER;
		case TXD_LEAF_FLOAT:
		case TXD_LEAF_REAL:
			return isfinite(leaf->real) ? TXD_FIELD_NUMBER : TXD_FIELD_STRING;
		default:
			return TXD_FIELD_STRING;
	}
}

/* A field is listed when a message first has it. Beyond the limit it is looked for in each. */
static void
track(TxdDecoder *d, TxdBound *field)
{
	TxdField *f = &field->field;
	int parent = field->object->field.tracked;

	if (f->tracked < 0 && d->track->counts && parent >= 0)
		f->tracked = txd_track_find(d->track, parent, -1, f->name.text, f->name.len);
}

void
txd_bound_leaf(TxdDecoder *d, TxdBound *field)
{
	track(d, field);
	txd_note_leaf(d, &field->field, &field->leaf, type_of(&field->leaf));
}

void
txd_bound_null(TxdDecoder *d, TxdBound *field)
{
	field->leaf.kind = TXD_LEAF_NULL;
	txd_bound_leaf(d, field);
}

void
txd_bound_object(TxdDecoder *d, TxdBound *field)
{
	track(d, field);
	if (field->field.tracked >= 0)
		txd_track_note_type(d->track, field->field.tracked, TXD_FIELD_OBJECT);
}

void
txd_bound_json(TxdBinding *b, TxdBound *field, const TxdBuf *json)
{
	field->end = json->len;
	b->later[b->nlater++] = field;
}

bool
txd_bound_end(TxdBinding *b, TxdBoundMessage *m)
{
	if (m->json->len > TXD_MAX_ROW)
		return false;
	/* The buffer does not move any more. */
	for (int i = 0; i < b->nlater; i++)
	{
		TxdBound *f = b->later[i];

		track(m->d, f);
		if (!txd_json_field(m->d, &f->field, f->depth - 1, m->json->data + f->start,
							f->end - f->start, m->err))
			return false;
	}
	return txd_fields_settle(m->d, m->err);
}

bool
txd_leaf_text(TxdLeaf *leaf, const void *bytes, size_t len)
{
	const char *text = len > 0 ? bytes : "";

	leaf->kind = TXD_LEAF_TEXT;
	leaf->text = text;
	leaf->len = len;
	return txd_json_plain_end(text, text + len) == text + len || txd_utf8_prefix(text, len) == len;
}
