/*
 * leaf.h — a value as a schema has it, to its COPY field without the text between. Private to src/decode.
 */
#ifndef TXD_LEAF_H
#define TXD_LEAF_H

#include "value.h"

typedef enum TxdLeafKind
{
	TXD_LEAF_NULL,
	TXD_LEAF_BOOL,
	TXD_LEAF_INTEGER,
	TXD_LEAF_FLOAT, /* of 32 bits, */
	TXD_LEAF_REAL,  /* and of 64 */
	TXD_LEAF_DECIMAL,
	TXD_LEAF_TEXT,
	TXD_LEAF_DATE,    /* days since 1970 */
	TXD_LEAF_INSTANT, /* microseconds since then, */
	TXD_LEAF_LOCAL,   /* as the clock of some zone shows it */
	TXD_LEAF_NONE     /* of no such kind */
} TxdLeafKind;

typedef struct TxdLeaf
{
	TxdLeafKind kind;
	int scale;        /* of a decimal */
	int64_t integer;  /* also of booleans, dates and times */
	double real;      /* of both widths */
	const char *text; /* UTF-8 without NUL; of a decimal its bytes, big-endian two's complement */
	size_t len;
} TxdLeaf;

struct TxdDecoder;

/*
 * Can values of the kind become the column's without being JSON first? If so, what txd_put_leaf appends is what their JSON
 * would; it returns false for single values that better go that way, which says why where they are to be refused.
 */
extern bool txd_leaf_fits(const struct TxdDecoder *d, const TxdColumn *column, TxdLeafKind kind);
extern bool txd_put_leaf(struct TxdDecoder *d, const TxdColumn *column, const TxdLeaf *leaf,
						 TxdBuf *rows, TxdError *err);

#endif
