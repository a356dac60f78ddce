/*
 * error_class.c — errors by what is at fault, and what of them may be shown.
 */
#include "postgres.h"

#include "error_class.h"

bool
txp_error_is_of_rows(int sqlerrcode)
{
	static const char *const others[] = {
		"08", /* connection */
		"0A", /* feature not supported */
		"25", /* transaction state */
		"26", /* statement name */
		"28", /* authorization */
		"2D", /* transaction termination */
		"3D", /* catalog name */
		"3F", /* schema name */
		"40", /* transaction rollback: serialization, deadlock */
		"42", /* access rule: no such object, no privilege */
		"53", /* insufficient resources */
		"55", /* object not in prerequisite state, lock not available */
		"57", /* operator intervention */
		"58", /* system error */
		"F0", /* configuration file */
		"HV", /* foreign data wrapper */
		"XX", /* internal error */
	};
	const char *code = unpack_sql_state(sqlerrcode);

	for (int i = 0; i < (int) lengthof(others); i++)
	{
		if (strncmp(code, others[i], 2) == 0)
			return false;
	}
	return true;
}

bool
txp_error_is_of_statement(int sqlerrcode)
{
	int category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return txp_error_is_of_rows(sqlerrcode) ||
		   category == ERRCODE_TO_CATEGORY(ERRCODE_UNDEFINED_TABLE) ||
		   category == ERRCODE_FEATURE_NOT_SUPPORTED || category == ERRCODE_INVALID_SCHEMA_NAME;
}

char *
txp_error_without_values(const ErrorData *error)
{
	return error->constraint_name
			   ? psprintf("refused by the constraint \"%s\"", error->constraint_name)
			   : pstrdup("refused by PostgreSQL with this SQLSTATE");
}

void
txp_error_hide_values(ErrorData *error)
{
	if (txp_error_is_of_rows(error->sqlerrcode))
	{
		error->message = txp_error_without_values(error);
		error->hint = NULL;
	}
	error->detail = NULL;
	error->context = NULL;
}
