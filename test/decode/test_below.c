/*
 * test_below.c — paths below a directory: what they reach, and which file is removed.
 */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/below.h"

static char top[] = "/tmp/txpipe-below-XXXXXX";

/* What has been made durable, in place of the library's function. */
static ino_t synced[32];
static int nsynced;

int
fsync(int fd)
{
	struct stat st;

	CHECK(fstat(fd, &st) == 0 && nsynced < 32);
	synced[nsynced++] = st.st_ino;
	return (int) syscall(SYS_fsync, fd);
}

static int
is_synced(const char *path)
{
	char full[200];
	struct stat st;

	snprintf(full, sizeof(full), "%s/%s", top, path);
	CHECK(stat(full, &st) == 0);
	for (int i = 0; i < nsynced; i++)
	{
		if (synced[i] == st.st_ino)
			return 1;
	}
	return 0;
}

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

/* Who made a directory or a file may have died before it was durable. */
static void
test_sync(void)
{
	int dir;

	for (int round = 0; round < 2; round++)
	{
		nsynced = 0;
		dir = txp_below_make(top, "s/t/u");
		CHECK_INT(is_synced("."), 1);
		CHECK_INT(is_synced("s"), 1);
		CHECK_INT(is_synced("s/t"), 1);
		close(dir);
	}
	write_file("s/t/u/f", "x");
	nsynced = 0;
	dir = txp_below_make(top, "s/t/u");
	CHECK_INT(is_synced("s/t/u") + is_synced("s/t/u/f"), 0);
	CHECK_INT(txp_below_sync(dir, "f"), 0);
	CHECK_INT(is_synced("s/t/u") + is_synced("s/t/u/f"), 2);
	CHECK_INT(txp_below_sync(dir, "none"), -1);
	CHECK_INT(errno, ENOENT);
	close(dir);
}

static int
is_there(const char *path)
{
	struct stat st;

	return txp_below_stat(top, path, &st) == 0;
}

static void
test_prune(void)
{
	char path[200];

	close(txp_below_make(top, "p/q/r/s"));
	write_file("p/q/f", "x");
	txp_below_prune(top, "p/q/r/s/gone", 1);
	CHECK_INT(is_there("p/q/r"), 0);
	CHECK_INT(is_there("p/q/f"), 1);
	txp_below_prune(top, "p/q/gone", 1);
	CHECK_INT(is_there("p/q/f"), 1);
	CHECK_INT(txp_below_unlink(top, "p/q/f"), 0);
	snprintf(path, sizeof(path), "%s/p/link", top);
	CHECK(symlink("q", path) == 0);
	txp_below_prune(top, "p/link/gone", 0);
	CHECK_INT(is_there("p/link") + is_there("p/q"), 2);
	CHECK(unlink(path) == 0);
	txp_below_prune(top, "p/q/gone", 1);
	CHECK_INT(is_there("p/q"), 0);
	CHECK_INT(is_there("p"), 1);
	txp_below_prune(top, "p/gone", 1);
	CHECK_INT(is_there("p"), 1);
}

int
main(void)
{
	char command[100];

	CHECK(mkdtemp(top) != NULL);
	test_open();
	test_remove();
	test_sync();
	test_prune();
	snprintf(command, sizeof(command), "rm -rf %s", top);
	CHECK(system(command) == 0);
	return check_done("below");
}
