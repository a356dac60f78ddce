/*
 * export.c — files this server writes for others, and the state of the directories it works in.
 *
 * A file appears whole or not at all: it is written under a hidden temporary name, flushed, and renamed.
 * ROLLBACK does not undo it.
 */
#include "postgres.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fmgr.h"
#include "funcapi.h"
#include "guc.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/guc.h"

PG_FUNCTION_INFO_V1(txpipe_write_export);
PG_FUNCTION_INFO_V1(txpipe_directory_problem);

#define EXPORT_FILE_MODE 0640
#define EXPORT_NAME_MAX 200

static void
check_file_name(const char *name)
{
	if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL ||
		strlen(name) > EXPORT_NAME_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not a plain file name", name),
				 errhint("Give a name of at most %d bytes without a slash that does not start with "
						 "a dot.",
						 EXPORT_NAME_MAX)));
}

static void
check_export_directory(void)
{
	struct stat st;

	if (txp_export_directory == NULL || txp_export_directory[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("txpipe.export_directory is not set"),
				 errhint("ALTER SYSTEM SET txpipe.export_directory = '/srv/txpipe/export'; SELECT "
						 "pg_reload_conf();")));
	if (stat(txp_export_directory, &st) != 0 || !S_ISDIR(st.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FILE),
				 errmsg("the export directory \"%s\" does not exist", txp_export_directory),
				 errhint("Create it, writable for the server, or set txpipe.export_directory to "
						 "another one.")));
}

/* Writes and flushes the temporary file; ends with an error that names it. */
static void
write_file(const char *path, const char *bytes, size_t len)
{
	int fd;

	/* What is there under this name is a left-over, or a link somebody planted: neither is followed. */
	(void) unlink(path);
	fd = OpenTransientFilePerm(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | PG_BINARY,
							   EXPORT_FILE_MODE);
	if (fd < 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not create file \"%s\": %m", path),
						errhint("The directory must be writable for the server's user.")));
	/* The server's umask hides files from the group that is meant to read them. */
	if (fchmod(fd, EXPORT_FILE_MODE) != 0)
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not set the mode of \"%s\": %m", path)));
	while (len > 0)
	{
		ssize_t n;

		errno = 0;
		n = write(fd, bytes, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
		{
			if (errno == 0)
				errno = ENOSPC;
			ereport(ERROR,
					(errcode_for_file_access(), errmsg("could not write file \"%s\": %m", path),
					 errhint("Check the free space and the limits of its file system.")));
		}
		bytes += n;
		len -= n;
	}
	if (pg_fsync(fd) != 0)
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not flush file \"%s\": %m", path)));
	if (CloseTransientFile(fd) != 0)
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not close file \"%s\": %m", path)));
}

/* write_export(name text, content text) RETURNS text: the path written. */
Datum
txpipe_write_export(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	text *content = PG_GETARG_TEXT_PP(1);
	const char *bytes = VARDATA_ANY(content);
	int len = VARSIZE_ANY_EXHDR(content);
	char *utf8;
	char *path;
	char *temporary;

	check_file_name(name);
	check_export_directory();

	utf8 = pg_server_to_any(bytes, len, PG_UTF8);
	if (utf8 != bytes)
	{
		bytes = utf8;
		len = strlen(utf8);
	}
	path = psprintf("%s/%s", txp_export_directory, name);
	temporary = psprintf("%s/.%s.%d.tmp", txp_export_directory, name, MyProcPid);

	PG_TRY();
	{
		write_file(temporary, bytes, len);
		(void) durable_rename(temporary, path, ERROR);
	}
	PG_CATCH();
	{
		(void) unlink(temporary);
		PG_RE_THROW();
	}
	PG_END_TRY();
	PG_RETURN_TEXT_P(cstring_to_text(path));
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
