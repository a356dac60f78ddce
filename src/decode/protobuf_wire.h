/*
 * protobuf_wire.h — the pieces that Protobuf's encoding is made of. Private to protobuf*.c.
 */
#ifndef TXD_PROTOBUF_WIRE_H
#define TXD_PROTOBUF_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum PbWire
{
	PB_VARINT = 0,
	PB_64BIT = 1,
	PB_BYTES_OF = 2, /* a length, and so many bytes */
	PB_GROUP_BEGINS = 3,
	PB_GROUP_ENDS = 4,
	PB_32BIT = 5
} PbWire;

/* Bytes that are read from p on. */
typedef struct PbInput
{
	const unsigned char *p;
	const unsigned char *end;
	const char *why; /* it is none: where p is */
} PbInput;

static inline bool
txd_pb_fail(PbInput *in, const char *why)
{
	in->why = why;
	return false;
}

/* Seven bits a byte, the lowest first. */
extern bool txd_pb_long_varint(PbInput *in, uint64_t *v);

static inline bool
txd_pb_varint(PbInput *in, uint64_t *v)
{
	if (in->p < in->end && *in->p < 0x80)
	{
		*v = *in->p++;
		return true;
	}
	return txd_pb_long_varint(in, v);
}

static inline int64_t
txd_pb_zigzag(uint64_t v)
{
	return (int64_t) (v >> 1 ^ -(v & 1));
}

/* What begins a field: its number and how its value is written. */
extern bool txd_pb_tag(PbInput *in, uint32_t *number, PbWire *wire);

/* Little-endian; size is 4 or 8. */
extern bool txd_pb_fixed(PbInput *in, int size, uint64_t *v);

/* Bytes that their length precedes: what is in them. */
extern bool txd_pb_bytes(PbInput *in, PbInput *within);

/* What is in a group, up to the end that has its number. */
extern bool txd_pb_group(PbInput *in, uint32_t number, PbInput *within);

/* Steps over a value. */
extern bool txd_pb_skip(PbInput *in, uint32_t number, PbWire wire);

#endif
