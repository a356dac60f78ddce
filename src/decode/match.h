/*
 * match.h — which columns a field belongs to.
 *
 * Paths form a trie whose edges are kept in one hash table keyed by (parent node, field name). A
 * column without a path matches a top-level field by name: exactly, else case-insensitively
 * (ASCII), else with the field's camelCase turned to snake_case. Exact names are edges like any
 * other; what the other two rules say about a field name is remembered in the same table.
 */
#ifndef TXD_MATCH_H
#define TXD_MATCH_H

#include "decode.h"
#include "fieldname.h"

/* A field name under a node, and what is known about it. */
typedef struct TxdEdge
{
	const char *name; /* NULL: free place in the table */
	uint32_t len;
	uint32_t hash;
	int parent;
	int node;         /* the node it leads to, or -1 */
	int loose;        /* else: the column it matches by one of the looser rules, or -1, */
	TxdNameMatch how; /* and which rule that is */
	bool ambiguous;   /* it matches further columns as well */
} TxdEdge;

/* A column whose path ends at a node: as its alternative number `rank`. */
typedef struct TxdHit
{
	int column;
	int rank;
	int next; /* the node's next hit, or -1 */
} TxdHit;

typedef struct TxdNode
{
	int hit;        /* first hit, or -1 */
	bool inner;     /* paths go on below it */
	int column;     /* a column its path leads to, for messages */
	uint64_t stamp; /* last message that had it */
	int elements;   /* of an array: the first element that paths name, or -1 */
	int next;       /* of an element: the next one, or -1 */
	int32_t index;  /* and its number, from 0 */
} TxdNode;

typedef struct TxdMatch
{
	TxdNode *nodes; /* 0 is the message itself */
	int nnodes;
	TxdHit *hits;
	int nhits;
	TxdEdge *edges; /* open addressing, at most half full */
	uint32_t mask;
	uint32_t nedges;
	uint32_t max_edges;
	const TxdSchema *schema;
	TxdSource source;
	bool loose; /* some column is matched by name */
} TxdMatch;

/*
 * Reads the next part of a path at *p: a field's name into `name`, *element is -1; or the number of an array's
 * element. Moves *p behind it and its dot. Refuses what is no path, for `column`.
 */
extern bool txd_path_part(const char *path, const char **p, TxdBuf *name, int32_t *element,
						  const TxdColumn *column, TxdError *err);

/* Takes the column fields of that source? */
static inline bool
txd_column_takes(const TxdColumn *column, TxdSource source)
{
	return column->source == source || (source == TXD_FROM_KEY_FIELD && column->or_key);
}

/*
 * Builds the trie of the schema's columns from fields of `source`: TXD_FROM_FIELD, TXD_FROM_KEY_FIELD or
 * TXD_FROM_ENVELOPE_FIELD; NULL with err filled for an unusable path.
 */
extern TxdMatch *txd_match_new(const TxdSchema *schema, TxdSource source, TxdError *err);
extern void txd_match_free(TxdMatch *match);

/*
 * What is known about the field `name` under `node` (-1: no path leads there). `unknown` is filled
 * and returned for a name too many to be remembered; anything else lives as long as the match.
 */
extern const TxdEdge *txd_match_field(TxdMatch *match, int node, const char *name, size_t len,
									  TxdEdge *unknown);

#endif
