/*
 * protobuf_wire.c — the pieces that Protobuf's encoding is made of.
 */
#include "protobuf_wire.h"
#include "json.h"

#define TOO_EARLY "message ends too early"

bool
txd_pb_long_varint(PbInput *in, uint64_t *v)
{
	const unsigned char *p = in->p;

	*v = 0;
	for (int shift = 0; shift < 64; shift += 7)
	{
		if (p == in->end)
			return txd_pb_fail(in, TOO_EARLY);
		if (shift == 63 && *p > 1)
			break;
		*v |= (uint64_t) (*p & 0x7f) << shift;
		if (*p++ < 0x80)
		{
			in->p = p;
			return true;
		}
	}
	return txd_pb_fail(in, "a number of more than 64 bits");
}

bool
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

bool
txd_pb_fixed(PbInput *in, int size, uint64_t *v)
{
	if (in->end - in->p < size)
		return txd_pb_fail(in, TOO_EARLY);
	*v = 0;
	for (int i = 0; i < size; i++)
		*v |= (uint64_t) in->p[i] << (8 * i);
	in->p += size;
	return true;
}

bool
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

static bool
skip_plain(PbInput *in, PbWire wire)
{
	uint64_t v;
	PbInput within;

	if (wire == PB_VARINT)
		return txd_pb_varint(in, &v);
	if (wire == PB_BYTES_OF)
		return txd_pb_bytes(in, &within);
	return txd_pb_fixed(in, wire == PB_32BIT ? 4 : 8, &v);
}

bool
txd_pb_group(PbInput *in, uint32_t number, PbInput *within)
{
	uint32_t open[TXD_JSON_DEPTH];
	int depth = 1;
	PbWire wire;

	open[0] = number;
	*within = (PbInput){.p = in->p};
	while (depth > 0)
	{
		within->end = in->p;
		if (!txd_pb_tag(in, &number, &wire))
			return false;
		if (wire == PB_GROUP_BEGINS && depth == TXD_JSON_DEPTH)
			return txd_pb_fail(in, "more than 64 nested groups");
		if (wire == PB_GROUP_BEGINS)
			open[depth++] = number;
		else if (wire == PB_GROUP_ENDS && open[--depth] != number)
			return txd_pb_fail(in, "the end of another group");
		else if (wire != PB_GROUP_ENDS && !skip_plain(in, wire))
			return false;
	}
	return true;
}

bool
txd_pb_skip(PbInput *in, uint32_t number, PbWire wire)
{
	PbInput within;

	if (wire == PB_GROUP_BEGINS)
		return txd_pb_group(in, number, &within);
	if (wire == PB_GROUP_ENDS)
		return txd_pb_fail(in, "the end of a group that did not begin");
	return skip_plain(in, wire);
}
