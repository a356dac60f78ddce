/*
 * source.c — reading files: the one place that opens, hashes and unpacks them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "below.h"
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
		case EMEDIUMTYPE:
			error.sqlstate = "42809";
			txp_error(channel, error, "this is not a regular file: \"%s\"", path);
			return;
		case EINVAL:
			error.sqlstate = "22023";
			error.hint = "Paths have neither empty parts nor \".\" or \"..\".";
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
fail(TxpSource *s, const char *sqlstate, const char *detail, const char *hint, const char *message)
{
	txp_error(s->channel,
			  (TxpError){.fatal = true,
						 .answer = s->answers,
						 .sqlstate = sqlstate,
						 .detail = detail,
						 .hint = hint},
			  "%s: \"%s\"", message, s->path);
}

char *
txp_span_dup(TxpSpan span)
{
	char *text;

	if (span.data == NULL || span.len == 0 || memchr(span.data, '\0', span.len) != NULL)
		return NULL;
	text = txd_alloc(span.len + 1);
	memcpy(text, span.data, span.len);
	text[span.len] = '\0';
	return text;
}

static bool
start_hash(EVP_MD_CTX **hash)
{
	*hash = EVP_MD_CTX_new();
	return *hash != NULL && EVP_DigestInit_ex(*hash, EVP_sha256(), NULL) == 1;
}

TxpSource *
txp_source_of(TxpChannel *channel, bool answers, int fd, const char *path)
{
	TxpSource *s = txd_alloc(sizeof(*s));

	memset(s, 0, offsetof(TxpSource, chunk));
	s->chunk_len = s->chunk_at = 0;
	s->channel = channel;
	s->answers = answers;
	s->path = strdup(path);
	s->fd = fd;
	if (s->path == NULL)
		txp_give_up("out of memory");
	if (fstat(fd, &s->st) != 0)
		txp_file_error(channel, answers, errno, "look at file", s->path);
	else if (!start_hash(&s->hash) || !start_hash(&s->content_hash))
		fail(s, "58000", NULL, NULL, "the cryptographic library offers no SHA-256 for file");
	else
	{
		posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
		return s;
	}
	txp_source_close(s);
	return NULL;
}

TxpSource *
txp_source_open(TxpChannel *channel, bool answers, TxpSpan top, TxpSpan path)
{
	char *directory = txp_span_dup(top);
	char *name = txp_span_dup(path);
	char *whole = txd_alloc((size_t) top.len + path.len + 2);
	TxpSource *s = NULL;
	struct stat st;
	int fd = -1;

	errno = EINVAL;
	if (directory != NULL && name != NULL)
		fd = txp_below_open(directory, name, &st);
	sprintf(whole, "%s/%s", directory != NULL ? directory : "", name != NULL ? name : "");
	if (fd < 0)
		txp_file_error(channel, answers, errno, "open file", whole);
	else
		s = txp_source_of(channel, answers, fd, whole);
	free(whole);
	free(name);
	free(directory);
	return s;
}

bool
txp_source_set_encoding(TxpSource *s, const char *encoding)
{
	if (strcasecmp(encoding, "UTF8") == 0 || strcasecmp(encoding, "UTF-8") == 0)
		return true;
	s->converts = txp_charset_start(&s->charset, encoding);
	if (!s->converts)
		fail(s, "22023", encoding, "iconv -l lists the encodings the server's machine knows.",
			 "the encoding is not known for file");
	return s->converts;
}

void
txp_source_close(TxpSource *s)
{
	if (s == NULL)
		return;
	if (s->packed)
		txp_unpack_end(&s->unpack);
	if (s->converts)
		txp_charset_end(&s->charset);
	close(s->fd);
	txd_pgp_reader_free(s->sealed);
	EVP_MD_CTX_free(s->hash);
	EVP_MD_CTX_free(s->content_hash);
	txd_buf_free(&s->raw);
	free(s->path);
	free(s);
}

static bool
is_copy_name(const char *path)
{
	size_t len = strlen(path);

	return len > 4 && strcmp(path + len - 4, TXP_SEALED_SUFFIX) == 0;
}

/* With the first bytes; false after an ERROR. Without a key a landing file may be what it likes. */
static bool
start_decrypting(TxpSource *s, size_t len)
{
	if (!txd_pgp_is_message(s->raw_chunk, len))
		return true;
	if (s->pgp != NULL && s->stays_sealed)
		return true;
	if (s->pgp != NULL)
	{
		s->sealed = txd_pgp_reader(s->pgp);
		if (s->sealed == NULL)
			fail(s, "53200", NULL, NULL, "out of memory for decrypting file");
		return s->sealed != NULL;
	}
	if (s->answers || !is_copy_name(s->path))
		return true;
	fail(s, "55000", NULL, "Give the feed its option encryption_server back.",
		 "there is no key for the encrypted file");
	return false;
}

/* Takes `got` bytes, none at the end, into the chunk; false after an ERROR. */
static bool
take_chunk(TxpSource *s, size_t got)
{
	TxdPgpResult result;

	if (s->bytes == 0 && !start_decrypting(s, got))
		return false;
	s->bytes += (int64_t) got;
	s->chunk_len = got;
	if (s->sealed == NULL)
	{
		memcpy(s->chunk, s->raw_chunk, got);
		return true;
	}
	result = txd_pgp_read(s->sealed, s->raw_chunk, got, (char *) s->chunk, &s->chunk_len);
	if (result == TXD_PGP_OK && got == 0)
		result = txd_pgp_read_end(s->sealed);
	if (result == TXD_PGP_OK)
		return true;
	s->damaged = true;
	s->at_end = s->unreadable = s->forgiving;
	if (!s->forgiving)
		fail(s, "XX001", NULL,
			 result == TXD_PGP_WRONG_KEY
				 ? "Keep old keys in the key's file, one a line below the new one."
				 : "Move it out of the lake directory; the next run copies the file again.",
			 result == TXD_PGP_WRONG_KEY ? "another key is needed to decrypt file"
										 : "the encrypted data is damaged in file");
	return false;
}

bool
txp_source_read(TxpSource *s)
{
	ssize_t got;

	s->chunk_at = 0;
	do
	{
		s->chunk_len = 0;
		got = read(s->fd, s->raw_chunk, sizeof(s->raw_chunk));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			txp_file_error(s->channel, s->answers, errno, "read file", s->path);
		if (got < 0 || !take_chunk(s, (size_t) got))
			return false;
		s->at_end = got == 0;
	} while (s->chunk_len == 0 && !s->at_end);
	EVP_DigestUpdate(s->hash, s->chunk, s->chunk_len);
	return !s->at_end;
}

static void
fail_packed(TxpSource *s, const char *reason, const char *what)
{
	char message[64];

	s->damaged = true;
	if (s->forgiving)
		return;
	snprintf(message, sizeof(message), "the %s data is %s in file",
			 txp_packing_name(s->unpack.packing), what);
	fail(s, "22P04", reason, "Check the file where it was made, and deliver it again.", message);
}

/* What a file is named after, TXP_PLAIN for most. */
static TxpPacking
packing_in_name(const char *path)
{
	size_t len = strlen(path);

	if (len > 3 && strcmp(path + len - 3, ".gz") == 0)
		return TXP_GZIP;
	return len > 4 && strcmp(path + len - 4, ".zst") == 0 ? TXP_ZSTD : TXP_PLAIN;
}

/* With the first chunk: packed files tell it by their first bytes, unless even those are missing. */
static bool
start_unpacking(TxpSource *s)
{
	TxpPacking packing = txp_packing_of(s->chunk, s->chunk_len);

	if (packing == TXP_PLAIN && s->chunk_len < TXP_MAGIC)
		packing = packing_in_name(s->path);
	if (packing == TXP_PLAIN)
		return true;
	s->packed = txp_unpack_start(&s->unpack, packing);
	if (!s->packed)
		fail(s, "53200", NULL, NULL, "out of memory for unpacking file");
	return s->packed;
}

static bool
unpack(TxpSource *s, TxdBuf *to)
{
	size_t before = to->len;
	const char *damage = txp_unpack(&s->unpack, s->chunk + s->chunk_at, s->chunk_len - s->chunk_at,
									&s->chunk_at, TXP_CHUNK, to);

	EVP_DigestUpdate(s->content_hash, to->data + before, to->len - before);
	if (damage == NULL)
		return true;
	fail_packed(s, damage, "damaged");
	return false;
}

/* Appends the next piece of content in its own encoding. */
static bool
next_piece(TxpSource *s, TxdBuf *to)
{
	if (s->chunk_at == s->chunk_len && !s->unpack.pending)
	{
		bool first = s->bytes == 0;
		bool more = txp_source_read(s);

		if (first && (more || s->at_end) && !start_unpacking(s))
			return false;
		if (!more && s->at_end && s->packed && !s->unpack.complete)
		{
			s->at_end = false;
			fail_packed(s, NULL, "cut short");
		}
		if (!more)
			return false;
	}
	if (s->packed)
		return unpack(s, to);
	txd_buf_append(to, s->chunk, s->chunk_len);
	s->chunk_at = s->chunk_len;
	return true;
}

bool
txp_source_content(TxpSource *s, TxdBuf *to)
{
	bool more;

	if (!s->converts)
		return next_piece(s, to);
	s->raw.len = 0;
	more = next_piece(s, &s->raw);
	if (more || s->at_end)
		txp_charset_convert(&s->charset, s->raw.data, s->raw.len, !more, to);
	return more;
}

void
txp_source_hash(TxpSource *s, unsigned char sha256[TXP_SHA256])
{
	EVP_DigestFinal_ex(s->hash, sha256, NULL);
}

void
txp_source_content_hash(TxpSource *s, unsigned char sha256[TXP_SHA256])
{
	EVP_DigestFinal_ex(s->content_hash, sha256, NULL);
}

bool
txp_source_hash_all(TxpSource *s, unsigned char sha256[TXP_SHA256])
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
