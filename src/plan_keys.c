/*
 * plan_keys.c — where a plan has its keys from: of pseudonyms, and of encryption.
 */
#include "postgres.h"

#include "io_client.h"
#include "properties.h"
#include "rowplan.h"

/* The first column of the conversion, or NULL. */
static const TxdColumn *
column_as(const TxpRowPlan *plan, TxdConvert convert)
{
	for (int i = 0; i < plan->ncolumns; i++)
	{
		if (plan->columns[i].convert == convert)
			return &plan->columns[i];
	}
	return NULL;
}

static Oid
server_of_key(const char *server, const TxdColumn *column, const char *option, const char *key)
{
	if (server[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" needs the option %s", column->name, option),
				 errhint("Name a server whose user mapping for the feed's owner has a %s.", key)));
	return txp_server_by_name(server);
}

void
txp_rowplan_set_keys(TxpRowPlan *plan, const TxpPlanKeys *keys)
{
	const TxdColumn *pseudonym = column_as(plan, TXD_AS_PSEUDONYM);
	const TxdColumn *encrypted = column_as(plan, TXD_AS_ENCRYPTED);

	plan->key_user = keys->user;
	if (pseudonym != NULL)
		plan->key_server = server_of_key(keys->pseudonym_server, pseudonym, "pseudonym_server",
										 "pseudonym_key_file");
	plan->encrypts = keys->encrypts || encrypted != NULL;
	if (plan->encrypts)
		plan->encryption_server = server_of_key(keys->encryption_server, encrypted,
												"encryption_server", "encryption_key_file");
}

static void
pack_key(StringInfo buf, TxpKey which, Oid server, Oid user, const char *whom)
{
	char *key = txp_mapping_key(which, server, user);

	if (key == NULL)
		txp_mapping_lacks_key(which, whom);
	txp_put_str(buf, key);
	explicit_bzero(key, strlen(key));
	pfree(key);
}

/* Read when they are needed, so that a rotated key needs no ALTER. */
void
txp_pack_keys(const TxpRowPlan *plan, StringInfo buf)
{
	const TxdColumn *pseudonym = column_as(plan, TXD_AS_PSEUDONYM);
	const TxdColumn *encrypted = column_as(plan, TXD_AS_ENCRYPTED);

	if (pseudonym == NULL)
		txp_put_str(buf, NULL);
	else
		pack_key(buf, TXP_KEY_OF_PSEUDONYMS, plan->key_server, plan->key_user, pseudonym->name);
	if (!plan->encrypts)
		txp_put_str(buf, NULL);
	else
		pack_key(buf, TXP_KEY_OF_ENCRYPTION, plan->encryption_server, plan->key_user,
				 encrypted ? encrypted->name : NULL);
}
