/*
 * hmac.c — HMAC-SHA256 (RFC 2104, FIPS 180-4).
 */
#include "hmac.h"

#include <string.h>

#define BLOCK 64
#define DIGEST 32

static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
									0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/* Fractional parts of the cube roots of the first 64 primes. */
static const uint32_t round_key[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t
rotate(uint32_t x, int n)
{
	return (x >> n) | (x << (32 - n));
}

static void
expand(const unsigned char *block, uint32_t w[64])
{
	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t) block[4 * i] << 24 | (uint32_t) block[4 * i + 1] << 16 |
			   (uint32_t) block[4 * i + 2] << 8 | block[4 * i + 3];
	for (int i = 16; i < 64; i++)
	{
		uint32_t a = w[i - 15];
		uint32_t b = w[i - 2];

		w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ (a >> 3)) + w[i - 7] +
			   (rotate(b, 17) ^ rotate(b, 19) ^ (b >> 10));
	}
}

static void
add_block(uint32_t state[8], const unsigned char *block)
{
	uint32_t w[64];
	uint32_t s[8];

	expand(block, w);
	memcpy(s, state, sizeof(s));
	for (int i = 0; i < 64; i++)
	{
		uint32_t e = s[4];
		uint32_t a = s[0];
		uint32_t t1 = s[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
					  ((e & s[5]) ^ (~e & s[6])) + round_key[i] + w[i];
		uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) +
					  ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));

		memmove(s + 1, s, 7 * sizeof(s[0]));
		s[4] += t1;
		s[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++)
		state[i] += s[i];
}

/* Adds the last bytes of a message that is `total` bytes long, and its padding; the digest as bytes. */
static void
finish(uint32_t state[8], const char *text, size_t len, uint64_t total, unsigned char *digest)
{
	unsigned char block[BLOCK] = {0};

	for (; len >= BLOCK; text += BLOCK, len -= BLOCK)
		add_block(state, (const unsigned char *) text);
	memcpy(block, text, len);
	block[len] = 0x80;
	if (len + 1 > BLOCK - 8)
	{
		add_block(state, block);
		memset(block, 0, BLOCK);
	}
	for (int i = 0; i < 8; i++)
		block[BLOCK - 1 - i] = (unsigned char) (total * 8 >> (8 * i));
	add_block(state, block);
	for (int i = 0; i < DIGEST; i++)
		digest[i] = (unsigned char) (state[i / 4] >> (24 - 8 * (i % 4)));
}

static void
pad_key(uint32_t state[8], const unsigned char *key, unsigned char with)
{
	unsigned char block[BLOCK];

	for (int i = 0; i < BLOCK; i++)
		block[i] = key[i] ^ with;
	memcpy(state, initial, sizeof(initial));
	add_block(state, block);
	explicit_bzero(block, sizeof(block));
}

void
txd_hmac_init(TxdHmac *hmac, const char *key, size_t len)
{
	unsigned char padded[BLOCK] = {0};

	if (len > BLOCK)
	{
		uint32_t state[8];

		memcpy(state, initial, sizeof(initial));
		finish(state, key, len, len, padded);
	}
	else
		memcpy(padded, key, len);
	pad_key(hmac->inner, padded, 0x36);
	pad_key(hmac->outer, padded, 0x5c);
	explicit_bzero(padded, sizeof(padded));
}

void
txd_hmac_hex(const TxdHmac *hmac, const char *text, size_t len, char *hex)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char digest[DIGEST];
	uint32_t state[8];

	memcpy(state, hmac->inner, sizeof(state));
	finish(state, text, len, BLOCK + (uint64_t) len, digest);
	memcpy(state, hmac->outer, sizeof(state));
	finish(state, (const char *) digest, DIGEST, BLOCK + DIGEST, digest);
	for (int i = 0; i < DIGEST; i++)
	{
		hex[2 * i] = digits[digest[i] >> 4];
		hex[2 * i + 1] = digits[digest[i] & 15];
	}
}
