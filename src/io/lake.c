/*
 * lake.c — FILE_HASH and FILE_COPY: what a file contains, and a copy of it that is complete or absent.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "below.h"
#include "handlers.h"
#include "link.h"
#include "put.h"
#include "source.h"

typedef struct Copy
{
	TxpChannel *channel;
	char *lake;
	char *directory; /* below it */
	char name[NAME_MAX + 1];
	char temp[64];
	char target[PATH_MAX]; /* for messages */
	TxpSpan source_top;
	TxpSpan source;
	TxpSpan sha256;
	bool compress;
	TxdPgp *pgp; /* the copy is encrypted; or NULL */
	TxdPgpWriter *writer;
	TxdBuf sealed;
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
hash_stored(TxpSource *s, unsigned char sha256[TXP_SHA256])
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
	TxpSpan top = txp_read_span(&r);
	TxpSpan path = txp_read_span(&r);
	unsigned char sha256[TXP_SHA256];
	TxdBuf frame = {0};
	TxpSource *s;

	if (r.bad || r.p != r.end)
	{
		broken_frame(channel);
		return;
	}
	s = txp_source_open(channel, true, top, path);
	if (s != NULL && hash_stored(s, sha256))
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
is_file_name(const char *name)
{
	return name[0] != '\0' && strchr(name, '/') == NULL && strcmp(name, ".") != 0 &&
		   strcmp(name, "..") != 0;
}

/* The frame's copy of them is wiped. */
static bool
take_keys(Copy *c, TxpSpan keys)
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

static bool
unpack(Copy *c, const TxpMail *mail)
{
	TxpReader r = txp_reader(mail->data, mail->header.size);
	TxpSpan name;
	TxpSpan keys;

	c->source_top = txp_read_span(&r);
	c->source = txp_read_span(&r);
	c->lake = txp_span_dup(txp_read_span(&r));
	c->directory = txp_span_dup(txp_read_span(&r));
	name = txp_read_span(&r);
	c->sha256 = txp_read_span(&r);
	c->compress = txp_read_u8(&r) != 0;
	keys = txp_read_span(&r);
	if (!r.bad && name.len < sizeof(c->name))
		snprintf(c->name, sizeof(c->name), "%.*s", (int) name.len, name.data);
	if (r.bad || r.p != r.end || c->lake == NULL || c->directory == NULL ||
		c->sha256.len != TXP_SHA256 || strlen(c->name) != name.len || !is_file_name(c->name))
	{
		broken_frame(c->channel);
		return false;
	}
	if (keys.data != NULL && !take_keys(c, keys))
		return false;
	/* By content, so that what a killed process left behind is found and replaced. */
	snprintf(c->temp, sizeof(c->temp), ".copying-");
	for (int i = 0; i < 16; i++)
		snprintf(c->temp + strlen(c->temp), 3, "%02x", (unsigned char) c->sha256.data[i]);
	return true;
}

static void
set_target(Copy *c, const char *name)
{
	if (snprintf(c->target, sizeof(c->target), "%s/%s/%s", c->lake, c->directory, name) < 0)
		c->target[0] = '\0';
}

/* Makes the directory and those above it where they are missing. */
static bool
make_directory(Copy *c)
{
	c->dir = txp_below_make(c->lake, c->directory);
	set_target(c, "");
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

/* The temporary file goes before the answer: who has heard it finds the directory clean. Keeps errno. */
static void
discard(const Copy *c)
{
	int save_errno = errno;

	unlinkat(c->dir, c->temp, 0);
	errno = save_errno;
}

/* Writes the bytes, encrypted where the copy is; `last`: they end it. False with errno. */
static bool
write_bytes(Copy *c, int fd, const void *bytes, size_t len, bool last)
{
	size_t size;

	if (c->pgp == NULL)
		return write_all(fd, bytes, len);
	c->sealed.len = 0;
	size = txd_pgp_write(c->writer, bytes, len, last,
						 txd_buf_reserve(&c->sealed, txd_pgp_write_room(len)));
	errno = EIO;
	return size != SIZE_MAX && write_all(fd, (const unsigned char *) c->sealed.data, size);
}

/* Writes the chunk compressed, or with `last` what ends the file; false with errno. */
static bool
write_compressed(Copy *c, ZSTD_CCtx *zstd, int fd, const TxpSource *s, TxdBuf *out, bool last)
{
	ZSTD_inBuffer in = {s->chunk, last ? 0 : s->chunk_len, 0};
	size_t left;

	do
	{
		ZSTD_outBuffer piece = {txd_buf_reserve(out, TXP_CHUNK), TXP_CHUNK, 0};

		left = ZSTD_compressStream2(zstd, &piece, &in, last ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(left))
		{
			errno = ENOMEM;
			return false;
		}
		if (!write_bytes(c, fd, piece.dst, piece.pos, false))
			return false;
	} while (last ? left > 0 : in.pos < in.size);
	return true;
}

/* Copies the content into the open temporary file; false with errno, 0 after an ERROR. */
static bool
write_content(Copy *c, TxpSource *s, int fd)
{
	ZSTD_CCtx *zstd = c->compress ? ZSTD_createCCtx() : NULL;
	TxdBuf out = {0};
	bool ok = true;
	int err;

	if (zstd != NULL)
		ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
	c->writer = c->pgp != NULL ? txd_pgp_writer(c->pgp) : NULL;
	errno = ENOMEM;
	ok = (zstd != NULL || !c->compress) && (c->writer != NULL || c->pgp == NULL);
	while (ok && txp_source_read(s))
	{
		if (txp_channel_ended(c->channel))
			break;
		ok = zstd != NULL ? write_compressed(c, zstd, fd, s, &out, false)
						  : write_bytes(c, fd, s->chunk, s->chunk_len, false);
	}
	if (ok && s->at_end && zstd != NULL)
		ok = write_compressed(c, zstd, fd, s, &out, true);
	if (ok && s->at_end && c->pgp != NULL)
		ok = write_bytes(c, fd, NULL, 0, true);
	err = ok ? 0 : errno;
	txd_pgp_writer_free(c->writer);
	c->writer = NULL;
	ZSTD_freeCCtx(zstd);
	txd_buf_free(&out);
	errno = err;
	return ok && s->at_end;
}

/* Fills the temporary file and makes it durable. */
static bool
fill(Copy *c, TxpSource *s, int fd, unsigned char sha256[TXP_SHA256])
{
	bool ok = write_content(c, s, fd);

	if (ok)
	{
		txp_source_hash(s, sha256);
		ok = fsync(fd) == 0;
	}
	if (!ok && errno != 0)
	{
		discard(c);
		txp_file_error(c->channel, true, errno, "write file", c->target);
	}
	return ok;
}

/*
 * Does the file hold the content, as it is or, where that counts, packed? What is damaged holds other content.
 * False also after an ERROR, with *error.
 */
static bool
holds_content(Copy *c, const char *name, bool may_be_packed, bool *error)
{
	int fd = openat(c->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	unsigned char stored[TXP_SHA256];
	unsigned char content[TXP_SHA256];
	TxdBuf piece = {0};
	TxpSource *s = NULL;
	bool ended = false;
	bool packed;

	set_target(c, name);
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
	return !*error && (memcmp(stored, c->sha256.data, TXP_SHA256) == 0 ||
					   (packed && memcmp(content, c->sha256.data, TXP_SHA256) == 0));
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
fail_changed(Copy *c, const TxpSource *s)
{
	discard(c);
	txp_error(c->channel,
			  (TxpError){.fatal = true,
						 .answer = true,
						 .sqlstate = "55000",
						 .hint = "It is taken when it has not changed for txpipe.settle_time."},
			  "file \"%s\" changed while it was copied", s->path);
	return false;
}

/* What has been written is read again where it is not the same bytes. */
static bool
verify(Copy *c)
{
	bool error = false;

	if ((!c->compress && c->pgp == NULL) || holds_content(c, c->temp, c->compress, &error))
		return true;
	if (!error)
		txp_error(c->channel,
				  (TxpError){.fatal = true,
							 .answer = true,
							 .sqlstate = "XX001",
							 .hint = "The system log may tell more about the storage."},
				  "the copy \"%s\" does not hold what was written", c->target);
	return false;
}

static bool
finish(Copy *c)
{
	int err = rename_new(c);

	if (err == 0 && fsync(c->dir) == 0)
		return true;
	err = err != 0 ? err : errno;
	discard(c);
	set_target(c, c->name);
	txp_file_error(c->channel, true, err, "rename file to", c->target);
	return false;
}

static bool
copy_content(Copy *c, TxpSource *s)
{
	unsigned char sha256[TXP_SHA256];
	bool ok = false;
	int fd;

	discard(c);
	set_target(c, c->name);
	fd = openat(c->dir, c->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		txp_file_error(c->channel, true, errno, "create file", c->target);
	else if (fill(c, s, fd, sha256))
		ok = memcmp(sha256, c->sha256.data, TXP_SHA256) == 0 ? verify(c) && finish(c)
															 : fail_changed(c, s);
	if (fd >= 0)
	{
		close(fd);
		discard(c);
	}
	return ok;
}

/* Takes a copy that is there; who made it may have died before it was durable. False after an ERROR. */
static bool
take(Copy *c, const char *name)
{
	memmove(c->name, name, strlen(name) + 1);
	if (txp_below_sync(c->dir, c->name) == 0)
		return true;
	txp_file_error(c->channel, true, errno, "write file", c->target);
	return false;
}

/*
 * A copy under a name is there already: fine when it is the same, never replaced when it is not. Under the name
 * of a compressed copy it is the same when it unpacks to the content. *done: nothing is left to do, because that
 * is so or an ERROR was sent.
 */
static bool
is_there(Copy *c, const char *name, bool compressed, bool *done)
{
	struct stat st;

	if (*done || fstatat(c->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	if (holds_content(c, name, compressed, done))
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

/* The copy is there, or is made. Files that are packed stay as they are. */
static bool
copy(Copy *c, TxpSource *s)
{
	unsigned char first[TXP_MAGIC];
	ssize_t got = pread(s->fd, first, sizeof(first), 0);
	bool packed = got > 0 && txp_packing_of(first, (size_t) got) != TXP_PLAIN;
	char plain[NAME_MAX + 1];
	char compressed[NAME_MAX + 12];
	const char *suffix = c->pgp != NULL ? TXP_SEALED_SUFFIX : "";
	bool done = false;

	sprintf(compressed, "%s.zst%s", c->name, suffix);
	c->compress = c->compress && !packed && strlen(compressed) <= NAME_MAX;
	if (strlen(c->name) + strlen(suffix) > NAME_MAX)
	{
		txp_file_error(c->channel, true, ENAMETOOLONG, "encrypt a copy of file", s->path);
		return true;
	}
	strcat(c->name, suffix);
	memcpy(plain, c->name, sizeof(plain));
	if (c->compress)
		memcpy(c->name, compressed, strlen(compressed) + 1);
	/* The setting may have been another when a load failed after its copy was made. */
	if (is_there(c, plain, false, &done) || (!packed && is_there(c, compressed, true, &done)))
		return true;
	return !done && copy_content(c, s);
}

void
txp_copy_main(TxpChannel *channel, TxpMail *opening)
{
	Copy *c = txd_alloc(sizeof(*c));
	TxpSource *s = NULL;
	TxdBuf answer = {0};

	*c = (Copy){.channel = channel, .dir = -1};
	if (unpack(c, opening) && make_directory(c) &&
		(s = txp_source_open(channel, true, c->source_top, c->source)) != NULL && copy(c, s))
	{
		txp_put_str(&answer, c->name);
		txp_answer(channel, TXP_FILE_COPIED, &answer);
	}
	txp_source_close(s);
	txd_pgp_free(c->pgp);
	txd_buf_free(&c->sealed);
	if (c->dir >= 0)
		close(c->dir);
	free(c->lake);
	free(c->directory);
	free(c);
}
