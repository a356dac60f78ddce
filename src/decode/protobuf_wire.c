/*
 * protobuf_wire.c — the pieces that Protobuf's encoding is made of.
 */
#include "protobuf_wire.h"
#include "json.h"

bool
txd_pb_long_varint(PbInput *in, uint64_t *v)
{
	const unsigned char *p = in->p;

	*v = 0;
	for (int shift = 0; shift < 64; shift += 7)
	{
		if (p == in->end)
			return txd_pb_fail(in, PB_TOO_EARLY);
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
txd_pb_group(PbInput *in, uint32_t number, PbInput *within)
{
	uint32_t open[TXD_JSON_DEPTH];
	PbInput value;
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
		else if (wire != PB_GROUP_ENDS && !txd_pb_step(in, wire, &value))
			return false;
	}
	return true;
}
