/*
 * clean.h — conversions named in a column mapping ("as"), applied to a field's text.
 */
#ifndef TXD_CLEAN_H
#define TXD_CLEAN_H

#include "decode.h"

/*
 * Applies the column's conversion to text (valid UTF-8). On success *text and *len are the result, a part
 * of the input or of scratch; *text is NULL where the result is SQL NULL. Epoch conversions are not done
 * here but by txd_value, pseudonyms and encryption by the decoder, which has the keys. Returns false with err filled when the text cannot be converted.
 */
extern bool txd_clean(const TxdColumn *column, const char **text, size_t *len, TxdBuf *scratch,
					  TxdError *err);

#endif
