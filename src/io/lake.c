/*
 * lake.c — FILE_HASH and FILE_COPY: what a file contains, and a copy of it that is complete or absent.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "copying.h"
#include "handlers.h"
#include "link.h"
#include "put.h"

static void
broken_frame(TxpChannel *channel)
{
	txp_error(channel, (TxpError){.fatal = true, .answer = true, .sqlstate = "08P01"},
			  "the frame of a file request is broken");
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
	if (s != NULL && txp_source_hash_all(s, sha256))
	{
		txp_put_i64(&frame, s->bytes);
		txp_put_i64(&frame,
					(int64_t) s->st.st_mtim.tv_sec * 1000000 + s->st.st_mtim.tv_nsec / 1000);
		txp_put_opt(&frame, sha256, sizeof(sha256));
		txp_answer(channel, TXP_FILE_HASHED, &frame);
	}
	txp_source_close(s);
}

typedef struct Request
{
	TxpSpan source_top;
	TxpSpan source;
} Request;

static bool
unpack(TxpCopy *c, Request *request, const TxpMail *mail)
{
	TxpReader r = txp_reader(mail->data, mail->header.size);
	TxpSpan name;
	TxpSpan sha256;
	TxpSpan keys;

	request->source_top = txp_read_span(&r);
	request->source = txp_read_span(&r);
	c->lake = txp_span_dup(txp_read_span(&r));
	c->directory = txp_span_dup(txp_read_span(&r));
	name = txp_read_span(&r);
	sha256 = txp_read_span(&r);
	c->compress = txp_read_u8(&r) != 0;
	keys = txp_read_span(&r);
	if (!r.bad && name.len < sizeof(c->name))
		snprintf(c->name, sizeof(c->name), "%.*s", (int) name.len, name.data);
	if (r.bad || r.p != r.end || c->lake == NULL || c->directory == NULL ||
		sha256.len != TXP_SHA256 || strlen(c->name) != name.len || !txp_is_file_name(c->name))
	{
		broken_frame(c->channel);
		return false;
	}
	memcpy(c->sha256, sha256.data, TXP_SHA256);
	txp_copy_name_temp(c, c->sha256);
	return keys.data == NULL || txp_copy_take_keys(c, keys);
}

/* Copies the content into the temporary file, and makes it durable; false after an ERROR, or when the channel has ended. */
static bool
fill(TxpCopy *c, TxpSource *s)
{
	bool ok = true;

	while (ok && txp_source_read(s))
	{
		if (txp_channel_ended(c->channel))
			return false;
		ok = txp_copy_write(c, s->chunk, s->chunk_len, false);
	}
	if (ok && !s->at_end)
		return false;
	ok = ok && txp_copy_write(c, NULL, 0, true);
	if (!ok)
		txp_copy_fail(c, errno, "write file");
	return ok;
}

static void
fail_changed(TxpCopy *c, const TxpSource *s)
{
	txp_copy_discard(c);
	txp_error(c->channel,
			  (TxpError){.fatal = true,
						 .answer = true,
						 .sqlstate = "55000",
						 .hint = "It is taken when it has not changed for txpipe.settle_time."},
			  "file \"%s\" changed while it was copied", s->path);
}

/* What has been written is read again where it is not the same bytes. */
static bool
verify(TxpCopy *c)
{
	bool error = false;

	if ((!c->compress && c->pgp == NULL) || txp_copy_holds(c, c->temp, c->compress, &error))
		return true;
	if (!error)
		txp_copy_fail_verification(c);
	return false;
}

static bool
copy_content(TxpCopy *c, TxpSource *s)
{
	unsigned char sha256[TXP_SHA256];
	bool ok = txp_copy_create(c) && fill(c, s);

	if (ok)
	{
		txp_source_hash(s, sha256);
		ok = memcmp(sha256, c->sha256, TXP_SHA256) == 0;
		if (!ok)
			fail_changed(c, s);
	}
	ok = ok && verify(c) && txp_copy_finish(c);
	if (c->fd >= 0)
		txp_copy_discard(c);
	return ok;
}

/* The copy is there, or is made. Files that are packed stay as they are. */
static bool
copy(TxpCopy *c, TxpSource *s)
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
		return false;
	}
	strcat(c->name, suffix);
	memcpy(plain, c->name, sizeof(plain));
	if (c->compress)
		memcpy(c->name, compressed, strlen(compressed) + 1);
	/* The setting may have been another when a load failed after its copy was made. */
	if (txp_copy_is_there(c, plain, false, &done) ||
		(!packed && txp_copy_is_there(c, compressed, true, &done)))
		return true;
	return !done && copy_content(c, s);
}

void
txp_copy_main(TxpChannel *channel, TxpMail *opening)
{
	TxpCopy *c = txp_copy_new(channel);
	Request request;
	TxpSource *s = NULL;
	TxdBuf answer = {0};

	if (unpack(c, &request, opening) && txp_copy_make_directory(c) &&
		(s = txp_source_open(channel, true, request.source_top, request.source)) != NULL &&
		copy(c, s))
	{
		txp_put_str(&answer, c->name);
		txp_answer(channel, TXP_FILE_COPIED, &answer);
	}
	txp_source_close(s);
	txp_copy_free(c);
}
