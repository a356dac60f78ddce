/*
 * plan_schemas.c — where a plan has its schemas from: the stream's own, and a registry.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "io_client.h"
#include "properties.h"
#include "rowplan.h"

static void
refuse_option(const char *option, const char *value, const char *needs)
{
	if (value != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option %s needs %s", option, needs)));
}

/* Of all messages, or those of a topic. */
static bool
has_format(const TxpRowPlan *plan, TxdFormat format)
{
	bool found = plan->format == format;

	for (int i = 0; i < plan->ntopics; i++)
		found |= plan->topics[i].format == format;
	return found;
}

/* What is of another format would be without effect. */
static void
check_options(const TxpRowPlan *plan, const TxpStreamSchemas *schemas)
{
	TxdKeyFormat key_format = plan->key_format;

	if (!has_format(plan, TXD_AVRO))
		refuse_option("avro_schema", schemas->own.avro, "the format avro");
	if (!has_format(plan, TXD_PROTOBUF))
		refuse_option("protobuf_schema", schemas->own.protobuf, "the format protobuf");
	if (schemas->own.protobuf == NULL)
		refuse_option("protobuf_message", schemas->own.message, "the option protobuf_schema");
	if (key_format != TXD_KEY_AVRO)
		refuse_option("key_avro_schema", schemas->key.avro, "key_format avro");
	if (key_format != TXD_KEY_PROTOBUF)
		refuse_option("key_protobuf_schema", schemas->key.protobuf, "key_format protobuf");
	if (schemas->key.protobuf == NULL)
		refuse_option("key_protobuf_message", schemas->key.message,
					  "the option key_protobuf_schema");
}

static TxdKeyFormat
key_format_by_name(const char *name)
{
	if (strcmp(name, "json") == 0)
		return TXD_KEY_JSON;
	if (strcmp(name, "avro") == 0)
		return TXD_KEY_AVRO;
	return strcmp(name, "protobuf") == 0 ? TXD_KEY_PROTOBUF : TXD_KEY_TEXT;
}

/* Messages or keys of a format that has schemas need the stream's own, or a registry. */
static void
require_schema(const TxpRowPlan *plan, const char *server, const char *whose, bool avro,
			   const TxpOwnSchema *own, const char *prefix)
{
	if ((avro ? own->avro : own->protobuf) == NULL && !OidIsValid(plan->registry_server))
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("there is no schema for %s of the format %s", whose,
					avro ? "avro" : "protobuf"),
			 errhint("ALTER SERVER %s OPTIONS (ADD schema_registry_url 'http://host:port'), or "
					 "give the stream the option %s%s.",
					 quote_identifier(server), prefix, avro ? "avro_schema" : "protobuf_schema")));
}

void
txp_rowplan_set_schemas(TxpRowPlan *plan, const char *server, Oid user,
						const TxpStreamSchemas *schemas)
{
	bool avro;
	bool protobuf;
	bool key;
	Oid server_id;

	txp_rowplan_set_topics(plan, schemas->topics, schemas->topic_formats);
	plan->key_format = key_format_by_name(schemas->key_format);
	avro = has_format(plan, TXD_AVRO);
	protobuf = has_format(plan, TXD_PROTOBUF);
	key = plan->key_format >= TXD_KEY_AVRO;
	check_options(plan, schemas);
	if (!avro && !protobuf && !key)
		return;
	server_id = txp_server_by_name(server);
	plan->key_user = user;
	plan->schemas = *schemas;
	plan->registry_server = txp_has_registry(server_id) ? server_id : InvalidOid;
	if (avro)
		require_schema(plan, server, "messages", true, &schemas->own, "");
	if (protobuf)
		require_schema(plan, server, "messages", false, &schemas->own, "");
	if (key)
		require_schema(plan, server, "keys", plan->key_format == TXD_KEY_AVRO, &schemas->key,
					   "key_");
}

static void
put_own(StringInfo buf, const TxpOwnSchema *own)
{
	txp_put_str(buf, own->avro);
	txp_put_str(buf, own->protobuf);
	txp_put_str(buf, own->message);
}

/* Read when they are needed, as keys are: so a moved registry needs no change of the stream. */
void
txp_pack_schemas(const TxpRowPlan *plan, StringInfo buf)
{
	put_own(buf, &plan->schemas.own);
	txp_put_u8(buf, plan->key_format);
	put_own(buf, &plan->schemas.key);
	if (OidIsValid(plan->registry_server))
		txp_pack_registry(buf, plan->registry_server, plan->key_user);
	else
		for (int i = 0; i < 3; i++)
			txp_put_str(buf, NULL);
	txp_put_i32(buf, plan->schemas.timeout_s);
	txp_put_u32(buf, plan->ntopics);
	for (int i = 0; i < plan->ntopics; i++)
	{
		txp_put_str(buf, plan->topics[i].topic);
		txp_put_u8(buf, plan->topics[i].format);
	}
}
