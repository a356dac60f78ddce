/*
 * base64.c — bytes written as text (RFC 4648, section 4).
 */
#include <string.h>

#include "base64.h"

static int
digit_of(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at != NULL ? (int) (at - digits) : -1;
}

bool
txd_base64(const char *text, TxdBuf *bytes)
{
	static const char space[] = " \t\r\n";
	uint32_t bits = 0;
	int nbits = 0;

	for (; *text != '\0' && *text != '='; text++)
	{
		int digit = digit_of(*text);

		if (digit < 0 && strchr(space, *text) == NULL)
			return false;
		if (digit < 0)
			continue;
		bits = (bits << 6 | (uint32_t) digit) & 0xffff;
		nbits += 6;
		if (nbits >= 8)
			txd_buf_byte(bytes, (char) (bits >> (nbits -= 8)));
	}
	return nbits < 6 && text[strspn(text, "= \t\r\n")] == '\0';
}
