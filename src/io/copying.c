/*
 * copying.c — a file of the lake in the making.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "below.h"
#include "copying.h"
#include "link.h"

TxpCopy *
txp_copy_new(TxpChannel *channel)
{
	TxpCopy *c = txd_alloc(sizeof(*c));

	*c = (TxpCopy){.channel = channel, .dir = -1, .fd = -1};
	return c;
}

void
txp_copy_free(TxpCopy *c)
{
	txd_pgp_writer_free(c->writer);
	txd_pgp_free(c->pgp);
	ZSTD_freeCCtx(c->zstd);
	txd_buf_free(&c->packed);
	txd_buf_free(&c->sealed);
	if (c->fd >= 0)
		close(c->fd);
	if (c->dir >= 0)
		close(c->dir);
	free(c->lake);
	free(c->directory);
	free(c);
}

bool
txp_is_file_name(const char *name)
{
	return name[0] != '\0' && strchr(name, '/') == NULL && strcmp(name, ".") != 0 &&
		   strcmp(name, "..") != 0;
}

bool
txp_copy_take_keys(TxpCopy *c, TxpSpan keys)
{
	char *text = txp_span_dup(keys);

	explicit_bzero((char *) keys.data, keys.len);
	if (text != NULL)
	{
		c->pgp = txd_pgp_new(text);
		explicit_bzero(text, strlen(text));
		free(text);
	}
	if (c->pgp == NULL)
		txp_error(c->channel,
				  (TxpError){.fatal = true,
							 .answer = true,
							 .sqlstate = "22023",
							 .hint = "Each of its lines is a key of at least 32 characters."},
				  "the encryption key cannot be used");
	return c->pgp != NULL;
}

void
txp_copy_name_temp(TxpCopy *c, const unsigned char sha256[TXP_SHA256])
{
	snprintf(c->temp, sizeof(c->temp), ".copying-");
	for (int i = 0; i < 16; i++)
		snprintf(c->temp + strlen(c->temp), 3, "%02x", sha256[i]);
}

void
txp_copy_set_target(TxpCopy *c, const char *name)
{
	if (snprintf(c->target, sizeof(c->target), "%s/%s/%s", c->lake, c->directory, name) < 0)
		c->target[0] = '\0';
}

bool
txp_copy_make_directory(TxpCopy *c)
{
	c->dir = txp_below_make(c->lake, c->directory);
	txp_copy_set_target(c, "");
	if (c->dir < 0)
		txp_file_error(c->channel, true, errno, "open directory", c->target);
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

void
txp_copy_discard(const TxpCopy *c)
{
	int save_errno = errno;

	unlinkat(c->dir, c->temp, 0);
	errno = save_errno;
}

void
txp_copy_fail(TxpCopy *c, int err, const char *what)
{
	txp_copy_discard(c);
	txp_copy_set_target(c, c->name);
	txp_file_error(c->channel, true, err, what, c->target);
}

bool
txp_copy_create(TxpCopy *c)
{
	txp_copy_discard(c);
	c->fd = openat(c->dir, c->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (c->fd < 0)
	{
		txp_copy_fail(c, errno, "create file");
		return false;
	}
	c->zstd = c->compress ? ZSTD_createCCtx() : NULL;
	if (c->zstd != NULL)
		ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_checksumFlag, 1);
	c->writer = c->pgp != NULL ? txd_pgp_writer(c->pgp) : NULL;
	if ((c->zstd != NULL || !c->compress) && (c->writer != NULL || c->pgp == NULL))
		return true;
	txp_copy_fail(c, ENOMEM, "write file");
	return false;
}

/* Writes the bytes, encrypted where the copy is; `last`: they end it. False with errno. */
static bool
write_bytes(TxpCopy *c, const void *bytes, size_t len, bool last)
{
	size_t size;

	if (c->pgp == NULL)
		return write_all(c->fd, bytes, len);
	c->sealed.len = 0;
	size = txd_pgp_write(c->writer, bytes, len, last,
						 txd_buf_reserve(&c->sealed, txd_pgp_write_room(len)));
	errno = EIO;
	return size != SIZE_MAX && write_all(c->fd, (const unsigned char *) c->sealed.data, size);
}

/* Writes the bytes compressed; false with errno. */
static bool
write_compressed(TxpCopy *c, const void *bytes, size_t len, bool last)
{
	ZSTD_inBuffer in = {bytes, len, 0};
	size_t left;

	c->packed.len = 0;
	do
	{
		ZSTD_outBuffer piece = {txd_buf_reserve(&c->packed, TXP_CHUNK), TXP_CHUNK, 0};

		left = ZSTD_compressStream2(c->zstd, &piece, &in, last ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(left))
		{
			errno = ENOMEM;
			return false;
		}
		if (!write_bytes(c, piece.dst, piece.pos, false))
			return false;
	} while (last ? left > 0 : in.pos < in.size);
	return true;
}

bool
txp_copy_write(TxpCopy *c, const void *bytes, size_t len, bool last)
{
	bool ok =
		c->zstd != NULL ? write_compressed(c, bytes, len, last) : write_bytes(c, bytes, len, false);

	if (ok && last && c->pgp != NULL)
		ok = write_bytes(c, NULL, 0, true);
	return ok && (!last || fsync(c->fd) == 0);
}

bool
txp_copy_holds(TxpCopy *c, const char *name, bool may_be_packed, bool *error)
{
	int fd = openat(c->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	unsigned char stored[TXP_SHA256];
	unsigned char content[TXP_SHA256];
	TxdBuf piece = {0};
	TxpSource *s = NULL;
	bool ended = false;
	bool packed;

	txp_copy_set_target(c, name);
	if (fd < 0)
		txp_file_error(c->channel, true, errno, "open file", c->target);
	else
		s = txp_source_of(c->channel, true, fd, c->target);
	if (s != NULL)
	{
		s->forgiving = true;
		s->pgp = c->pgp;
	}
	while (s != NULL && !ended && txp_source_content(s, &piece))
	{
		piece.len = 0;
		ended = txp_channel_ended(c->channel);
	}
	while (s != NULL && s->damaged && !ended && txp_source_read(s))
		ended = txp_channel_ended(c->channel);
	txd_buf_free(&piece);
	*error = s == NULL || !s->at_end;
	if (!*error && !s->unreadable)
	{
		txp_source_hash(s, stored);
		txp_source_content_hash(s, content);
	}
	packed = may_be_packed && s != NULL && s->packed && !s->damaged;
	txp_source_close(s);
	return !*error && (memcmp(stored, c->sha256, TXP_SHA256) == 0 ||
					   (packed && memcmp(content, c->sha256, TXP_SHA256) == 0));
}

/* Gives the temporary file its name unless another has it. Old file systems know no such rename. */
static int
rename_new(TxpCopy *c)
{
	if (renameat2(c->dir, c->temp, c->dir, c->name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return errno;
	return renameat(c->dir, c->temp, c->dir, c->name) == 0 ? 0 : errno;
}

void
txp_copy_fail_verification(const TxpCopy *c)
{
	txp_copy_discard(c);
	txp_error(c->channel,
			  (TxpError){.fatal = true,
						 .answer = true,
						 .sqlstate = "XX001",
						 .hint = "The system log may tell more about the storage."},
			  "the copy \"%s\" does not hold what was written", c->target);
}

bool
txp_copy_finish(TxpCopy *c)
{
	int err = rename_new(c);

	if (err == 0 && fsync(c->dir) == 0)
		return true;
	txp_copy_fail(c, err != 0 ? err : errno, "rename file to");
	return false;
}

/* Takes a copy that is there; who made it may have died before it was durable. False after an ERROR. */
static bool
take(TxpCopy *c, const char *name)
{
	memmove(c->name, name, strlen(name) + 1);
	if (txp_below_sync(c->dir, c->name) == 0)
		return true;
	txp_file_error(c->channel, true, errno, "write file", c->target);
	return false;
}

bool
txp_copy_is_there(TxpCopy *c, const char *name, bool compressed, bool *done)
{
	struct stat st;

	if (*done || fstatat(c->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	if (txp_copy_holds(c, name, compressed, done))
	{
		*done = true;
		return take(c, name);
	}
	if (!*done && strcmp(name, c->name) == 0)
	{
		*done = true;
		txp_error(c->channel,
				  (TxpError){.fatal = true,
							 .answer = true,
							 .sqlstate = "42710",
							 .hint = "Files of the lake are never replaced; move the other one "
									 "away."},
				  "file \"%s\" exists with other content", c->target);
	}
	return false;
}
