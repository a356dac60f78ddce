/*
 * outfile.c — files below txpipe.export_directory: each appears whole or not at all.
 *
 * Whoever writes a temporary file holds a lock on it (flock), which ends with the process: what is not locked
 * was left by a crash. Names are changed under a lock on the directory, so that a file and its side file are of
 * one export.
 */
#include "postgres.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xact.h"
#include "common/cryptohash.h"
#include "common/pg_prng.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "io/below.h"
#include "outdir.h"
#include "outfile.h"

#define MODE 0640
#define BUFFER_SIZE (64 * 1024)
#define SUFFIX ".tmp"

struct TxpOutFile
{
	bool is_open;
	int dir;
	int fd;                       /* -1: none is open */
	char *name;                   /* below txpipe.export_directory */
	const char *entry;            /* its last component */
	char temporary[NAME_MAX + 1]; /* "" when there is none */
	char *buffer;
	size_t used;
	int64 size;
	pg_cryptohash_ctx *hash;
	uint8 sha256[PG_SHA256_DIGEST_LENGTH];
};

/* --- what a crash left --- */

static bool
is_temporary(const char *name)
{
	size_t len = strlen(name);

	return name[0] == '.' && len > strlen(SUFFIX) &&
		   strcmp(name + len - strlen(SUFFIX), SUFFIX) == 0;
}

/* Is it nobody's? Then it goes, under its lock, so that its writer, if it has just begun, notices. */
static void
remove_left_over(int dir, const char *name, const void *arg)
{
	int fd;

	if (!is_temporary(name))
		return;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		(void) unlinkat(dir, name, 0);
	close(fd);
}

/* Once in a statement: an export of many days makes many files. */
static void
remove_left_overs(int dir)
{
	static TimestampTz cleaned = 0;

	if (cleaned == GetCurrentStatementStartTimestamp())
		return;
	cleaned = GetCurrentStatementStartTimestamp();
	txp_outdir_each(dir, remove_left_over, NULL);
}

/* --- the temporary file --- */

/* Creates and locks it; false when it was taken for a left-over before it was locked. */
static bool
create_temporary(TxpOutFile *file)
{
	struct stat st;

	snprintf(file->temporary, sizeof(file->temporary), ".%s.%08x" SUFFIX, file->entry,
			 pg_prng_uint32(&pg_global_prng_state));
	file->fd = openat(file->dir, file->temporary,
					  O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, MODE);
	if (file->fd < 0)
	{
		bool taken = errno == EEXIST;

		file->temporary[0] = '\0';
		if (taken)
			return false;
		txp_outdir_fail("create", file->name);
	}
	if (flock(file->fd, LOCK_EX | LOCK_NB) == 0 && fstat(file->fd, &st) == 0 && st.st_nlink > 0)
		return true;
	(void) unlinkat(file->dir, file->temporary, 0);
	file->temporary[0] = '\0';
	close(file->fd);
	file->fd = -1;
	return false;
}

static void
begin_temporary(TxpOutFile *file)
{
	while (!create_temporary(file))
		CHECK_FOR_INTERRUPTS();
	/* The server's umask hides files from the group that is meant to read them. */
	if (fchmod(file->fd, MODE) != 0)
		txp_outdir_fail("set the mode of", file->name);
	file->used = 0;
	file->size = 0;
	file->hash = pg_cryptohash_create(PG_SHA256);
	if (file->hash == NULL || pg_cryptohash_init(file->hash) < 0)
		elog(ERROR, "could not begin a SHA-256");
}

void
txp_outfile_prepare(const char *name)
{
	/* Neither a standby nor a transaction that is said to change nothing writes files that others fetch. */
	PreventCommandIfReadOnly("an export of txpipe");
	txp_outdir_check(name);
}

void
txp_outfile_prepare_below(const char *path)
{
	PreventCommandIfReadOnly("an export of txpipe");
	txp_outdir_check_path(path);
}

TxpOutFile *
txp_outfile_open(const char *name)
{
	txp_outfile_prepare(name);
	return txp_outfile_open_below(name);
}

TxpOutFile *
txp_outfile_open_below(const char *path)
{
	TxpOutFile *file = palloc0(sizeof(TxpOutFile));

	file->fd = -1;
	file->name = pstrdup(path);
	file->buffer = palloc(BUFFER_SIZE);
	/* Not files of PostgreSQL's cache, which could not be reached through their directory; but counted. */
	if (!AcquireExternalFD())
		txp_outdir_fail("open one more", path);
	file->is_open = true;
	file->dir = txp_below_parent(txp_export_directory, file->name, &file->entry);
	PG_TRY();
	{
		if (file->dir < 0)
			txp_outdir_fail("reach", path);
		remove_left_overs(file->dir);
		begin_temporary(file);
	}
	PG_CATCH();
	{
		txp_outfile_abandon(file);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return file;
}

static void
write_all(TxpOutFile *file, const char *bytes, size_t len)
{
	CHECK_FOR_INTERRUPTS();
	if (pg_cryptohash_update(file->hash, (const uint8 *) bytes, len) < 0)
		elog(ERROR, "could not compute a SHA-256");
	file->size += len;
	while (len > 0)
	{
		ssize_t n;

		errno = 0;
		n = write(file->fd, bytes, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
		{
			if (errno == 0)
				errno = ENOSPC;
			txp_outdir_fail("write", file->name);
		}
		bytes += n;
		len -= n;
	}
}

static void
flush_buffer(TxpOutFile *file)
{
	if (file->used > 0)
		write_all(file, file->buffer, file->used);
	file->used = 0;
}

void
txp_outfile_write(TxpOutFile *file, const char *bytes, size_t len)
{
	if (len > BUFFER_SIZE - file->used)
		flush_buffer(file);
	if (len > BUFFER_SIZE)
		write_all(file, bytes, len);
	else
	{
		memcpy(file->buffer + file->used, bytes, len);
		file->used += len;
	}
}

/* All of it is on disk, under the temporary name. Its lock must last until it has its own. */
static void
finish_temporary(TxpOutFile *file)
{
	flush_buffer(file);
	if (pg_fsync(file->fd) != 0)
		txp_outdir_fail("flush", file->name);
	if (pg_cryptohash_final(file->hash, file->sha256, sizeof(file->sha256)) < 0)
		elog(ERROR, "could not compute a SHA-256");
	pg_cryptohash_free(file->hash);
	file->hash = NULL;
}

static void
close_temporary(TxpOutFile *file)
{
	int result = close(file->fd);

	file->fd = -1;
	if (result != 0)
		txp_outdir_fail("close", file->name);
}

/* --- publishing --- */

static void
close_directory(TxpOutFile *file)
{
	if (file->dir >= 0)
		close(file->dir);
	file->dir = -1;
	file->is_open = false;
	ReleaseExternalFD();
}

static void
sync_directory(int dir_fd, const char *name)
{
	if (pg_fsync(dir_fd) != 0)
		txp_outdir_fail("flush the directory of", name);
}

static void
rename_temporary(TxpOutFile *file, const char *name, int dir_fd)
{
	if (renameat(file->dir, file->temporary, file->dir, name) != 0)
		txp_outdir_fail("give its name to", name);
	file->temporary[0] = '\0';
	close_temporary(file);
	sync_directory(dir_fd, name);
}

static char *
side_text(const TxpOutFile *file, const TxpOutFacts *facts)
{
	StringInfoData text;
	char hex[2 * PG_SHA256_DIGEST_LENGTH + 1];

	hex_encode((const char *) file->sha256, sizeof(file->sha256), hex);
	hex[sizeof(hex) - 1] = '\0';
	initStringInfo(&text);
	appendStringInfoString(&text, "{\"file\": ");
	escape_json(&text, file->name);
	if (facts->more && facts->more[0] != '\0')
		appendStringInfo(&text, ", %s", facts->more);
	appendStringInfo(&text,
					 ", \"rows\": " INT64_FORMAT ", \"bytes\": " INT64_FORMAT
					 ", \"sha256\": \"%s\", \"written_at\": \"%s\"}\n",
					 facts->rows, file->size, hex, txp_outdir_now());
	return text.data;
}

/* The side file of what was there before must not stand beside the new file. */
static void
remove_old_side(TxpOutFile *file, const char *side, int dir_fd)
{
	if (unlinkat(file->dir, side, 0) == 0)
		sync_directory(dir_fd, side);
	else if (errno != ENOENT)
		txp_outdir_fail("replace", side);
}

static void
write_side(TxpOutFile *file, const char *side, const char *text, int dir_fd)
{
	int64 size = file->size;
	uint8 sha256[PG_SHA256_DIGEST_LENGTH];

	memcpy(sha256, file->sha256, sizeof(sha256));
	begin_temporary(file);
	txp_outfile_write(file, text, strlen(text));
	finish_temporary(file);
	rename_temporary(file, side, dir_fd);
	file->size = size;
	memcpy(file->sha256, sha256, sizeof(sha256));
}

char *
txp_outfile_publish(TxpOutFile *file, const TxpOutFacts *facts)
{
	char *side = psprintf("%s.json", file->entry);
	char *path = psprintf("%s/%s", txp_export_directory, file->name);
	int dir_fd;

	finish_temporary(file);
	dir_fd = txp_outdir_lock(file->dir, file->name);
	PG_TRY();
	{
		if (facts)
			remove_old_side(file, side, dir_fd);
		rename_temporary(file, file->entry, dir_fd);
		if (facts)
			write_side(file, side, side_text(file, facts), dir_fd);
	}
	PG_FINALLY();
	{
		close(dir_fd);
	}
	PG_END_TRY();
	close_directory(file);
	return path;
}

void
txp_outfile_abandon(TxpOutFile *file)
{
	if (!file->is_open)
		return;
	if (file->temporary[0] != '\0')
		(void) unlinkat(file->dir, file->temporary, 0);
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
	pg_cryptohash_free(file->hash);
	file->hash = NULL;
	close_directory(file);
}

int64
txp_outfile_size(const TxpOutFile *file)
{
	return file->size;
}

const uint8 *
txp_outfile_sha256(const TxpOutFile *file)
{
	return file->sha256;
}

/* --- what is there --- */

static void
hash_descriptor(int fd, const char *name, uint8 *sha256)
{
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);
	char *buffer = palloc(BUFFER_SIZE);
	ssize_t n = 0;

	if (hash == NULL || pg_cryptohash_init(hash) < 0)
		elog(ERROR, "could not begin a SHA-256");
	do
	{
		CHECK_FOR_INTERRUPTS();
		n = read(fd, buffer, BUFFER_SIZE);
		if (n < 0 && errno != EINTR)
			txp_outdir_fail("read", name);
		if (n > 0 && pg_cryptohash_update(hash, (const uint8 *) buffer, n) < 0)
			elog(ERROR, "could not compute a SHA-256");
	} while (n != 0);
	if (pg_cryptohash_final(hash, sha256, PG_SHA256_DIGEST_LENGTH) < 0)
		elog(ERROR, "could not compute a SHA-256");
	pg_cryptohash_free(hash);
	pfree(buffer);
}

bool
txp_outfile_hash(const char *name, uint8 sha256[PG_SHA256_DIGEST_LENGTH])
{
	struct stat st;
	int fd;

	txp_outdir_check(name);
	fd = txp_below_open(txp_export_directory, name, &st);
	if (fd < 0 && errno == ENOENT)
		return false;
	if (fd < 0)
		txp_outdir_fail("read", name);
	PG_TRY();
	{
		hash_descriptor(fd, name, sha256);
	}
	PG_FINALLY();
	{
		close(fd);
	}
	PG_END_TRY();
	return true;
}
