/*
 * both_ways.h — decodes a message of Avro or Protobuf to columns of all types, bound and by JSON. Private to the tests.
 *
 * A column that takes the whole message needs its JSON: with one more of these, in front, nothing is bound. Rows, refusals and
 * the fields that were seen must be the same.
 */
#ifndef TXD_BOTH_WAYS_H
#define TXD_BOTH_WAYS_H

#include <stdlib.h>
#include <string.h>

#include "decode/decode.h"

#define BOTH_MOST 24 /* columns */

typedef struct Side
{
	TxdDecoder *d;
	TxdBuf rows;
	TxdError err;
	bool ok;
} Side;

static inline void
side_run(Side *side, const TxdSchema *schema, const char *bytes, size_t len)
{
	TxdMessage m = {.payload = bytes, .payload_len = len, .timestamp_ms = -1};

	*side = (Side){0};
	side->d = txd_new(schema, &side->err);
	/* The second time all is in place. */
	for (int i = 0; side->d != NULL && i < 2; i++)
	{
		side->rows.len = 0;
		side->ok = txd_decode(side->d, &m, &side->rows, &side->err);
	}
}

static inline void
side_end(Side *side)
{
	txd_free(side->d);
	txd_buf_free(&side->rows);
}

static inline const TxdFieldSeen *
seen_as(const TxdFieldSeen *list, size_t n, const char *path)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].path, path) == 0)
			return &list[i];
	return NULL;
}

static inline bool
same_fields(const Side *a, const Side *b)
{
	const TxdFieldSeen *of_a;
	const TxdFieldSeen *of_b;
	uint64_t ua;
	uint64_t ub;
	size_t na = txd_fields_seen(a->d, &of_a, &ua);
	size_t nb = txd_fields_seen(b->d, &of_b, &ub);
	bool same = na == nb && ua == ub;

	for (size_t i = 0; same && i < na; i++)
	{
		const TxdFieldSeen *other = seen_as(of_b, nb, of_a[i].path);

		same = other != NULL && other->types == of_a[i].types && other->count == of_a[i].count;
	}
	return same;
}

/* Are the rows the same but for the first field of b, and in text form for what follows it? */
static inline bool
same_rows(const Side *a, const Side *b, TxdForm form)
{
	size_t from_a = form == TXD_BINARY ? 2 : 0;
	size_t from_b = from_a;

	if (form == TXD_TEXT)
		from_b = (size_t) ((char *) memchr(b->rows.data, '\t', b->rows.len) - b->rows.data) + 1;
	else
	{
		const unsigned char *p = (const unsigned char *) b->rows.data + 2;

		from_b += 4 + ((size_t) p[0] << 24 | (size_t) p[1] << 16 | (size_t) p[2] << 8 | p[3]);
	}
	return a->rows.len - from_a == b->rows.len - from_b &&
		   memcmp(a->rows.data + from_a, b->rows.data + from_b, a->rows.len - from_a) == 0;
}

static inline const char *
compare_sides(const Side *a, const Side *b, TxdForm form)
{
	if (a->d == NULL || b->d == NULL)
		return (a->d == NULL) == (b->d == NULL) ? NULL : "one decoder is refused";
	if (a->ok != b->ok)
		return "one refuses";
	if (!a->ok &&
		(strcmp(a->err.code, b->err.code) != 0 || strcmp(a->err.message, b->err.message) != 0))
		return "the refusals differ";
	if (a->ok && !same_rows(a, b, form))
		return "the rows differ";
	return same_fields(a, b) ? NULL : "the fields seen differ";
}

/* The paths of what the message has, as far as they go into columns. */
static inline int
paths_of(const TxdSchema *given, const char *bytes, size_t len, char **paths)
{
	TxdColumn whole = {.name = "whole", .type = TXD_JSONTEXT, .source = TXD_FROM_VALUE};
	TxdSchema schema = *given;
	const TxdFieldSeen *fields;
	uint64_t unlisted;
	Side side;
	int n = 0;

	schema.form = TXD_BINARY;
	schema.columns = &whole;
	schema.ncolumns = 1;
	schema.track_fields = true;
	side_run(&side, &schema, bytes, len);
	if (side.d != NULL)
	{
		size_t count = txd_fields_seen(side.d, &fields, &unlisted);

		for (size_t i = 0; i < count && n < BOTH_MOST - 1; i++)
			paths[n++] = strdup(fields[i].path);
	}
	side_end(&side);
	return n;
}

static inline unsigned
mixed(unsigned v)
{
	for (int i = 0; i < 3; i++)
		v = (v ^ v >> 15) * 0x2c1b3c6du;
	return v ^ v >> 16;
}

static inline void
choose_type(TxdColumn *column, TxdForm form, unsigned r)
{
	column->type = (TxdType) (r / 64 % (unsigned) (form == TXD_TEXT ? TXD_OTHER + 1 : TXD_OTHER));
	if (column->type >= TXD_DATE && column->type <= TXD_TIMESTAMPTZ)
		column->precision = r / 4096 % 4 != 0 ? -1 : (int) (r / 16384 % 8) - 1;
}

/* What is wrong, or NULL. The seed chooses types, conversions, the form and whether fields are listed. */
static inline const char *
both_ways(const TxdSchema *given, const char *bytes, size_t len, unsigned seed)
{
	static const TxdConvert converts[] = {TXD_AS_TRIM, TXD_AS_EPOCH_MS, TXD_AS_WHOLE};
	char *paths[BOTH_MOST];
	TxdColumn columns[BOTH_MOST + 2] = {
		{.name = "whole", .type = TXD_JSONTEXT, .source = TXD_FROM_VALUE}};
	TxdSchema schema = *given;
	Side bound;
	Side by_json;
	const char *wrong;
	int npaths = paths_of(given, bytes, len, paths);
	int n = 0;

	schema.form = seed % 5 == 0 ? TXD_TEXT : TXD_BINARY;
	schema.track_fields = seed % 3 != 0;
	for (int i = 0; i < npaths; i++)
	{
		/* One is of any type, which most refuse. */
		bool typed = i == (int) (seed % (unsigned) npaths);
		unsigned r = mixed(seed * BOTH_MOST + (unsigned) i);

		if (!typed && r % 4 != 0)
			continue;
		columns[++n] = (TxdColumn){.name = paths[i],
								   .type = TXD_STRING,
								   .convert = r / 4 % 8 == 0 ? converts[r / 32 % 3] : TXD_AS_IS,
								   .npaths = 1,
								   .paths = (const char **) &paths[i]};
		if (typed)
			choose_type(&columns[n], schema.form, r);
	}
	/* A column that no field has is enough for a decoder. */
	columns[n + 1] = (TxdColumn){.name = "no such field", .type = TXD_STRING};
	schema.ncolumns = n + 1;
	schema.columns = columns + 1;
	side_run(&bound, &schema, bytes, len);
	schema.ncolumns = n + 2;
	schema.columns = columns;
	side_run(&by_json, &schema, bytes, len);
	wrong = compare_sides(&bound, &by_json, schema.form);
	side_end(&bound);
	side_end(&by_json);
	for (int i = 0; i < npaths; i++)
		free(paths[i]);
	return wrong;
}

#endif
