/*
 * protobuf_map.c — maps of Protobuf: entries, of which the last with a key counts.
 */
#include <stdlib.h>
#include <string.h>

#include "json_write.h"
#include "protobuf_read.h"
#include "value.h"

/* Of the maps that are open: an entry may have two bytes only, an Entry is much larger. */
#define MAX_ENTRIES 1000000

typedef struct Entry
{
	PbLink link;
	uint64_t number; /* the key, */
	PbInput text;    /* or its bytes */
	size_t place;
	bool superseded;
} Entry;

static int
compare_keys(const Entry *a, const Entry *b)
{
	size_t left = (size_t) (a->text.end - a->text.p);
	size_t right = (size_t) (b->text.end - b->text.p);

	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	if (left != right)
		return left < right ? -1 : 1;
	return left > 0 ? memcmp(a->text.p, b->text.p, left) : 0;
}

static int
by_key(const void *a, const void *b)
{
	const Entry *left = a;
	const Entry *right = b;
	int order = compare_keys(left, right);

	if (order != 0)
		return order;
	return left->place < right->place ? -1 : 1;
}

static int
by_place(const void *a, const void *b)
{
	return ((const Entry *) a)->place < ((const Entry *) b)->place ? -1 : 1;
}

/* The key as it is compared. */
static bool
read_key(PbReader *r, const PbField *map, Entry *entry)
{
	const PbField *key = &map->type->field[0];
	size_t nlinks = r->scratch->nlinks;
	size_t base;
	bool ok = txd_pb_open(r, map->type, &base) && txd_pb_link_scan(r, map, base, entry->link);
	PbSlot slot = ok ? r->scratch->slots[base] : (PbSlot){0};
	PbValue value;

	txd_pb_close(r, base, nlinks);
	if (slot.first == 0)
		return ok;
	value = txd_pb_value(r, key, slot);
	if (key->wire == PB_BYTES_OF)
		entry->text = (PbInput){.p = value.text, .end = value.text + value.len};
	else
		entry->number = value.number;
	if (key->kind == PB_BOOL)
		entry->number = entry->number != 0;
	else if (key->kind == PB_INT32 || key->kind == PB_UINT32 || key->kind == PB_SINT32)
		entry->number = (uint32_t) entry->number;
	return true;
}

/* Marks those that a later entry of the same key supersedes. */
static bool
read_keys(PbReader *r, const PbField *map, Entry *entry, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!read_key(r, map, &entry[i]))
			return false;
	qsort(entry, n, sizeof(*entry), by_key);
	for (size_t i = 1; i < n; i++)
		entry[i - 1].superseded = compare_keys(&entry[i - 1], &entry[i]) == 0;
	qsort(entry, n, sizeof(*entry), by_place);
	return true;
}

/* The name of a member is a text, whatever its key is. */
static void
put_key(PbReader *r, const PbField *key, PbSlot slot)
{
	bool quote = key->kind != PB_STRING;
	PbValue value;

	if (quote)
		txd_buf_byte(r->json, '"');
	if (slot.first == 0)
		txd_buf_append(r->json, key->zero.data, key->zero.len);
	else
	{
		value = txd_pb_value(r, key, slot);
		txd_pb_put_value(r, key, &value);
	}
	if (quote)
		txd_buf_byte(r->json, '"');
	txd_buf_byte(r->json, ':');
}

/* A value that is not there is the zero of its type: of messages the empty one. */
static bool
put_value(PbReader *r, const PbField *value, PbSlot slot)
{
	size_t base;
	bool ok;

	if (slot.first != 0)
		return txd_pb_put_field(r, value, slot);
	if (!txd_pb_is_message(value))
	{
		txd_buf_append(r->json, value->zero.data, value->zero.len);
		return true;
	}
	ok = txd_pb_open(r, value->type, &base) && txd_pb_put_meaning(r, value->type, base);
	txd_pb_close(r, base, r->scratch->nlinks);
	return ok;
}

static bool
put_entry(PbReader *r, const PbField *map, PbLink link)
{
	const PbType *type = map->type;
	size_t nlinks = r->scratch->nlinks;
	size_t base;
	bool ok = txd_pb_open(r, type, &base) && txd_pb_link_scan(r, map, base, link);

	txd_buf_byte(r->json, ',');
	ok = ok && txd_pb_has_room(r, 2);
	if (ok)
	{
		put_key(r, &type->field[0], r->scratch->slots[base]);
		ok = put_value(r, &type->field[1], r->scratch->slots[base + 1]);
	}
	txd_pb_close(r, base, nlinks);
	return ok;
}

static bool
put_entries(PbReader *r, const PbField *map, Entry *entry, size_t n)
{
	if (n > 1 && !read_keys(r, map, entry, n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!entry[i].superseded && !put_entry(r, map, entry[i].link))
			return false;
	return true;
}

bool
txd_pb_put_map(PbReader *r, const PbField *map, PbSlot slot)
{
	size_t start = r->json->len;
	size_t n = 0;
	Entry *entry;
	bool ok;

	if (!txd_pb_enter(r))
		return false;
	for (uint32_t next = slot.first; next != 0; next = r->scratch->links[next - 1].next)
		n++;
	if (n > MAX_ENTRIES - r->entries)
		return txd_refuse(r->err, "too_long", NULL, "more than %d entries of maps", MAX_ENTRIES);
	r->entries += n;
	entry = txd_alloc((n + 1) * sizeof(*entry));
	n = 0;
	for (uint32_t next = slot.first; next != 0; next = r->scratch->links[next - 1].next, n++)
		entry[n] = (Entry){.link = r->scratch->links[next - 1], .place = n};
	ok = put_entries(r, map, entry, n);
	free(entry);
	r->entries -= n;
	return ok && txd_pb_leave(r, start);
}
