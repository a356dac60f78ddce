/*
 * protobuf_wire.h — the pieces that Protobuf's encoding is made of. Private to protobuf*.c.
 */
#ifndef TXD_PROTOBUF_WIRE_H
#define TXD_PROTOBUF_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PB_TOO_EARLY "message ends too early"

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
static inline bool
txd_pb_tag(PbInput *in, uint32_t *number, PbWire *wire)
{
	uint64_t tag;

	if (!txd_pb_varint(in, &tag))
		return false;
	*number = (uint32_t) (tag >> 3);
	*wire = (PbWire) (tag & 7);
	if (tag > UINT32_MAX || *number == 0)
		return txd_pb_fail(in, "a field number out of range");
	return *wire <= PB_32BIT || txd_pb_fail(in, "a kind of field that there is not");
}

/* Little-endian; size is 4 or 8. */
static inline bool
txd_pb_fixed(PbInput *in, int size, uint64_t *v)
{
	if (in->end - in->p < size)
		return txd_pb_fail(in, PB_TOO_EARLY);
	*v = 0;
	for (int i = 0; i < size; i++)
		*v |= (uint64_t) in->p[i] << (8 * i);
	in->p += size;
	return true;
}

/* Bytes that their length precedes: what is in them. */
static inline bool
txd_pb_bytes(PbInput *in, PbInput *within)
{
	uint64_t len;

	if (!txd_pb_varint(in, &len))
		return false;
	if (len > (uint64_t) (in->end - in->p))
		return txd_pb_fail(in, "a length beyond the message's end");
	*within = (PbInput){.p = in->p, .end = in->p + len};
	in->p += len;
	return true;
}

/* What is in a group, up to the end that has its number. */
extern bool txd_pb_group(PbInput *in, uint32_t number, PbInput *within);

/* Steps over a value of a kind that has no end of its own; `within` is what is in bytes. */
static inline bool
txd_pb_step(PbInput *in, PbWire wire, PbInput *within)
{
	uint64_t v;

	if (wire == PB_VARINT)
		return txd_pb_varint(in, &v);
	if (wire == PB_BYTES_OF)
		return txd_pb_bytes(in, within);
	return txd_pb_fixed(in, wire == PB_32BIT ? 4 : 8, &v);
}

/* The same for any. */
static inline bool
txd_pb_skip(PbInput *in, uint32_t number, PbWire wire, PbInput *within)
{
	if (wire == PB_GROUP_BEGINS)
		return txd_pb_group(in, number, within);
	if (wire == PB_GROUP_ENDS)
		return txd_pb_fail(in, "the end of a group that did not begin");
	return txd_pb_step(in, wire, within);
}

#endif
