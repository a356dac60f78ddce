/*
 * filetree.c — all files below a directory, as they are or not at all.
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cryptohash.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "filetree.h"
#include "io/below.h"
#include "unixtime.h"

/* Whoever takes a name for gone removes things: every other reason why it cannot be seen is an ERROR. */
static void
check_gone(const char *directory, const char *name)
{
	if (errno != ENOENT && errno != ENOTDIR)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not stat \"%s/%s\": %m", directory, name)));
}

/* Of what is there; false: it is gone. */
static bool
look_at(DIR *dir, const char *path, const char *name, bool *is_directory)
{
	struct stat st;

	if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) != 0)
	{
		check_gone(path, name);
		return false;
	}
	*is_directory = S_ISDIR(st.st_mode);
	return true;
}

static void
list_names(const char *top, const char *below, List **paths)
{
	char *path = below[0] != '\0' ? psprintf("%s/%s", top, below) : pstrdup(top);
	DIR *dir = AllocateDir(path);
	struct dirent *entry;
	bool is_directory;

	check_stack_depth();
	/* An empty one may go meanwhile. */
	if (dir == NULL && errno == ENOENT && below[0] != '\0')
		return;
	while ((entry = ReadDir(dir, path)) != NULL)
	{
		char *name;

		CHECK_FOR_INTERRUPTS();
		if (entry->d_name[0] == '.')
			continue;
		if (!pg_verifymbstr(entry->d_name, strlen(entry->d_name), true))
		{
			ereport(WARNING, (errmsg("a file in \"%s\" has a name that is not valid in this "
									 "database's encoding; it is left alone",
									 path)));
			continue;
		}
		name = below[0] != '\0' ? psprintf("%s/%s", below, entry->d_name) : pstrdup(entry->d_name);
		if (!look_at(dir, path, entry->d_name, &is_directory))
			continue;
		if (is_directory)
			list_names(top, name, paths);
		else
			*paths = lappend(*paths, name);
	}
	FreeDir(dir);
}

List *
txp_filetree_list(const char *top)
{
	List *paths = NIL;
	List *files = NIL;
	ListCell *lc;

	list_names(top, "", &paths);
	foreach (lc, paths)
	{
		TxpTreeFile *file = palloc(sizeof(TxpTreeFile));
		struct stat st;

		CHECK_FOR_INTERRUPTS();
		file->path = lfirst(lc);
		if (txp_below_stat(top, file->path, &st) != 0)
		{
			check_gone(top, file->path);
			continue;
		}
		file->is_file = S_ISREG(st.st_mode);
		file->bytes = st.st_size;
		file->changed_at = (int64) st.st_ctim.tv_sec * USECS_PER_SEC + st.st_ctim.tv_nsec / 1000 -
						   1000 * TXP_UNIX_EPOCH_MS;
		files = lappend(files, file);
	}
	return files;
}

static void
hash_text(const char *text, size_t len, uint8 *sha256)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) text, len) < 0 ||
		pg_cryptohash_final(context, sha256, PG_SHA256_DIGEST_LENGTH) < 0)
		elog(ERROR, "could not compute a SHA-256");
	pg_cryptohash_free(context);
}

/* As many bytes as it had when it was opened; NULL: there are fewer. */
static char *
read_whole(int fd, size_t size)
{
	char *text = palloc(size + 1);
	size_t done = 0;

	while (done < size)
	{
		ssize_t n = read(fd, text + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return NULL;
		done += n;
	}
	text[size] = '\0';
	return text;
}

char *
txp_filetree_read(const char *top, const char *path, uint8 sha256[PG_SHA256_DIGEST_LENGTH])
{
	char *volatile text = NULL;
	struct stat st;
	int fd = txp_below_open(top, path, &st);

	if (fd < 0)
		return NULL;
	PG_TRY();
	{
		if (st.st_size < (off_t) MaxAllocSize)
			text = read_whole(fd, st.st_size);
	}
	PG_FINALLY();
	{
		close(fd);
	}
	PG_END_TRY();
	if (text == NULL || !pg_verify_mbstr(PG_UTF8, text, (int) st.st_size, true))
		return NULL;
	hash_text(text, st.st_size, sha256);
	return text;
}
