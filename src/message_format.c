/*
 * message_format.c — how values and keys of messages that are sent are written: what `format` and `options` of produce and enqueue say.
 */
#include "postgres.h"

#include <ctype.h>

#include "utils/builtins.h"

#include "decode/decode.h"
#include "io/frame.h"
#include "message_format.h"
#include "options.h"
#include "payload.h"
#include "properties.h"

static char *
option_text(Jsonb *options, const char *name)
{
	return txp_option_text(TXP_OPTION_MESSAGE, options, name);
}

static void
refuse(const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", what), errhint("%s", hint)));
}

/* As a part of an address, where special characters take three. */
static bool
subject_fits(const char *subject)
{
	size_t escaped = 0;

	for (; *subject != '\0' && escaped <= TXP_MAX_SUBJECT; subject++)
		escaped += !IS_HIGHBIT_SET(*subject) &&
						   (isalnum((unsigned char) *subject) || strchr("-_.", *subject) != NULL)
					   ? 1
					   : 3;
	return escaped <= TXP_MAX_SUBJECT;
}

/* The names of what options say of values, or of keys. */
typedef struct Names
{
	const char *messages; /* what they are said of */
	const char *format;
	const char *schema;
	const char *subject;
	const char *suffix; /* of the topic's, when no subject is named */
} Names;

static const Names of_values = {"messages", "format", "avro_schema", "subject", "value"};
static const Names of_keys = {"keys", "key_format", "key_avro_schema", "key_subject", "key"};

/* Options that would be without effect are refused. */
static void
check_names(const Names *names, const char *format, bool registry, Jsonb *options)
{
	bool avro = strcmp(format, "avro") == 0;
	bool schema = option_text(options, names->schema) != NULL;
	char *subject = option_text(options, names->subject);

	if (schema && !avro)
		refuse(psprintf("option %s needs the %s avro", names->schema, names->format),
			   psprintf("Give %s avro.", names->format));
	if (subject != NULL && strcmp(format, "text") == 0)
		refuse(psprintf("option %s needs the %s avro or json", names->subject, names->format),
			   psprintf("Give %s avro or json.", names->format));
	if (subject != NULL && !subject_fits(subject))
		refuse(psprintf("option %s is too long", names->subject),
			   psprintf("As a part of an address it may take %d bytes; a special character "
						"takes three for each of its own.",
						TXP_MAX_SUBJECT));
	if (subject != NULL && !registry)
		refuse(psprintf("option %s needs a schema registry", names->subject),
			   "Give the server the option schema_registry_url.");
	if (avro && !schema && !registry)
		refuse(psprintf("there is no schema for %s of the format avro", names->messages),
			   psprintf("Give the option %s, or the server the option schema_registry_url.",
						names->schema));
}

static void
check_options(Oid server, const char *format, Jsonb *options)
{
	bool registry = txp_has_registry(server);
	bool schema = option_text(options, of_values.schema) || option_text(options, of_keys.schema);

	check_names(&of_values, format, registry, options);
	check_names(&of_keys, option_text(options, of_keys.format), registry, options);
	if (txp_option_bool(TXP_OPTION_MESSAGE, options, "register") && (!registry || !schema))
		refuse("option register needs a schema registry and the option avro_schema or "
			   "key_avro_schema",
			   registry ? "The schema that is registered is the one of avro_schema."
						: "Give the server the option schema_registry_url, or leave register out: "
						  "values are bare then.");
}

/* The error of a text that is no JSON says what it is about. */
static void
explain_key(void *arg)
{
	errcontext("key of a message");
	errhint("With key_format %s the key is JSON, as to_jsonb(...)::text writes it.", (char *) arg);
}

static void
check_key(char *format, char *key)
{
	ErrorContextCallback explaining = {
		.previous = error_context_stack, .callback = explain_key, .arg = format};

	if (key == NULL || strcmp(format, "text") == 0)
		return;
	error_context_stack = &explaining;
	(void) DirectFunctionCall1(jsonb_in, CStringGetDatum(key));
	error_context_stack = explaining.previous;
}

Jsonb *
txp_message_format(Oid server, const char *format, char *key, Jsonb *options)
{
	bool avro = strcmp(format, "avro") == 0;
	char *key_format;
	Jsonb *named;

	if (!avro && strcmp(format, "json") != 0)
		refuse(psprintf("messages cannot be sent in the format \"%s\"", format),
			   "Formats are json and avro; a value that is text is sent as it is.");
	if (options != NULL)
		txp_options_check(TXP_OPTION_MESSAGE, options);
	check_options(server, format, options);
	key_format = option_text(options, of_keys.format);
	check_key(key_format, key);
	/* JSON is behind the number of a schema where a subject is named. */
	if (!avro && option_text(options, of_values.subject) == NULL && strcmp(key_format, "text") == 0)
		return NULL;
	named = DatumGetJsonbP(DirectFunctionCall1(
		jsonb_in, CStringGetDatum(psprintf("{\"format\": \"%s\", \"registry\": %s}", format,
										   txp_has_registry(server) ? "true" : "false"))));
	if (options == NULL)
		return named;
	return DatumGetJsonbP(
		DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(options), JsonbPGetDatum(named)));
}

static bool
is_avro(Jsonb *format)
{
	JsonbValue v;

	return getKeyJsonValueFromContainer(&format->root, "format", strlen("format"), &v) &&
		   v.type == jbvString && v.val.string.len == strlen("avro") &&
		   memcmp(v.val.string.val, "avro", strlen("avro")) == 0;
}

/* Did the server name a registry when the message was made? Where it does no more, bytes without a number are not what was meant. */
static bool
had_registry(Jsonb *format)
{
	JsonbValue v;

	return getKeyJsonValueFromContainer(&format->root, "registry", strlen("registry"), &v) &&
		   v.type == jbvBool && v.val.boolean;
}

/* JSON is as it is where no subject says behind which number it is. */
static void
put_writing(StringInfo buf, const Names *names, bool avro, const char *topic, bool registry,
			Jsonb *format)
{
	char *subject = option_text(format, names->subject);
	TxdFormat how = avro ? TXD_AVRO : subject != NULL ? TXD_JSON : TXD_PLAIN_TEXT;

	txp_put_u8(buf, how);
	txp_put_str(buf, option_text(format, names->schema));
	if (avro && registry && subject == NULL)
		subject = psprintf("%s-%s", topic, names->suffix);
	txp_put_str(buf, subject);
	txp_put_u8(buf, txp_option_bool(TXP_OPTION_MESSAGE, format, "register"));
}

static void
put_encoding(StringInfo buf, const char *topic, bool registry, Jsonb *format)
{
	bool numbered = registry || had_registry(format);
	char *key_format = option_text(format, of_keys.format);

	put_writing(buf, &of_values, is_avro(format), topic, numbered, format);
	put_writing(buf, &of_keys, strcmp(key_format, "avro") == 0, topic, numbered, format);
}

void
txp_put_encodings(StringInfo buf, Oid server, Oid user, const char *topic, List *formats)
{
	bool registry = formats != NIL && txp_has_registry(server);
	ListCell *lc;

	if (registry)
		txp_pack_registry(buf, server, user);
	else
		for (int i = 0; i < 3; i++)
			txp_put_str(buf, NULL);
	txp_put_i32(buf, 0);
	txp_put_u32(buf, list_length(formats));
	foreach (lc, formats)
		put_encoding(buf, topic, registry, lfirst(lc));
}
