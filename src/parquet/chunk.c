/*
 * chunk.c — one column of a row group while its rows are gathered.
 */
#include "chunk.h"

#include <string.h>

#define DICTIONARY_BYTES ((size_t) 1024 * 1024)
#define DICTIONARY_ENTRIES 65536
#define FIRST_SLOTS 256
/* A long value does not keep its memory. */
#define KEEP_BYTES ((size_t) 64 * 1024 * 1024)

void
txd_chunk_init(TxdChunk *chunk, const TxdParquetColumn *column)
{
	*chunk = (TxdChunk){.column = *column};
	chunk->width = txd_physical_width(column);
	txd_chunk_clear(chunk);
}

void
txd_chunk_free(TxdChunk *chunk)
{
	txd_bytes_free(&chunk->present);
	txd_bytes_free(&chunk->dictionary);
	txd_bytes_free(&chunk->starts);
	txd_bytes_free(&chunk->slots);
	txd_bytes_free(&chunk->indexes);
	txd_bytes_free(&chunk->plain);
}

static void
empty_dictionary(TxdChunk *chunk)
{
	chunk->dictionary.len = chunk->starts.len = chunk->slots.len = chunk->indexes.len = 0;
	chunk->entries = chunk->indexed = chunk->saved = 0;
}

void
txd_chunk_clear(TxdChunk *chunk)
{
	empty_dictionary(chunk);
	chunk->rows = chunk->nulls = chunk->nplain = 0;
	chunk->present.len = chunk->plain.len = 0;
	if (chunk->plain.cap > KEEP_BYTES)
		txd_bytes_free(&chunk->plain);
	/* Two values need none. */
	chunk->is_closed = chunk->column.type == TXD_PARQUET_BOOLEAN;
}

size_t
txd_chunk_size(const TxdChunk *chunk)
{
	return chunk->present.len + chunk->dictionary.len + chunk->starts.len + chunk->slots.len +
		   chunk->indexes.len + chunk->plain.len;
}

/* --- values in PLAIN --- */

static size_t
plain_size(const TxdChunk *chunk, TxdPlain value)
{
	return value.len + (chunk->width == 0 ? sizeof(uint32_t) : 0);
}

static void
put_plain(const TxdChunk *chunk, TxdBytes *to, TxdPlain value)
{
	if (chunk->width == 0)
		txd_bytes_little(to, value.len, sizeof(uint32_t));
	txd_bytes_append(to, value.data, value.len);
}

TxdPlain
txd_chunk_next(const TxdChunk *chunk, const unsigned char **at)
{
	TxdPlain value = {*at, (size_t) chunk->width};

	if (chunk->width == 0)
	{
		value.len = (size_t) value.data[0] | (size_t) value.data[1] << 8 |
					(size_t) value.data[2] << 16 | (size_t) value.data[3] << 24;
		value.data += sizeof(uint32_t);
	}
	*at = value.data + value.len;
	return value;
}

/* --- the dictionary --- */

static TxdPlain
entry(const TxdChunk *chunk, size_t n)
{
	const unsigned char *at = chunk->dictionary.data + ((const uint32_t *) chunk->starts.data)[n];

	return txd_chunk_next(chunk, &at);
}

/* FNV-1a. */
static size_t
hash(TxdPlain value)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < value.len; i++)
		h = (h ^ value.data[i]) * 1099511628211u;
	return (size_t) (h ^ h >> 32);
}

/* Where the value is, or would be. */
static size_t
find_slot(const TxdChunk *chunk, TxdPlain value)
{
	const uint32_t *slots = (const uint32_t *) chunk->slots.data;
	size_t mask = chunk->slots.len / sizeof(uint32_t) - 1;
	size_t slot = hash(value) & mask;

	for (; slots[slot] != 0; slot = (slot + 1) & mask)
	{
		TxdPlain there = entry(chunk, slots[slot] - 1);

		if (there.len == value.len &&
			(value.len == 0 || memcmp(there.data, value.data, value.len) == 0))
			break;
	}
	return slot;
}

/* At most half of the slots are taken. */
static bool
grow_slots(TxdChunk *chunk)
{
	size_t n = chunk->slots.len / sizeof(uint32_t);

	if (2 * (chunk->entries + 1) <= n)
		return true;
	n = n > 0 ? 2 * n : FIRST_SLOTS;
	chunk->slots.len = 0;
	if (!txd_bytes_reserve(&chunk->slots, n * sizeof(uint32_t)))
		return false;
	chunk->slots.len = n * sizeof(uint32_t);
	memset(chunk->slots.data, 0, chunk->slots.len);
	for (size_t i = 0; i < chunk->entries; i++)
		((uint32_t *) chunk->slots.data)[find_slot(chunk, entry(chunk, i))] = (uint32_t) i + 1;
	return true;
}

int
txd_chunk_index_bits(const TxdChunk *chunk)
{
	int bits = 1;

	while (chunk->entries > (size_t) 1 << bits)
		bits++;
	return bits;
}

static bool
is_of_use(const TxdChunk *chunk)
{
	size_t packed = (chunk->indexed * (size_t) txd_chunk_index_bits(chunk) + 7) / 8;

	return chunk->dictionary.len + packed < chunk->saved;
}

/* The values are plain from the first. That is for a dictionary that saves nothing: it needs hardly more memory. */
static bool
dissolve(TxdChunk *chunk)
{
	const uint32_t *indexes = (const uint32_t *) chunk->indexes.data;

	for (size_t i = 0; i < chunk->indexed; i++)
		put_plain(chunk, &chunk->plain, entry(chunk, indexes[i]));
	chunk->nplain = chunk->indexed;
	empty_dictionary(chunk);
	return !chunk->plain.failed;
}

bool
txd_chunk_close(TxdChunk *chunk)
{
	if (chunk->is_closed)
		return true;
	chunk->is_closed = true;
	return is_of_use(chunk) || dissolve(chunk);
}

/* False: it has no room for the value. */
static bool
add_to_dictionary(TxdChunk *chunk, TxdPlain value)
{
	uint32_t *slot;
	uint32_t index;

	if (!grow_slots(chunk))
		return true; /* memory is out, which the slots say */
	slot = (uint32_t *) chunk->slots.data + find_slot(chunk, value);
	if (*slot == 0)
	{
		uint32_t start = (uint32_t) chunk->dictionary.len;

		if (chunk->entries == DICTIONARY_ENTRIES ||
			plain_size(chunk, value) > DICTIONARY_BYTES - chunk->dictionary.len)
			return false;
		txd_bytes_append(&chunk->starts, &start, sizeof(start));
		put_plain(chunk, &chunk->dictionary, value);
		*slot = (uint32_t) ++chunk->entries;
	}
	index = *slot - 1;
	txd_bytes_append(&chunk->indexes, &index, sizeof(index));
	chunk->indexed++;
	chunk->saved += plain_size(chunk, value);
	return true;
}

static bool
has_failed(const TxdChunk *chunk)
{
	return chunk->present.failed || chunk->dictionary.failed || chunk->starts.failed ||
		   chunk->slots.failed || chunk->indexes.failed || chunk->plain.failed;
}

TxdParquetResult
txd_chunk_add(TxdChunk *chunk, const TxdParquetValue *value)
{
	unsigned char fixed[TXD_FIXED_MAX];
	TxdPlain plain;

	if (has_failed(chunk))
		return TXD_PARQUET_NO_MEMORY;
	chunk->rows++;
	txd_bytes_byte(&chunk->present, !value->is_null);
	if (value->is_null)
		chunk->nulls++;
	else
	{
		if (!txd_physical_value(&chunk->column, value, fixed, &plain))
			return TXD_PARQUET_BAD_VALUE;
		if (!chunk->is_closed && !add_to_dictionary(chunk, plain) && !txd_chunk_close(chunk))
			return TXD_PARQUET_NO_MEMORY;
		if (chunk->is_closed)
		{
			put_plain(chunk, &chunk->plain, plain);
			chunk->nplain++;
		}
	}
	return has_failed(chunk) ? TXD_PARQUET_NO_MEMORY : TXD_PARQUET_OK;
}

/* --- statistics --- */

/* Takes n values into account; false: with a NaN, of which readers think differently, nothing can be said. */
static bool
widen(const TxdChunk *chunk, const unsigned char *at, size_t n, TxdPlain *min, TxdPlain *max)
{
	for (size_t i = 0; i < n; i++)
	{
		TxdPlain value = txd_chunk_next(chunk, &at);

		if (txd_physical_is_nan(&chunk->column, value))
			return false;
		if (min->data == NULL || txd_physical_compare(&chunk->column, value, *min) < 0)
			*min = value;
		if (max->data == NULL || txd_physical_compare(&chunk->column, value, *max) > 0)
			*max = value;
	}
	return true;
}

void
txd_chunk_range(const TxdChunk *chunk, TxdRange *range)
{
	TxdPlain min = {0};
	TxdPlain max = {0};

	*range = (TxdRange){0};
	if (!widen(chunk, chunk->dictionary.data, chunk->entries, &min, &max) ||
		!widen(chunk, chunk->plain.data, chunk->nplain, &min, &max) || min.data == NULL ||
		min.len > sizeof(range->min) || max.len > sizeof(range->max))
		return;
	range->is_known = true;
	range->min_len = min.len;
	range->max_len = max.len;
	memcpy(range->min, min.data, min.len);
	memcpy(range->max, max.data, max.len);
	/* A zero stands for both: the specification wants -0 as the least and +0 as the greatest. */
	if (txd_physical_is_zero_real(&chunk->column, min))
		range->min[min.len - 1] = 0x80;
	if (txd_physical_is_zero_real(&chunk->column, max))
		range->max[max.len - 1] = 0;
}
