/*
 * match.c — field-name to column matching: the trie of paths and the rules for names.
 */
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "match.h"
#include "name_hash.h"

/* Names that no path mentions are remembered up to this many, so that memory stays bounded. */
#define MAX_REMEMBERED 512
#define MAX_REMEMBERED_NAME 128

/* The edge of that name, or the free place where it belongs. */
static inline TxdEdge *
find_edge(TxdMatch *m, int parent, const char *name, size_t len, uint32_t hash)
{
	for (uint32_t i = hash & m->mask;; i = (i + 1) & m->mask)
	{
		TxdEdge *e = &m->edges[i];

		if (e->name == NULL || (e->hash == hash && e->parent == parent && e->len == len &&
								memcmp(e->name, name, len) == 0))
			return e;
	}
}

static void
fill_edge(TxdMatch *m, TxdEdge *e, int parent, const char *name, size_t len, uint32_t hash)
{
	char *copy = txd_alloc(len + 1);

	memcpy(copy, name, len);
	copy[len] = '\0';
	*e = (TxdEdge){copy, (uint32_t) len, hash, parent, -1, -1, TXD_NAME_NONE, false};
	m->nedges++;
}

static int
add_node(TxdMatch *m, int column)
{
	m->nodes[m->nnodes] = (TxdNode){-1, false, column, 0, -1, -1, 0};
	return m->nnodes++;
}

/* The array's element of that number; they are listed in their order. */
static int
element_node(TxdMatch *m, int array, int32_t index, int column)
{
	int *at = &m->nodes[array].elements;

	while (*at >= 0 && m->nodes[*at].index < index)
		at = &m->nodes[*at].next;
	if (*at < 0 || m->nodes[*at].index != index)
	{
		int next = *at;

		*at = add_node(m, column);
		m->nodes[*at].next = next;
		m->nodes[*at].index = index;
		m->nodes[array].inner = true;
	}
	return *at;
}

static int
child_node(TxdMatch *m, int parent, const char *name, size_t len, int column)
{
	uint32_t hash = txd_name_hash(parent, name, len);
	TxdEdge *e = find_edge(m, parent, name, len, hash);

	if (e->name == NULL)
	{
		fill_edge(m, e, parent, name, len, hash);
		e->node = add_node(m, column);
		m->nodes[parent].inner = true;
	}
	return e->node;
}

static void
add_hit(TxdMatch *m, int node, int column, int rank)
{
	m->hits[m->nhits] = (TxdHit){column, rank, m->nodes[node].hit};
	m->nodes[node].hit = m->nhits++;
}

/* "[N]" at *p. */
static bool
element_part(const char *path, const char **p, int32_t *element, const TxdColumn *column,
			 TxdError *err)
{
	int digits = 0;

	*element = 0;
	for (; (*p)[1] >= '0' && (*p)[1] <= '9' && digits < 6; ++*p, digits++)
		*element = *element * 10 + ((*p)[1] - '0');
	++*p;
	if (digits == 0 || **p != ']')
		return txd_refuse(err, "bad_value", column,
						  "path \"%s\" has a [ without the number of an element and a ]", path);
	++*p;
	if (**p != '\0' && **p != '[' && (**p != '.' || (*p)[1] == '\0'))
		return txd_refuse(err, "bad_value", column,
						  "path \"%s\" goes on behind ] without a dot and a name", path);
	*p += **p == '.';
	return true;
}

bool
txd_path_part(const char *path, const char **p, TxdBuf *name, int32_t *element,
			  const TxdColumn *column, TxdError *err)
{
	if (**p == '[' && *p > path && (*p)[-1] != '.')
		return element_part(path, p, element, column, err);
	*element = -1;
	name->len = 0;
	for (; **p != '\0' && **p != '.' && **p != '['; ++*p)
	{
		if (**p == '\\' && *++*p != '.' && **p != '\\' && **p != '[' &&
			(**p != '$' || *p != path + 1))
			return txd_refuse(err, "bad_value", column,
							  "path \"%s\" has a backslash before what needs none", path);
		txd_buf_byte(name, **p);
	}
	if (name->len == 0 || (**p == '.' && (*p)[1] == '\0'))
		return txd_refuse(err, "bad_value", column, "path \"%s\" has an empty part", path);
	*p += **p == '.';
	return true;
}

/* Adds one path: names divided by dots, numbers of elements in brackets; see decode.h for backslashes. */
static bool
add_path(TxdMatch *m, int column, int rank, const char *path, TxdBuf *name, TxdError *err)
{
	const TxdColumn *col = &m->schema->columns[column];
	const char *p = path;
	int32_t element;
	int node = 0;
	int depth = 0;

	do
	{
		if (!txd_path_part(path, &p, name, &element, col, err))
			return false;
		if (++depth > TXD_JSON_DEPTH)
			return txd_refuse(err, "bad_value", col, "path has more than 64 parts");
		if (element >= 0)
			node = element_node(m, node, element, column);
		else
			node = child_node(m, node, name->data, name->len, column);
	} while (*p != '\0');
	add_hit(m, node, column, rank);
	return true;
}

static bool
add_columns(TxdMatch *m, TxdError *err)
{
	TxdBuf name = {NULL, 0, 0};
	bool ok = true;

	for (int i = 0; ok && i < m->schema->ncolumns; i++)
	{
		const TxdColumn *col = &m->schema->columns[i];

		if (!txd_column_takes(col, m->source))
			continue;
		for (int k = 0; ok && k < col->npaths; k++)
			ok = add_path(m, i, k, col->paths[k], &name, err);
		if (col->npaths == 0)
		{
			add_hit(m, child_node(m, 0, col->name, strlen(col->name), i), i, 0);
			m->loose = true;
		}
	}
	txd_buf_free(&name);
	return ok;
}

TxdMatch *
txd_match_new(const TxdSchema *schema, TxdSource source, TxdError *err)
{
	TxdMatch *m = txd_alloc(sizeof(TxdMatch));
	size_t hits = 0;
	size_t nodes = 1;
	size_t size = 16;

	for (int i = 0; i < schema->ncolumns; i++)
	{
		const TxdColumn *col = &schema->columns[i];

		hits += col->npaths + 1;
		nodes++;
		for (int k = 0; k < col->npaths; k++)
			nodes += strlen(col->paths[k]) + 1;
	}
	memset(m, 0, sizeof(*m));
	m->schema = schema;
	m->source = source;
	m->nodes = txd_alloc(nodes * sizeof(TxdNode));
	m->hits = txd_alloc(hits * sizeof(TxdHit));
	while (size < 2 * (nodes + MAX_REMEMBERED))
		size *= 2;
	m->mask = (uint32_t) size - 1;
	m->edges = txd_alloc(size * sizeof(TxdEdge));
	memset(m->edges, 0, size * sizeof(TxdEdge));
	add_node(m, -1);
	if (!add_columns(m, err))
	{
		txd_match_free(m);
		return NULL;
	}
	m->max_edges = m->nedges + MAX_REMEMBERED;
	return m;
}

void
txd_match_free(TxdMatch *m)
{
	if (m == NULL)
		return;
	for (uint32_t i = 0; i <= m->mask; i++)
		free((char *) m->edges[i].name);
	free(m->edges);
	free(m->hits);
	free(m->nodes);
	free(m);
}

/* Applies the looser rules to a top-level field that no path or column names exactly. */
static void
match_loosely(const TxdMatch *m, TxdEdge *e)
{
	TxdNameMatch best = TXD_NAME_NONE;

	for (int i = 0; i < m->schema->ncolumns; i++)
	{
		const TxdColumn *col = &m->schema->columns[i];
		TxdNameMatch how;

		if (!txd_column_takes(col, m->source) || col->npaths > 0)
			continue;
		how = txd_name_match(e->name, e->len, col->name);
		if (how < best)
		{
			best = how;
			e->loose = i;
			e->how = how;
			e->ambiguous = false;
		}
		else if (how == best && how != TXD_NAME_NONE)
			e->ambiguous = true;
	}
}

const TxdEdge *
txd_match_field(TxdMatch *m, int node, const char *name, size_t len, TxdEdge *unknown)
{
	static const TxdEdge nothing = {NULL, 0, 0, -1, -1, -1, TXD_NAME_NONE, false};
	uint32_t hash;
	TxdEdge *e;

	if (node < 0)
		return &nothing;
	hash = txd_name_hash(node, name, len);
	e = find_edge(m, node, name, len, hash);
	if (e->name != NULL)
		return e;
	if (!m->loose || node != 0)
		return &nothing;
	*unknown = (TxdEdge){name, (uint32_t) len, hash, node, -1, -1, TXD_NAME_NONE, false};
	if (m->nedges == m->max_edges || len > MAX_REMEMBERED_NAME)
	{
		match_loosely(m, unknown);
		return unknown;
	}
	fill_edge(m, e, node, name, len, hash);
	match_loosely(m, e);
	return e;
}
