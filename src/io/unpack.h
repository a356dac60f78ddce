/*
 * unpack.h — gzip and zstd undone piece by piece. Members of a gzip file and frames of a zstd file follow one
 * another. Plain C without channels.
 */
#ifndef TXP_UNPACK_H
#define TXP_UNPACK_H

#include <stdbool.h>
#include <zlib.h>
#include <zstd.h>

#include "../decode/buf.h"

typedef enum TxpPacking
{
	TXP_PLAIN,
	TXP_GZIP,
	TXP_ZSTD
} TxpPacking;

#define TXP_MAGIC 4 /* bytes that tell */

typedef struct TxpUnpack
{
	TxpPacking packing;
	bool complete; /* between two members, where a file may end */
	bool pending;  /* more content comes without further input */
	z_stream z;
	ZSTD_DStream *d;
} TxpUnpack;

/* How a file with these first bytes is packed. */
extern TxpPacking txp_packing_of(const unsigned char *first, size_t len);
/* "gzip", "zstd". */
extern const char *txp_packing_name(TxpPacking packing);

/* False when there is no memory. */
extern bool txp_unpack_start(TxpUnpack *u, TxpPacking packing);
extern void txp_unpack_end(TxpUnpack *u);

/*
 * Appends what the bytes give, at most `room` bytes, and adds how many it has used to *used. Returns NULL, or
 * why the data is damaged (static text).
 */
extern const char *txp_unpack(TxpUnpack *u, const unsigned char *p, size_t len, size_t *used,
							  size_t room, TxdBuf *to);

#endif
