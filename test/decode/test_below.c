/*
 * test_below.c — paths below a directory: what they reach, and which file is removed.
 */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/below.h"

static char top[] = "/tmp/txpipe-below-XXXXXX";

static void
write_file(const char *name, const char *content)
{
	int dir = open(top, O_PATH | O_DIRECTORY);
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CHECK(fd >= 0 && write(fd, content, strlen(content)) == (ssize_t) strlen(content));
	close(fd);
	close(dir);
}

static int
open_error(const char *path)
{
	struct stat st;
	int fd = txp_below_open(top, path, &st);
	int err = errno;

	if (fd < 0)
		return err;
	close(fd);
	return 0;
}

static void
test_open(void)
{
	char path[200];

	CHECK_INT(txp_below_make(top, "a/b") >= 0, 1);
	write_file("a/b/f", "x");
	snprintf(path, sizeof(path), "%s/a/link", top);
	CHECK(symlink("b", path) == 0);
	snprintf(path, sizeof(path), "%s/a/b/flink", top);
	CHECK(symlink("f", path) == 0);
	snprintf(path, sizeof(path), "%s/a/fifo", top);
	CHECK(mkfifo(path, 0600) == 0);
	CHECK_INT(open_error("a/b/f"), 0);
	CHECK_INT(open_error("a/link/f"), ELOOP);
	CHECK_INT(open_error("a/b/flink"), ELOOP);
	CHECK_INT(open_error("a/b"), EMEDIUMTYPE);
	CHECK_INT(open_error("a/fifo"), EMEDIUMTYPE);
	CHECK_INT(open_error("a/b/f/g"), ENOTDIR);
	CHECK_INT(open_error("a/b/none"), ENOENT);
	CHECK_INT(open_error("a/../a/b/f"), EINVAL);
	CHECK_INT(open_error("./a/b/f"), EINVAL);
	CHECK_INT(open_error("a//b/f"), EINVAL);
	CHECK_INT(open_error("/etc/passwd"), EINVAL);
	CHECK_INT(open_error("a/b/.."), EINVAL);
	CHECK_INT(open_error(""), EINVAL);
	CHECK_INT(txp_below_make(top, "a/link/c"), -1);
	CHECK_INT(errno, ELOOP);
	CHECK_INT(txp_below_unlink(top, "a/b/flink"), -1);
	CHECK_INT(errno, ELOOP);
	CHECK_INT(txp_below_unlink(top, "a/link/f"), -1);
	CHECK_INT(open_error("a/b/f"), 0);
	CHECK_INT(txp_below_unlink(top, "a/b/f"), 0);
	CHECK_INT(open_error("a/b/f"), ENOENT);
}

static void
test_remove(void)
{
	struct stat st;
	struct stat other;
	char path[200];

	write_file("a/one", "same");
	CHECK_INT(txp_below_stat(top, "a/one", &st), 0);

	/* Another file under the name, of the same size and time. */
	write_file("a/two", "more");
	snprintf(path, sizeof(path), "%s/a/two", top);
	CHECK(utimensat(AT_FDCWD, path, (struct timespec[]){st.st_mtim, st.st_mtim}, 0) == 0);
	CHECK_INT(txp_below_stat(top, "a/two", &other), 0);
	CHECK_INT(txp_below_remove(top, "a/two", &st), 1);
	CHECK_INT(open_error("a/two"), 0);

	/* The same file, written to since. */
	other.st_mtim.tv_nsec ^= 1;
	CHECK_INT(txp_below_remove(top, "a/two", &other), 1);
	CHECK_INT(open_error("a/two"), 0);

	CHECK_INT(txp_below_remove(top, "a/one", &st), 0);
	CHECK_INT(open_error("a/one"), ENOENT);
	CHECK_INT(txp_below_remove(top, "a/one", &st), 1);
	CHECK_INT(txp_below_remove(top, "a/link/two", &st), -1);
	CHECK_INT(errno, ELOOP);
}

int
main(void)
{
	char command[100];

	CHECK(mkdtemp(top) != NULL);
	test_open();
	test_remove();
	snprintf(command, sizeof(command), "rm -rf %s", top);
	CHECK(system(command) == 0);
	return check_done("below");
}
