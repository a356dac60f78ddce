/*
 * registry.c — asks a schema registry, in the thread of the stream that cannot go on without the answer.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "http.h"
#include "link.h"
#include "registry.h"

#define PAUSE_MS 250 /* after a first failure, twice as long after each further one, */
#define MAX_PAUSE_MS 5000
#define MISSING_MS 1000 /* between questions about a schema that is missing */
#define MAX_REFERENCES 200
#define FETCH_MS 30000 /* for a schema with all it refers to */
#define REOPEN_MS                                                                                  \
	60000 /* of trouble; then the stream is opened anew, with the options as they are then */
#define NOT_FOUND 404
#define NOT_ALLOWED 401
#define FORBIDDEN 403

typedef enum Answer
{
	ANSWER_YES,
	ANSWER_MISSING, /* it says that there is none */
	ANSWER_USELESS, /* what it has can be nobody's schema: why */
	ANSWER_NONE     /* why and sqlstate say why */
} Answer;

struct TxpRegistry
{
	const TxdRegistry *where;
	TxpChannel *channel;
	TxpHttp *http;
	TxdBuf body;
	char why[400];
	const char *sqlstate;
	int64_t due;
	int pause_ms;
	int64_t missing_since; /* schemas are waited for since then; 0: none is */
	int64_t trouble_since; /* no answers come; 0: they do */
	bool told;
	bool failed;
};

/* A schema and those it refers to, these first. */
typedef struct Texts
{
	TxdFormat format;
	json_t *answers;                      /* by path; they hold what the texts are in */
	const char *name[MAX_REFERENCES + 1]; /* that it is referred to by */
	const char *text[MAX_REFERENCES + 1];
	int n;
	int64_t deadline;
} Texts;

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

static Answer
no_answer(TxpRegistry *r, const char *sqlstate, const char *format, const char *what, long status)
{
	r->sqlstate = sqlstate;
	snprintf(r->why, sizeof(r->why), format, what, status);
	return ANSWER_NONE;
}

/* What a status other than 200 means; a registry gives its own code with a 404, a wrong address does not. */
static Answer
judge_status(TxpRegistry *r, long status)
{
	json_t *body = json_loadb(r->body.data != NULL ? r->body.data : "", r->body.len, 0, NULL);
	bool coded = json_object_get(body, "error_code") != NULL;

	json_decref(body);
	if (status == NOT_FOUND && coded)
		return ANSWER_MISSING;
	if (status == NOT_ALLOWED || status == FORBIDDEN)
		return no_answer(r, "28000", "%s (status %ld)", "it refuses user and password", status);
	return no_answer(r, "08006", "%s (status %ld)", "it answers without a schema", status);
}

/* Asks one of the addresses: GET base/path. */
static Answer
ask_address(TxpRegistry *r, const char *base, size_t base_len, const char *path)
{
	char url[2000];
	long status;

	while (base_len > 0 && base[base_len - 1] == '/')
		base_len--;
	if ((size_t) snprintf(url, sizeof(url), "%.*s/%s", (int) base_len, base, path) >= sizeof(url))
		return no_answer(r, "08006", "%s", "the address is too long", 0);
	status = txp_http_get(r->http, url, &r->body);
	if (status == TXP_HTTP_TOO_LONG)
	{
		(void) no_answer(r, "", "%s", "more than 4 MB", 0);
		return ANSWER_USELESS;
	}
	if (status == 0)
		return no_answer(r, "08006", "%s", txp_http_why(r->http), 0);
	return status == 200 ? ANSWER_YES : judge_status(r, status);
}

/* Asks the addresses, which commas separate, until one answers; the answer is an object, the caller's. */
static Answer
ask(TxpRegistry *r, const char *path, json_t **object)
{
	const char *base = r->where->url;
	Answer answer = ANSWER_NONE;

	while (answer == ANSWER_NONE && *base != '\0')
	{
		size_t len = strcspn(base, ", ");

		if (len > 0)
			answer = ask_address(r, base, len, path);
		base += len;
		base += strspn(base, ", ");
	}
	if (answer != ANSWER_YES)
		return answer;
	*object = json_loadb(r->body.data, r->body.len, JSON_ALLOW_NUL, NULL);
	if (json_is_string(json_object_get(*object, "schema")))
		return ANSWER_YES;
	json_decref(*object);
	return no_answer(r, "08006", "%s", "its answer has no schema", 0);
}

/* subjects/NAME/versions/N, the name's characters escaped as a path wants them. */
static void
put_path(char *path, size_t size, const char *subject, json_int_t version)
{
	char escaped[900];
	size_t n = 0;

	for (; *subject != '\0' && n + 4 < sizeof(escaped); subject++)
	{
		unsigned char c = (unsigned char) *subject;
		bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
					 c == '-' || c == '_' || c == '.';

		n += (size_t) snprintf(escaped + n, 4, plain ? "%c" : "%%%02X", c);
	}
	escaped[n] = '\0';
	snprintf(path, size, "subjects/%s/versions/%" JSON_INTEGER_FORMAT, escaped, version);
}

static Answer collect(TxpRegistry *r, const char *path, const char *name, Texts *texts);

static Answer
collect_references(TxpRegistry *r, const json_t *references, Texts *texts)
{
	for (size_t i = 0; i < json_array_size(references); i++)
	{
		const json_t *reference = json_array_get(references, i);
		const char *name = json_string_value(json_object_get(reference, "name"));
		const char *subject = json_string_value(json_object_get(reference, "subject"));
		json_int_t version = json_integer_value(json_object_get(reference, "version"));
		char path[1000];
		Answer answer;

		put_path(path, sizeof(path), subject != NULL ? subject : "", version);
		answer = collect(r, path, name != NULL ? name : "", texts);
		if (answer != ANSWER_YES)
			return answer;
	}
	return ANSWER_YES;
}

/* What the registry has at the path, asked for once. */
static Answer
ask_once(TxpRegistry *r, const char *path, Texts *texts, json_t **object)
{
	Answer answer;

	*object = json_object_get(texts->answers, path);
	if (*object != NULL)
		return ANSWER_YES;
	if (json_object_size(texts->answers) > MAX_REFERENCES)
	{
		(void) no_answer(r, "", "%s", "references to more than 200 schemas", 0);
		return ANSWER_USELESS;
	}
	if (txp_now_ms() > texts->deadline)
		return no_answer(r, "08006", "%s", "it answers slowly", 0);
	answer = ask(r, path, object);
	if (answer == ANSWER_YES)
		json_object_set_new(texts->answers, path, *object);
	return answer;
}

/* Those of Avro have no type with older registries. */
static Answer
add_text(TxpRegistry *r, const char *name, Texts *texts, const json_t *object)
{
	const char *type = json_string_value(json_object_get(object, "schemaType"));
	const char *text = json_string_value(json_object_get(object, "schema"));
	const char *wanted = texts->format == TXD_PROTOBUF ? "PROTOBUF" : "AVRO";

	if (strcmp(type != NULL ? type : "AVRO", wanted) != 0)
	{
		r->sqlstate = "";
		snprintf(r->why, sizeof(r->why), "it is of %.40s, not of %s", type != NULL ? type : "AVRO",
				 wanted);
		return ANSWER_USELESS;
	}
	for (int i = 0; i < texts->n; i++)
		if (strcmp(texts->text[i], text) == 0)
			return ANSWER_YES;
	texts->name[texts->n] = name;
	texts->text[texts->n++] = text;
	return ANSWER_YES;
}

/* Adds the schema at the path behind those it refers to, each once. */
static Answer
collect(TxpRegistry *r, const char *path, const char *name, Texts *texts)
{
	json_t *object;
	Answer answer = ask_once(r, path, texts, &object);

	/* Whoever refers to himself ends here, too. */
	if (answer == ANSWER_YES && json_object_get(object, "visited") == NULL)
	{
		json_object_set_new(object, "visited", json_true());
		answer = collect_references(r, json_object_get(object, "references"), texts);
		if (answer == ANSWER_YES)
			answer = add_text(r, name, texts, object);
	}
	return answer;
}

/* Asks for the schema, and tells the decoder what is known then. */
static Answer
fetch(TxpRegistry *r, TxdDecoder *decoder, const TxdWanted *wanted)
{
	Texts texts = {
		.format = wanted->format, .answers = json_object(), .deadline = txp_now_ms() + FETCH_MS};
	char path[60];
	Answer answer;

	snprintf(path, sizeof(path), "schemas/ids/%" PRIu32, wanted->id);
	answer = collect(r, path, "schema", &texts);
	if (answer == ANSWER_USELESS)
	{
		txd_refuse_schema(decoder, wanted, r->why);
		answer = ANSWER_YES;
	}
	else if (answer == ANSWER_YES)
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
tell(TxpRegistry *r, Answer answer, uint32_t id)
{
	int64_t now = txp_now_ms();

	if (answer == ANSWER_NONE && r->trouble_since == 0)
		r->trouble_since = now;
	r->failed = answer == ANSWER_NONE &&
				(strcmp(r->sqlstate, "28000") == 0 || now >= r->trouble_since + REOPEN_MS);
	if (r->told && !r->failed)
		return;
	r->told = true;
	if (answer == ANSWER_MISSING)
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
	Answer answer;

	if (txp_now_ms() < r->due)
		return false;
	answer = fetch(r, decoder, wanted);
	if (answer == ANSWER_YES)
		r->missing_since = 0;
	if (answer == ANSWER_MISSING && is_given_up(r))
	{
		txd_add_schema(decoder, wanted, NULL, NULL, 0);
		answer = ANSWER_YES;
	}
	if (answer != ANSWER_NONE)
		r->trouble_since = 0;
	if (answer == ANSWER_YES)
	{
		r->told = false;
		r->due = r->pause_ms = 0;
		return true;
	}
	tell(r, answer, wanted->id);
	r->pause_ms = r->pause_ms == 0 ? PAUSE_MS : 2 * r->pause_ms;
	if (r->pause_ms > MAX_PAUSE_MS)
		r->pause_ms = MAX_PAUSE_MS;
	r->due = txp_now_ms() + (answer == ANSWER_MISSING ? MISSING_MS : r->pause_ms);
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
	Answer answer = ANSWER_YES;

	while (r != NULL && answer != ANSWER_NONE && txd_wants_schema(decoder, message, &wanted))
	{
		answer = fetch(r, decoder, &wanted);
		if (answer == ANSWER_MISSING)
			txd_add_schema(decoder, &wanted, NULL, NULL, 0);
	}
	if (answer != ANSWER_NONE)
		return true;
	txp_error(r->channel,
			  (TxpError){.fatal = true, .answer = true, .sqlstate = r->sqlstate, .detail = r->why},
			  "the schema registry at \"%s\" does not give schema %" PRIu32, r->where->url,
			  wanted.id);
	return false;
}
