/*
 * name_hash.h — hash of a field's name in an object. Private to src/decode.
 */
#ifndef TXD_NAME_HASH_H
#define TXD_NAME_HASH_H

#include <stdint.h>
#include <string.h>

/* Multiply-mix over words; short names, the common case, need no loop. */
static inline uint32_t
txd_name_hash(int parent, const char *s, size_t len)
{
	const uint64_t k = UINT64_C(0x9e3779b97f4a7c15);
	uint64_t h = ((uint64_t) parent << 32 ^ len) * k;
	uint64_t w = 0;
	uint32_t half;

	for (; len > 8; s += 8, len -= 8)
	{
		memcpy(&w, s, 8);
		h = (h ^ w) * k;
		h ^= h >> 29;
	}
	if (len >= 4)
	{
		memcpy(&half, s, 4);
		w = half;
		memcpy(&half, s + len - 4, 4);
		w = w << 32 | half;
	}
	else if (len > 0)
		w = (uint64_t) (unsigned char) s[0] << 16 | (uint64_t) (unsigned char) s[len / 2] << 8 |
			(unsigned char) s[len - 1];
	h = (h ^ w) * k;
	return (uint32_t) (h >> 32);
}

#endif
