/*
 * options.c — options, as the table has them: checked, defaulted and listed.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "args.h"
#include "options.h"
#include "secret_file.h"
#include "trust.h"

static const char *const type_names[] = {"text",   "secret",   "integer", "boolean", "character",
										 "choice", "interval", "file",    "file",    "object"};
static const char *const scope_names[] = {
	"server", "user mapping", "stream", "feed", "message", "object store", "object store mapping"};

static const TxpOption *
find_option(TxpOptionScope scope, const char *name)
{
	char *plain = pstrdup(name);

	/* librdkafka's own spelling is taken too. */
	if (scope == TXP_OPTION_SERVER || scope == TXP_OPTION_MAPPING)
	{
		for (char *c = plain; *c; c++)
		{
			if (*c == '.')
				*c = '_';
		}
	}
	for (int i = 0; i < txp_n_options; i++)
	{
		if (txp_options[i].scope == scope && strcmp(txp_options[i].name, plain) == 0)
			return &txp_options[i];
	}
	return NULL;
}

static char *
valid_names(TxpOptionScope scope)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < txp_n_options; i++)
	{
		if (txp_options[i].scope == scope)
			appendStringInfo(&names, "%s%s", names.len ? ", " : "", txp_options[i].name);
	}
	return names.data;
}

/* The one of the words, separated by spaces, that `value` is but for case; NULL: none. */
static char *
word_of(const char *words, const char *value)
{
	size_t len;

	for (const char *p = words; *p; p += len + (p[len] == ' '))
	{
		len = strcspn(p, " ");
		if (strlen(value) == len && pg_strncasecmp(p, value, len) == 0)
			return pnstrdup(p, len);
	}
	return NULL;
}

static bool
is_integer(const char *value, int64 min, int64 max)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(value, &end, 10);
	return errno == 0 && *value != '\0' && *end == '\0' && v >= min && v <= max;
}

/* What is no interval at all is PostgreSQL's error. */
static const char *
why_no_interval(const TxpOption *option, const char *value)
{
	Interval *interval = DatumGetIntervalP(DirectFunctionCall3(
		interval_in, CStringGetDatum(value), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	double seconds = ((double) interval->month * DAYS_PER_MONTH + interval->day) * SECS_PER_DAY +
					 (double) interval->time / USECS_PER_SEC;

	if (seconds >= option->min && seconds <= option->max)
		return NULL;
	return psprintf("An interval of " INT64_FORMAT " seconds or more, such as 2 hours.",
					option->min);
}

/* NULL when the option can have that value, else what it takes. */
static const char *
why_not(const TxpOption *option, const char *value)
{
	bool flag;

	switch (option->type)
	{
		case TXP_TYPE_INTEGER:
			if (is_integer(value, option->min, option->max))
				return NULL;
			return psprintf("A whole number from " INT64_FORMAT " to " INT64_FORMAT "%s%s.",
							option->min, option->max, option->unit ? " " : "",
							option->unit ? option->unit : "");
		case TXP_TYPE_BOOLEAN:
			return parse_bool(value, &flag) ? NULL : "The option takes a boolean.";
		case TXP_TYPE_CHARACTER:
			return strlen(value) == 1 && *value != '\n' && *value != '\r'
					   ? NULL
					   : "The option takes a single one-byte character.";
		case TXP_TYPE_CHOICE:
			return word_of(option->unit, value) ? NULL
												: psprintf("Choose one of: %s.", option->unit);
		case TXP_TYPE_INTERVAL:
			return why_no_interval(option, value);
		case TXP_TYPE_FILE:
		case TXP_TYPE_SECRET_FILE:
			return txp_secret_file_is_path(value)
					   ? NULL
					   : "The absolute path of a file on the server, without \"..\".";
		default:
			return NULL;
	}
}

/* Secrets that were given to a server by mistake are not logged with the statement, either. */
static void
refuse_unknown(TxpOptionScope scope, const char *name)
{
	bool of_mapping =
		(scope == TXP_OPTION_SERVER && find_option(TXP_OPTION_MAPPING, name) != NULL) ||
		(scope == TXP_OPTION_STORE && find_option(TXP_OPTION_STORE_MAPPING, name) != NULL);
	bool of_server =
		(scope == TXP_OPTION_MAPPING && find_option(TXP_OPTION_SERVER, name) != NULL) ||
		(scope == TXP_OPTION_STORE_MAPPING && find_option(TXP_OPTION_STORE, name) != NULL);
	bool connects =
		scope == TXP_OPTION_SERVER || scope == TXP_OPTION_STORE || TXP_IS_MAPPING(scope);

	ereport(ERROR,
			(errcode(connects ? ERRCODE_FDW_INVALID_OPTION_NAME : ERRCODE_INVALID_PARAMETER_VALUE),
			 errhidestmt(connects), errmsg("unknown %s option \"%s\"", scope_names[scope], name),
			 of_mapping  ? errhint("It belongs to a user mapping: CREATE USER MAPPING FOR "
									"CURRENT_USER SERVER … OPTIONS (…).")
			 : of_server ? errhint("It belongs to the server: ALTER SERVER … OPTIONS (…).")
						 : errhint("Valid options: %s.", valid_names(scope))));
}

/* Statements on user mappings are kept from the log, because they may hold secrets. */
const TxpOption *
txp_option_check(TxpOptionScope scope, const char *name, const char *value)
{
	const TxpOption *option = find_option(scope, name);
	bool hide = TXP_IS_MAPPING(scope);
	const char *hint;

	if (option == NULL)
		refuse_unknown(scope, name);
	hint = why_not(option, value);
	if (hint != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errhidestmt(hide),
						hide ? errmsg("invalid value for option \"%s\"", name)
							 : errmsg("invalid value for option \"%s\": \"%s\"", name, value),
						errhint("%s", hint)));
	return option;
}

static bool
is_object(const JsonbValue *v)
{
	return v->type == jbvBinary && JsonContainerIsObject(v->val.binary.data);
}

static char *
scalar_text(const JsonbValue *v)
{
	switch (v->type)
	{
		case jbvString:
			return pnstrdup(v->val.string.val, v->val.string.len);
		case jbvNumeric:
			return DatumGetCString(
				DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric)));
		case jbvBool:
			return pstrdup(v->val.boolean ? "true" : "false");
		default:
			return NULL;
	}
}

static void
check_object(const char *name, const JsonbValue *v)
{
	if (!is_object(v))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"%s\" must be a JSON object", name),
						errhint("Leave an option out to have its default.")));
}

void
txp_options_check(TxpOptionScope scope, Jsonb *jb)
{
	JsonbIterator *it;
	JsonbValue v;
	char *name;

	if (!JB_ROOT_IS_OBJECT(jb))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("options must be a JSON object"),
				 errhint("For example '{\"batch_rows\": 5000}'.")));
	it = JsonbIteratorInit(&jb->root);
	while ((name = txp_next_member(&it, &v)) != NULL)
	{
		const TxpOption *option = find_option(scope, name);
		char *value = scalar_text(&v);

		if (option != NULL && option->type == TXP_TYPE_OBJECT)
			check_object(name, &v);
		else if (value == NULL)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("option \"%s\" must be a string, a number or a boolean", name),
							errhint("Leave an option out to have its default.")));
		else
			(void) txp_option_check(scope, name, value);
	}
}

char *
txp_option_plain(const TxpOption *option, char *value)
{
	bool flag = false;

	switch (option->type)
	{
		case TXP_TYPE_CHOICE:
			return word_of(option->unit, value);
		case TXP_TYPE_BOOLEAN:
			(void) parse_bool(value, &flag);
			return flag ? "true" : "false";
		case TXP_TYPE_INTEGER:
			return psprintf("%lld", strtoll(value, NULL, 10));
		default:
			return value;
	}
}

char *
txp_option_text(TxpOptionScope scope, Jsonb *jb, const char *name)
{
	const TxpOption *option = find_option(scope, name);
	JsonbValue v;

	if (option == NULL)
		elog(ERROR, "option \"%s\" is not in the table", name);
	if (jb && getKeyJsonValueFromContainer(&jb->root, name, strlen(name), &v))
		return txp_option_plain(option, scalar_text(&v));
	return option->default_value ? pstrdup(option->default_value) : NULL;
}

Jsonb *
txp_option_object(TxpOptionScope scope, Jsonb *jb, const char *name)
{
	JsonbValue v;

	if (jb && getKeyJsonValueFromContainer(&jb->root, name, strlen(name), &v) && is_object(&v))
		return JsonbValueToJsonb(&v);
	return NULL;
}

int64
txp_option_int(TxpOptionScope scope, Jsonb *jb, const char *name)
{
	return strtoll(txp_option_text(scope, jb, name), NULL, 10);
}

bool
txp_option_bool(TxpOptionScope scope, Jsonb *jb, const char *name)
{
	bool value = false;

	(void) parse_bool(txp_option_text(scope, jb, name), &value);
	return value;
}

void
txp_options_check_roles(Jsonb *options)
{
	JsonbValue v;

	if (getKeyJsonValueFromContainer(&options->root, "trusted_roles", strlen("trusted_roles"),
									 &v) &&
		v.type == jbvString)
		txp_trust_check_roles(scalar_text(&v));
}

Jsonb *
txp_options_merge(TxpOptionScope scope, Jsonb *options, Jsonb *changes)
{
	Datum merged;
	Jsonb *result;

	if (!JB_ROOT_IS_OBJECT(changes))
		txp_options_check(scope, changes);
	merged = DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(options), JsonbPGetDatum(changes));
	result = DatumGetJsonbP(DirectFunctionCall1(jsonb_strip_nulls, merged));
	txp_options_check(scope, result);
	txp_options_check_roles(changes);
	return result;
}

/* Rows of the view txpipe.option. */
PG_FUNCTION_INFO_V1(txpipe_list_options);
Datum
txpipe_list_options(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < txp_n_options; i++)
	{
		const TxpOption *o = &txp_options[i];
		Datum values[6] = {CStringGetTextDatum(o->name),
						   CStringGetTextDatum(scope_names[o->scope]),
						   CStringGetTextDatum(type_names[o->type]),
						   o->default_value ? CStringGetTextDatum(o->default_value) : 0,
						   o->unit ? CStringGetTextDatum(o->unit) : 0,
						   CStringGetTextDatum(o->description)};
		bool nulls[6] = {false, false, false, o->default_value == NULL, o->unit == NULL, false};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
