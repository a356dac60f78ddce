/*
 * pseudonym.c — where a plan's columns of pseudonyms have their key from.
 */
#include "postgres.h"

#include "io_client.h"
#include "properties.h"
#include "rowplan.h"

/* The first column of pseudonyms, or NULL. */
static const TxdColumn *
pseudonym_column(const TxpRowPlan *plan)
{
	for (int i = 0; i < plan->ncolumns; i++)
	{
		if (plan->columns[i].convert == TXD_AS_PSEUDONYM)
			return &plan->columns[i];
	}
	return NULL;
}

void
txp_rowplan_set_key(TxpRowPlan *plan, const char *server, Oid user)
{
	const TxdColumn *column = pseudonym_column(plan);

	if (column == NULL)
		return;
	if (server[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("column \"%s\" needs the option pseudonym_server", column->name),
						errhint("Name a server whose user mapping for the feed's owner has a "
								"pseudonym_key_file.")));
	plan->key_server = txp_server_by_name(server);
	plan->key_user = user;
}

/* Read when it is needed, so that a rotated key needs no ALTER. */
void
txp_pack_key(const TxpRowPlan *plan, StringInfo buf)
{
	const TxdColumn *column = pseudonym_column(plan);

	if (column == NULL)
		txp_put_str(buf, NULL);
	else
		txp_pack_pseudonym_key(buf, plan->key_server, plan->key_user, column->name);
}
