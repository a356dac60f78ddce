/*
 * registry_ask.c — questions to a schema registry, and what its answers mean.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "frame.h"
#include "registry_ask.h"

#define FETCH_MS 30000 /* for a schema with all it refers to */
#define NOT_ALLOWED 401
#define FORBIDDEN 403
#define NOT_FOUND 404
#define CONFLICT 409
#define UNPROCESSABLE 422

TxpTexts
txp_texts_new(TxdFormat format)
{
	return (TxpTexts){
		.format = format, .answers = json_object(), .deadline = txp_now_ms() + FETCH_MS};
}

static TxpAnswer
no_answer(TxpRegistry *r, const char *sqlstate, const char *format, const char *what, long status)
{
	r->sqlstate = sqlstate;
	snprintf(r->why, sizeof(r->why), format, what, status);
	return TXP_ANSWER_NONE;
}

/* What is posted may be refused for what it says: why. */
static TxpAnswer
useless(TxpRegistry *r, const char *why)
{
	r->sqlstate = "";
	snprintf(r->why, sizeof(r->why), "%s", why);
	return TXP_ANSWER_USELESS;
}

/* What a status other than 200 means; a registry gives its own code with a 404, a wrong address does not. */
static TxpAnswer
judge_status(TxpRegistry *r, long status)
{
	json_t *body = json_loadb(r->body.data != NULL ? r->body.data : "", r->body.len, 0, NULL);
	const char *message = json_string_value(json_object_get(body, "message"));
	bool coded = json_object_get(body, "error_code") != NULL;
	TxpAnswer answer = TXP_ANSWER_NONE;

	if (coded && (status == CONFLICT || status == UNPROCESSABLE))
		answer = useless(r, message != NULL ? message : "it does not take the schema");
	json_decref(body);
	if (answer == TXP_ANSWER_USELESS)
		return answer;
	if (status == NOT_FOUND && coded)
		return TXP_ANSWER_MISSING;
	if (status == NOT_ALLOWED || status == FORBIDDEN)
		return no_answer(r, "28000", "%s (status %ld)", "it refuses user and password", status);
	return no_answer(r, "08006", "%s (status %ld)", "it answers without a schema", status);
}

/* Asks one of the addresses: base/path. */
static TxpAnswer
ask_address(TxpRegistry *r, const char *base, size_t base_len, const char *path, const char *post)
{
	char url[2000];
	long status;

	while (base_len > 0 && base[base_len - 1] == '/')
		base_len--;
	if ((size_t) snprintf(url, sizeof(url), "%.*s/%s", (int) base_len, base, path) >= sizeof(url))
		return no_answer(r, "08006", "%s", "the address is too long", 0);
	status = txp_http_ask(r->http, url, post, &r->body);
	if (status == TXP_HTTP_TOO_LONG)
		return useless(r, "more than 4 MB");
	if (status == 0)
		return no_answer(r, "08006", "%s", txp_http_why(r->http), 0);
	return status == 200 ? TXP_ANSWER_YES : judge_status(r, status);
}

/* The addresses are separated by commas; behind the last one is the first. */
static const char *
address_behind(const TxpRegistry *r, const char *address)
{
	address += strcspn(address, ", ");
	address += strspn(address, ", ");
	return *address != '\0' ? address : r->where->url + strspn(r->where->url, ", ");
}

/* Begins with the address that answered before: another one may take all of its time again. */
TxpAnswer
txp_registry_ask(TxpRegistry *r, const char *path, const char *post, const char *needed,
				 json_t **object)
{
	const char *first =
		r->answered != NULL ? r->answered : r->where->url + strspn(r->where->url, ", ");
	const char *base = first;
	TxpAnswer answer;

	do
	{
		answer = ask_address(r, base, strcspn(base, ", "), path, post);
		if (answer != TXP_ANSWER_NONE)
			r->answered = base;
		base = address_behind(r, base);
	} while (answer == TXP_ANSWER_NONE && base != first);
	if (answer != TXP_ANSWER_YES)
		return answer;
	*object = json_loadb(r->body.data, r->body.len, JSON_ALLOW_NUL, NULL);
	if (json_object_get(*object, needed) != NULL)
		return TXP_ANSWER_YES;
	json_decref(*object);
	return no_answer(r, "08006", "%s", "its answer has no schema", 0);
}

void
txp_registry_path(char path[TXP_MAX_PATH], const char *subject, const char *behind)
{
	char escaped[TXP_MAX_SUBJECT + 4];
	size_t n = 0;

	for (; *subject != '\0' && n + 4 < sizeof(escaped); subject++)
	{
		unsigned char c = (unsigned char) *subject;
		bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
					 c == '-' || c == '_' || c == '.';

		n += (size_t) snprintf(escaped + n, 4, plain ? "%c" : "%%%02X", c);
	}
	escaped[n] = '\0';
	snprintf(path, TXP_MAX_PATH, "subjects/%s%s", escaped, behind);
}

static TxpAnswer
collect_references(TxpRegistry *r, const json_t *references, TxpTexts *texts)
{
	for (size_t i = 0; i < json_array_size(references); i++)
	{
		const json_t *reference = json_array_get(references, i);
		const char *name = json_string_value(json_object_get(reference, "name"));
		const char *subject = json_string_value(json_object_get(reference, "subject"));
		json_int_t version = json_integer_value(json_object_get(reference, "version"));
		char path[TXP_MAX_PATH];
		char behind[40];
		TxpAnswer answer;

		snprintf(behind, sizeof(behind), "/versions/%" JSON_INTEGER_FORMAT, version);
		txp_registry_path(path, subject != NULL ? subject : "", behind);
		answer = txp_registry_collect(r, path, name != NULL ? name : "", texts);
		if (answer != TXP_ANSWER_YES)
			return answer;
	}
	return TXP_ANSWER_YES;
}

/* What the registry has at the path, asked for once. */
static TxpAnswer
ask_once(TxpRegistry *r, const char *path, TxpTexts *texts, json_t **object)
{
	TxpAnswer answer;

	*object = json_object_get(texts->answers, path);
	if (*object != NULL)
		return TXP_ANSWER_YES;
	if (json_object_size(texts->answers) > TXP_MAX_REFERENCES)
		return useless(r, "references to more than 200 schemas");
	if (txp_now_ms() > texts->deadline)
		return no_answer(r, "08006", "%s", "it answers slowly", 0);
	answer = txp_registry_ask(r, path, NULL, "schema", object);
	if (answer == TXP_ANSWER_YES && !json_is_string(json_object_get(*object, "schema")))
	{
		json_decref(*object);
		return no_answer(r, "08006", "%s", "its answer has no schema", 0);
	}
	if (answer == TXP_ANSWER_YES)
		json_object_set_new(texts->answers, path, *object);
	return answer;
}

/* Those of Avro have no type with older registries. */
static TxpAnswer
add_text(TxpRegistry *r, const char *name, TxpTexts *texts, const json_t *object)
{
	const char *type = json_string_value(json_object_get(object, "schemaType"));
	const char *text = json_string_value(json_object_get(object, "schema"));
	const char *wanted = texts->format == TXD_PROTOBUF ? "PROTOBUF"
						 : texts->format == TXD_JSON   ? "JSON"
													   : "AVRO";

	if (strcmp(type != NULL ? type : "AVRO", wanted) != 0)
	{
		char why[80];

		snprintf(why, sizeof(why), "it is of %.40s, not of %s", type != NULL ? type : "AVRO",
				 wanted);
		return useless(r, why);
	}
	for (int i = 0; i < texts->n; i++)
		if (strcmp(texts->text[i], text) == 0)
			return TXP_ANSWER_YES;
	texts->name[texts->n] = name;
	texts->text[texts->n++] = text;
	return TXP_ANSWER_YES;
}

TxpAnswer
txp_registry_collect(TxpRegistry *r, const char *path, const char *name, TxpTexts *texts)
{
	json_t *object;
	TxpAnswer answer = ask_once(r, path, texts, &object);

	/* Whoever refers to himself ends here, too. */
	if (answer == TXP_ANSWER_YES && json_object_get(object, "visited") == NULL)
	{
		json_object_set_new(object, "visited", json_true());
		answer = collect_references(r, json_object_get(object, "references"), texts);
		if (answer == TXP_ANSWER_YES)
			answer = add_text(r, name, texts, object);
	}
	return answer;
}
