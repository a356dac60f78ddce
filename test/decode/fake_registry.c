/*
 * fake_registry.c — a schema registry that is never there, for fuzz_frame.c: no network, and no schema is known.
 */
#include "io/registry_ask.h"

TxpRegistry *
txp_registry_new(const TxdRegistry *where, TxpChannel *channel)
{
	(void) where, (void) channel;
	return NULL;
}

void
txp_registry_free(TxpRegistry *r)
{
	(void) r;
}

bool
txp_registry_serve_request(TxpRegistry *r, TxdDecoder *decoder, const TxdMessage *message)
{
	TxdWanted wanted;

	(void) r;
	if (txd_wants_schema(decoder, message, &wanted))
		txd_add_schema(decoder, &wanted, NULL, NULL, 0);
	return true;
}

TxpTexts
txp_texts_new(TxdFormat format)
{
	return (TxpTexts){.format = format};
}

void
txp_registry_path(char path[TXP_MAX_PATH], const char *subject, const char *behind)
{
	(void) subject, (void) behind;
	path[0] = '\0';
}

TxpAnswer
txp_registry_collect(TxpRegistry *r, const char *path, const char *name, TxpTexts *texts)
{
	(void) r, (void) path, (void) name, (void) texts;
	return TXP_ANSWER_MISSING;
}

TxpAnswer
txp_registry_ask(TxpRegistry *r, const char *path, const char *post, const char *needed,
				 json_t **object)
{
	(void) r, (void) path, (void) post, (void) needed, (void) object;
	return TXP_ANSWER_MISSING;
}
