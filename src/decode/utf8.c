/*
 * utf8.c — which bytes PostgreSQL takes as UTF-8 text: the standard's well-formed sequences without NUL.
 */
#include "value.h"

#include <string.h>

#define EVERY_BYTE UINT64_C(0x0101010101010101)
#define HIGH_BITS (EVERY_BYTE << 7)

/* Length of the well-formed sequence that starts at p with a byte of 0x80 or more, or 0. */
static size_t
sequence_length(const unsigned char *p, size_t left)
{
	unsigned char low = 0x80;
	unsigned char high = 0xBF;
	size_t n;

	if (p[0] >= 0xC2 && p[0] <= 0xDF)
		n = 2;
	else if (p[0] >= 0xE0 && p[0] <= 0xEF)
		n = 3;
	else if (p[0] >= 0xF0 && p[0] <= 0xF4)
		n = 4;
	else
		return 0;
	if (n > left)
		return 0;

	/* The second byte's range excludes overlong forms, surrogates and what lies beyond U+10FFFF. */
	if (p[0] == 0xE0)
		low = 0xA0;
	else if (p[0] == 0xED)
		high = 0x9F;
	else if (p[0] == 0xF0)
		low = 0x90;
	else if (p[0] == 0xF4)
		high = 0x8F;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
	{
		if ((p[i] & 0xC0) != 0x80)
			return 0;
	}
	return n;
}

size_t
txd_utf8_prefix(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *) text;
	size_t i = 0;

	while (i < len)
	{
		if (len - i >= 8)
		{
			uint64_t word;

			/* With no high bit set, subtracting 1 from each byte borrows exactly where one is 0. */
			memcpy(&word, p + i, sizeof(word));
			if (((word | (word - EVERY_BYTE)) & HIGH_BITS) == 0)
			{
				i += 8;
				continue;
			}
		}
		if (p[i] == 0)
			break;
		if (p[i] < 0x80)
			i++;
		else
		{
			size_t n = sequence_length(p + i, len - i);

			if (n == 0)
				break;
			i += n;
		}
	}
	return i;
}
