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

/* What is of another format would be without effect. */
static void
check_options(TxdFormat format, const TxpStreamSchemas *schemas)
{
	if (format != TXD_AVRO)
		refuse_option("avro_schema", schemas->avro_schema, "the format avro");
	if (format != TXD_PROTOBUF)
		refuse_option("protobuf_schema", schemas->protobuf_schema, "the format protobuf");
	if (schemas->protobuf_schema == NULL)
		refuse_option("protobuf_message", schemas->protobuf_message, "the option protobuf_schema");
}

void
txp_rowplan_set_schemas(TxpRowPlan *plan, const char *server, Oid user,
						const TxpStreamSchemas *schemas)
{
	bool avro = plan->format == TXD_AVRO;
	Oid server_id;

	check_options(plan->format, schemas);
	if (!txd_is_translated(plan->format))
		return;
	server_id = txp_server_by_name(server);
	plan->key_user = user;
	plan->schemas = *schemas;
	plan->registry_server = txp_has_registry(server_id) ? server_id : InvalidOid;
	if ((avro ? schemas->avro_schema : schemas->protobuf_schema) == NULL &&
		!OidIsValid(plan->registry_server))
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("there is no schema for messages of the format %s", avro ? "avro" : "protobuf"),
			 errhint("ALTER SERVER %s OPTIONS (ADD schema_registry_url 'http://host:port'), or "
					 "give the stream the option %s.",
					 quote_identifier(server), avro ? "avro_schema" : "protobuf_schema")));
}

/* Read when they are needed, as keys are: so a moved registry needs no change of the stream. */
void
txp_pack_schemas(const TxpRowPlan *plan, StringInfo buf)
{
	txp_put_str(buf, plan->schemas.avro_schema);
	txp_put_str(buf, plan->schemas.protobuf_schema);
	txp_put_str(buf, plan->schemas.protobuf_message);
	if (OidIsValid(plan->registry_server))
		txp_pack_registry(buf, plan->registry_server, plan->key_user);
	else
		for (int i = 0; i < 3; i++)
			txp_put_str(buf, NULL);
	txp_put_i32(buf, plan->schemas.timeout_s);
}
