/*
 * landing.c — the landing and lake directories as the server sees them.
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/string.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port.h"
#include "storage/fd.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "io/below.h"
#include "landing.h"

#define MAX_DEPTH 16
#define UNIX_TO_POSTGRES_DAYS (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)

static void
check_directory(const char *setting, const char *path, int mode)
{
	struct stat st;
	bool usable;

	if (path[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("%s is not set", setting),
						errhint("As a superuser: ALTER SYSTEM SET %s = '/path'; SELECT "
								"pg_reload_conf();",
								setting)));
	if (!is_absolute_path(path))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s is not an absolute path: \"%s\"", setting, path),
						errhint("As a superuser: ALTER SYSTEM SET %s = '/path'; SELECT "
								"pg_reload_conf();",
								setting)));
	usable = stat(path, &st) == 0 && access(path, mode) == 0;
	if (usable && !S_ISDIR(st.st_mode))
	{
		errno = ENOTDIR;
		usable = false;
	}
	if (!usable)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("cannot use the directory \"%s\" of %s: %m", path, setting),
						errhint("Make it, owned by the operating system user of the server, or set "
								"%s to another one.",
								setting)));
}

static char *
canonical(const char *path)
{
	char *copy = palloc(MAXPGPATH);

	strlcpy(copy, path, MAXPGPATH);
	canonicalize_path(copy);
	return copy;
}

void
txp_landing_check(void)
{
	check_directory("txpipe.landing_directory", txp_landing_directory, R_OK | X_OK);
	check_directory("txpipe.lake_directory", txp_lake_directory, R_OK | W_OK | X_OK);
	if (path_is_prefix_of_path(canonical(txp_landing_directory), canonical(txp_lake_directory)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("txpipe.lake_directory lies within txpipe.landing_directory"),
				 errhint("Files of the lake would arrive again: use separate directories.")));
}

static char *
landing_path(const char *name)
{
	return psprintf("%s/%s", txp_landing_directory, name);
}

static TimestampTz
modification_time(const struct stat *st)
{
	return ((int64) st->st_mtim.tv_sec - (int64) UNIX_TO_POSTGRES_DAYS * SECS_PER_DAY) *
			   USECS_PER_SEC +
		   st->st_mtim.tv_nsec / 1000;
}

bool
txp_landing_stat(const char *name, int64 *bytes, TimestampTz *modified_at)
{
	struct stat st;

	if (txp_below_stat(txp_landing_directory, name, &st) != 0 || !S_ISREG(st.st_mode))
		return false;
	*bytes = st.st_size;
	*modified_at = modification_time(&st);
	return true;
}

static void
scan(const char *below, int depth, List **files)
{
	char *path = landing_path(below);
	DIR *dir = AllocateDir(path);
	struct dirent *entry;

	/* A folder that vanished or may not be read is the log's matter; the others go on. */
	while ((entry = ReadDirExtended(dir, path, LOG)) != NULL)
	{
		char *name;
		struct stat st;

		CHECK_FOR_INTERRUPTS();
		if (entry->d_name[0] == '.')
			continue;
		if (!pg_verifymbstr(entry->d_name, strlen(entry->d_name), true))
		{
			ereport(LOG, (errmsg("a file in \"%s\" has a name that is not valid in this database's "
								 "encoding; it is left alone",
								 path)));
			continue;
		}
		name = below[0] ? psprintf("%s/%s", below, entry->d_name) : pstrdup(entry->d_name);
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			st.st_mode = 0;
		if (S_ISREG(st.st_mode))
		{
			TxpLandingFile *file = palloc(sizeof(TxpLandingFile));

			file->name = name;
			file->bytes = st.st_size;
			file->modified_at = modification_time(&st);
			*files = lappend(*files, file);
		}
		else if (S_ISDIR(st.st_mode) && depth < MAX_DEPTH)
			scan(name, depth + 1, files);
	}
	FreeDir(dir);
	pfree(path);
}

List *
txp_landing_scan(void)
{
	List *files = NIL;

	scan("", 0, &files);
	return files;
}

/* A copy was verified when it was made: what is left to see is that it is there, and of a plain one its size. */
bool
txp_lake_has(const char *lake_path, int64 bytes)
{
	struct stat st;

	return txp_below_stat(txp_lake_directory, lake_path, &st) == 0 && S_ISREG(st.st_mode) &&
		   (st.st_size == bytes || (st.st_size > 0 && (pg_str_endswith(lake_path, ".zst") ||
													   pg_str_endswith(lake_path, ".pgp"))));
}

char *
txp_landing_remove(const TxpLandingFile *file, const char *lake_path, int64 lake_bytes)
{
	struct stat st;

	if (lake_path != NULL && !txp_lake_has(lake_path, lake_bytes))
		return psprintf("its copy \"%s\" in the lake is missing or has another size", lake_path);
	if (txp_below_stat(txp_landing_directory, file->name, &st) != 0 || !S_ISREG(st.st_mode) ||
		st.st_size != file->bytes || modification_time(&st) != file->modified_at)
		return NULL;
	if (txp_below_remove(txp_landing_directory, file->name, &st) < 0 && errno != ENOENT)
		return psprintf("could not remove \"%s\": %m", landing_path(file->name));
	return NULL;
}
