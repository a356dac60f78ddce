/*
 * source.c — reading files: the one place that opens, hashes and unpacks them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "link.h"
#include "source.h"

void
txp_file_error(TxpChannel *channel, bool answers, int err, const char *what, const char *path)
{
	char reason[200];
	TxpError error = {.fatal = true, .answer = answers, .sqlstate = "58030"};

	switch (err)
	{
		case ENOENT:
		case ENOTDIR:
			error.sqlstate = "58P01";
			error.hint = "Check the path; it is one of the database server's machine.";
			break;
		case EACCES:
		case EPERM:
		case EROFS:
			error.sqlstate = "42501";
			error.hint = "The operating system user that runs the server needs this permission.";
			break;
		case ELOOP:
			error.sqlstate = "42809";
			error.hint = "Symbolic links are not followed: name the file itself.";
			break;
		case ENOSPC:
		case EDQUOT:
			error.sqlstate = "53100";
			error.hint = "Free some space on that file system.";
			break;
		default:
			error.hint = "The system log may tell more about the storage.";
	}
	txp_error(channel, error, "could not %s \"%s\": %s", what, path,
			  strerror_r(err, reason, sizeof(reason)));
}

static void
fail(TxpSource *s, const char *sqlstate, const char *hint, const char *message)
{
	txp_error(s->channel,
			  (TxpError){.fatal = true, .answer = s->answers, .sqlstate = sqlstate, .hint = hint},
			  "%s: \"%s\"", message, s->path);
}

static char *
path_text(TxpSpan path)
{
	char *text = txd_alloc(path.len + 1);

	memcpy(text, path.data, path.len);
	text[path.len] = '\0';
	return text;
}

TxpSource *
txp_source_open(TxpChannel *channel, bool answers, TxpSpan path)
{
	TxpSource *s = txd_alloc(sizeof(*s));

	memset(s, 0, offsetof(TxpSource, chunk));
	s->chunk_len = s->chunk_at = 0;
	s->channel = channel;
	s->answers = answers;
	s->path = path_text(path);
	s->hash = EVP_MD_CTX_new();
	/* O_NONBLOCK: opening a FIFO must not wait for its writer. */
	s->fd = open(s->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (s->fd < 0 || fstat(s->fd, &s->st) != 0)
		txp_file_error(channel, answers, errno, "open file", s->path);
	else if (!S_ISREG(s->st.st_mode))
		fail(s, "42809", "Only regular files can be loaded.", "this is not a regular file");
	else if (s->hash == NULL || EVP_DigestInit_ex(s->hash, EVP_sha256(), NULL) != 1)
		fail(s, "58000", NULL, "the cryptographic library offers no SHA-256 for file");
	else
	{
		posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
		return s;
	}
	txp_source_close(s);
	return NULL;
}

void
txp_source_close(TxpSource *s)
{
	if (s == NULL)
		return;
	if (s->unpacks)
		inflateEnd(&s->z);
	if (s->fd >= 0)
		close(s->fd);
	EVP_MD_CTX_free(s->hash);
	free(s->path);
	free(s);
}

bool
txp_source_read(TxpSource *s)
{
	ssize_t got;

	do
		got = read(s->fd, s->chunk, sizeof(s->chunk));
	while (got < 0 && errno == EINTR);
	if (got < 0)
	{
		txp_file_error(s->channel, s->answers, errno, "read file", s->path);
		return false;
	}
	s->at_end = got == 0;
	s->chunk_len = (size_t) got;
	s->chunk_at = 0;
	s->bytes += got;
	EVP_DigestUpdate(s->hash, s->chunk, (size_t) got);
	return got > 0;
}

/* After the first chunk: gzip tells itself by its first bytes. */
static bool
start_unpacking(TxpSource *s)
{
	if (s->chunk_len < 3 || memcmp(s->chunk, "\x1f\x8b\x08", 3) != 0)
		return true;
	s->unpacks = inflateInit2(&s->z, 16 + MAX_WBITS) == Z_OK;
	if (!s->unpacks)
		fail(s, "53200", NULL, "out of memory for unpacking file");
	return s->unpacks;
}

/* Appends what one call of inflate makes of the chunk; members of a gzip file follow each other. */
static bool
unpack(TxpSource *s, TxdBuf *to)
{
	int result;

	if (s->member_done)
	{
		inflateReset(&s->z);
		s->member_done = false;
	}
	s->z.next_in = s->chunk + s->chunk_at;
	s->z.avail_in = (uInt) (s->chunk_len - s->chunk_at);
	s->z.next_out = (unsigned char *) txd_buf_reserve(to, TXP_CHUNK);
	s->z.avail_out = TXP_CHUNK;
	result = inflate(&s->z, Z_NO_FLUSH);
	to->len += TXP_CHUNK - s->z.avail_out;
	s->chunk_at = s->chunk_len - s->z.avail_in;
	s->member_done = result == Z_STREAM_END;
	if (result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR)
		return true;
	fail(s, "22P04", "Check the file where it was made, and deliver it again.",
		 "the gzip data is damaged in file");
	return false;
}

bool
txp_source_content(TxpSource *s, TxdBuf *to)
{
	if (s->chunk_at == s->chunk_len)
	{
		bool first = s->bytes == 0;

		if (!txp_source_read(s))
		{
			if (s->at_end && s->unpacks && !s->member_done)
			{
				s->at_end = false;
				fail(s, "22P04", "Deliver the file again.", "the gzip data is cut short in file");
			}
			return false;
		}
		if (first && !start_unpacking(s))
			return false;
	}
	if (s->unpacks)
		return unpack(s, to);
	txd_buf_append(to, s->chunk, s->chunk_len);
	s->chunk_at = s->chunk_len;
	return true;
}

void
txp_source_hash(TxpSource *s, unsigned char sha256[TXP_SHA256])
{
	EVP_DigestFinal_ex(s->hash, sha256, NULL);
}
