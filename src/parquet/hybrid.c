/*
 * hybrid.c — Parquet's hybrid of run lengths and packed bits.
 *
 * The values are cut into runs: `n << 1` and the value once, or `groups << 1 | 1` and groups of eight values packed.
 */
#include "hybrid.h"

#define GROUP 8

void
txd_pack_bits(TxdBytes *out, const uint32_t *values, size_t n, int width)
{
	uint64_t bits = 0;
	int used = 0;

	for (size_t i = 0; i < n; i++)
	{
		bits |= (uint64_t) values[i] << used;
		for (used += width; used >= 8; used -= 8)
		{
			txd_bytes_byte(out, (unsigned char) bits);
			bits >>= 8;
		}
	}
	if (used > 0)
		txd_bytes_byte(out, (unsigned char) bits);
}

/* How often the first value stands there, up to `most`. */
static size_t
repeats(const uint32_t *values, size_t n, size_t most)
{
	size_t i = 1;

	while (i < n && i < most && values[i] == values[0])
		i++;
	return i;
}

static void
packed_run(TxdBytes *out, const uint32_t *values, size_t n, int width)
{
	size_t groups = (n + GROUP - 1) / GROUP;
	size_t whole = n / GROUP * GROUP;
	uint32_t last[GROUP];

	txd_bytes_varint(out, groups << 1 | 1);
	txd_pack_bits(out, values, whole, width);
	if (whole == n)
		return;
	for (size_t i = 0; i < GROUP; i++)
		last[i] = whole + i < n ? values[whole + i] : 0;
	txd_pack_bits(out, last, GROUP, width);
}

void
txd_hybrid(TxdBytes *out, const uint32_t *values, size_t n, int width)
{
	size_t i = 0;

	while (i < n)
	{
		size_t same = repeats(values + i, n - i, n);
		size_t end = i;

		if (same >= GROUP)
		{
			txd_bytes_varint(out, (uint64_t) same << 1);
			txd_bytes_little(out, values[i], (width + 7) / 8);
			i += same;
			continue;
		}
		do
			end += GROUP;
		while (end < n && repeats(values + end, n - end, GROUP) < GROUP);
		end = end < n ? end : n;
		packed_run(out, values + i, end - i, width);
		i = end;
	}
}
