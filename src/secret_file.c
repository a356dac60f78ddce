/*
 * secret_file.c — files on the server's machine that options of the kind `…_file` name.
 *
 * They are read when a connection is opened, so that a rotated secret needs no ALTER, and by the server
 * process, so that the child never opens a file on a user's behalf.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/fd.h"

#include "secret_file.h"

#define MAX_SIZE (64 * 1024)

bool
txp_secret_file_is_path(const char *path)
{
	size_t len;

	if (path[0] != '/')
		return false;
	for (const char *part = path; *part; part += len)
	{
		part++;
		len = strcspn(part, "/");
		if (len == 2 && strncmp(part, "..", 2) == 0)
			return false;
	}
	return true;
}

static void
refuse(const char *option, const char *path, int sqlstate, const char *why)
{
	ereport(ERROR,
			(errcode(sqlstate), errmsg("could not use the file of option \"%s\"", option),
			 errdetail("%s", why), errdetail_log("File \"%s\": %s", path, why),
			 errhint("The file is named in the user mapping or server, see pg_user_mappings and "
					 "pg_foreign_server; it must be readable by the operating system user that "
					 "runs PostgreSQL.")));
}

static void
refuse_errno(const char *option, const char *path)
{
	int sqlstate = errno == ENOENT || errno == ENOTDIR ? ERRCODE_UNDEFINED_FILE
				   : errno == EACCES || errno == EPERM ? ERRCODE_INSUFFICIENT_PRIVILEGE
													   : ERRCODE_IO_ERROR;

	if (errno == ELOOP)
		refuse(option, path, ERRCODE_CONFIG_FILE_ERROR, "It is a symbolic link.");
	refuse(option, path, sqlstate, psprintf("%s.", strerror(errno)));
}

/* As PostgreSQL asks of its own key files; group members may read, since secrets are often mounted so. */
static void
check_file(int fd, const char *option, const char *path, bool secret)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		refuse_errno(option, path);
	if (!S_ISREG(st.st_mode))
		refuse(option, path, ERRCODE_CONFIG_FILE_ERROR, "It is not a regular file.");
	if (st.st_size > MAX_SIZE)
		refuse(option, path, ERRCODE_CONFIG_FILE_ERROR, "It is larger than 64 kB.");
	if (!secret)
		return;
	if (st.st_uid != geteuid() && st.st_uid != 0)
		refuse(option, path, ERRCODE_CONFIG_FILE_ERROR,
			   "It belongs neither to the operating system user that runs PostgreSQL nor to root.");
	if (st.st_mode & (S_IWGRP | S_IRWXO))
		refuse(option, path, ERRCODE_CONFIG_FILE_ERROR,
			   "Its permissions let the group write it or others use it; 0640 or less is needed.");
}

char *
txp_secret_file_read(const char *option, const char *path, bool secret)
{
	char *text = palloc(MAX_SIZE + 1);
	ssize_t len = 0;
	ssize_t n;
	int fd;

	if (!txp_secret_file_is_path(path))
		refuse(option, path, ERRCODE_CONFIG_FILE_ERROR, "Its path is not absolute.");
	/* O_NONBLOCK: a FIFO would hold the open until somebody writes. */
	fd = OpenTransientFile(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		refuse_errno(option, path);
	check_file(fd, option, path, secret);
	while ((n = read(fd, text + len, MAX_SIZE + 1 - len)) > 0 && len + n <= MAX_SIZE)
		len += n;
	if (n < 0)
		refuse_errno(option, path);
	if (n > 0)
		refuse(option, path, ERRCODE_CONFIG_FILE_ERROR, "It is larger than 64 kB.");
	(void) CloseTransientFile(fd);

	if (len > 0 && text[len - 1] == '\n')
		len--;
	if (len == 0 || memchr(text, '\0', len) != NULL)
		refuse(option, path, ERRCODE_CONFIG_FILE_ERROR, "It is empty, or has a zero byte in it.");
	text[len] = '\0';
	return text;
}
