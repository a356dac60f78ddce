/*
 * args.c — arguments of SQL-callable functions, and members of JSON objects.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "args.h"

#define MS_PER_DAY 86400000.0

static void
require(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name), errhint("Give it a value.")));
}

char *
txp_arg_text(FunctionCallInfo fcinfo, int n, const char *name)
{
	require(fcinfo, n, name);
	return text_to_cstring(PG_GETARG_TEXT_PP(n));
}

char *
txp_arg_text_or_null(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

Jsonb *
txp_arg_jsonb_or_null(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : PG_GETARG_JSONB_P(n);
}

bool
txp_arg_bool(FunctionCallInfo fcinfo, int n, bool if_null)
{
	return PG_ARGISNULL(n) ? if_null : PG_GETARG_BOOL(n);
}

int64
txp_arg_int64(FunctionCallInfo fcinfo, int n, const char *name)
{
	require(fcinfo, n, name);
	return PG_GETARG_INT64(n);
}

int32
txp_arg_int32(FunctionCallInfo fcinfo, int n, const char *name)
{
	require(fcinfo, n, name);
	return PG_GETARG_INT32(n);
}

int
txp_arg_interval_ms(FunctionCallInfo fcinfo, int n, const char *name)
{
	Interval *interval;
	double ms;

	require(fcinfo, n, name);
	interval = PG_GETARG_INTERVAL_P(n);
	ms = interval->time / 1000.0 + (double) interval->day * MS_PER_DAY;
	if (interval->month != 0 || ms < 0 || ms > MS_PER_DAY)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"%s\" must be between 0 and one day", name),
						errhint("For example interval '10 s'.")));
	return (int) ms;
}

int
txp_arg_count(FunctionCallInfo fcinfo, int n, const char *name, int max)
{
	int count;

	require(fcinfo, n, name);
	count = PG_GETARG_INT32(n);
	if (count < 1 || count > max)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"%s\" must be between 1 and %d", name, max),
						errhint("It was %d.", count)));
	return count;
}

char **
txp_arg_names(FunctionCallInfo fcinfo, int n, const char *name, const char *hint, int *count)
{
	char **names;
	Datum *values;
	bool *nulls;

	*count = 0;
	if (PG_ARGISNULL(n))
		return NULL;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(n), TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls,
					  count);
	names = palloc(sizeof(char *) * (*count + 1));
	for (int i = 0; i < *count; i++)
	{
		if (nulls[i])
			*count = 0;
		else
			names[i] = TextDatumGetCString(values[i]);
	}
	if (*count == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s must be names of columns", name), errhint("%s", hint)));
	return names;
}

char *
txp_next_member(JsonbIterator **it, JsonbValue *value)
{
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(it, value, true)) != WJB_DONE)
	{
		char *name;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(value->val.string.val, value->val.string.len);
		(void) JsonbIteratorNext(it, value, true);
		return name;
	}
	return NULL;
}
