/*
 * below.c — files below a directory, reached component by component.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "below.h"

#define DIRECTORY (O_DIRECTORY | O_CLOEXEC)

/* Closes without a change of errno. */
static void
close_quietly(int fd)
{
	int save_errno = errno;

	close(fd);
	errno = save_errno;
}

/* The next component of *path; false with errno when there is none or it may not be one. */
static bool
next_component(const char **path, char name[NAME_MAX + 1])
{
	size_t len = strcspn(*path, "/");

	if (len > NAME_MAX)
	{
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(name, *path, len);
	name[len] = '\0';
	*path += len;
	if (len > 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
		return true;
	errno = EINVAL;
	return false;
}

/* Opens a directory within another one, which is closed. */
static int
step_into(int dir, const char *name, int flags)
{
	int fd = openat(dir, name, flags | O_NOFOLLOW | DIRECTORY);
	struct stat st;

	if (fd < 0 && errno == ENOTDIR)
	{
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
			errno = ELOOP;
		else
			errno = ENOTDIR;
	}
	close_quietly(dir);
	return fd;
}

int
txp_below_parent(const char *top, const char *path, const char **name)
{
	char component[NAME_MAX + 1];
	int dir = open(top, O_PATH | DIRECTORY);

	while (dir >= 0)
	{
		*name = path;
		if (!next_component(&path, component))
		{
			close_quietly(dir);
			return -1;
		}
		if (*path == '\0')
			return dir;
		path++;
		dir = step_into(dir, component, O_PATH);
	}
	return -1;
}

int
txp_below_stat(const char *top, const char *path, struct stat *st)
{
	const char *name;
	int dir = txp_below_parent(top, path, &name);
	int result;

	if (dir < 0)
		return -1;
	result = fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW);
	close_quietly(dir);
	return result;
}

/* Looked at before it is opened, because to open some devices does something, and after. */
static int
open_regular(int dir, const char *name, struct stat *st)
{
	int fd;

	if (fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) != 0)
		return -1;
	if (!S_ISREG(st->st_mode))
	{
		errno = S_ISLNK(st->st_mode) ? ELOOP : EMEDIUMTYPE;
		return -1;
	}
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -1;
	errno = EMEDIUMTYPE;
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		return fd;
	close_quietly(fd);
	return -1;
}

int
txp_below_open(const char *top, const char *path, struct stat *st)
{
	const char *name;
	int dir = txp_below_parent(top, path, &name);
	int fd;

	if (dir < 0)
		return -1;
	fd = open_regular(dir, name, st);
	close_quietly(dir);
	return fd;
}

/* An entry is durable when the directory it was made in is. Who made this one may have died before that. */
static bool
make_entry(int dir, const char *name)
{
	return (mkdirat(dir, name, 0700) == 0 || errno == EEXIST) && fsync(dir) == 0;
}

int
txp_below_make(const char *top, const char *path)
{
	char component[NAME_MAX + 1];
	int dir = open(top, O_RDONLY | DIRECTORY);

	while (dir >= 0)
	{
		if (!next_component(&path, component) || !make_entry(dir, component))
		{
			close_quietly(dir);
			return -1;
		}
		dir = step_into(dir, component, O_RDONLY);
		if (*path == '\0')
			break;
		path++;
	}
	return dir;
}

int
txp_below_sync(int dir, const char *name)
{
	struct stat st;
	int fd = open_regular(dir, name, &st);
	int result;

	if (fd < 0)
		return -1;
	result = fsync(fd) == 0 ? fsync(dir) : -1;
	close_quietly(fd);
	return result;
}

int
txp_below_unlink(const char *top, const char *path)
{
	const char *name;
	int dir = txp_below_parent(top, path, &name);
	struct stat st;
	int result = -1;

	if (dir < 0)
		return -1;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
	{
		errno = S_ISLNK(st.st_mode) ? ELOOP : EMEDIUMTYPE;
		if (S_ISREG(st.st_mode))
			result = unlinkat(dir, name, 0);
	}
	close_quietly(dir);
	return result;
}

/* Removes an empty directory, which may not be a link; false when it stays. */
static bool
remove_directory(const char *top, const char *path)
{
	const char *name;
	int dir = txp_below_parent(top, path, &name);
	bool removed;

	if (dir < 0)
		return false;
	removed = unlinkat(dir, name, AT_REMOVEDIR) == 0;
	close(dir);
	return removed;
}

void
txp_below_prune(const char *top, const char *path, int kept)
{
	char directory[PATH_MAX];
	char *slash;
	int depth = 0;

	if (strlen(path) >= sizeof(directory))
		return;
	memcpy(directory, path, strlen(path) + 1);
	for (slash = directory; *slash != '\0'; slash++)
		depth += *slash == '/';
	for (; depth > kept; depth--)
	{
		slash = strrchr(directory, '/');
		*slash = '\0';
		if (!remove_directory(top, directory))
			return;
	}
}

static bool
is_expected(int dir, const char *name, const struct stat *expected)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		   st.st_dev == expected->st_dev && st.st_ino == expected->st_ino &&
		   st.st_size == expected->st_size && st.st_mtim.tv_sec == expected->st_mtim.tv_sec &&
		   st.st_mtim.tv_nsec == expected->st_mtim.tv_nsec;
}

/*
 * No call removes a certain inode. So the file is first put aside under a name nobody else uses, looked at
 * again, and put back when it is another one; unless by then yet another has its place.
 */
static int
remove_from(int dir, const char *name, const struct stat *expected)
{
	char aside[64];

	if (!is_expected(dir, name, expected))
		return 1;
	snprintf(aside, sizeof(aside), ".removing-%llx", (unsigned long long) expected->st_ino);
	if (renameat2(dir, name, dir, aside, RENAME_NOREPLACE) != 0)
		/* Old file systems know no such rename. */
		return errno == EINVAL || errno == ENOSYS ? unlinkat(dir, name, 0) : -1;
	if (is_expected(dir, aside, expected))
		return unlinkat(dir, aside, 0);
	if (renameat2(dir, aside, dir, name, RENAME_NOREPLACE) == 0)
		return 1;
	if (errno != EEXIST || unlinkat(dir, aside, 0) != 0)
		return -1;
	return 1;
}

int
txp_below_remove(const char *top, const char *path, const struct stat *expected)
{
	const char *name;
	int dir = txp_below_parent(top, path, &name);
	int result;

	if (dir < 0)
		return -1;
	result = remove_from(dir, name, expected);
	close_quietly(dir);
	return result;
}
