/*
 * spi.c — running our own SQL: prepared once per process, checked, always with the catalogs' rights.
 */
#include "postgres.h"

#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "rights.h"
#include "spi.h"
#include "version.h"

static void
prepare(TxpStatement *statement)
{
	SPIPlanPtr plan = SPI_prepare(statement->sql, statement->nargs, statement->argtypes);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "SPI_keepplan failed");
	statement->plan = plan;
}

uint64
txp_spi_run(TxpStatement *statement, Datum *values, const char *nulls)
{
	TxpRights saved;
	int code;

	txp_version_check_once();
	txp_rights_catalog(&saved);
	if (statement->plan == NULL)
		prepare(statement);
	code = SPI_execute_plan(statement->plan, values, nulls, false, 0);
	if (code < 0)
		elog(ERROR, "SPI_execute_plan returned %s for: %s", SPI_result_code_string(code),
			 statement->sql);
	txp_rights_restore(&saved);
	return SPI_processed;
}

uint64
txp_spi_do(TxpStatement *statement, Datum *values, const char *nulls)
{
	uint64 processed;

	SPI_connect();
	processed = txp_spi_run(statement, values, nulls);
	SPI_finish();
	return processed;
}

Datum
txp_spi_ask(TxpStatement *statement, Datum *values, const char *nulls)
{
	Datum answer;

	SPI_connect();
	(void) txp_spi_run(statement, values, nulls);
	answer = txp_spi_datum(0, 1);
	SPI_finish();
	return answer;
}

List *
txp_spi_list(TxpStatement *statement, Datum *values, const char *nulls, void *(*read)(uint64 row))
{
	MemoryContext context = CurrentMemoryContext;
	List *list = NIL;
	uint64 n;

	SPI_connect();
	n = txp_spi_run(statement, values, nulls);
	for (uint64 row = 0; row < n; row++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		list = lappend(list, read(row));
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return list;
}

void
txp_spi_commit_as(Oid owner)
{
	Oid user;
	int context;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner, context | SECURITY_LOCAL_USERID_CHANGE);
	SPI_commit();
	SetUserIdAndSecContext(user, context);
	/* The new transaction began as the owner, and its abort would come back to him: begin another. */
	SPI_commit();
}

SPIPlanPtr
txp_spi_prepare(const char *sql)
{
	SPIPlanPtr plan = SPI_prepare(sql, 0, NULL);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare returned %s: %s", SPI_result_code_string(SPI_result), sql);
	return plan;
}

Datum
txp_spi_value(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

Datum
txp_spi_datum(uint64 row, int column)
{
	bool isnull;
	Datum value = txp_spi_value(row, column, &isnull);

	if (isnull)
		elog(ERROR, "unexpected null in column %d of a txpipe catalog", column);
	return value;
}

char *
txp_spi_text(uint64 row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
}

Datum
txp_spi_array(Oid element, Datum *values, bool *nulls, int n)
{
	int lower = 1;
	int16 len;
	bool byval;
	char align;

	get_typlenbyvalalign(element, &len, &byval, &align);
	return PointerGetDatum(
		construct_md_array(values, nulls, 1, &n, &lower, element, len, byval, align));
}

bool
txp_extension_exists(void)
{
	return OidIsValid(get_extension_oid("txpipe", true));
}

bool
txp_extension_hold(void)
{
	Oid extension = get_extension_oid("txpipe", true);

	return OidIsValid(extension) &&
		   ConditionalLockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock) &&
		   txp_extension_exists();
}
