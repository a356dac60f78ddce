/*
 * protobuf_quick.c — messages as writers write them, each field once and in the order of their numbers: what was read can be
 * written at once.
 *
 * Whatever is otherwise, or wrong, is left to the two passes of protobuf_scan.c and protobuf.c, from the message's first byte: so
 * at most twice the work is done.
 */
#include "protobuf_read.h"

/* As the slot of a field has it. */
static bool
put_plain(PbReader *r, const PbField *field, PbInput *in)
{
	PbValue value;

	if (!txd_pb_read(in, field, &value))
		return false;
	txd_pb_put_value(r, field, &value);
	return true;
}

static bool
put_message(PbReader *r, const PbType *type, PbInput within)
{
	size_t nlinks = r->scratch->nlinks;
	size_t base;
	bool ok;

	if (type->quick)
		return txd_pb_put_quick(r, type, within);
	ok = txd_pb_open(r, type, &base) && txd_pb_scan(r, type, base, within) &&
		 txd_pb_put_meaning(r, type, base);
	txd_pb_close(r, base, nlinks);
	return ok;
}

bool
txd_pb_put_next(PbReader *r, const PbField *field, PbInput *in)
{
	PbInput within = {0};

	if (field->kind != PB_MESSAGE)
		return put_plain(r, field, in);
	return txd_pb_bytes(in, &within) && put_message(r, field->type, within);
}

/* Is it the only one of its oneof so far? */
static bool
is_chosen(const PbField *field, uint64_t *oneofs)
{
	uint64_t bit = field->oneof >= 0 ? UINT64_C(1) << field->oneof : 0;
	bool first = (*oneofs & bit) == 0;

	*oneofs |= bit;
	return first;
}

bool
txd_pb_quick_field(PbQuick *q, const PbField **field)
{
	PbInput *in = &q->in;
	PbInput within = {0};
	uint32_t number = 0;
	PbWire wire = PB_VARINT;

	*field = NULL;
	while (in->p < in->end)
	{
		if (!txd_pb_tag(in, &number, &wire))
			return false;
		*field = txd_pb_field_of(q->type, number);
		if (*field != NULL)
			break;
		if (wire == PB_GROUP_BEGINS || !txd_pb_skip(in, number, wire, &within))
			return false;
	}
	if (*field == NULL)
		return true;
	if (*field < q->next || wire != (*field)->wire || !is_chosen(*field, &q->oneofs))
		return false;
	q->next = *field + 1;
	return true;
}

bool
txd_pb_put_quick(PbReader *r, const PbType *type, PbInput in)
{
	PbQuick q = {.in = in, .type = type, .next = type->field};
	const PbField *absent = type->field;
	size_t start = r->json->len;

	if (!txd_pb_enter(r) || !txd_pb_has_room(r, type->n))
		return false;
	for (const PbField *field = absent; field != NULL; absent = q.next)
	{
		if (!txd_pb_quick_field(&q, &field))
			return false;
		for (; absent < (field != NULL ? field : type->field + type->n); absent++)
			if (!txd_pb_put_absent(r, absent))
				return false;
		if (field == NULL)
			break;
		txd_buf_append(r->json, field->lead.data, field->lead.len);
		if (!txd_pb_put_next(r, field, &q.in))
			return false;
	}
	return txd_pb_leave(r, start);
}
