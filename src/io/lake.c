/*
 * lake.c — FILE_HASH and FILE_COPY: what a file contains, and a copy of it that is complete or absent.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "handlers.h"
#include "link.h"
#include "put.h"
#include "source.h"

typedef struct Copy
{
	TxpChannel *channel;
	char directory[PATH_MAX];
	char name[NAME_MAX + 1];
	char temp[64];
	char target[PATH_MAX + NAME_MAX + 2]; /* for messages */
	TxpSpan source;
	TxpSpan sha256;
	int dir;
} Copy;

static void
broken_frame(TxpChannel *channel)
{
	txp_error(channel, (TxpError){.fatal = true, .answer = true, .sqlstate = "08P01"},
			  "the frame of a file request is broken");
}

/* Reads a whole file for its hash; false after an ERROR, or when the channel has ended. */
static bool
hash_file(TxpSource *s, unsigned char sha256[TXP_SHA256])
{
	while (txp_source_read(s))
	{
		if (txp_channel_ended(s->channel))
			return false;
	}
	if (s->at_end)
		txp_source_hash(s, sha256);
	return s->at_end;
}

void
txp_hash_main(TxpChannel *channel, TxpMail *opening)
{
	TxpReader r = txp_reader(opening->data, opening->header.size);
	TxpSpan path = txp_read_span(&r);
	unsigned char sha256[TXP_SHA256];
	TxdBuf frame = {0};
	TxpSource *s;

	if (r.bad || path.data == NULL || r.p != r.end)
	{
		broken_frame(channel);
		return;
	}
	s = txp_source_open(channel, true, path);
	if (s != NULL && hash_file(s, sha256))
	{
		txp_put_i64(&frame, s->bytes);
		txp_put_i64(&frame,
					(int64_t) s->st.st_mtim.tv_sec * 1000000 + s->st.st_mtim.tv_nsec / 1000);
		txp_put_opt(&frame, sha256, sizeof(sha256));
		txp_answer(channel, TXP_FILE_HASHED, &frame);
	}
	txp_source_close(s);
}

static bool
copy_span(char *to, size_t size, TxpSpan span)
{
	if (span.data == NULL || span.len == 0 || span.len >= size ||
		memchr(span.data, '\0', span.len) != NULL)
		return false;
	memcpy(to, span.data, span.len);
	to[span.len] = '\0';
	return true;
}

static bool
unpack(Copy *c, const TxpMail *mail)
{
	TxpReader r = txp_reader(mail->data, mail->header.size);
	TxpSpan directory;
	TxpSpan name;

	c->source = txp_read_span(&r);
	directory = txp_read_span(&r);
	name = txp_read_span(&r);
	c->sha256 = txp_read_span(&r);
	if (r.bad || r.p != r.end || c->source.data == NULL || c->sha256.len != TXP_SHA256 ||
		!copy_span(c->directory, sizeof(c->directory), directory) ||
		!copy_span(c->name, sizeof(c->name), name) || strchr(c->name, '/') != NULL ||
		strcmp(c->name, ".") == 0 || strcmp(c->name, "..") == 0)
	{
		broken_frame(c->channel);
		return false;
	}
	/* By content, so that what a killed process left behind is found and replaced. */
	snprintf(c->temp, sizeof(c->temp), ".copying-");
	for (int i = 0; i < 16; i++)
		snprintf(c->temp + strlen(c->temp), 3, "%02x", (unsigned char) c->sha256.data[i]);
	snprintf(c->target, sizeof(c->target), "%s/%s", c->directory, c->name);
	return true;
}

/* An entry is durable when the directory it was made in is. */
static void
sync_parent(const char *path)
{
	char parent[PATH_MAX];
	char *slash;
	int fd;

	snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	if (slash == NULL)
		return;
	slash[slash == parent] = '\0';
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

/* Makes the directory and those above it where they are missing. */
static bool
make_directory(Copy *c)
{
	for (char *p = c->directory + 1; *p != '\0'; p++)
	{
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(c->directory, 0700) == 0)
			sync_parent(c->directory);
		*p = '/';
	}
	if (mkdir(c->directory, 0700) == 0)
		sync_parent(c->directory);
	c->dir = open(c->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->dir < 0)
		txp_file_error(c->channel, true, errno, "open directory", c->directory);
	return c->dir >= 0;
}

static bool
write_all(int fd, const unsigned char *p, size_t len)
{
	while (len > 0)
	{
		ssize_t written = write(fd, p, len);

		if (written < 0 && errno != EINTR)
			return false;
		if (written > 0)
		{
			p += written;
			len -= (size_t) written;
		}
	}
	return true;
}

/* The temporary file goes before the answer: who has heard it finds the directory clean. Keeps errno. */
static void
discard(const Copy *c)
{
	int save_errno = errno;

	unlinkat(c->dir, c->temp, 0);
	errno = save_errno;
}

/* Copies the content into the open temporary file, and makes it durable. */
static bool
fill(Copy *c, TxpSource *s, int fd, unsigned char sha256[TXP_SHA256])
{
	bool ok = true;

	while (ok && txp_source_read(s))
	{
		if (txp_channel_ended(c->channel))
			return false;
		ok = write_all(fd, s->chunk, s->chunk_len);
	}
	if (!ok || (s->at_end && fsync(fd) != 0))
	{
		discard(c);
		txp_file_error(c->channel, true, errno, "write file", c->target);
		return false;
	}
	if (s->at_end)
		txp_source_hash(s, sha256);
	return s->at_end;
}

/* Gives the temporary file its name unless another has it. Old file systems know no such rename. */
static int
rename_new(Copy *c)
{
	if (renameat2(c->dir, c->temp, c->dir, c->name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return errno;
	return renameat(c->dir, c->temp, c->dir, c->name) == 0 ? 0 : errno;
}

static bool
copy_content(Copy *c)
{
	unsigned char sha256[TXP_SHA256];
	TxpSource *s = txp_source_open(c->channel, true, c->source);
	bool ok = false;
	int err;
	int fd;

	if (s == NULL)
		return false;
	discard(c);
	fd = openat(c->dir, c->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		txp_file_error(c->channel, true, errno, "create file", c->target);
	else if (fill(c, s, fd, sha256))
	{
		if (memcmp(sha256, c->sha256.data, TXP_SHA256) != 0)
		{
			discard(c);
			txp_error(c->channel,
					  (TxpError){.fatal = true,
								 .answer = true,
								 .sqlstate = "55000",
								 .hint = "It is taken when it has not changed for "
										 "txpipe.settle_time."},
					  "file \"%s\" changed while it was copied", s->path);
		}
		else if ((err = rename_new(c)) != 0 || fsync(c->dir) != 0)
		{
			err = err != 0 ? err : errno;
			discard(c);
			txp_file_error(c->channel, true, err, "rename file to", c->target);
		}
		else
			ok = true;
	}
	if (fd >= 0)
	{
		close(fd);
		discard(c);
	}
	txp_source_close(s);
	return ok;
}

/* The target is there already: fine when it is the same, never replaced when it is not. */
static bool
check_existing(Copy *c)
{
	TxpSpan path = {c->target, (uint32_t) strlen(c->target)};
	TxpSource *s = txp_source_open(c->channel, true, path);
	unsigned char sha256[TXP_SHA256];
	bool same = false;

	if (s != NULL && hash_file(s, sha256))
	{
		same = memcmp(sha256, c->sha256.data, TXP_SHA256) == 0;
		if (!same)
			txp_error(c->channel,
					  (TxpError){.fatal = true,
								 .answer = true,
								 .sqlstate = "42710",
								 .hint = "Files of the lake are never replaced; move the other "
										 "one away."},
					  "file \"%s\" exists with other content", c->target);
	}
	txp_source_close(s);
	return same;
}

void
txp_copy_main(TxpChannel *channel, TxpMail *opening)
{
	Copy *c = txd_alloc(sizeof(*c));
	TxdBuf none = {0};

	*c = (Copy){.channel = channel, .dir = -1};
	if (unpack(c, opening) && make_directory(c))
	{
		if (faccessat(c->dir, c->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? check_existing(c)
																	   : copy_content(c))
			txp_answer(channel, TXP_FILE_COPIED, &none);
	}
	if (c->dir >= 0)
		close(c->dir);
	free(c);
}
