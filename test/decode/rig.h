/*
 * rig.h — decodes messages in the text form and compares lines or error codes. Private to the tests
 * of the formats.
 */
#ifndef TXD_RIG_H
#define TXD_RIG_H

#include <stdlib.h>

#include "check.h"
#include "decode/decode.h"

typedef struct Rig
{
	TxdDecoder *d;
	TxdMessage message; /* sent with the payload of each call */
	TxdBuf rows;
	TxdError err;
	char shown[2000]; /* last row, or "code column" of its refusal */
} Rig;

static inline void
rig_open(Rig *rig, TxdSchema *schema)
{
	memset(rig, 0, sizeof(*rig));
	rig->message.timestamp_ms = -1;
	schema->form = TXD_TEXT;
	if (schema->csv.delimiter == '\0')
	{
		schema->csv.delimiter = ',';
		schema->csv.quote = '"';
	}
	rig->d = txd_new(schema, &rig->err);
	if (rig->d == NULL)
		fprintf(stderr, "txd_new: %s: %s\n", rig->err.code, rig->err.message);
}

static inline void
rig_close(Rig *rig)
{
	txd_free(rig->d);
	txd_buf_free(&rig->rows);
}

/*
 * Decodes a copy of exactly that size, so that a sanitiser sees reads beyond it. Bytes already in
 * `rows` must survive a refusal. Without a payload: a tombstone.
 */
static inline const char *
rig_decode(Rig *rig, const char *payload, size_t len)
{
	char *copy = payload != NULL ? malloc(len > 0 ? len : 1) : NULL;
	size_t used;

	if (payload != NULL)
		memcpy(copy, payload, len);
	rig->message.payload = copy;
	rig->message.payload_len = len;
	rig->rows.len = 0;
	txd_buf_append(&rig->rows, "before", 6);
	memset(&rig->err, 0, sizeof(rig->err));
	if (txd_decode(rig->d, &rig->message, &rig->rows, &rig->err))
	{
		used = rig->rows.len - 6;
		if (used > 0 && used < sizeof(rig->shown) && rig->rows.data[rig->rows.len - 1] == '\n')
			used--;
		else
			used = 0;
		memcpy(rig->shown, rig->rows.data + 6, used);
		rig->shown[used] = '\0';
	}
	else
	{
		CHECK(rig->rows.len == 6 && memcmp(rig->rows.data, "before", 6) == 0);
		CHECK(rig->err.message[0] != '\0');
		snprintf(rig->shown, sizeof(rig->shown), "%s %s", rig->err.code,
				 rig->err.column != NULL ? rig->err.column : "-");
	}
	free(copy);
	return rig->shown;
}

#define DECODE(rig, text) rig_decode((rig), (text), strlen(text))
#define CHECK_ROW(rig, text, want) CHECK_STR(DECODE(rig, text), want)
#define CHECK_MESSAGE(rig, want) CHECK(strstr((rig)->err.message, want) != NULL)

#define COLUMNS(schema, list)                                                                      \
	((schema).columns = (list), (schema).ncolumns = sizeof(list) / sizeof((list)[0]))

#endif
