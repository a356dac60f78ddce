/*
 * json_fields.c — walks a JSON message or key once and notes the value of each column.
 *
 * Objects and arrays that paths lead into are walked, so is every object outside arrays where
 * fields are counted; everything else is only validated. The first alternative of a column that is
 * present wins; a path through a value that is no object is absent. "$rest" collects what no column
 * is mapped to, as written, inside the objects it came from.
 */
#include <string.h>

#include "decoder.h"

/* Longest part of a field's name shown in a message. */
#define SHOWN 60

typedef struct Walk
{
	TxdJson j;
	TxdDecoder *d;
	TxdMatch *match;
	TxdTrack *track;
} Walk;

/* An object as seen from outside: what leads to it, and what to do with its fields. */
typedef struct Place
{
	int node;  /* of the match; -1: no path leads into it */
	int field; /* of the track, -1: not known there */
	int depth; /* containers around it */
	bool rest; /* what is not mapped goes to the rest */
} Place;

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

/* Notes a field that matches by a looser rule; its value is `leaf`, or without one f->value. */
static void
note_loose(TxdDecoder *d, const TxdField *f, const TxdLeaf *leaf)
{
	if (d->nloose == d->max_loose)
	{
		d->max_loose = d->max_loose == 0 ? 16 : d->max_loose * 2;
		d->loose = txd_realloc(d->loose, d->max_loose * sizeof(TxdLoose));
	}
	d->loose[d->nloose++] =
		(TxdLoose){f->name, f->value, leaf, f->edge->loose, f->edge->how, f->edge->ambiguous};
}

static inline void
note_found(TxdDecoder *d, const TxdMatch *match, const TxdNode *node, const TxdJsonValue *value,
		   const TxdLeaf *leaf)
{
	for (int h = node->hit; h >= 0; h = match->hits[h].next)
	{
		const TxdHit *hit = &match->hits[h];
		TxdFound *found = &d->found[hit->column];

		if (found->serial != d->serial || hit->rank < found->rank)
			*found = (TxdFound){*value, leaf, d->serial, hit->rank};
	}
}

/* The field's name with its escapes resolved. */
static inline const char *
plain_name(TxdDecoder *d, const TxdJsonValue *name, size_t *len)
{
	*len = name->len;
	if (!name->escaped)
		return name->text;
	d->name.len = 0;
	txd_json_unescape(name->text, name->len, &d->name);
	*len = d->name.len;
	return d->name.data;
}

/* Looks up what the columns make of a field that has just been named. */
static inline void
find_edge(Walk *w, const Place *at, const char *name, size_t len, TxdField *f)
{
	f->edge = txd_match_field(w->match, at->node, name, len, &f->unknown);
}

/* Reads the name of the field after `last` in an object of the track, and looks it up. */
static bool
read_tracked(Walk *w, const Place *at, int last, TxdField *f)
{
	TxdJson *j = &w->j;
	TxdTrack *t = w->track;
	const char *name;
	size_t len;

	f->tracked = txd_track_expected(t, at->field, last);
	if (f->tracked >= 0 && txd_track_begins(t, f->tracked, j->p, j->end))
	{
		name = j->p + 1;
		len = t->fields[f->tracked].len;
		f->name = (TxdJsonValue){name, len, TXD_KIND_TEXT, false, false};
		j->p += len + 2;
		if (!txd_json_colon(j))
			return false;
	}
	else
	{
		if (!txd_json_name(j, &f->name))
			return false;
		name = plain_name(w->d, &f->name, &len);
		f->tracked = txd_track_find(t, at->field, last, name, len);
	}
	f->edge = f->tracked >= 0 ? t->fields[f->tracked].edge : NULL;
	if (f->edge != NULL)
		return true;
	find_edge(w, at, name, len, f);
	if (f->tracked >= 0 && f->edge != &f->unknown)
		t->fields[f->tracked].edge = f->edge;
	return true;
}

static inline bool
read_name(Walk *w, const Place *at, int last, TxdField *f)
{
	const char *name;
	size_t len;

	if (at->field >= 0)
		return read_tracked(w, at, last, f);
	f->tracked = -1;
	if (!txd_json_name(&w->j, &f->name))
		return false;
	name = plain_name(w->d, &f->name, &len);
	find_edge(w, at, name, len, f);
	return true;
}

static bool read_object(Walk *w, const Place *at);
static bool read_array(Walk *w, const Place *at);

/* Do paths lead to elements of the array? */
static bool
has_elements(const Walk *w, const Place *at)
{
	return at->node >= 0 && w->match->nodes[at->node].elements >= 0;
}

/* Reads a value: object by object where somebody wants to know what is in it. */
static inline bool
read_value(Walk *w, const Place *at, TxdJsonValue *value)
{
	const char *s = w->j.p;
	bool array = false;

	if ((at->node < 0 && at->field < 0) || txd_json_peek(&w->j) != '{')
	{
		array = txd_json_peek(&w->j) == '[' && has_elements(w, at);
		if (!array)
			return txd_json_value(&w->j, at->depth, value);
	}
	if (array ? !read_array(w, at) : !read_object(w, at))
		return false;
	*value = (TxdJsonValue){s, w->j.p - s, TXD_KIND_JSON, false, false};
	return true;
}

/*
 * Reads a value that paths lead into; of an object of which nothing is left there is no trace in the
 * rest.
 */
static bool
read_inner(Walk *w, const Place *at, TxdField *f)
{
	TxdBuf *rest = &w->d->rest;
	size_t before = rest->len;
	size_t opened;

	if (txd_json_peek(&w->j) != '{')
	{
		if (!read_value(w, at, &f->value))
			return false;
		put_rest(w->d, &f->name, &f->value);
		return true;
	}
	put_rest_name(w->d, &f->name);
	txd_buf_byte(rest, '{');
	opened = rest->len;
	if (!read_value(w, at, &f->value))
		return false;
	if (rest->len == opened)
		rest->len = before;
	else
		txd_buf_byte(rest, '}');
	return true;
}

static bool
refuse_duplicate(Walk *w, const TxdNode *node, const TxdField *f)
{
	w->j.p = f->name.text - 1;
	txd_json_fail(&w->j, "duplicate_field", "field is given twice, again");
	w->j.err->column = w->d->schema.columns[node->column].name;
	return false;
}

/* Reads the value of a field that a path ends at or goes through. */
static inline bool
read_known(Walk *w, const Place *at, TxdField *f)
{
	TxdNode *node = &w->match->nodes[f->edge->node];
	bool enter = node->inner || w->track->counts;
	Place inside = {node->inner ? f->edge->node : -1, enter ? f->tracked : -1, at->depth + 1,
					at->rest && node->hit < 0};

	if (node->stamp == w->d->serial)
		return refuse_duplicate(w, node, f);
	node->stamp = w->d->serial;
	if (inside.rest ? !read_inner(w, &inside, f) : !read_value(w, &inside, &f->value))
		return false;
	note_found(w->d, w->match, node, &f->value, NULL);
	return true;
}

static inline bool
read_field(Walk *w, const Place *at, TxdField *f)
{
	Place inside = {-1, w->track->counts ? f->tracked : -1, at->depth + 1, false};

	if (f->edge->node >= 0)
		return read_known(w, at, f);
	if (!read_value(w, &inside, &f->value))
		return false;
	if (f->edge->loose >= 0)
		note_loose(w->d, f, NULL);
	else if (at->rest)
		put_rest(w->d, &f->name, &f->value);
	return true;
}

/* Reads the object at j->p field by field. */
static bool
read_object(Walk *w, const Place *at)
{
	TxdJson *j = &w->j;
	int last = -1;
	TxdField f;

	if (at->depth == TXD_JSON_DEPTH)
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
		if (!read_name(w, at, last, &f) || !read_field(w, at, &f))
			return false;
		if (f.tracked >= 0)
		{
			if (w->track->counts)
				txd_track_note(w->track, f.tracked, &f.value);
			last = f.tracked;
		}
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

/* Reads the element of that number, from 0; `wanted` is the next that paths lead to. */
static bool
read_element(Walk *w, const Place *at, int32_t index, int *wanted)
{
	const TxdNode *node = *wanted < 0 ? NULL : &w->match->nodes[*wanted];
	TxdJsonValue value;
	Place inside = {-1, -1, at->depth + 1, false};

	if (node == NULL || node->index != index)
		return txd_json_value(&w->j, at->depth + 1, &value);
	inside.node = node->inner ? *wanted : -1;
	if (!read_value(w, &inside, &value))
		return false;
	note_found(w->d, w->match, node, &value, NULL);
	*wanted = node->next;
	return true;
}

/* Reads the array at j->p element by element. */
static bool
read_array(Walk *w, const Place *at)
{
	TxdJson *j = &w->j;
	int wanted = w->match->nodes[at->node].elements;

	if (at->depth == TXD_JSON_DEPTH)
		return txd_json_fail(j, "too_deep", "more than 64 nested levels");
	j->p++;
	txd_json_space(j);
	for (int32_t i = 0; i > 0 || txd_json_peek(j) != ']'; i += i < INT32_MAX)
	{
		if (!read_element(w, at, i, &wanted))
			return false;
		txd_json_space(j);
		if (txd_json_peek(j) == ']')
			break;
		if (txd_json_peek(j) != ',')
			return txd_json_syntax(j, "expected \",\" or \"]\"");
		j->p++;
		txd_json_space(j);
	}
	j->p++;
	return true;
}

static bool
refuse_clash(TxdError *err, const TxdColumn *col, const TxdJsonValue *one, const TxdJsonValue *two)
{
	if (one->len == two->len && memcmp(one->text, two->text, one->len) == 0)
		return txd_refuse(err, "duplicate_field", col, "field \"%.*s\" is given twice",
						  txd_shorten(one->text, one->len, SHOWN), one->text);
	return txd_refuse(err, "ambiguous_field", col, "fields \"%.*s\" and \"%.*s\" both match",
					  txd_shorten(one->text, one->len, SHOWN), one->text,
					  txd_shorten(two->text, two->len, SHOWN), two->text);
}

/*
 * Settles fields matched by a looser rule: the best rule that any field meets decides, two fields
 * that meet it clash. What is beaten is left over, and goes to the rest.
 */
static bool
settle_loose(TxdDecoder *d, bool rest, TxdError *err)
{
	for (size_t i = 0; i < d->nloose; i++)
	{
		const TxdLoose *l = &d->loose[i];
		TxdFound *found = &d->found[l->column];

		if (found->serial != d->serial || (int) l->how < found->rank)
			*found = (TxdFound){l->value, l->leaf, d->serial, (int) l->how};
	}
	for (size_t i = 0; i < d->nloose; i++)
	{
		const TxdLoose *l = &d->loose[i];
		const TxdLoose *first = d->loose;
		const TxdColumn *col = &d->schema.columns[l->column];

		if ((int) l->how > d->found[l->column].rank)
		{
			if (rest)
				put_rest(d, &l->name, &l->value);
			continue;
		}
		if (l->ambiguous)
			return txd_refuse(err, "ambiguous_field", col, "field \"%.*s\" matches further columns",
							  txd_shorten(l->name.text, l->name.len, SHOWN), l->name.text);
		while (first->column != l->column || first->how != l->how)
			first++;
		if (first != l)
			return refuse_clash(err, col, &first->name, &l->name);
	}
	return true;
}

void
txd_fields_begin(TxdDecoder *d)
{
	d->nloose = 0;
	txd_track_begin(d->track);
}

bool
txd_fields_settle(TxdDecoder *d, TxdError *err)
{
	return settle_loose(d, false, err);
}

void
txd_note_leaf(TxdDecoder *d, const TxdField *f, const TxdLeaf *leaf, TxdFieldType type)
{
	if (f->edge->node >= 0)
		note_found(d, d->match, &d->match->nodes[f->edge->node], &f->value, leaf);
	else if (f->edge->loose >= 0)
		note_loose(d, f, leaf);
	if (f->tracked >= 0)
		txd_track_note_type(d->track, f->tracked, type);
}

bool
txd_json_field(TxdDecoder *d, TxdField *f, int depth, const char *text, size_t len, TxdError *err)
{
	Walk w = {{text, text, text + len, err, false}, d, d->match, d->track};
	const Place at = {-1, -1, depth, false};

	if (!read_field(&w, &at, f))
		return false;
	if (f->tracked >= 0)
		txd_track_note(d->track, f->tracked, &f->value);
	return true;
}

bool
txd_json_fields(TxdDecoder *d, const TxdMessage *message, TxdError *err)
{
	const char *s = message->payload;
	Walk w = {{s, s, s + message->payload_len, err, false}, d, d->match, d->track};
	bool enter = d->needs_object || d->track->counts;
	Place top = {enter ? 0 : -1, enter ? 0 : -1, 0, d->wants_rest};
	TxdJsonValue value;
	bool ok;

	txd_fields_begin(d);
	d->rest.len = 0;
	txd_buf_byte(&d->rest, '{');
	txd_json_space(&w.j);
	if (!read_value(&w, &top, &value) || !txd_json_end(&w.j))
		return false;
	txd_track_commit(d->track, message);
	if (d->needs_object && *value.text != '{')
		return txd_refuse(err, "wrong_type", NULL, "message is not a JSON object");
	ok = settle_loose(d, d->wants_rest, err);
	txd_buf_byte(&d->rest, '}');
	return ok;
}

bool
txd_json_side_fields(TxdDecoder *d, TxdMatch *match, TxdTrack *track, const char *object,
					 size_t len, TxdError *err)
{
	Walk w = {{object, object, object + len, err, false}, d, match, track};
	const Place top = {0, 0, 0, false};
	TxdJsonValue value;

	d->nloose = 0;
	txd_json_space(&w.j);
	if (!read_value(&w, &top, &value) || !txd_json_end(&w.j))
		return false;
	if (*value.text != '{')
		return txd_refuse(err, "wrong_type", NULL, "not a JSON object");
	return settle_loose(d, false, err);
}

bool
txd_json_key_fields(TxdDecoder *d, const char *key, size_t len, TxdError *err)
{
	int i = 0;

	if (key == NULL || len == 0)
		return true;
	if (txd_json_side_fields(d, d->key_match, d->key_track, key, len, err))
		return true;
	while (!txd_column_takes(&d->schema.columns[i], TXD_FROM_KEY_FIELD))
		i++;
	if (err->column == NULL)
		err->column = d->schema.columns[i].name;
	return txd_refuse_key(err);
}
