/*
 * avro_bind.c — records of Avro whose values go straight to the columns.
 */
#include "avro_read.h"

static bool bind_record(TxdAvro *avro, TxdDecoder *d, TxdBound *object, const AvroStep *step);

static TxdLeafKind
kind_of_long(const AvroType *type)
{
	bool counted = type->digits == 3 || type->digits == 6;

	if (type->logical == AVRO_PLAIN)
		return TXD_LEAF_INTEGER;
	if (type->logical == AVRO_DATE)
		return TXD_LEAF_DATE;
	if (type->logical == AVRO_INSTANT && counted)
		return TXD_LEAF_INSTANT;
	return type->logical == AVRO_LOCAL && counted ? TXD_LEAF_LOCAL : TXD_LEAF_NONE;
}

static TxdLeafKind
kind_of_bytes(const AvroStep *step)
{
	if (txd_avro_is_bytes(step))
		return step->type->logical == AVRO_DECIMAL ? TXD_LEAF_DECIMAL : TXD_LEAF_NONE;
	return step->type->logical == AVRO_JSON ? TXD_LEAF_NONE : TXD_LEAF_TEXT;
}

static TxdLeafKind
kind_of(const AvroStep *step)
{
	switch (step->type->kind)
	{
		case AVRO_NULL:
			return TXD_LEAF_NULL;
		case AVRO_BOOLEAN:
			return TXD_LEAF_BOOL;
		case AVRO_INT:
		case AVRO_LONG:
			return kind_of_long(step->type);
		case AVRO_FLOAT:
			return TXD_LEAF_FLOAT;
		case AVRO_DOUBLE:
			return TXD_LEAF_REAL;
		case AVRO_BYTES:
		case AVRO_STRING:
		case AVRO_FIXED:
			return kind_of_bytes(step);
		case AVRO_ENUM:
			return TXD_LEAF_TEXT;
		default:
			return TXD_LEAF_NONE;
	}
}

/* The branch of a union of null and one type that is null, or -1. */
static int
null_of(const AvroStep *step)
{
	if (step->type->kind != AVRO_UNION || step->type->n != 2 || step->why != NULL)
		return -1;
	for (int i = 0; i < 2; i++)
		if (step->child[i]->type->kind == AVRO_NULL && step->child[i]->why == NULL)
			return i;
	return -1;
}

static bool
is_object(const AvroStep *step)
{
	return step->type->kind == AVRO_RECORD && step->type->logical == AVRO_PLAIN;
}

static bool
bind_field(TxdAvro *avro, TxdDecoder *d, const TxdBound *object, TxdBound *field,
		   const AvroStep *step, AvroText name)
{
	int null = null_of(step);
	const AvroStep *value = null >= 0 ? step->child[1 - null] : step;
	TxdLeafKind kind = kind_of(value);
	TxdBoundHow how = kind != TXD_LEAF_NONE ? TXD_BOUND_LEAF
					  : is_object(value)    ? TXD_BOUND_OBJECT
											: TXD_BOUND_JSON;

	if (value->why != NULL || value->too_deep)
		how = TXD_BOUND_JSON;
	/* The text is `,"name":`. */
	if (!txd_bind(&avro->binding, d, object, field, name.data + 2, name.len - 4, how, kind))
		return false;
	if (field->how == TXD_BOUND_OBJECT && !bind_record(avro, d, field, value))
		field->how = TXD_BOUND_JSON;
	field->of = field->how == TXD_BOUND_JSON ? step : value;
	field->null = null;
	return true;
}

/* Records that are read as ones with further fields, which all have their defaults, are not bound. */
static bool
bind_record(TxdAvro *avro, TxdDecoder *d, TxdBound *object, const AvroStep *step)
{
	if (step->tail.data != NULL || !txd_bind_fields(&avro->binding, object, step->type->n))
		return false;
	for (int i = 0; i < object->n; i++)
	{
		TxdBound *field = &object->inner[i];

		if (step->text[i].data == NULL)
			*field = (TxdBound){.how = TXD_BOUND_NOTHING, .of = step->child[i]};
		else if (!bind_field(avro, d, object, field, step->child[i], step->text[i]))
			return false;
	}
	return true;
}

/* Milliseconds as microseconds; false: too many. */
static bool
scale(int digits, TxdLeaf *leaf)
{
	return digits == 6 || !__builtin_mul_overflow(leaf->integer, 1000, &leaf->integer);
}

static bool
read_bytes(AvroInput *in, const AvroStep *step, TxdLeaf *leaf)
{
	const AvroType *type = step->type;
	const unsigned char *p;

	leaf->len = type->size;
	if (type->kind == AVRO_FIXED ? !txd_avro_fixed(in, type->size, &p)
								 : !txd_avro_bytes(in, &p, &leaf->len))
		return false;
	if (leaf->kind == TXD_LEAF_TEXT)
		return txd_leaf_text(leaf, p, leaf->len);
	leaf->text = (const char *) p;
	leaf->scale = type->digits;
	return leaf->len <= AVRO_MAX_DECIMAL;
}

static bool
read_symbol(AvroInput *in, const AvroStep *step, TxdLeaf *leaf)
{
	int64_t i = 0;

	if (!txd_avro_choice(in, step->type, &i) || step->text[i].data == NULL)
		return false;
	/* Symbols are names, and stand in quotes. */
	leaf->text = step->text[i].data + 1;
	leaf->len = step->text[i].len - 2;
	return true;
}

static bool
read_leaf(AvroInput *in, const AvroStep *step, TxdLeafKind kind, TxdLeaf *leaf)
{
	bool truth;

	leaf->kind = kind;
	switch (step->type->kind)
	{
		case AVRO_NULL:
			return true;
		case AVRO_BOOLEAN:
			if (!txd_avro_boolean(in, &truth))
				return false;
			leaf->integer = truth;
			return true;
		case AVRO_INT:
		case AVRO_LONG:
			return txd_avro_int(in, step->type, &leaf->integer) &&
				   (kind < TXD_LEAF_INSTANT || scale(step->type->digits, leaf));
		case AVRO_FLOAT:
		case AVRO_DOUBLE:
			return txd_avro_real(in, kind == TXD_LEAF_FLOAT, &leaf->real);
		case AVRO_ENUM:
			return read_symbol(in, step, leaf);
		default:
			return read_bytes(in, step, leaf);
	}
}

static bool
read_json(AvroInput *in, TxdBinding *b, TxdBound *field)
{
	field->start = in->json->len;
	in->depth = field->depth;
	if (!txd_avro_read(in, field->of))
		return false;
	txd_bound_json(b, field, in->json);
	return true;
}

static bool
step_over(AvroInput *in, const AvroStep *step, int depth)
{
	TxdBuf *json = in->json;
	bool ok;

	in->depth = depth;
	in->json = NULL;
	ok = txd_avro_read(in, step);
	in->json = json;
	return ok;
}

static bool read_record(AvroInput *in, TxdAvro *avro, TxdDecoder *d, TxdBound *object);

/* A field that is a leaf or an object, or null. */
static bool
read_field(AvroInput *in, TxdAvro *avro, TxdDecoder *d, TxdBound *field)
{
	int64_t branch = -1;

	if (field->null >= 0 && (!txd_avro_long(in, &branch) || branch < 0 || branch > 1))
		return false;
	if (field->null >= 0 && branch == field->null)
	{
		txd_bound_null(d, field);
		return true;
	}
	if (field->how == TXD_BOUND_OBJECT)
	{
		txd_bound_object(d, field);
		return read_record(in, avro, d, field);
	}
	if (!read_leaf(in, field->of, field->kind, &field->leaf))
		return false;
	txd_bound_leaf(d, field);
	return true;
}

static bool
read_record(AvroInput *in, TxdAvro *avro, TxdDecoder *d, TxdBound *object)
{
	for (TxdBound *f = object->inner; f < object->inner + object->n; f++)
	{
		bool ok;

		if (f->how == TXD_BOUND_NOTHING)
			ok = step_over(in, f->of, object->depth + 1);
		else if (f->how == TXD_BOUND_JSON)
			ok = read_json(in, &avro->binding, f);
		else
			ok = read_field(in, avro, d, f);
		if (!ok)
			return false;
	}
	return true;
}

bool
txd_avro_read_bound(TxdAvro *avro, TxdBoundMessage *m)
{
	TxdBinding *b = &avro->binding;
	AvroInput in = txd_avro_input(m->data, m->len, m->json, m->err);

	if (!avro->bound)
	{
		avro->bound = true;
		txd_bind_end(b, is_object(avro->top) && avro->top->why == NULL && !avro->top->too_deep &&
							bind_record(avro, m->d, &b->top, avro->top));
	}
	if (!b->possible)
		return false;
	txd_bound_begin(b, m);
	return read_record(&in, avro, m->d, &b->top) && txd_avro_is_over(&in) && txd_bound_end(b, m);
}
