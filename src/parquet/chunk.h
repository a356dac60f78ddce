/*
 * chunk.h — one column of a row group while its rows are gathered.
 *
 * The first values are numbers of a dictionary's entries; when that becomes too large, or is of no use, the values that
 * follow are kept plain.
 */
#ifndef TXD_CHUNK_H
#define TXD_CHUNK_H

#include "bytes.h"
#include "physical.h"

typedef struct TxdChunk
{
	TxdParquetColumn column;
	int width; /* of each value; 0: a length stands before them */
	size_t rows;
	size_t nulls;
	TxdBytes present; /* a byte for each row: 1, 0 for NULL */

	bool is_closed;      /* the dictionary takes no more values */
	TxdBytes dictionary; /* its entries, PLAIN */
	TxdBytes starts;     /* uint32_t: where each begins */
	size_t entries;
	TxdBytes slots;   /* uint32_t: a hash table of entries + 1, 0 is empty */
	TxdBytes indexes; /* uint32_t: the entry of each value */
	size_t indexed;   /* how many values those are */
	size_t saved;     /* bytes they would have plain */

	TxdBytes plain; /* the values behind them; booleans a byte each */
	size_t nplain;
} TxdChunk;

/* Least and greatest value. */
typedef struct TxdRange
{
	bool is_known; /* false without values, with NaN among them, and where one is long */
	size_t min_len;
	size_t max_len;
	unsigned char min[64];
	unsigned char max[64];
} TxdRange;

extern void txd_chunk_init(TxdChunk *chunk, const TxdParquetColumn *column);
extern void txd_chunk_free(TxdChunk *chunk);
/* For the next row group; memory is kept. */
extern void txd_chunk_clear(TxdChunk *chunk);

/* A value or NULL; no memory and what does not fit are told apart. */
extern TxdParquetResult txd_chunk_add(TxdChunk *chunk, const TxdParquetValue *value);

/* Bytes that are kept. */
extern size_t txd_chunk_size(const TxdChunk *chunk);

/* No further rows: a dictionary that saves nothing is dissolved. False: no memory. */
extern bool txd_chunk_close(TxdChunk *chunk);

extern void txd_chunk_range(const TxdChunk *chunk, TxdRange *range);

/* The value at *at of PLAIN bytes, which then stands behind it. */
extern TxdPlain txd_chunk_next(const TxdChunk *chunk, const unsigned char **at);

/* Bits of a number of an entry. */
extern int txd_chunk_index_bits(const TxdChunk *chunk);

#endif
