/*
 * protobuf_bind.c — messages of Protobuf whose values go straight to the columns: those that protobuf_quick.c can read.
 */
#include <stdlib.h>
#include <string.h>

#include "protobuf_read.h"

#define SECOND_US 1000000

#define MAX_BINDINGS 16 /* of a schema, whose messages can be of any number of types */

static bool bind_object(PbBinding *b, TxdDecoder *d, TxdBound *object, const PbType *type);

void
txd_pb_free_bindings(TxdProtobuf *pb)
{
	PbBinding *next;

	for (PbBinding *b = pb->bindings; b != NULL; b = next)
	{
		next = b->next;
		txd_binding_free(&b->of);
		free(b);
	}
}

static TxdLeafKind
kind_of(const PbField *field)
{
	switch (field->kind)
	{
		case PB_DOUBLE:
			return TXD_LEAF_REAL;
		case PB_FLOAT:
			return TXD_LEAF_FLOAT;
		case PB_BOOL:
			return TXD_LEAF_BOOL;
		case PB_STRING:
			return TXD_LEAF_TEXT;
		case PB_ENUM:
			return field->symbols->null ? TXD_LEAF_NONE : TXD_LEAF_TEXT;
		case PB_BYTES:
		case PB_GROUP:
			return TXD_LEAF_NONE;
		case PB_MESSAGE:
			return field->type->meaning == PB_TIMESTAMP ? TXD_LEAF_INSTANT : TXD_LEAF_NONE;
		default:
			return TXD_LEAF_INTEGER;
	}
}

/* What stands for a leaf that is not there: as its JSON is written, that of its zero. */
static bool
bind_absent(const PbField *field, TxdBound *bound)
{
	const char *json;
	size_t len;

	if (field->absent.data == NULL || bound->how == TXD_BOUND_JSON)
		return true;
	json = field->absent.data + field->lead.len;
	len = field->absent.len - field->lead.len;
	bound->absent.kind = bound->kind;
	if (bound->kind != TXD_LEAF_TEXT)
		return (len == 1 && *json == '0') || (len == 5 && memcmp(json, "false", 5) == 0);
	return len >= 2 && *json == '"' && memchr(json, '\\', len) == NULL &&
		   txd_leaf_text(&bound->absent, json + 1, len - 2);
}

static bool
bind_field(PbBinding *b, TxdDecoder *d, const TxdBound *object, TxdBound *bound,
		   const PbField *field)
{
	TxdLeafKind kind = kind_of(field);
	TxdBoundHow how = kind != TXD_LEAF_NONE                             ? TXD_BOUND_LEAF
					  : field->kind == PB_MESSAGE && field->type->quick ? TXD_BOUND_OBJECT
																		: TXD_BOUND_JSON;

	/* The text before a value is `,"name":`. */
	if (!txd_bind(&b->of, d, object, bound, field->lead.data + 2, field->lead.len - 4, how, kind))
		return false;
	bound->of = field;
	if (!bind_absent(field, bound))
	{
		bound->how = TXD_BOUND_JSON;
		bound->absent.kind = TXD_LEAF_NONE;
	}
	if (bound->how == TXD_BOUND_OBJECT && !bind_object(b, d, bound, field->type))
		bound->how = TXD_BOUND_JSON;
	return true;
}

static bool
bind_object(PbBinding *b, TxdDecoder *d, TxdBound *object, const PbType *type)
{
	if (!txd_bind_fields(&b->of, object, type->n))
		return false;
	for (int i = 0; i < type->n; i++)
		if (!bind_field(b, d, object, &object->inner[i], &type->field[i]))
			return false;
	return true;
}

static TxdBinding *
binding_of(TxdProtobuf *pb, TxdDecoder *d, const PbType *type)
{
	PbBinding *b = pb->bindings;
	int n = 0;

	for (; b != NULL && b->type != type; b = b->next)
		n++;
	if (b != NULL || n == MAX_BINDINGS)
		return b != NULL ? &b->of : NULL;
	b = txd_alloc(sizeof(*b));
	*b = (PbBinding){.type = type, .next = pb->bindings};
	pb->bindings = b;
	txd_bind_end(&b->of, type->quick && bind_object(b, d, &b->of.top, type));
	return &b->of;
}

/* A Timestamp's seconds and nanoseconds, in whole microseconds; false: not so, or written unusually. */
static bool
read_timestamp(PbReader *r, PbInput *in, int64_t *us)
{
	uint64_t part[3] = {0, 0, 0};
	int64_t seconds;
	uint32_t last = 0;
	uint32_t number;
	PbInput within;
	PbWire wire;

	if (!txd_pb_has_room(r, 2) || !txd_pb_bytes(in, &within))
		return false;
	while (within.p < within.end)
	{
		if (!txd_pb_tag(&within, &number, &wire) || wire != PB_VARINT || number <= last ||
			number > 2 || !txd_pb_varint(&within, &part[number]))
			return false;
		last = number;
	}
	seconds = (int64_t) part[1];
	if (seconds < PB_FIRST_S || seconds > PB_LAST_S || part[2] >= 1000 * UINT64_C(1000000) ||
		part[2] % 1000 != 0)
		return false;
	*us = seconds * SECOND_US + (int64_t) part[2] / 1000;
	return true;
}

static bool
read_number(const PbField *field, uint64_t v, TxdLeaf *leaf)
{
	uint32_t low = (uint32_t) v;
	const PbSymbol *symbol;
	float f;

	switch (field->kind)
	{
		case PB_DOUBLE:
			memcpy(&leaf->real, &v, sizeof(v));
			return true;
		case PB_FLOAT:
			memcpy(&f, &low, sizeof(f));
			leaf->real = f;
			return true;
		case PB_BOOL:
			leaf->integer = v != 0;
			return true;
		case PB_ENUM:
			symbol = txd_pb_symbol(field->symbols, (int32_t) low);
			return symbol != NULL && txd_leaf_text(leaf, symbol->name, strlen(symbol->name));
		default:
			return txd_pb_integer(field->kind, v, &leaf->integer);
	}
}

static bool
read_leaf(PbReader *r, const PbField *field, PbInput *in, TxdLeafKind kind, TxdLeaf *leaf)
{
	PbValue value;

	leaf->kind = kind;
	if (field->kind == PB_MESSAGE)
		return read_timestamp(r, in, &leaf->integer);
	if (!txd_pb_read(in, field, &value))
		return false;
	if (field->kind == PB_STRING)
		return txd_leaf_text(leaf, value.text, value.len);
	return read_number(field, value.number, leaf);
}

/* Fields that are not there. */
static bool
note_absent(PbReader *r, TxdBinding *b, TxdDecoder *d, TxdBound *from, const TxdBound *to)
{
	for (TxdBound *f = from; f < to; f++)
	{
		const PbField *field = f->of;

		if (field->required)
			return false;
		if (f->absent.kind != TXD_LEAF_NONE)
		{
			f->leaf = f->absent;
			txd_bound_leaf(d, f);
		}
		else if (field->absent.data != NULL)
		{
			f->start = r->json->len;
			txd_buf_append(r->json, field->absent.data + field->lead.len,
						   field->absent.len - field->lead.len);
			txd_bound_json(b, f, r->json);
		}
	}
	return true;
}

static bool read_object(PbReader *r, TxdBinding *b, TxdDecoder *d, TxdBound *object,
						const PbType *type, PbInput in);

static bool
read_field(PbReader *r, TxdBinding *b, TxdDecoder *d, TxdBound *f, PbInput *in)
{
	const PbField *field = f->of;
	PbInput within;

	if (f->how == TXD_BOUND_LEAF)
	{
		if (!read_leaf(r, field, in, f->kind, &f->leaf))
			return false;
		txd_bound_leaf(d, f);
		return true;
	}
	if (f->how == TXD_BOUND_OBJECT)
	{
		txd_bound_object(d, f);
		return txd_pb_bytes(in, &within) && read_object(r, b, d, f, field->type, within);
	}
	f->start = r->json->len;
	if (!txd_pb_put_next(r, field, in))
		return false;
	txd_bound_json(b, f, r->json);
	return true;
}

static bool
read_object(PbReader *r, TxdBinding *b, TxdDecoder *d, TxdBound *object, const PbType *type,
			PbInput in)
{
	PbQuick q = {.in = in, .type = type, .next = type->field};
	TxdBound *absent = object->inner;

	if (!txd_pb_enter(r) || !txd_pb_has_room(r, type->n))
		return false;
	for (const PbField *field = type->field; field != NULL;)
	{
		TxdBound *f;

		if (!txd_pb_quick_field(&q, &field))
			return false;
		f = object->inner + (field != NULL ? field - type->field : type->n);
		if (!note_absent(r, b, d, absent, f) || (field != NULL && !read_field(r, b, d, f, &q.in)))
			return false;
		absent = f + 1;
	}
	r->depth--;
	return true;
}

bool
txd_pb_read_bound(TxdProtobuf *pb, TxdBoundMessage *m)
{
	const unsigned char *p = (const unsigned char *) m->data;
	PbReader r = {.start = p, .end = p + m->len, .json = m->json, .err = m->err};
	const PbType *type;
	TxdBinding *b;
	PbInput in;
	bool ok = txd_pb_begin(pb, &r, &in, &type);

	if (ok)
	{
		b = binding_of(pb, m->d, type);
		ok = b != NULL && b->possible;
	}
	if (ok)
	{
		txd_bound_begin(b, m);
		ok = read_object(&r, b, m->d, &b->top, type, in) && txd_bound_end(b, m);
	}
	txd_pb_end(pb, &r);
	return ok;
}
