/*
 * unpack.c — gzip and zstd undone piece by piece.
 */
#include <string.h>

#include "unpack.h"

TxpPacking
txp_packing_of(const unsigned char *first, size_t len)
{
	if (len >= 3 && memcmp(first, "\x1f\x8b\x08", 3) == 0)
		return TXP_GZIP;
	if (len < TXP_MAGIC)
		return TXP_PLAIN;
	if (memcmp(first, "\x28\xb5\x2f\xfd", 4) == 0)
		return TXP_ZSTD;
	/* A skippable frame, with which some parallel compressors begin. */
	if ((first[0] & 0xf0) == 0x50 && memcmp(first + 1, "\x2a\x4d\x18", 3) == 0)
		return TXP_ZSTD;
	return TXP_PLAIN;
}

const char *
txp_packing_name(TxpPacking packing)
{
	return packing == TXP_GZIP ? "gzip" : "zstd";
}

bool
txp_unpack_start(TxpUnpack *u, TxpPacking packing)
{
	*u = (TxpUnpack){.packing = packing};
	if (packing == TXP_GZIP)
		return inflateInit2(&u->z, 16 + MAX_WBITS) == Z_OK;
	u->d = ZSTD_createDStream();
	return u->d != NULL;
}

void
txp_unpack_end(TxpUnpack *u)
{
	if (u->packing == TXP_GZIP)
		inflateEnd(&u->z);
	else if (u->packing == TXP_ZSTD)
		ZSTD_freeDStream(u->d);
	u->packing = TXP_PLAIN;
}

static const char *
inflate_some(TxpUnpack *u, const unsigned char *p, size_t len, size_t *used, size_t room,
			 TxdBuf *to)
{
	int result;

	if (u->complete)
		inflateReset(&u->z);
	u->z.next_in = (unsigned char *) p;
	u->z.avail_in = (uInt) len;
	u->z.next_out = (unsigned char *) txd_buf_reserve(to, room);
	u->z.avail_out = (uInt) room;
	result = inflate(&u->z, Z_NO_FLUSH);
	to->len += room - u->z.avail_out;
	*used += len - u->z.avail_in;
	u->complete = result == Z_STREAM_END;
	u->pending = u->z.avail_out == 0 && !u->complete;
	if (result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR)
		return NULL;
	return u->z.msg != NULL ? u->z.msg : zError(result);
}

static const char *
decompress_some(TxpUnpack *u, const unsigned char *p, size_t len, size_t *used, size_t room,
				TxdBuf *to)
{
	ZSTD_inBuffer in = {p, len, 0};
	ZSTD_outBuffer out = {txd_buf_reserve(to, room), room, 0};
	size_t result = ZSTD_decompressStream(u->d, &out, &in);

	to->len += out.pos;
	*used += in.pos;
	u->complete = result == 0;
	u->pending = out.pos == out.size && !u->complete;
	return ZSTD_isError(result) ? ZSTD_getErrorName(result) : NULL;
}

const char *
txp_unpack(TxpUnpack *u, const unsigned char *p, size_t len, size_t *used, size_t room, TxdBuf *to)
{
	return (u->packing == TXP_GZIP ? inflate_some : decompress_some)(u, p, len, used, room, to);
}
