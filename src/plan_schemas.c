/*
 * plan_schemas.c — where a plan has its schemas from: the stream's own, and a registry.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "io_client.h"
#include "properties.h"
#include "rowplan.h"

void
txp_rowplan_set_schemas(TxpRowPlan *plan, const char *server, Oid user, const char *schema,
						int timeout_s)
{
	Oid server_id;

	if (plan->format != TXD_AVRO)
	{
		if (schema != NULL)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("option avro_schema needs the format avro")));
		return;
	}
	server_id = txp_server_by_name(server);
	plan->key_user = user;
	plan->avro_schema = schema;
	plan->schema_timeout_s = timeout_s;
	plan->registry_server = txp_has_registry(server_id) ? server_id : InvalidOid;
	if (schema == NULL && !OidIsValid(plan->registry_server))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no schema for messages of the format avro"),
				 errhint("ALTER SERVER %s OPTIONS (ADD schema_registry_url 'http://host:port'), or "
						 "give the stream the option avro_schema.",
						 quote_identifier(server))));
}

/* Read when they are needed, as keys are: so a moved registry needs no change of the stream. */
void
txp_pack_schemas(const TxpRowPlan *plan, StringInfo buf)
{
	txp_put_str(buf, plan->avro_schema);
	if (OidIsValid(plan->registry_server))
		txp_pack_registry(buf, plan->registry_server, plan->key_user);
	else
		for (int i = 0; i < 3; i++)
			txp_put_str(buf, NULL);
	txp_put_i32(buf, plan->schema_timeout_s);
}
