/*
 * hybrid.h — Parquet's hybrid of run lengths and packed bits, for definition levels and indexes of a dictionary.
 */
#ifndef TXD_HYBRID_H
#define TXD_HYBRID_H

#include "bytes.h"

/* Appends n values below 1 << width (1 to 31), without the length before them. */
extern void txd_hybrid(TxdBytes *out, const uint32_t *values, size_t n, int width);

/* Appends n values packed, the first in the lowest bits, with zeros up to the next whole byte. */
extern void txd_pack_bits(TxdBytes *out, const uint32_t *values, size_t n, int width);

#endif
