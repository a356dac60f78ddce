/*
 * as_json.c — the JSON that a message is decoded from, where that is not the message itself.
 */
#include "decoder.h"

static const TxdMessage *
with_payload(const TxdMessage *message, const char *payload, size_t len, TxdMessage *copy)
{
	*copy = *message;
	copy->payload = payload;
	copy->payload_len = len;
	return copy;
}

/* No JSON text begins with byte 0: a message that does has the number of its JSON Schema before it. */
static bool
has_schema_number(const TxdMessage *m)
{
	return m->topic != NULL && m->payload_len > TXD_WIRE_PREFIX && m->payload[0] == '\0';
}

bool
txd_as_json(TxdDecoder *d, const TxdMessage **message, TxdMessage *copy, TxdError *err)
{
	const TxdMessage *m = *message;

	if (m->payload == NULL)
		return true;
	if (d->translator != NULL)
	{
		const TxdBuf *json = txd_translate(d->translator, m->payload, m->payload_len, err);

		if (json == NULL)
			return false;
		*message = with_payload(m, json->data, json->len, copy);
	}
	else if (d->schema.format == TXD_JSON && has_schema_number(m))
		*message =
			with_payload(m, m->payload + TXD_WIRE_PREFIX, m->payload_len - TXD_WIRE_PREFIX, copy);
	return true;
}
