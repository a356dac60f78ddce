/*
 * registry.c — the schemas that a stream's messages name, asked for in the thread that cannot go on without them.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "link.h"
#include "registry_ask.h"

#define PAUSE_MS 250 /* after a first failure, twice as long after each further one, */
#define MAX_PAUSE_MS 5000
#define MISSING_MS 1000 /* between questions about a schema that is missing */
#define REOPEN_MS                                                                                  \
	60000 /* of trouble; then the stream is opened anew, with the options as they are then */

TxpRegistry *
txp_registry_new(const TxdRegistry *where, TxpChannel *channel)
{
	TxpRegistry *r;

	if (where == NULL)
		return NULL;
	r = txd_alloc(sizeof(*r));
	*r = (TxpRegistry){.where = where, .channel = channel};
	r->http = txp_http_new(channel, where->user_info, where->ca_pem);
	return r;
}

void
txp_registry_free(TxpRegistry *r)
{
	if (r == NULL)
		return;
	txp_http_free(r->http);
	txd_buf_free(&r->body);
	free(r);
}

bool
txp_registry_is_awaited(const TxpRegistry *r)
{
	return r != NULL && r->told;
}

void
txp_registry_retell(TxpRegistry *r)
{
	if (r != NULL)
		r->told = false;
}

/* Asks for the schema, and tells the decoder what is known then. */
static TxpAnswer
fetch(TxpRegistry *r, TxdDecoder *decoder, const TxdWanted *wanted)
{
	TxpTexts texts = txp_texts_new(wanted->format);
	char path[60];
	TxpAnswer answer;

	snprintf(path, sizeof(path), "schemas/ids/%" PRIu32, wanted->id);
	answer = txp_registry_collect(r, path, "schema", &texts);
	if (answer == TXP_ANSWER_USELESS)
	{
		txd_refuse_schema(decoder, wanted, r->why);
		answer = TXP_ANSWER_YES;
	}
	else if (answer == TXP_ANSWER_YES)
		txd_add_schema(decoder, wanted, texts.name, texts.text, texts.n);
	json_decref(texts.answers);
	return answer;
}

static const char *
hint_of(const TxpRegistry *r)
{
	return strcmp(r->sqlstate, "28000") == 0
			   ? "Give the owner's user mapping the option schema_registry_user_info_file; the "
				 "stream "
				 "tries again at growing intervals, and at once after resume_stream."
			   : "The stream goes on by itself when the registry answers.";
}

/*
 * A state worth showing: once until it is over. What an option may have to be changed for fails the stream, which is then
 * opened anew with the options as they are.
 */
static void
tell(TxpRegistry *r, TxpAnswer answer, uint32_t id)
{
	int64_t now = txp_now_ms();

	if (answer == TXP_ANSWER_NONE && r->trouble_since == 0)
		r->trouble_since = now;
	r->failed = answer == TXP_ANSWER_NONE &&
				(strcmp(r->sqlstate, "28000") == 0 || now >= r->trouble_since + REOPEN_MS);
	if (r->told && !r->failed)
		return;
	r->told = true;
	if (answer == TXP_ANSWER_MISSING)
		txp_error(r->channel,
				  (TxpError){.sqlstate = "42704",
							 .hint =
								 "The stream goes on when it is there; after schema_timeout its "
								 "messages become dead letters."},
				  "schema %" PRIu32 " is not in the registry at \"%s\"", id, r->where->url);
	else
		txp_error(
			r->channel,
			(TxpError){
				.fatal = r->failed, .sqlstate = r->sqlstate, .detail = r->why, .hint = hint_of(r)},
			"the schema registry at \"%s\" does not give schema %" PRIu32, r->where->url, id);
}

bool
txp_registry_failed(const TxpRegistry *r)
{
	return r != NULL && r->failed;
}

int64_t
txp_registry_due(const TxpRegistry *r)
{
	return r != NULL ? r->due : 0;
}

/*
 * Missing: for how long? True when it is not waited for any longer. When one was waited for in vain, no other is until the
 * registry had one again: so whoever invents numbers holds nobody up again and again.
 */
static bool
is_given_up(TxpRegistry *r)
{
	int64_t now = txp_now_ms();

	if (r->missing_since == 0)
		r->missing_since = now;
	return now >= r->missing_since + (int64_t) r->where->wait_s * 1000;
}

static bool
serve_one(TxpRegistry *r, TxdDecoder *decoder, const TxdWanted *wanted)
{
	TxpAnswer answer;

	if (txp_now_ms() < r->due)
		return false;
	answer = fetch(r, decoder, wanted);
	if (answer == TXP_ANSWER_YES)
		r->missing_since = 0;
	if (answer == TXP_ANSWER_MISSING && is_given_up(r))
	{
		txd_add_schema(decoder, wanted, NULL, NULL, 0);
		answer = TXP_ANSWER_YES;
	}
	if (answer != TXP_ANSWER_NONE)
		r->trouble_since = 0;
	if (answer == TXP_ANSWER_YES)
	{
		r->told = false;
		r->due = r->pause_ms = 0;
		return true;
	}
	tell(r, answer, wanted->id);
	r->pause_ms = r->pause_ms == 0 ? PAUSE_MS : 2 * r->pause_ms;
	if (r->pause_ms > MAX_PAUSE_MS)
		r->pause_ms = MAX_PAUSE_MS;
	r->due = txp_now_ms() + (answer == TXP_ANSWER_MISSING ? MISSING_MS : r->pause_ms);
	return false;
}

bool
txp_registry_serve(TxpRegistry *r, TxdDecoder *decoder, const TxdMessage *message)
{
	TxdWanted wanted;

	while (r != NULL && txd_wants_schema(decoder, message, &wanted))
		if (!serve_one(r, decoder, &wanted))
			return false;
	return true;
}

bool
txp_registry_serve_request(TxpRegistry *r, TxdDecoder *decoder, const TxdMessage *message)
{
	TxdWanted wanted;
	TxpAnswer answer = TXP_ANSWER_YES;

	while (r != NULL && answer != TXP_ANSWER_NONE && txd_wants_schema(decoder, message, &wanted))
	{
		answer = fetch(r, decoder, &wanted);
		if (answer == TXP_ANSWER_MISSING)
			txd_add_schema(decoder, &wanted, NULL, NULL, 0);
	}
	if (answer != TXP_ANSWER_NONE)
		return true;
	txp_error(r->channel,
			  (TxpError){.fatal = true, .answer = true, .sqlstate = r->sqlstate, .detail = r->why},
			  "the schema registry at \"%s\" does not give schema %" PRIu32, r->where->url,
			  wanted.id);
	return false;
}
