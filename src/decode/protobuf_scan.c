/*
 * protobuf_scan.c — where in a message the values of each field are.
 *
 * Fields come in any order, may be spread over the message, and the last of one that is not repeated counts; a message within
 * that comes in several parts is these, one behind the other. So a first pass notes where values are, and a second writes.
 */
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "protobuf_read.h"

/* Reading a byte of a group costs as much as looking at so many fields. */
#define STEPS_OF_GROUP_BYTE 4

bool
txd_pb_refuse(PbReader *r, const PbInput *in)
{
	return txd_refuse(r->err, "bad_protobuf", NULL, "%s at byte %zu", in->why,
					  (size_t) (in->p - r->start) + 1);
}

bool
txd_pb_enter(PbReader *r)
{
	if (r->depth == TXD_JSON_DEPTH)
		return txd_refuse(r->err, "too_deep", NULL, "more than 64 nested levels");
	r->depth++;
	return true;
}

bool
txd_pb_leave(PbReader *r, size_t start)
{
	if (r->json->len == start)
		txd_buf_byte(r->json, '{');
	r->json->data[start] = '{';
	txd_buf_byte(r->json, '}');
	r->depth--;
	return txd_pb_has_room(r, 0);
}

/* One for each field, and one for each oneof: which member it has. */
bool
txd_pb_open(PbReader *r, const PbType *type, size_t *base)
{
	PbScratch *s = r->scratch;
	size_t n = (size_t) (type->n + type->noneofs);

	*base = s->nslots;
	if (!txd_pb_has_room(r, (int64_t) n))
		return false;
	if (*base + n > s->max_slots)
	{
		s->max_slots = 2 * (*base + n);
		s->slots = txd_realloc(s->slots, s->max_slots * sizeof(PbSlot));
	}
	if (n > 0)
		memset(s->slots + *base, 0, n * sizeof(PbSlot));
	s->nslots = *base + n;
	return true;
}

void
txd_pb_close(PbReader *r, size_t base, size_t nlinks)
{
	r->scratch->nslots = base;
	r->scratch->nlinks = nlinks;
}

static void
add_link(PbReader *r, PbSlot *slot, uint32_t at, bool packed)
{
	PbScratch *s = r->scratch;

	if (s->nlinks == s->max_links)
	{
		s->max_links = 2 * s->max_links + 16;
		s->links = txd_realloc(s->links, s->max_links * sizeof(PbLink));
	}
	s->links[s->nlinks++] = (PbLink){.at = at, .packed = packed};
	if (slot->first == 0)
		slot->first = (uint32_t) s->nlinks;
	else
		s->links[slot->last - 1].next = (uint32_t) s->nlinks & 0x7fffffff;
	slot->last = (uint32_t) s->nlinks;
}

/* Another member of the oneof is there no more. */
static void
choose(PbReader *r, const PbType *type, size_t base, const PbField *field)
{
	PbSlot *slots = r->scratch->slots + base;
	PbSlot *chosen = &slots[type->n + field->oneof];
	uint32_t member = (uint32_t) (field - type->field) + 1;

	if (chosen->first != 0 && chosen->first != member)
		slots[chosen->first - 1] = (PbSlot){0};
	chosen->first = member;
}

static bool
can_pack(const PbField *field)
{
	return field->repeated && field->wire != PB_BYTES_OF && field->wire != PB_GROUP_BEGINS;
}

/* Google's readers take what is written in another way for a field they do not know: its loss would pass unnoticed. */
static bool
refuse_wire(PbReader *r, const PbField *field, const unsigned char *at)
{
	return txd_refuse(r->err, "bad_protobuf", NULL,
					  "field \"%.100s\" is not written as its type is at byte %zu", field->name,
					  (size_t) (at - r->start) + 1);
}

/* A value that begins `at`; of bytes, what is within. */
static bool
note(PbReader *r, const PbType *type, size_t base, const PbField *field, PbWire wire,
	 const unsigned char *at, PbInput within)
{
	PbSlot *slot = &r->scratch->slots[base + (size_t) (field - type->field)];
	bool packed = wire == PB_BYTES_OF && can_pack(field);

	if (wire != field->wire && !packed)
		return refuse_wire(r, field, at);
	if (field->oneof >= 0)
		choose(r, type, base, field);
	if (field->repeated || txd_pb_is_message(field))
		add_link(r, slot, (uint32_t) (at - r->start), packed);
	else if (wire == PB_BYTES_OF)
		*slot = (PbSlot){(uint32_t) (within.p - r->start) + 1, (uint32_t) (within.end - r->start)};
	else
		*slot = (PbSlot){(uint32_t) (at - r->start) + 1, (uint32_t) (r->end - r->start)};
	return true;
}

/* The end of a group is found by reading it, and so that of each group within, at each level anew. */
static bool
charge_group(PbReader *r, const unsigned char *from, const unsigned char *to)
{
	return txd_pb_has_room(r, (to - from) * STEPS_OF_GROUP_BYTE);
}

bool
txd_pb_scan(PbReader *r, const PbType *type, size_t base, PbInput in)
{
	while (in.p < in.end)
	{
		const PbField *field;
		const unsigned char *value;
		PbInput within = {0};
		uint32_t number;
		PbWire wire;

		if (!txd_pb_tag(&in, &number, &wire))
			return txd_pb_refuse(r, &in);
		value = in.p;
		if (!txd_pb_skip(&in, number, wire, &within))
			return txd_pb_refuse(r, &in);
		field = txd_pb_field_of(type, number);
		if (field != NULL && !note(r, type, base, field, wire, value, within))
			return false;
		if (wire == PB_GROUP_BEGINS && !charge_group(r, value, in.p))
			return false;
	}
	return true;
}

bool
txd_pb_link_scan(PbReader *r, const PbField *field, size_t base, PbLink link)
{
	PbInput in = {.p = r->start + link.at, .end = r->end};
	PbInput within = {0};
	bool ok = field->kind == PB_GROUP ? txd_pb_group(&in, field->number, &within)
									  : txd_pb_bytes(&in, &within);

	if (!ok)
		return txd_pb_refuse(r, &in);
	return (field->kind != PB_GROUP || charge_group(r, within.p, within.end)) &&
		   txd_pb_scan(r, field->type, base, within);
}
