/*
 * export.c — files this server writes for others in one piece, and the state of the directories it works in.
 */
#include "postgres.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"

#include "args.h"
#include "outfile.h"

PG_FUNCTION_INFO_V1(txpipe_write_export);
PG_FUNCTION_INFO_V1(txpipe_publish_export);
PG_FUNCTION_INFO_V1(txpipe_export_sha256);
PG_FUNCTION_INFO_V1(txpipe_directory_problem);

/* The file is written in one piece; its path is the result. */
static Datum
write_content(const char *name, text *content, const TxpOutFacts *facts)
{
	char *bytes = VARDATA_ANY(content);
	char *utf8 = pg_server_to_any(bytes, VARSIZE_ANY_EXHDR(content), PG_UTF8);
	size_t len = utf8 == bytes ? VARSIZE_ANY_EXHDR(content) : strlen(utf8);
	TxpOutFile *file = txp_outfile_open(name);
	char *volatile path = NULL;

	PG_TRY();
	{
		txp_outfile_write(file, utf8, len);
		path = txp_outfile_publish(file, facts);
	}
	PG_CATCH();
	{
		txp_outfile_abandon(file);
		PG_RE_THROW();
	}
	PG_END_TRY();
	PG_RETURN_TEXT_P(cstring_to_text(path));
}

/* write_export(name text, content text) RETURNS text: the path written. */
Datum
txpipe_write_export(PG_FUNCTION_ARGS)
{
	return write_content(txp_arg_text(fcinfo, 0, "name"), PG_GETARG_TEXT_PP(1), NULL);
}

/* publish_export(name text, content text, lines bigint, facts jsonb) RETURNS text: the path written. */
Datum
txpipe_publish_export(PG_FUNCTION_ARGS)
{
	Jsonb *more = PG_GETARG_JSONB_P(3);
	TxpOutFacts facts = {PG_GETARG_INT64(2)};
	char *json = JsonbToCString(NULL, &more->root, VARSIZE(more));

	if (!JB_ROOT_IS_OBJECT(more))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("facts must be an object"),
						errhint("Use jsonb_build_object.")));
	json[strlen(json) - 1] = '\0';
	facts.more = json + 1;
	return write_content(txp_arg_text(fcinfo, 0, "name"), PG_GETARG_TEXT_PP(1), &facts);
}

/* export_sha256(name text) RETURNS bytea: NULL when there is no such file. */
Datum
txpipe_export_sha256(PG_FUNCTION_ARGS)
{
	bytea *hash = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);

	if (!txp_outfile_hash(txp_arg_text(fcinfo, 0, "name"), (uint8 *) VARDATA(hash)))
		PG_RETURN_NULL();
	SET_VARSIZE(hash, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	PG_RETURN_BYTEA_P(hash);
}

/* The directory a setting of ours names; loading this library has dropped what a user set before. */
static const char *
directory_setting(const char *setting)
{
	if (strcmp(setting, "landing_directory") == 0 || strcmp(setting, "lake_directory") == 0 ||
		strcmp(setting, "export_directory") == 0)
		return GetConfigOption(psprintf("txpipe.%s", setting), true, false);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is not a directory setting", setting),
			 errhint("Valid names are landing_directory, lake_directory and export_directory.")));
	return NULL;
}

static const char *
server_user(void)
{
	struct passwd *user = getpwuid(geteuid());

	return user != NULL ? pstrdup(user->pw_name) : psprintf("%u", (unsigned) geteuid());
}

/* directory_problem(setting text, OUT directory text, OUT problem text, OUT hint text) */
Datum
txpipe_directory_problem(PG_FUNCTION_ARGS)
{
	char *setting = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const char *path = directory_setting(setting);
	char *problem = NULL;
	char *hint = NULL;
	struct stat st;
	TupleDesc tupdesc;
	Datum values[3] = {0};
	bool nulls[3] = {true, true, true};

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (path == NULL || path[0] == '\0')
	{
		problem = psprintf("txpipe.%s is not set", setting);
		hint = psprintf("ALTER SYSTEM SET txpipe.%s = '/srv/txpipe/%.*s'; SELECT pg_reload_conf();",
						setting, (int) strcspn(setting, "_"), setting);
	}
	else if (stat(path, &st) != 0)
	{
		problem = psprintf("\"%s\": %s", path, strerror(errno));
		hint =
			psprintf("sudo install -d -m 0770 -o %s %s", server_user(), quote_literal_cstr(path));
	}
	else if (!S_ISDIR(st.st_mode))
	{
		problem = psprintf("\"%s\" is not a directory", path);
		hint = psprintf("ALTER SYSTEM SET txpipe.%s = '/srv/txpipe/%.*s'; SELECT pg_reload_conf();",
						setting, (int) strcspn(setting, "_"), setting);
	}
	else if (access(path, R_OK | W_OK | X_OK) != 0)
	{
		problem = psprintf("\"%s\" is not writable for the server's user %s", path, server_user());
		hint = psprintf("sudo chown %s %s && sudo chmod u+rwx %s", server_user(),
						quote_literal_cstr(path), quote_literal_cstr(path));
	}
	if (path != NULL)
	{
		values[0] = CStringGetTextDatum(path);
		nulls[0] = false;
	}
	if (problem != NULL)
	{
		values[1] = CStringGetTextDatum(problem);
		values[2] = CStringGetTextDatum(hint);
		nulls[1] = nulls[2] = false;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
