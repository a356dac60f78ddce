/*
 * protobuf.c — writes Protobuf's messages as JSON.
 */
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "json_write.h"
#include "proto_text.h"
#include "protobuf_read.h"
#include "value.h"

#define KEEP_BYTES (1024 * 1024)
#define MAX_PATH 64 /* of types within types */

/* Fields that are looked at, and for each byte of the message: more of them are no message but an attack. */
#define MAX_STEPS 100000000
#define STEPS_OF_BYTE 64

static void
end_scratch(PbScratch *s)
{
	free(s->slots);
	free(s->links);
	*s = (PbScratch){0};
}

void
txd_protobuf_free(TxdProtobuf *pb)
{
	if (pb == NULL)
		return;
	txd_arena_free(&pb->schema.memory);
	free(pb->schema.types);
	free(pb->schema.enums);
	free(pb->schema.sources);
	end_scratch(&pb->scratch);
	txd_pb_free_bindings(pb);
	free(pb);
}

static TxdProtobuf *
new_schema(void)
{
	TxdProtobuf *pb = txd_alloc(sizeof(*pb));

	*pb = (TxdProtobuf){0};
	return pb;
}

static TxdProtobuf *
finish(TxdProtobuf *pb, bool ok)
{
	if (ok)
		return pb;
	txd_protobuf_free(pb);
	return NULL;
}

static PbInput
input_of(const TxdBuf *bytes)
{
	const unsigned char *p = (const unsigned char *) bytes->data;

	return (PbInput){.p = p, .end = p != NULL ? p + bytes->len : NULL};
}

/*
 * A .proto file, or its descriptor in base64, which Confluent's client for Python registers; no file is both. `bytes` is room for
 * the descriptor.
 */
static bool
read_text(PbSchema *schema, const char *name, const char *text, TxdBuf *bytes, TxdError *err)
{
	bytes->len = 0;
	if (*text != '\0' && txd_base64(text, bytes))
		return txd_pb_read_file(schema, input_of(bytes), err);
	bytes->len = 0;
	return txd_proto_compile(name, text, strlen(text), bytes, err) &&
		   txd_pb_read_file(schema, input_of(bytes), err);
}

TxdProtobuf *
txd_protobuf_new(const char *const *names, const char *const *texts, int n, TxdError *err)
{
	TxdProtobuf *pb = new_schema();
	TxdBuf bytes = {0};
	bool ok = true;

	for (int i = 0; ok && i < n; i++)
		ok = read_text(&pb->schema, names[i], texts[i], &bytes, err);
	txd_buf_free(&bytes);
	if (ok)
		txd_pb_add_known(&pb->schema);
	return finish(pb, ok && txd_pb_link(&pb->schema, err));
}

static bool
read_set(PbSchema *schema, PbInput in, TxdError *err)
{
	uint32_t number;
	PbWire wire;
	PbInput file;

	while (in.p < in.end)
		if (!txd_pb_tag(&in, &number, &wire) || number != 1 || wire != PB_BYTES_OF ||
			!txd_pb_bytes(&in, &file))
			return txd_pb_bad_schema(err, "it is no set of file descriptors", NULL);
		else if (!txd_pb_read_file(schema, file, err))
			return false;
	return true;
}

static bool
choose_top(TxdProtobuf *pb, const char *message, TxdError *err)
{
	if (message != NULL)
	{
		pb->top = txd_pb_find_type(&pb->schema, message + (*message == '.'));
		return pb->top != NULL || txd_pb_bad_schema(err, "there is no message", message);
	}
	if (pb->schema.nfile != 1)
		return txd_pb_bad_schema(
			err, "the last file has no message, or several: protobuf_message says which", NULL);
	pb->top = pb->schema.file[0];
	return true;
}

TxdProtobuf *
txd_protobuf_own(const char *text, const char *message, TxdError *err)
{
	TxdProtobuf *pb = new_schema();
	TxdBuf bytes = {0};
	bool ok = txd_base64(text, &bytes) ? read_set(&pb->schema, input_of(&bytes), err)
									   : read_text(&pb->schema, "schema", text, &bytes, err);

	txd_buf_free(&bytes);
	if (ok)
		txd_pb_add_known(&pb->schema);
	ok = ok && txd_pb_link(&pb->schema, err);
	return finish(pb, ok && choose_top(pb, message, err));
}

const PbSymbol *
txd_pb_symbol(const PbEnum *of, int32_t number)
{
	int low = 0;
	int high = of->n;

	while (low < high)
	{
		int mid = (low + high) / 2;

		if (of->symbol[mid].number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return low < of->n && of->symbol[low].number == number ? &of->symbol[low] : NULL;
}

/* A symbol; of a number that has none the number, so that it is not lost. */
static void
put_symbol(TxdBuf *json, const PbEnum *of, int32_t number)
{
	const PbSymbol *symbol = txd_pb_symbol(of, number);

	if (of->null)
		txd_buf_append(json, "null", 4);
	else if (symbol != NULL)
		txd_write_text(json, symbol->name, strlen(symbol->name));
	else
		txd_write_integer(json, number);
}

bool
txd_pb_integer(PbKind kind, uint64_t v, int64_t *number)
{
	uint32_t low = (uint32_t) v;

	switch (kind)
	{
		case PB_UINT32:
		case PB_FIXED32:
			*number = low;
			return true;
		case PB_INT32:
		case PB_SFIXED32:
			*number = (int32_t) low;
			return true;
		case PB_SINT32:
			*number = txd_pb_zigzag(low);
			return true;
		case PB_SINT64:
			*number = txd_pb_zigzag(v);
			return true;
		case PB_UINT64:
		case PB_FIXED64:
			*number = (int64_t) v;
			return v <= INT64_MAX;
		default:
			*number = (int64_t) v;
			return true;
	}
}

static void
put_number(TxdBuf *json, const PbField *field, uint64_t v)
{
	uint32_t low = (uint32_t) v;
	int64_t number;
	float f;
	double d;

	memcpy(&f, &low, sizeof(f));
	memcpy(&d, &v, sizeof(d));
	switch (field->kind)
	{
		case PB_DOUBLE:
			txd_write_real(json, d, false);
			break;
		case PB_FLOAT:
			txd_write_real(json, f, true);
			break;
		case PB_BOOL:
			txd_buf_append(json, v != 0 ? "true" : "false", v != 0 ? 4 : 5);
			break;
		case PB_ENUM:
			put_symbol(json, field->symbols, (int32_t) low);
			break;
		default:
			if (txd_pb_integer(field->kind, v, &number))
				txd_write_integer(json, number);
			else
				txd_write_unsigned(json, v);
	}
}

void
txd_pb_put_value(PbReader *r, const PbField *field, const PbValue *value)
{
	if (field->kind == PB_STRING)
		txd_write_quoted(r->json, (const char *) value->text, value->len);
	else if (field->kind == PB_BYTES)
		txd_write_hex(r->json, value->text, value->len);
	else
		put_number(r->json, field, value->number);
}

int64_t
txd_pb_number(const PbReader *r, const PbType *type, size_t base, int i)
{
	PbSlot slot = r->scratch->slots[base + (size_t) i];
	const PbField *field = &type->field[i];
	uint64_t v = slot.first != 0 ? txd_pb_value(r, field, slot).number : 0;

	return field->kind == PB_INT32 ? (int32_t) v : (int64_t) v;
}

/* One of several; the input is behind it then. */
static bool
put_next(PbReader *r, const PbField *field, PbInput *in)
{
	PbValue value;

	if (!txd_pb_read(in, field, &value))
		return txd_pb_refuse(r, in);
	txd_pb_put_value(r, field, &value);
	return true;
}

bool
txd_pb_has_room(PbReader *r, int64_t steps)
{
	r->steps -= steps;
	if (r->json->len - r->before <= TXD_MAX_ROW && r->steps >= 0)
		return true;
	return txd_refuse(r->err, "too_long", NULL, "more than %d bytes as JSON", TXD_MAX_ROW);
}

/* A message, of one part or, where `all`, of those that follow, too. */
static bool
put_message(PbReader *r, const PbField *field, PbLink link, bool all)
{
	size_t nlinks = r->scratch->nlinks;
	size_t base;
	bool ok = txd_pb_open(r, field->type, &base) && txd_pb_link_scan(r, field, base, link);

	while (ok && all && link.next != 0)
	{
		link = r->scratch->links[link.next - 1];
		ok = txd_pb_link_scan(r, field, base, link);
	}
	ok = ok && txd_pb_put_meaning(r, field->type, base);
	txd_pb_close(r, base, nlinks);
	return ok;
}

static bool
put_packed(PbReader *r, const PbField *field, PbInput in)
{
	PbInput within;

	if (!txd_pb_bytes(&in, &within))
		return txd_pb_refuse(r, &in);
	while (within.p < within.end)
	{
		txd_buf_byte(r->json, ',');
		if (!txd_pb_has_room(r, 1) || !put_next(r, field, &within))
			return false;
	}
	return true;
}

/* The values of one link, each behind a comma. */
static bool
put_linked(PbReader *r, const PbField *field, PbLink link)
{
	PbInput in = {.p = r->start + link.at, .end = r->end};

	if (link.packed)
		return put_packed(r, field, in);
	txd_buf_byte(r->json, ',');
	if (!txd_pb_has_room(r, 1))
		return false;
	return txd_pb_is_message(field) ? put_message(r, field, link, false) : put_next(r, field, &in);
}

/* The first comma becomes the bracket. */
static bool
put_array(PbReader *r, const PbField *field, PbSlot slot)
{
	size_t start = r->json->len;
	uint32_t next = slot.first;
	bool ok = txd_pb_enter(r);

	while (ok && next != 0)
	{
		PbLink link = r->scratch->links[next - 1];

		ok = put_linked(r, field, link);
		next = link.next;
	}
	if (!ok)
		return false;
	if (r->json->len == start)
		txd_buf_byte(r->json, '[');
	r->json->data[start] = '[';
	txd_buf_byte(r->json, ']');
	r->depth--;
	return true;
}

bool
txd_pb_put_field(PbReader *r, const PbField *field, PbSlot slot)
{
	PbValue value;

	if (txd_pb_is_map(field))
		return txd_pb_put_map(r, field, slot);
	if (field->repeated)
		return put_array(r, field, slot);
	if (txd_pb_is_message(field))
		return put_message(r, field, r->scratch->links[slot.first - 1], true);
	value = txd_pb_value(r, field, slot);
	txd_pb_put_value(r, field, &value);
	return true;
}

bool
txd_pb_put_absent(PbReader *r, const PbField *field)
{
	if (field->required)
		return txd_refuse(r->err, "bad_protobuf", NULL, "required field \"%.100s\" is missing",
						  field->name);
	if (field->absent.data != NULL)
		txd_buf_append(r->json, field->absent.data, field->absent.len);
	return true;
}

static bool
put_present(PbReader *r, const PbField *field, PbSlot slot)
{
	txd_buf_append(r->json, field->lead.data, field->lead.len);
	return txd_pb_put_field(r, field, slot);
}

/* Each field is written with a comma before it. */
bool
txd_pb_put_object(PbReader *r, const PbType *type, size_t base)
{
	size_t start = r->json->len;

	if (!txd_pb_enter(r))
		return false;
	for (int i = 0; i < type->n; i++)
	{
		const PbField *field = &type->field[i];
		PbSlot slot = r->scratch->slots[base + (size_t) i];

		if (slot.first == 0 ? !txd_pb_put_absent(r, field) : !put_present(r, field, slot))
			return false;
	}
	return txd_pb_leave(r, start);
}

/* Which type the message is of: the numbers of types within types, or a single 0 for the first. */
static bool
read_path(PbReader *r, const TxdProtobuf *pb, PbInput *in, const PbType **type)
{
	PbType *const *types = pb->schema.file;
	int n = pb->schema.nfile;
	uint64_t raw;
	int64_t steps;

	if (!txd_pb_varint(in, &raw))
		return txd_pb_refuse(r, in);
	steps = txd_pb_zigzag(raw);
	if (steps < 0 || steps > MAX_PATH)
		return txd_refuse(r->err, "bad_protobuf", NULL, "no path to a type of message");
	for (int64_t i = 0; i == 0 || i < steps; i++)
	{
		raw = 0;
		if (steps > 0 && !txd_pb_varint(in, &raw))
			return txd_pb_refuse(r, in);
		if (txd_pb_zigzag(raw) < 0 || txd_pb_zigzag(raw) >= n)
			return txd_refuse(r->err, "bad_protobuf", NULL,
							  "a type of message that the schema does not have");
		*type = types[txd_pb_zigzag(raw)];
		types = (*type)->nested;
		n = (*type)->nnested;
	}
	return true;
}

static bool
put_top(PbReader *r, const PbType *type, PbInput in)
{
	int64_t steps = r->steps;
	size_t base;

	if (type->quick && txd_pb_put_quick(r, type, in))
		return true;
	r->json->len = r->before;
	r->depth = 0;
	r->steps = steps;
	txd_pb_close(r, 0, 0);
	return txd_pb_open(r, type, &base) && txd_pb_scan(r, type, base, in) &&
		   txd_pb_put_meaning(r, type, base);
}

bool
txd_pb_begin(TxdProtobuf *pb, PbReader *r, PbInput *in, const PbType **type)
{
	size_t len = (size_t) (r->end - r->start);

	r->scratch = &pb->scratch;
	r->before = r->json->len;
	r->steps = MAX_STEPS + (int64_t) len * STEPS_OF_BYTE;
	*in = (PbInput){.p = r->start, .end = r->end};
	*type = pb->top;
	if (len > TXD_MAX_ROW)
		return txd_refuse(r->err, "too_long", NULL, "more than %d bytes", TXD_MAX_ROW);
	if (*type == NULL && !read_path(r, pb, in, type))
		return false;
	pb->last = *type;
	return true;
}

void
txd_pb_end(TxdProtobuf *pb, PbReader *r)
{
	txd_pb_close(r, 0, 0);
	if (pb->scratch.max_slots * sizeof(PbSlot) > KEEP_BYTES ||
		pb->scratch.max_links * sizeof(PbLink) > KEEP_BYTES)
		end_scratch(&pb->scratch);
}

bool
txd_protobuf_json(TxdProtobuf *pb, const char *data, size_t len, TxdBuf *json, TxdError *err)
{
	const unsigned char *p = (const unsigned char *) data;
	PbReader r = {.start = p, .end = p + len, .json = json, .err = err};
	const PbType *type;
	PbInput in;
	bool ok = txd_pb_begin(pb, &r, &in, &type) && put_top(&r, type, in);

	txd_pb_end(pb, &r);
	if (!ok)
		json->len = r.before;
	return ok;
}

void
txd_protobuf_describe(const TxdProtobuf *pb, TxdBuf *json)
{
	if (pb->last != NULL)
		txd_pb_describe(pb->last, json);
}
