/*
 * protobuf_read.h — a message that is being read. Private to protobuf*.c.
 */
#ifndef TXD_PROTOBUF_READ_H
#define TXD_PROTOBUF_READ_H

#include "bind.h"
#include "protobuf_schema.h"

#define PB_FIRST_S INT64_C(-62135596800) /* 0001-01-01, */
#define PB_LAST_S INT64_C(253402300799)  /* and the last second of 9999, as a Timestamp can be */

/*
 * Where values of a field are: from `first` on, counted from 1; 0: nowhere. Of scalars that are not repeated the last one's bytes,
 * of texts what is in them; of others links.
 */
typedef struct PbSlot
{
	uint32_t first;
	uint32_t last;
} PbSlot;

/* A value that is no message. */
typedef struct PbValue
{
	uint64_t number;           /* as it is written, */
	const unsigned char *text; /* or the bytes of PB_BYTES_OF */
	size_t len;
} PbValue;

typedef struct PbLink
{
	uint32_t at;        /* byte of the message */
	uint32_t next : 31; /* counted from 1 */
	uint32_t packed : 1;
} PbLink;

/* Slots of the messages that are open, one within the other, and the links of these. */
typedef struct PbScratch
{
	PbSlot *slots;
	PbLink *links;
	size_t nslots;
	size_t nlinks;
	size_t max_slots;
	size_t max_links;
} PbScratch;

/* A type of messages whose fields are bound to columns. */
typedef struct PbBinding
{
	const PbType *type;
	TxdBinding of;
	struct PbBinding *next;
} PbBinding;

struct TxdProtobuf
{
	PbSchema schema;
	const PbType *top;  /* NULL: messages say which */
	const PbType *last; /* that was put; NULL: none */
	PbScratch scratch;
	PbBinding *bindings;
};

typedef struct PbReader
{
	const unsigned char *start;
	const unsigned char *end;
	PbScratch *scratch;
	TxdBuf *json;
	size_t before;
	TxdError *err;
	int depth;
	int64_t steps;  /* fields that may still be looked at: a small message can have many of them */
	size_t entries; /* of the maps that are open, one within the other */
} PbReader;

/* Begins with a message: *in is what is in it, *type what it is. */
extern bool txd_pb_begin(TxdProtobuf *pb, PbReader *r, PbInput *in, const PbType **type);
extern void txd_pb_end(TxdProtobuf *pb, PbReader *r);

/* The symbol of a number, or NULL. */
extern const PbSymbol *txd_pb_symbol(const PbEnum *of, int32_t number);

/* The number of a field that is written as an integer; false: beyond int64_t. */
extern bool txd_pb_integer(PbKind kind, uint64_t v, int64_t *number);

/* protobuf_bind.c */
extern bool txd_pb_read_bound(TxdProtobuf *pb, TxdBoundMessage *m);
extern void txd_pb_free_bindings(TxdProtobuf *pb);

/* Reads a value of a field that is no message. */
static inline bool
txd_pb_read(PbInput *in, const PbField *field, PbValue *value)
{
	PbInput within = {0};

	value->text = NULL;
	value->len = 0;
	value->number = 0;
	if (field->wire == PB_VARINT)
		return txd_pb_varint(in, &value->number);
	if (field->wire != PB_BYTES_OF)
		return txd_pb_fixed(in, field->wire == PB_32BIT ? 4 : 8, &value->number);
	if (!txd_pb_bytes(in, &within))
		return false;
	value->text = within.p;
	value->len = (size_t) (within.end - within.p);
	return true;
}

/* The value of a slot that is one of no message: it was stepped over before, and so is whole. */
static inline PbValue
txd_pb_value(const PbReader *r, const PbField *field, PbSlot slot)
{
	PbValue value = {.text = r->start + slot.first - 1, .len = slot.last - (slot.first - 1)};
	PbInput in = {.p = value.text, .end = r->start + slot.last};

	if (field->wire == PB_VARINT)
		(void) txd_pb_varint(&in, &value.number);
	else if (field->wire != PB_BYTES_OF)
		(void) txd_pb_fixed(&in, field->wire == PB_32BIT ? 4 : 8, &value.number);
	return value;
}

static inline const PbField *
txd_pb_field_of(const PbType *type, uint32_t number)
{
	int low = 0;
	int high = type->n;

	if (number < type->ndense)
		return type->dense[number];
	while (low < high)
	{
		int mid = (low + high) / 2;

		if (type->by_number[mid]->number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return low < type->n && type->by_number[low]->number == number ? type->by_number[low] : NULL;
}

/* Fills err with what the input says; returns false. */
extern bool txd_pb_refuse(PbReader *r, const PbInput *in);

/* The number of a field that is no message, or 0. */
extern int64_t txd_pb_number(const PbReader *r, const PbType *type, size_t base, int field);

extern void txd_pb_put_value(PbReader *r, const PbField *field, const PbValue *value);
/* All of a field that is there. */
extern bool txd_pb_put_field(PbReader *r, const PbField *field, PbSlot slot);
/* The object of a message's fields. */
extern bool txd_pb_put_object(PbReader *r, const PbType *type, size_t base);

/* protobuf_meaning.c: the message whose slots begin at base, as what its type means. */
extern bool txd_pb_put_meaning(PbReader *r, const PbType *type, size_t base);

/* protobuf_quick.c: a message of a quick type; false, with part of it in the JSON: it takes the other way. */
extern bool txd_pb_put_quick(PbReader *r, const PbType *type, PbInput in);
/* The value of a field of such a message that the input is before; likewise. */
extern bool txd_pb_put_next(PbReader *r, const PbField *field, PbInput *in);

/* A message of a quick type that is gone through. */
typedef struct PbQuick
{
	PbInput in;
	const PbType *type;
	const PbField *next; /* the first that may come */
	uint64_t oneofs;     /* that have been seen */
} PbQuick;

/*
 * The next field, whose value the input is before then; NULL at the end. Those between it and what was q->next are absent. False: the
 * message takes the other way.
 */
extern bool txd_pb_quick_field(PbQuick *q, const PbField **field);

/* What stands for a field that is not there: nothing, or its zero. */
extern bool txd_pb_put_absent(PbReader *r, const PbField *field);

/* protobuf_map.c */
extern bool txd_pb_put_map(PbReader *r, const PbField *field, PbSlot slot);

/* Opens slots for a message, from *base on, if there is time for its fields; sorts the values of one of its parts into them. */
extern bool txd_pb_open(PbReader *r, const PbType *type, size_t *base);
extern bool txd_pb_scan(PbReader *r, const PbType *type, size_t base, PbInput in);
extern void txd_pb_close(PbReader *r, size_t base, size_t nlinks);
/* The message that a link leads to. */
extern bool txd_pb_link_scan(PbReader *r, const PbField *field, size_t base, PbLink link);

/* Out of an object, whose first comma becomes the brace: is there room? */
extern bool txd_pb_leave(PbReader *r, size_t start);

/* Into an object or array: not too deep? Is there room for the JSON, and time for so many more fields? */
extern bool txd_pb_enter(PbReader *r);
extern bool txd_pb_has_room(PbReader *r, int64_t steps);

#endif
