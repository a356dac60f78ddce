/*
 * options.c — every option users can write, in one table: checked, defaulted and listed from it.
 *
 * Server and user-mapping options are librdkafka's properties with "_" for ".". The list is closed,
 * because some properties load code or read files as the server's operating system user.
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "io_client.h"
#include "options.h"

#define WRAPPER_NAME "txpipe_kafka"

typedef enum OptionType
{
	OPTION_TEXT,
	OPTION_SECRET,
	OPTION_INTEGER,
	OPTION_BOOLEAN,
	OPTION_CHARACTER,
	OPTION_CHOICE /* one of the words of `unit` */
} OptionType;

static const char *const type_names[] = {"text",    "secret",    "integer",
										 "boolean", "character", "choice"};
static const char *const scope_names[] = {"server", "user mapping", "stream", "feed"};

typedef struct Option
{
	TxpOptionScope scope;
	const char *name;
	OptionType type;
	const char *default_value; /* NULL: none, or librdkafka's */
	int64 min;
	int64 max;
	const char *unit; /* of numbers; choices: the words allowed */
	const char *description;
} Option;

static const Option options[] = {
	{TXP_OPTION_SERVER, "bootstrap_servers", OPTION_TEXT, NULL, 0, 0, NULL,
	 "Brokers to ask first: host:port, comma-separated; required"},
	{TXP_OPTION_SERVER, "security_protocol", OPTION_CHOICE, "plaintext", 0, 0,
	 "plaintext ssl sasl_plaintext sasl_ssl", "Encryption and log-in"},
	{TXP_OPTION_SERVER, "sasl_mechanisms", OPTION_CHOICE, NULL, 0, 0,
	 "PLAIN SCRAM-SHA-256 SCRAM-SHA-512", "How to log in"},
	{TXP_OPTION_SERVER, "ssl_ca_pem", OPTION_TEXT, NULL, 0, 0, NULL,
	 "Certificates of the authorities that are trusted, in PEM form"},
	{TXP_OPTION_SERVER, "ssl_endpoint_identification_algorithm", OPTION_CHOICE, "https", 0, 0,
	 "https none", "https: the broker's certificate must carry its host name"},
	{TXP_OPTION_SERVER, "client_id", OPTION_TEXT, "txpipe", 0, 0, NULL,
	 "Name the brokers see in their logs and quotas"},
	{TXP_OPTION_SERVER, "isolation_level", OPTION_CHOICE, "read_committed", 0, 0,
	 "read_committed read_uncommitted",
	 "Whether messages of open and aborted transactions are read"},
	{TXP_OPTION_SERVER, "broker_address_family", OPTION_CHOICE, "any", 0, 0, "any v4 v6",
	 "Which addresses of a broker's name are used"},
	{TXP_OPTION_SERVER, "socket_timeout_ms", OPTION_INTEGER, "60000", 10, 300000, "ms",
	 "Longest wait for a broker's answer"},
	{TXP_OPTION_SERVER, "socket_keepalive_enable", OPTION_BOOLEAN, "false", 0, 0, NULL,
	 "TCP keep-alives on broker connections"},
	{TXP_OPTION_SERVER, "reconnect_backoff_max_ms", OPTION_INTEGER, "10000", 0, 3600000, "ms",
	 "Longest pause between attempts to reach a broker"},
	{TXP_OPTION_SERVER, "fetch_wait_max_ms", OPTION_INTEGER, "500", 0, 300000, "ms",
	 "Longest time a broker holds a fetch that has nothing to return"},
	{TXP_OPTION_SERVER, "fetch_message_max_bytes", OPTION_INTEGER, "1048576", 1, 1000000000,
	 "bytes", "Bytes asked for from one partition in one fetch"},
	{TXP_OPTION_SERVER, "queued_max_messages_kbytes", OPTION_INTEGER, "65536", 1, 2097151, "kB",
	 "Most memory for messages fetched and not yet decoded, of one stream"},
	{TXP_OPTION_SERVER, "check_crcs", OPTION_BOOLEAN, "false", 0, 0, NULL,
	 "Verify the checksums of what brokers send"},
	{TXP_OPTION_SERVER, "message_max_bytes", OPTION_INTEGER, "1000000", 1000, 1000000000, "bytes",
	 "Largest message that produce() sends"},
	{TXP_OPTION_SERVER, "compression_codec", OPTION_CHOICE, "none", 0, 0,
	 "none gzip snappy lz4 zstd", "What produce() compresses with"},
	{TXP_OPTION_MAPPING, "sasl_username", OPTION_TEXT, NULL, 0, 0, NULL, "User name for SASL"},
	{TXP_OPTION_MAPPING, "sasl_password", OPTION_SECRET, NULL, 0, 0, NULL, "Password for SASL"},
	{TXP_OPTION_MAPPING, "ssl_certificate_pem", OPTION_TEXT, NULL, 0, 0, NULL,
	 "Certificate the client shows, in PEM form"},
	{TXP_OPTION_MAPPING, "ssl_key_pem", OPTION_SECRET, NULL, 0, 0, NULL,
	 "Private key of that certificate, in PEM form"},
	{TXP_OPTION_MAPPING, "ssl_key_password", OPTION_SECRET, NULL, 0, 0, NULL,
	 "Password of that private key"},
	{TXP_OPTION_STREAM, "batch_rows", OPTION_INTEGER, "10000", 1, 1000000, "rows",
	 "Most messages in one batch, which is one transaction"},
	{TXP_OPTION_STREAM, "batch_bytes", OPTION_INTEGER, "4194304", 1024, 67108864, "bytes",
	 "Most bytes of decoded rows in one batch"},
	{TXP_OPTION_STREAM, "linger_ms", OPTION_INTEGER, "5", 0, 60000, "ms",
	 "How long the first message of a batch waits for company when nothing else is under way"},
	{TXP_OPTION_FEED, "batch_rows", OPTION_INTEGER, "10000", 1, 100000, "rows",
	 "Most records in one batch, which the steps see at once"},
	{TXP_OPTION_FEED, "batch_bytes", OPTION_INTEGER, "4194304", 1024, 67108864, "bytes",
	 "Most bytes of decoded rows in one batch"},
	{TXP_OPTION_FEED, "delimiter", OPTION_CHARACTER, ",", 0, 0, NULL, "Between the fields of CSV"},
	{TXP_OPTION_FEED, "quote", OPTION_CHARACTER, "\"", 0, 0, NULL,
	 "Around fields of CSV, doubled inside them"},
	{TXP_OPTION_FEED, "null", OPTION_TEXT, "", 0, 0, NULL,
	 "An unquoted field equal to this is NULL"},
	{TXP_OPTION_FEED, "ragged", OPTION_BOOLEAN, "false", 0, 0, NULL,
	 "Records may have fewer fields than the header; the missing ones are NULL"},
	{TXP_OPTION_FEED, "ordinal", OPTION_INTEGER, "100", 0, 1000000, NULL,
	 "Order in which the feeds of a group load"},
};

static const Option *
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
	for (int i = 0; i < (int) lengthof(options); i++)
	{
		if (options[i].scope == scope && strcmp(options[i].name, plain) == 0)
			return &options[i];
	}
	return NULL;
}

static char *
valid_names(TxpOptionScope scope)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < (int) lengthof(options); i++)
	{
		if (options[i].scope == scope)
			appendStringInfo(&names, "%s%s", names.len ? ", " : "", options[i].name);
	}
	return names.data;
}

static bool
is_word_of(const char *word, const char *words)
{
	size_t len = strlen(word);

	for (const char *p = words; len > 0 && (p = strstr(p, word)) != NULL; p += len)
	{
		if ((p == words || p[-1] == ' ') && (p[len] == ' ' || p[len] == '\0'))
			return true;
	}
	return false;
}

/* ERRORs without repeating the value of a secret. */
static void
check_value(TxpOptionScope scope, const char *name, const char *value)
{
	const Option *option = find_option(scope, name);
	bool ok = true;
	bool flag;

	if (option == NULL)
		ereport(ERROR, (errcode(scope <= TXP_OPTION_MAPPING ? ERRCODE_FDW_INVALID_OPTION_NAME
															: ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unknown %s option \"%s\"", scope_names[scope], name),
						errhint("Valid options: %s.", valid_names(scope))));
	if (option->type == OPTION_INTEGER)
	{
		char *end;
		long long v;

		errno = 0;
		v = strtoll(value, &end, 10);
		ok = errno == 0 && *value != '\0' && *end == '\0' && v >= option->min && v <= option->max;
		if (!ok)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("invalid value for option \"%s\": \"%s\"", name, value),
							errhint("A whole number from " INT64_FORMAT " to " INT64_FORMAT "%s%s.",
									option->min, option->max, option->unit ? " " : "",
									option->unit ? option->unit : "")));
	}
	else if (option->type == OPTION_BOOLEAN)
		ok = parse_bool(value, &flag);
	else if (option->type == OPTION_CHARACTER)
		ok = strlen(value) == 1 && *value != '\n' && *value != '\r';
	else if (option->type == OPTION_CHOICE)
		ok = is_word_of(value, option->unit);
	if (!ok)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
				 option->type == OPTION_CHOICE
					 ? errhint("Choose one of: %s.", option->unit)
					 : errhint("The option takes a %s.", option->type == OPTION_BOOLEAN
															 ? "boolean"
															 : "single one-byte character")));
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

void
txp_options_check(TxpOptionScope scope, Jsonb *jb)
{
	JsonbIterator *it;
	JsonbValue v;
	JsonbIteratorToken token;

	if (!JB_ROOT_IS_OBJECT(jb))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("options must be a JSON object"),
				 errhint("For example '{\"batch_rows\": 5000}'.")));
	it = JsonbIteratorInit(&jb->root);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		char *name;
		char *value;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(v.val.string.val, v.val.string.len);
		(void) JsonbIteratorNext(&it, &v, true);
		value = scalar_text(&v);
		if (value == NULL)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("option \"%s\" must be a string, a number or a boolean", name),
							errhint("Leave an option out to have its default.")));
		check_value(scope, name, value);
	}
}

char *
txp_option_text(TxpOptionScope scope, Jsonb *jb, const char *name)
{
	const Option *option = find_option(scope, name);
	JsonbValue v;

	if (option == NULL)
		elog(ERROR, "option \"%s\" is not in the table", name);
	if (jb && getKeyJsonValueFromContainer(&jb->root, name, strlen(name), &v))
		return scalar_text(&v);
	return option->default_value ? pstrdup(option->default_value) : NULL;
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

/*
 * FDW validator. User-mapping statements are hidden from the log before anything can fail, because they
 * may hold secrets.
 */
PG_FUNCTION_INFO_V1(txpipe_kafka_validator);
Datum
txpipe_kafka_validator(PG_FUNCTION_ARGS)
{
	List *defs = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid catalog = PG_GETARG_OID(1);
	TxpOptionScope scope = TXP_OPTION_SERVER;
	bool has_servers = false;
	ListCell *lc;

	if (catalog == UserMappingRelationId)
		scope = TXP_OPTION_MAPPING;
	else if (catalog != ForeignServerRelationId && defs != NIL)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
						errmsg("options are given to servers and user mappings only"),
						errhint("CREATE SERVER … FOREIGN DATA WRAPPER txpipe_kafka OPTIONS "
								"(bootstrap_servers 'host:port').")));
	foreach (lc, defs)
	{
		DefElem *def = lfirst(lc);

		if (scope == TXP_OPTION_MAPPING && find_option(scope, def->defname) == NULL)
			ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errhidestmt(true),
							errmsg("unknown user mapping option \"%s\"", def->defname),
							errhint("Valid options: %s.", valid_names(scope))));
		check_value(scope, def->defname, defGetString(def));
		has_servers |= find_option(scope, def->defname) == &options[0];
	}
	if (catalog == ForeignServerRelationId && !has_servers)
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("option \"bootstrap_servers\" is required"),
						errhint("OPTIONS (bootstrap_servers 'host:port').")));
	PG_RETURN_VOID();
}

/* Rows of the view txpipe.option. */
PG_FUNCTION_INFO_V1(txpipe_list_options);
Datum
txpipe_list_options(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < (int) lengthof(options); i++)
	{
		const Option *o = &options[i];
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

Oid
txp_server_by_name(const char *name)
{
	ForeignServer *server = GetForeignServerByName(name, true);

	if (server == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("server \"%s\" does not exist", name),
				 errhint("CREATE SERVER %s FOREIGN DATA WRAPPER " WRAPPER_NAME
						 " OPTIONS (bootstrap_servers 'host:port').",
						 quote_identifier(name))));
	if (strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, WRAPPER_NAME) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is not one of the wrapper " WRAPPER_NAME, name),
				 errhint("Name a server created with FOREIGN DATA WRAPPER " WRAPPER_NAME ".")));
	if (pg_foreign_server_aclcheck(server->serverid, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_SERVER, name);
	return server->serverid;
}

/* The mapping of `user`, else of PUBLIC, else none. */
static List *
mapping_options(Oid server, Oid user)
{
	HeapTuple tuple;
	Datum datum;
	bool isnull;
	List *defs = NIL;

	tuple =
		SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(user), ObjectIdGetDatum(server));
	if (!HeapTupleIsValid(tuple))
		tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
								ObjectIdGetDatum(server));
	if (!HeapTupleIsValid(tuple))
		return NIL;
	datum = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions, &isnull);
	if (!isnull)
		defs = untransformRelOptions(datum);
	ReleaseSysCache(tuple);
	return defs;
}

void
txp_pack_properties(StringInfo buf, Oid server, Oid user)
{
	List *defs =
		list_concat(list_copy(GetForeignServer(server)->options), mapping_options(server, user));
	ListCell *lc;

	txp_put_u32(buf, list_length(defs));
	foreach (lc, defs)
	{
		DefElem *def = lfirst(lc);
		char *name = pstrdup(def->defname);

		for (char *c = name; *c; c++)
		{
			if (*c == '_')
				*c = '.';
		}
		txp_put_str(buf, name);
		txp_put_str(buf, defGetString(def));
	}
}
