/*
 * value.h — one value's text to its COPY field. Shared by all formats.
 */
#ifndef TXD_VALUE_H
#define TXD_VALUE_H

#include "decode.h"

/*
 * What the format knows about a value beyond its text.
 *
 * For a json or jsonb column a format that reads JSON passes every value but null as TXD_KIND_JSON, as it
 * was written: a string with its quotes and escapes. TXD_KIND_TEXT there means that the text is to be
 * read as JSON itself (a CSV field).
 */
typedef enum TxdKind
{
	TXD_KIND_TEXT,   /* a string: JSON escapes resolved, CSV quotes removed */
	TXD_KIND_NUMBER, /* JSON number, in JSON syntax */
	TXD_KIND_BOOL,   /* JSON true or false */
	TXD_KIND_JSON,   /* JSON object or array, as written, already checked to be JSON */
	TXD_KIND_BYTES   /* bytes of any content: a key, a payload */
} TxdKind;

/*
 * Appends the field (length word and bytes, or escaped text without the delimiter) of a value that is
 * not NULL. Text is checked to be valid UTF-8 without NUL unless `checked`. Returns false with err filled
 * and `out` as it was. `zone` may be NULL for UTC.
 */
extern bool txd_value(const TxdColumn *column, TxdForm form, const TxdZone *zone, TxdKind kind,
					  const char *text, size_t len, bool checked, TxdBuf *out, TxdError *err);

/* Appends NULL, or refuses it (missing_value) where the column is NOT NULL. */
extern bool txd_null(const TxdColumn *column, TxdForm form, TxdBuf *out, TxdError *err);

/* Appends an int64 (partition, offset, line) as whatever integer or text type the column has. */
extern bool txd_integer(const TxdColumn *column, TxdForm form, int64_t v, TxdBuf *out,
						TxdError *err);

/* Appends Unix microseconds as a timestamp[tz] (or their text). */
extern bool txd_unix_us(const TxdColumn *column, TxdForm form, const TxdZone *zone, int64_t us,
						TxdBuf *out, TxdError *err);

/* Length of the valid UTF-8 prefix without NUL; equal to len when all of it is good. */
extern size_t txd_utf8_prefix(const char *text, size_t len);

/* Fills err: code, column's name, printf-style message (cut to fit at a character boundary). */
extern bool txd_refuse(TxdError *err, const char *code, const TxdColumn *column, const char *fmt,
					   ...) __attribute__((format(printf, 4, 5)));

#endif
