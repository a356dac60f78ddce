/*
 * pages.h — the pages of a column of a row group: cut, encoded, compressed, and given to the sink.
 */
#ifndef TXD_PAGES_H
#define TXD_PAGES_H

#include <zstd.h>

#include "chunk.h"

/* The specification's numbers of encodings. */
typedef enum TxdEncoding
{
	TXD_ENCODING_PLAIN = 0,
	TXD_ENCODING_RLE = 3,
	TXD_ENCODING_RLE_DICTIONARY = 8
} TxdEncoding;

/* Where bytes go, and what making pages needs. */
typedef struct TxdPages
{
	TxdParquetSink sink;
	void *arg;
	uint64_t offset; /* bytes that went there */
	ZSTD_CCtx *zstd;
	TxdBytes numbers; /* uint32_t: what is packed */
	TxdBytes packed;
	TxdBytes raw;
	TxdBytes ready; /* a page's header and compressed content */
} TxdPages;

/* What the metadata say of a column's pages. */
typedef struct TxdPagesFacts
{
	uint64_t dictionary_at; /* 0: there is none */
	uint64_t data_at;
	uint64_t begin;
	uint64_t raw_bytes; /* as if nothing were compressed */
} TxdPagesFacts;

extern bool txd_pages_init(TxdPages *pages, TxdParquetSink sink, void *arg);
extern void txd_pages_free(TxdPages *pages);

/* Gives bytes of another kind to the sink. */
extern TxdParquetResult txd_pages_send(TxdPages *pages, const TxdBytes *bytes);

/* Writes what the chunk has gathered. */
extern TxdParquetResult txd_pages_write(TxdPages *pages, TxdChunk *chunk, TxdPagesFacts *facts);

#endif
