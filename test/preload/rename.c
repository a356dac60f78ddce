/*
 * rename.c — for LD_PRELOAD: a process that is about to give a file a name stands still there.
 *
 * TXPIPE_STOP names a file that has a pattern of names; who has such a name to give removes the file, and waits to be ended. The pattern may be of the name it had, too. Names of
 * temporary files, which begin with a dot, are changed as always.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool
is_stop(const char *name)
{
	const char *path = getenv("TXPIPE_STOP");
	char pattern[256];
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, pattern, sizeof(pattern) - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	pattern[n] = '\0';
	return fnmatch(pattern, name, 0) == 0 && unlink(path) == 0;
}

int
renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	static int (*next)(int, const char *, int, const char *);

	if (next == NULL)
		next = (int (*)(int, const char *, int, const char *)) dlsym(RTLD_NEXT, "renameat");
	if (from[0] != '.' && (is_stop(to) || is_stop(from)))
	{
		for (;;)
			pause();
	}
	return next(from_dir, from, to_dir, to);
}
