/*
 * wire.h — reading the payload of a frame. A read past the end sets `bad` and yields zeros, so that a
 * whole payload is read first and checked once.
 */
#ifndef TXP_WIRE_H
#define TXP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "frame.h"

typedef struct TxpReader
{
	const char *p;
	const char *end;
	bool bad;
} TxpReader;

typedef struct TxpSpan
{
	const char *data; /* NULL: absent */
	uint32_t len;
} TxpSpan;

static inline TxpReader
txp_reader(const char *data, size_t len)
{
	return (TxpReader){data, data + len, false};
}

static inline void
txp_read(TxpReader *r, void *to, size_t len)
{
	if ((size_t) (r->end - r->p) < len)
	{
		r->bad = true;
		r->p = r->end;
		memset(to, 0, len);
		return;
	}
	memcpy(to, r->p, len);
	r->p += len;
}

#define TXP_READ_AS(name, type)                                                                    \
	static inline type name(TxpReader *r)                                                          \
	{                                                                                              \
		type v;                                                                                    \
                                                                                                   \
		txp_read(r, &v, sizeof(v));                                                                \
		return v;                                                                                  \
	}

TXP_READ_AS(txp_read_u8, uint8_t)
TXP_READ_AS(txp_read_u32, uint32_t)
TXP_READ_AS(txp_read_i32, int32_t)
TXP_READ_AS(txp_read_i64, int64_t)

#undef TXP_READ_AS

/* str, bytes and opt: a view into the payload. */
static inline TxpSpan
txp_read_span(TxpReader *r)
{
	uint32_t len = txp_read_u32(r);
	TxpSpan span = {NULL, 0};

	if (len == TXP_ABSENT)
		return span;
	if ((size_t) (r->end - r->p) < len)
	{
		r->bad = true;
		r->p = r->end;
		return span;
	}
	span.data = r->p;
	span.len = len;
	r->p += len;
	return span;
}

/* A count of elements of at least `size` bytes each: one that cannot fit is refused before any allocation. */
static inline uint32_t
txp_read_count(TxpReader *r, size_t size)
{
	uint32_t n = txp_read_u32(r);

	if ((size_t) (r->end - r->p) / size < n)
	{
		r->bad = true;
		r->p = r->end;
		return 0;
	}
	return n;
}

#endif
