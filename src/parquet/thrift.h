/*
 * thrift.h — the compact protocol of Apache Thrift, as far as Parquet's metadata need it; written only.
 *
 * Fields of a struct come in the order of their numbers. A struct is begun and ended by the same two calls whether it is a
 * field or an element of a list.
 */
#ifndef TXD_THRIFT_H
#define TXD_THRIFT_H

#include "bytes.h"

#define TXD_THRIFT_DEPTH 8

typedef enum TxdThriftType
{
	TXD_THRIFT_TRUE = 1,
	TXD_THRIFT_FALSE = 2,
	TXD_THRIFT_I32 = 5,
	TXD_THRIFT_I64 = 6,
	TXD_THRIFT_BINARY = 8,
	TXD_THRIFT_LIST = 9,
	TXD_THRIFT_STRUCT = 12
} TxdThriftType;

typedef struct TxdThrift
{
	TxdBytes *out;
	int depth;
	int last[TXD_THRIFT_DEPTH]; /* number of the last field of each open struct */
} TxdThrift;

/* Structs: the outermost and elements of lists begin with txd_thrift_begin, fields with txd_thrift_struct. */
extern void txd_thrift_begin(TxdThrift *thrift);
extern void txd_thrift_struct(TxdThrift *thrift, int field);
extern void txd_thrift_end(TxdThrift *thrift);
/* A struct without fields, as the members of unions often are. */
extern void txd_thrift_empty(TxdThrift *thrift, int field);

extern void txd_thrift_bool(TxdThrift *thrift, int field, bool value);
extern void txd_thrift_i32(TxdThrift *thrift, int field, int32_t value);
extern void txd_thrift_i64(TxdThrift *thrift, int field, int64_t value);
extern void txd_thrift_binary(TxdThrift *thrift, int field, const void *data, size_t len);

/* The header of a list of n elements, which follow: structs, or those of the last two calls. */
extern void txd_thrift_list(TxdThrift *thrift, int field, TxdThriftType type, size_t n);
extern void txd_thrift_i32_element(TxdThrift *thrift, int32_t value);
extern void txd_thrift_binary_element(TxdThrift *thrift, const void *data, size_t len);

#endif
