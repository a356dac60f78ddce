/*
 * json_fields.c — walks a JSON message once and notes the value of each column.
 *
 * Objects that paths lead into are walked field by field, everything else is only validated. The
 * first alternative of a column that is present wins; a path through a value that is no object is
 * absent. "$rest" collects what no column is mapped to, as written, inside the objects it came
 * from.
 */
#include <string.h>

#include "decoder.h"

/* Longest part of a field's name shown in a message. */
#define SHOWN 60

static void
put_rest_name(TxdDecoder *d, const TxdJsonValue *name)
{
	if (d->rest.data[d->rest.len - 1] != '{')
		txd_buf_byte(&d->rest, ',');
	txd_buf_append(&d->rest, name->text - 1, name->len + 2);
	txd_buf_byte(&d->rest, ':');
}

static void
put_rest(TxdDecoder *d, const TxdJsonValue *name, const TxdJsonValue *value)
{
	bool string = value->kind == TXD_KIND_TEXT;

	put_rest_name(d, name);
	txd_buf_append(&d->rest, value->text - string, value->len + 2 * string);
}

static void
note_loose(TxdDecoder *d, const TxdEdge *edge, const TxdJsonValue *name, const TxdJsonValue *value)
{
	if (d->nloose == d->max_loose)
	{
		d->max_loose = d->max_loose == 0 ? 16 : d->max_loose * 2;
		d->loose = txd_realloc(d->loose, d->max_loose * sizeof(TxdLoose));
	}
	d->loose[d->nloose++] = (TxdLoose){*name, *value, edge->loose, edge->ambiguous};
}

static inline void
note_found(TxdDecoder *d, const TxdNode *node, const TxdJsonValue *value)
{
	for (int h = node->hit; h >= 0; h = d->match->hits[h].next)
	{
		const TxdHit *hit = &d->match->hits[h];
		TxdFound *found = &d->found[hit->column];

		if (found->serial != d->serial || hit->rank < found->rank)
			*found = (TxdFound){*value, d->serial, hit->rank};
	}
}

/* Reads the object at j->p field by field; `rest`: collects what is not mapped. */
static bool read_object(TxdDecoder *d, TxdJson *j, int node, int depth, bool rest);

/*
 * Reads an object that paths lead into; leaves no trace of it in the rest when nothing of it is
 * left.
 */
static bool
read_inner(TxdDecoder *d, TxdJson *j, int node, int depth, bool rest, const TxdJsonValue *name,
		   TxdJsonValue *value)
{
	const char *s = j->p;
	size_t before = d->rest.len;
	size_t opened;

	if (rest)
	{
		put_rest_name(d, name);
		txd_buf_byte(&d->rest, '{');
	}
	opened = d->rest.len;
	if (!read_object(d, j, node, depth, rest))
		return false;
	if (rest && d->rest.len == opened)
		d->rest.len = before;
	else if (rest)
		txd_buf_byte(&d->rest, '}');
	*value = (TxdJsonValue){s, j->p - s, TXD_KIND_JSON, false, false};
	return true;
}

static inline const TxdEdge *
find_field(TxdDecoder *d, int node, const TxdJsonValue *name, TxdEdge *unknown)
{
	if (!name->escaped)
		return txd_match_field(d->match, node, name->text, name->len, unknown);
	d->name.len = 0;
	txd_json_unescape(name->text, name->len, &d->name);
	return txd_match_field(d->match, node, d->name.data, d->name.len, unknown);
}

/* Reads the value of one field of `node`, which lies `depth` containers deep. */
static bool
read_field(TxdDecoder *d, TxdJson *j, int node, int depth, bool rest, const TxdJsonValue *name)
{
	TxdEdge unknown;
	const TxdEdge *edge = find_field(d, node, name, &unknown);
	TxdNode *to;
	TxdJsonValue value;

	if (edge->node < 0)
	{
		if (!txd_json_value(j, depth, &value))
			return false;
		if (edge->loose >= 0)
			note_loose(d, edge, name, &value);
		else if (rest)
			put_rest(d, name, &value);
		return true;
	}
	to = &d->match->nodes[edge->node];
	if (to->stamp == d->serial)
	{
		j->p = name->text - 1;
		txd_json_fail(j, "duplicate_field", "field is given twice, again");
		j->err->column = d->schema.columns[to->column].name;
		return false;
	}
	to->stamp = d->serial;
	if (to->hit >= 0)
		rest = false;
	if (to->inner && txd_json_peek(j) == '{')
	{
		if (!read_inner(d, j, edge->node, depth, rest, name, &value))
			return false;
	}
	else
	{
		if (!txd_json_value(j, depth, &value))
			return false;
		if (rest)
			put_rest(d, name, &value);
	}
	note_found(d, to, &value);
	return true;
}

static bool
read_object(TxdDecoder *d, TxdJson *j, int node, int depth, bool rest)
{
	TxdJsonValue name;

	if (depth == TXD_JSON_DEPTH)
		return txd_json_fail(j, "too_deep", "more than 64 nested levels");
	j->p++;
	txd_json_space(j);
	if (txd_json_peek(j) == '}')
	{
		j->p++;
		return true;
	}
	for (;;)
	{
		if (!txd_json_name(j, &name) || !read_field(d, j, node, depth + 1, rest, &name))
			return false;
		txd_json_space(j);
		if (txd_json_peek(j) == '}')
		{
			j->p++;
			return true;
		}
		if (txd_json_peek(j) != ',')
			return txd_json_syntax(j, "expected \",\" or \"}\"");
		j->p++;
		txd_json_space(j);
	}
}

/* Settles fields matched by a looser rule: an exactly named field beats them, two of them clash. */
static bool
settle_loose(TxdDecoder *d, TxdError *err)
{
	for (size_t i = 0; i < d->nloose; i++)
	{
		const TxdLoose *l = &d->loose[i];
		const TxdColumn *col = &d->schema.columns[l->column];
		TxdFound *found = &d->found[l->column];
		const TxdLoose *other = d->loose;

		if (found->serial == d->serial && found->rank == 0)
		{
			if (d->wants_rest)
				put_rest(d, &l->name, &l->value);
			continue;
		}
		if (l->ambiguous)
			return txd_refuse(err, "ambiguous_field", col, "field \"%.*s\" matches further columns",
							  txd_shorten(l->name.text, l->name.len, SHOWN), l->name.text);
		if (found->serial != d->serial)
		{
			*found = (TxdFound){l->value, d->serial, 1};
			continue;
		}
		while (other->column != l->column)
			other++;
		if (other->name.len == l->name.len &&
			memcmp(other->name.text, l->name.text, l->name.len) == 0)
			return txd_refuse(err, "duplicate_field", col, "field \"%.*s\" is given twice",
							  txd_shorten(l->name.text, l->name.len, SHOWN), l->name.text);
		return txd_refuse(err, "ambiguous_field", col, "fields \"%.*s\" and \"%.*s\" both match",
						  txd_shorten(other->name.text, other->name.len, SHOWN), other->name.text,
						  txd_shorten(l->name.text, l->name.len, SHOWN), l->name.text);
	}
	return true;
}

bool
txd_json_fields(TxdDecoder *d, const TxdMessage *message, TxdError *err)
{
	const char *s = message->payload;
	TxdJson j = {s, s, s + message->payload_len, err, false};
	TxdJsonValue value;
	bool ok;

	d->nloose = 0;
	txd_json_space(&j);
	if (d->needs_object && txd_json_peek(&j) == '{')
	{
		d->rest.len = 0;
		txd_buf_byte(&d->rest, '{');
		ok = read_object(d, &j, 0, 0, d->wants_rest) && txd_json_end(&j) && settle_loose(d, err);
		txd_buf_byte(&d->rest, '}');
	}
	else
	{
		ok = txd_json_value(&j, 0, &value) && txd_json_end(&j);
		if (ok && d->needs_object)
			return txd_refuse(err, "wrong_type", NULL, "message is not a JSON object");
	}
	return ok;
}
