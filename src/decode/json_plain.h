/*
 * json_plain.h — text that JSON has as it is. Private to src/decode.
 */
#ifndef TXD_JSON_PLAIN_H
#define TXD_JSON_PLAIN_H

#include <stdint.h>
#include <string.h>

/*
 * First byte that is a quote, a backslash, a control character or not ASCII; eight bytes at a time.
 */
static inline const char *
txd_json_plain_end(const char *p, const char *end)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	unsigned char c;

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	while (end - p >= 8)
	{
		uint64_t w;
		uint64_t hit;

		/* A borrow only spoils bytes above a hit, so the lowest hit is exact. */
		memcpy(&w, p, 8);
		hit = ((w ^ (ones * '"')) - ones) | ((w ^ (ones * '\\')) - ones) | (w - ones * 0x20) | w;
		hit &= ones * 0x80;
		if (hit != 0)
			return p + (__builtin_ctzll(hit) >> 3);
		p += 8;
	}
#endif
	for (; p < end; p++)
	{
		c = (unsigned char) *p;
		if (c == '"' || c == '\\' || c < 0x20 || c >= 0x80)
			break;
	}
	return p;
}

#endif
