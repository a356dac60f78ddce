/*
 * message_format.c — how the values of messages that are sent are written: what `format` and `options` of produce and enqueue say.
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

/* Options that would be without effect are refused. */
static void
check_options(Oid server, bool avro, Jsonb *options)
{
	bool registry = txp_has_registry(server);
	bool schema = option_text(options, "avro_schema") != NULL;
	char *subject = option_text(options, "subject");

	if (schema && !avro)
		refuse("option avro_schema needs the format avro", "Give format => 'avro'.");
	if (subject != NULL && !subject_fits(subject))
		refuse("option subject is too long",
			   psprintf("As a part of an address it may take %d bytes; a special character "
						"takes three for each of its own.",
						TXP_MAX_SUBJECT));
	if (subject != NULL && !registry)
		refuse("option subject needs a schema registry",
			   "Give the server the option schema_registry_url.");
	if (txp_option_bool(TXP_OPTION_MESSAGE, options, "register") && (!registry || !schema))
		refuse("option register needs a schema registry and the option avro_schema",
			   registry ? "The schema that is registered is the one of avro_schema."
						: "Give the server the option schema_registry_url, or leave register out: "
						  "values are bare then.");
	if (avro && !schema && !registry)
		refuse("there is no schema for messages of the format avro",
			   "Give the option avro_schema, or the server the option schema_registry_url.");
}

Jsonb *
txp_message_format(Oid server, const char *format, Jsonb *options)
{
	bool avro = strcmp(format, "avro") == 0;
	Jsonb *named;

	if (!avro && strcmp(format, "json") != 0)
		refuse(psprintf("messages cannot be sent in the format \"%s\"", format),
			   "Formats are json and avro; a value that is text is sent as it is.");
	if (options != NULL)
		txp_options_check(TXP_OPTION_MESSAGE, options);
	check_options(server, avro, options);
	/* JSON is behind the number of a schema where a subject is named. */
	if (!avro && option_text(options, "subject") == NULL)
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

static void
put_encoding(StringInfo buf, const char *topic, bool registry, Jsonb *format)
{
	char *subject = option_text(format, "subject");

	txp_put_u8(buf, is_avro(format) ? TXD_AVRO : TXD_JSON);
	txp_put_str(buf, option_text(format, "avro_schema"));
	if ((registry || had_registry(format)) && subject == NULL)
		subject = psprintf("%s-value", topic);
	txp_put_str(buf, subject);
	txp_put_u8(buf, txp_option_bool(TXP_OPTION_MESSAGE, format, "register"));
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
