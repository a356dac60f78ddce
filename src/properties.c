/*
 * properties.c — servers of the wrapper txpipe_kafka and user mappings, as librdkafka's properties.
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "compat.h"
#include "io_client.h"
#include "options.h"
#include "properties.h"
#include "secret_file.h"

#define WRAPPER_NAME "txpipe_kafka"

/* They are no properties of librdkafka. */
static const char *const key_property[] = {
	[TXP_KEY_OF_PSEUDONYMS] = "pseudonym.key",
	[TXP_KEY_OF_ENCRYPTION] = "encryption.key",
};

/* The registry's, which are none either. */
#define REGISTRY "schema.registry."

/* librdkafka's name of an option's property. */
static const char *
property_of(const TxpOption *option)
{
	char *name;

	if (option->property)
		return option->property;
	name = pstrdup(option->name);
	for (char *c = name; *c; c++)
	{
		if (*c == '_')
			*c = '.';
	}
	return name;
}

/* The value given for a property, under whichever name, or NULL. */
const char *
txp_option_given(TxpOptionScope scope, List *defs, const char *property)
{
	ListCell *lc;

	foreach (lc, defs)
	{
		DefElem *def = lfirst(lc);
		const char *value = defGetString(def);

		if (strcmp(property_of(txp_option_check(scope, def->defname, value)), property) == 0)
			return value;
	}
	return NULL;
}

/* Each option by itself, and that no two set the same property. */
void
txp_options_of_check(TxpOptionScope scope, List *defs)
{
	const char **names = palloc(sizeof(char *) * (list_length(defs) + 1));
	ListCell *lc;
	int n = 0;

	foreach (lc, defs)
	{
		DefElem *def = lfirst(lc);
		const char *property =
			property_of(txp_option_check(scope, def->defname, defGetString(def)));

		for (int i = 0; i < n; i++)
		{
			if (strcmp(names[i], property) == 0)
				ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
								errhidestmt(TXP_IS_MAPPING(scope)),
								errmsg("option \"%s\" is given twice, once as \"%s\"",
									   ((DefElem *) list_nth(defs, i))->defname, def->defname),
								errhint("Keep one of them.")));
		}
		names[n++] = property;
	}
}

/* Addresses are shown to everybody: passwords belong elsewhere. */
static void
check_registry_url(const char *url)
{
	const char *p = url ? url : "";

	while (*p)
	{
		size_t len = strcspn(p, ", ");
		size_t scheme = pg_strncasecmp(p, "http://", 7) == 0    ? 7
						: pg_strncasecmp(p, "https://", 8) == 0 ? 8
																: 0;

		if (len > 0 && (scheme == 0 || len == scheme || memchr(p, '@', len) != NULL))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errhidestmt(true),
							errmsg("invalid value for option \"schema_registry_url\""),
							errhint("http://host:port or https://host:port, several with commas "
									"between them; user and password in the option "
									"schema_registry_user_info of the user mapping.")));
		p += len;
		p += strspn(p, ", ");
	}
}

/*
 * Without a mechanism librdkafka takes GSSAPI, and then runs a command of its own choice (kinit) as the
 * server's operating system user.
 */
static void
check_server(List *defs)
{
	const char *protocol;

	txp_options_of_check(TXP_OPTION_SERVER, defs);
	if (txp_option_given(TXP_OPTION_SERVER, defs, "bootstrap.servers") == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("option \"bootstrap_servers\" is required"),
						errhint("OPTIONS (bootstrap_servers 'host:port').")));
	check_registry_url(txp_option_given(TXP_OPTION_SERVER, defs, REGISTRY "url"));
	protocol = txp_option_given(TXP_OPTION_SERVER, defs, "security.protocol");
	if (protocol && pg_strncasecmp(protocol, "sasl_", 5) == 0 &&
		txp_option_given(TXP_OPTION_SERVER, defs, "sasl.mechanisms") == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("option \"sasl_mechanisms\" is required with security_protocol %s",
							   protocol),
						errhint("OPTIONS (ADD sasl_mechanisms 'SCRAM-SHA-512').")));
}

/*
 * What a file holds is sent to brokers, so naming one is reading it, with the rights of the operating system
 * user. As file_fdw does for its `filename`, and postgres_fdw for `sslkey`, it is asked of whoever writes
 * options that have a file among them. The validator is given all of them, not those that change: so a
 * role without the right cannot change another option of its mapping either, but it can drop the file.
 */
void
txp_options_check_files(TxpOptionScope scope, List *defs)
{
	ListCell *lc;

	if (has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		return;
	foreach (lc, defs)
	{
		DefElem *def = lfirst(lc);
		const TxpOption *option = txp_option_check(scope, def->defname, defGetString(def));

		if (TXP_TYPE_IS_FILE(option->type))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errhidestmt(TXP_IS_MAPPING(scope)),
					 errmsg("permission denied to name a file of the server in option \"%s\"",
							def->defname),
					 errdetail("Options that have \"%s\" among them are written by members of "
							   "pg_read_server_files only.",
							   def->defname),
					 errhint("Let a superuser write them, or drop that option.")));
	}
}

/* FDW validator. */
PG_FUNCTION_INFO_V1(txpipe_kafka_validator);
Datum
txpipe_kafka_validator(PG_FUNCTION_ARGS)
{
	List *defs = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid catalog = PG_GETARG_OID(1);

	if (catalog == UserMappingRelationId)
	{
		txp_options_of_check(TXP_OPTION_MAPPING, defs);
		txp_options_check_files(TXP_OPTION_MAPPING, defs);
	}
	else if (catalog == ForeignServerRelationId)
	{
		check_server(defs);
		txp_options_check_files(TXP_OPTION_SERVER, defs);
	}
	else if (defs != NIL)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
						errmsg("options are given to servers and user mappings only"),
						errhint("CREATE SERVER … FOREIGN DATA WRAPPER txpipe_kafka OPTIONS "
								"(bootstrap_servers 'host:port').")));
	PG_RETURN_VOID();
}

Oid
txp_server_of_wrapper(const char *name, const char *wrapper, const char *options)
{
	ForeignServer *server = GetForeignServerByName(name, true);

	if (server == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("server \"%s\" does not exist", name),
				 errhint("CREATE SERVER %s FOREIGN DATA WRAPPER %s OPTIONS (%s).",
						 quote_identifier(name), wrapper, options)));
	if (strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, wrapper) != 0)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("server \"%s\" is not one of the wrapper %s", name, wrapper),
						errhint("Name a server created with FOREIGN DATA WRAPPER %s.", wrapper)));
	if (object_aclcheck(ForeignServerRelationId, server->serverid, GetUserId(), ACL_USAGE) !=
		ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_SERVER, name);
	return server->serverid;
}

Oid
txp_server_by_name(const char *name)
{
	return txp_server_of_wrapper(name, WRAPPER_NAME, "bootstrap_servers 'host:port'");
}

/* The mapping of `user`, else of PUBLIC, else none. */
List *
txp_mapping_options(Oid server, Oid user)
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

static void
put_value(StringInfo buf, const TxpOption *option, char *value)
{
	if (TXP_TYPE_IS_FILE(option->type))
	{
		char *text =
			txp_secret_file_read(option->name, value, option->type == TXP_TYPE_SECRET_FILE);

		txp_put_str(buf, text);
		explicit_bzero(text, strlen(text));
		pfree(text);
	}
	else
		txp_put_str(buf, txp_option_plain(option, value));
}

static void
put_options(StringInfo buf, TxpOptionScope scope, List *defs)
{
	ListCell *lc;

	foreach (lc, defs)
	{
		DefElem *def = lfirst(lc);
		char *value = defGetString(def);
		const TxpOption *option = txp_option_check(scope, def->defname, value);

		txp_put_str(buf, property_of(option));
		put_value(buf, option, value);
	}
}

/* Takes the key, or its file, out of the options, for it is not the brokers'; NULL: there is none. */
static DefElem *
take_key(TxpKey which, List **of_mapping)
{
	ListCell *lc;

	foreach (lc, *of_mapping)
	{
		DefElem *def = lfirst(lc);

		if (strcmp(key_property[which],
				   property_of(
					   txp_option_check(TXP_OPTION_MAPPING, def->defname, defGetString(def)))) == 0)
		{
			*of_mapping = list_delete_ptr(*of_mapping, def);
			return def;
		}
	}
	return NULL;
}

char *
txp_mapping_key(TxpKey which, Oid server_id, Oid user)
{
	List *of_mapping = OidIsValid(server_id) ? txp_mapping_options(server_id, user) : NIL;
	DefElem *def = take_key(which, &of_mapping);
	const TxpOption *option;

	if (def == NULL)
		return NULL;
	option = txp_option_check(TXP_OPTION_MAPPING, def->defname, defGetString(def));
	if (TXP_TYPE_IS_FILE(option->type))
		return txp_secret_file_read(option->name, defGetString(def), true);
	return pstrdup(defGetString(def));
}

void
txp_mapping_lacks_key(TxpKey which, const char *column)
{
	bool pseudonyms = which == TXP_KEY_OF_PSEUDONYMS;

	ereport(
		ERROR,
		(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		 pseudonyms ? errmsg("there is no key to make pseudonyms for column \"%s\" with", column)
		 : column   ? errmsg("there is no key to encrypt column \"%s\" with", column)
					: errmsg("there is no key of encryption in the user mapping"),
		 errhint("Write 32 random bytes in hexadecimal to a file that only the server's user may "
				 "read, and name it in the option %s_key_file of the owner's user mapping. A "
				 "feed names the mapping's server in its option %s_server.",
				 pseudonyms ? "pseudonym" : "encryption",
				 pseudonyms ? "pseudonym" : "encryption")));
}

/*
 * The owner of a server decides where it leads: he could have it lead to brokers of his own, log in there
 * by PLAIN, and know the secret. A secret that was written into a mapping of his server is his own affair; a
 * file of the server's machine is not, so he must be one who may read those.
 */
void
txp_server_check_owner(const ForeignServer *server, TxpOptionScope scope, List *of_mapping)
{
	ListCell *lc;

	if (has_privs_of_role(server->owner, ROLE_PG_READ_SERVER_FILES))
		return;
	foreach (lc, of_mapping)
	{
		DefElem *def = lfirst(lc);
		const TxpOption *option = txp_option_check(scope, def->defname, defGetString(def));

		if (option->type == TXP_TYPE_SECRET_FILE)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("owner of server \"%s\" must not have what the file of option \"%s\" "
							"holds",
							server->servername, option->name),
					 errdetail("Who owns a server decides where secrets are sent to."),
					 errhint("ALTER SERVER %s OWNER TO a superuser or a member of "
							 "pg_read_server_files.",
							 quote_identifier(server->servername))));
	}
}

/* Those that are, or are not, the registry's. */
static List *
registry_options(TxpOptionScope scope, List *defs, bool wanted)
{
	List *chosen = NIL;
	ListCell *lc;

	foreach (lc, defs)
	{
		DefElem *def = lfirst(lc);
		const char *property =
			property_of(txp_option_check(scope, def->defname, defGetString(def)));

		if ((strncmp(property, REGISTRY, strlen(REGISTRY)) == 0) == wanted)
			chosen = lappend(chosen, def);
	}
	return chosen;
}

/* The value of one of these options, in clear; absent where it is not among them. */
void
txp_option_put(StringInfo buf, TxpOptionScope scope, List *defs, const char *property)
{
	ListCell *lc;

	foreach (lc, defs)
	{
		DefElem *def = lfirst(lc);
		char *value = defGetString(def);
		const TxpOption *option = txp_option_check(scope, def->defname, value);

		if (strcmp(property_of(option), property) == 0)
		{
			put_value(buf, option, value);
			return;
		}
	}
	txp_put_str(buf, NULL);
}

bool
txp_has_registry(Oid server_id)
{
	return txp_option_given(TXP_OPTION_SERVER, GetForeignServer(server_id)->options,
							REGISTRY "url") != NULL;
}

void
txp_pack_registry(StringInfo buf, Oid server_id, Oid user)
{
	ForeignServer *server = GetForeignServer(server_id);
	List *of_mapping =
		registry_options(TXP_OPTION_MAPPING, txp_mapping_options(server_id, user), true);

	txp_server_check_owner(server, TXP_OPTION_MAPPING, of_mapping);
	txp_option_put(buf, TXP_OPTION_SERVER, server->options, REGISTRY "url");
	txp_option_put(buf, TXP_OPTION_MAPPING, of_mapping, REGISTRY "user.info");
	txp_option_put(buf, TXP_OPTION_SERVER, server->options, REGISTRY "ca.pem");
}

/* Options are checked once more: a wrapper altered to have no validator would let anything through. */
void
txp_pack_properties(StringInfo buf, Oid server_id, Oid user)
{
	ForeignServer *server = GetForeignServer(server_id);
	List *of_server = registry_options(TXP_OPTION_SERVER, server->options, false);
	List *of_mapping = txp_mapping_options(server_id, user);

	check_server(server->options);
	txp_options_of_check(TXP_OPTION_MAPPING, of_mapping);
	(void) take_key(TXP_KEY_OF_PSEUDONYMS, &of_mapping);
	(void) take_key(TXP_KEY_OF_ENCRYPTION, &of_mapping);
	of_mapping = registry_options(TXP_OPTION_MAPPING, of_mapping, false);
	txp_server_check_owner(server, TXP_OPTION_MAPPING, of_mapping);
	txp_put_u32(buf, list_length(of_server) + list_length(of_mapping));
	put_options(buf, TXP_OPTION_SERVER, of_server);
	put_options(buf, TXP_OPTION_MAPPING, of_mapping);
}
