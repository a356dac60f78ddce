/*
 * outdir.c — txpipe.export_directory: is it there, which names may be in it, who gives names now, and directories below it.
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "miscadmin.h"
#include "pgtime.h"

#include "guc.h"
#include "io/below.h"
#include "outdir.h"

#define NAME_LIMIT 200
#define LOCK_RETRY_US 10000L
#define PRIVATE_MODE 0700
#define READABLE_MODE 0750

static void
check_name(const char *name)
{
	if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL || strlen(name) > NAME_LIMIT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not a plain file name", name),
				 errhint("Give a name of at most %d bytes without a slash that does not start with "
						 "a dot.",
						 NAME_LIMIT)));
}

static void
check_directory(void)
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

void
txp_outdir_check(const char *name)
{
	check_name(name);
	check_directory();
}

void
txp_outdir_check_path(const char *path)
{
	char *name = pstrdup(path);
	char *slash;

	while ((slash = strchr(name, '/')) != NULL)
	{
		*slash = '\0';
		txp_outdir_check(name);
		name = slash + 1;
	}
	txp_outdir_check(name);
}

void
txp_outdir_fail(const char *doing, const char *name)
{
	ereport(ERROR, (errcode_for_file_access(),
					errmsg("could not %s file \"%s/%s\": %m", doing, txp_export_directory, name),
					errhint("The directory must be writable for the server's user, with room for "
							"the file.")));
}

/* A change of names is short. */
int
txp_outdir_lock(int dir, const char *name)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		txp_outdir_fail("open the directory of", name);
	while (flock(fd, LOCK_EX | LOCK_NB) != 0)
	{
		if ((errno != EWOULDBLOCK && errno != EINTR) || QueryCancelPending || ProcDiePending)
		{
			close(fd);
			CHECK_FOR_INTERRUPTS();
			txp_outdir_fail("lock the directory of", name);
		}
		pg_usleep(LOCK_RETRY_US);
	}
	return fd;
}

/* --- directories below it --- */

/* Those of ours are for the group, as files are. */
static void
make_readable(const char *path)
{
	int dir = txp_below_make(txp_export_directory, path);
	struct stat st;

	if (dir < 0)
		txp_outdir_fail("make the directory of", path);
	if (fstat(dir, &st) == 0 && (st.st_mode & 07777) == PRIVATE_MODE)
		(void) fchmod(dir, READABLE_MODE);
	close(dir);
}

void
txp_outdir_make(const char *path)
{
	for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/'))
	{
		char *above = pnstrdup(path, slash - path);

		make_readable(above);
		pfree(above);
	}
}

int
txp_outdir_open(const char *path)
{
	const char *name;
	int parent = txp_below_parent(txp_export_directory, path, &name);
	int dir;
	int save_errno;

	if (parent < 0)
		return -1;
	dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	save_errno = errno;
	close(parent);
	errno = save_errno;
	return dir;
}

void
txp_outdir_each(int dir, TxpVisit visit, const void *arg)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (list == NULL && fd >= 0)
		close(fd);
	while (list != NULL && (entry = readdir(list)) != NULL)
	{
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			visit(dir, entry->d_name, arg);
	}
	if (list != NULL)
		closedir(list);
}

const char *
txp_outdir_now(void)
{
	pg_time_t now = (pg_time_t) time(NULL);
	char *text = palloc(32);

	pg_strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", pg_gmtime(&now));
	return text;
}
