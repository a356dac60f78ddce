/*
 * thrift.c — the compact protocol of Apache Thrift, written.
 */
#include "thrift.h"

static void
zigzag(TxdThrift *thrift, int64_t value)
{
	txd_bytes_varint(thrift->out, ((uint64_t) value << 1) ^ (value < 0 ? UINT64_MAX : 0));
}

/* The distance to the last field and the type; no field of Parquet is further away than 15. */
static void
field_header(TxdThrift *thrift, int field, TxdThriftType type)
{
	int *last = &thrift->last[thrift->depth - 1];

	txd_bytes_byte(thrift->out, (unsigned char) ((field - *last) << 4 | (int) type));
	*last = field;
}

void
txd_thrift_begin(TxdThrift *thrift)
{
	thrift->last[thrift->depth++] = 0;
}

void
txd_thrift_struct(TxdThrift *thrift, int field)
{
	field_header(thrift, field, TXD_THRIFT_STRUCT);
	txd_thrift_begin(thrift);
}

void
txd_thrift_end(TxdThrift *thrift)
{
	txd_bytes_byte(thrift->out, 0);
	thrift->depth--;
}

void
txd_thrift_empty(TxdThrift *thrift, int field)
{
	txd_thrift_struct(thrift, field);
	txd_thrift_end(thrift);
}

void
txd_thrift_bool(TxdThrift *thrift, int field, bool value)
{
	field_header(thrift, field, value ? TXD_THRIFT_TRUE : TXD_THRIFT_FALSE);
}

void
txd_thrift_i32(TxdThrift *thrift, int field, int32_t value)
{
	field_header(thrift, field, TXD_THRIFT_I32);
	zigzag(thrift, value);
}

void
txd_thrift_i64(TxdThrift *thrift, int field, int64_t value)
{
	field_header(thrift, field, TXD_THRIFT_I64);
	zigzag(thrift, value);
}

void
txd_thrift_binary(TxdThrift *thrift, int field, const void *data, size_t len)
{
	field_header(thrift, field, TXD_THRIFT_BINARY);
	txd_thrift_binary_element(thrift, data, len);
}

void
txd_thrift_list(TxdThrift *thrift, int field, TxdThriftType type, size_t n)
{
	field_header(thrift, field, TXD_THRIFT_LIST);
	if (n < 15)
		txd_bytes_byte(thrift->out, (unsigned char) (n << 4 | type));
	else
	{
		txd_bytes_byte(thrift->out, (unsigned char) (0xF0 | type));
		txd_bytes_varint(thrift->out, n);
	}
}

void
txd_thrift_i32_element(TxdThrift *thrift, int32_t value)
{
	zigzag(thrift, value);
}

void
txd_thrift_binary_element(TxdThrift *thrift, const void *data, size_t len)
{
	txd_bytes_varint(thrift->out, len);
	txd_bytes_append(thrift->out, data, len);
}
