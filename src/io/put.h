/*
 * put.h — writing the payload of a frame (frame.h), the counterpart of wire.h.
 */
#ifndef TXP_PUT_H
#define TXP_PUT_H

#include <string.h>

#include "../decode/buf.h"
#include "frame.h"

#define TXP_PUT_AS(name, type)                                                                     \
	static inline void name(TxdBuf *buf, type v)                                                   \
	{                                                                                              \
		txd_buf_append(buf, &v, sizeof(v));                                                        \
	}

TXP_PUT_AS(txp_put_u8, uint8_t)
TXP_PUT_AS(txp_put_u32, uint32_t)
TXP_PUT_AS(txp_put_i32, int32_t)
TXP_PUT_AS(txp_put_i64, int64_t)

#undef TXP_PUT_AS

/* opt (and str, bytes): data NULL is absent. */
static inline void
txp_put_opt(TxdBuf *buf, const void *data, size_t len)
{
	if (data == NULL)
	{
		txp_put_u32(buf, TXP_ABSENT);
		return;
	}
	txp_put_u32(buf, (uint32_t) len);
	txd_buf_append(buf, data, len);
}

/* str, or opt when text may be NULL. */
static inline void
txp_put_str(TxdBuf *buf, const char *text)
{
	txp_put_opt(buf, text, text == NULL ? 0 : strlen(text));
}

#endif
