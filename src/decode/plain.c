/*
 * plain.c — the whole payload as one value: the formats text and bytea, and "$value" of the others.
 */
#include "decoder.h"

/* Payload without the line end that a file's record still has. */
static size_t
record_length(const TxdMessage *message)
{
	size_t len = message->payload_len;

	if (len > 0 && message->payload[len - 1] == '\n')
		len--;
	if (len > 0 && message->payload[len - 1] == '\r')
		len--;
	return len;
}

bool
txd_put_plain(TxdDecoder *d, const TxdColumn *column, const TxdMessage *message, TxdBuf *rows,
			  TxdError *err)
{
	bool bytes = d->schema.format == TXD_BYTES || column->type == TXD_BYTEA;

	size_t len = d->schema.format == TXD_CSV ? record_length(message) : message->payload_len;

	return txd_put_text(d, column, bytes ? TXD_KIND_BYTES : TXD_KIND_TEXT, message->payload, len,
						false, rows, err);
}
