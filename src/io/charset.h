/*
 * charset.h — text of another encoding becomes UTF-8, piece by piece. Plain C without channels.
 */
#ifndef TXP_CHARSET_H
#define TXP_CHARSET_H

#include <iconv.h>
#include <stdbool.h>

#include "../decode/buf.h"

typedef struct TxpCharset
{
	iconv_t cd;
	size_t unit; /* bytes that are skipped where no character begins */
	TxdBuf rest; /* input not yet converted */
} TxpCharset;

/* False when the C library does not know the encoding. */
extern bool txp_charset_start(TxpCharset *c, const char *encoding);
extern void txp_charset_end(TxpCharset *c);

/*
 * Appends the text as UTF-8. Bytes that are no character become 0xFF, which no UTF-8 text has, and those of
 * them that are not ASCII: so the record is refused, and its neighbours are not touched.
 */
extern void txp_charset_convert(TxpCharset *c, const char *p, size_t len, bool at_end, TxdBuf *to);

#endif
