/*
 * rewrite.c — FILE_REWRITE: a copy of the lake once more, with some of its records left empty.
 *
 * Whoever reads the new copy finds every other record at its old line. That is verified on the file itself: a
 * quote that is open in a broken record could end elsewhere when a record behind it is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "copying.h"
#include "handlers.h"
#include "link.h"
#include "put.h"
#include "records.h"

typedef struct Rewrite
{
	TxpCopy *copy;
	TxpSpan source;
	TxpSpan expected; /* SHA-256 of the source, as it is or, packed, of its content */
	char *encoding;
	TxdCsvOptions csv;
	bool is_csv;
	int64_t *gone; /* lines, ascending */
	uint32_t ngone;
	uint32_t next_gone;
	iconv_t back; /* from UTF-8 */
	TxdBuf text;  /* not yet written, in UTF-8 */
	TxdBuf bytes; /* the same in the encoding of the file */
	EVP_MD_CTX *content_hash;
	bool packed; /* the source was */
	int64_t size;
} Rewrite;

/* One way through a file. */
typedef struct Walk
{
	const Rewrite *rewrite;
	Rewrite *out; /* NULL: it is only read */
	TxpSource *source;
	TxdBuf text; /* content not yet taken apart */
	int64_t line;
	bool started;
	EVP_MD_CTX *kept; /* of all records that are not gone, with their lines */
} Walk;

static void
read_lines(Rewrite *w, TxpReader *r)
{
	w->ngone = txp_read_u32(r);
	if ((size_t) (r->end - r->p) / sizeof(int64_t) < w->ngone)
		r->bad = true;
	if (r->bad)
		return;
	w->gone = txd_alloc(sizeof(int64_t) * ((size_t) w->ngone + 1));
	for (uint32_t i = 0; i < w->ngone; i++)
		w->gone[i] = txp_read_i64(r);
}

static bool
unpack(Rewrite *w, const TxpMail *mail)
{
	TxpCopy *c = w->copy;
	TxpReader r = txp_reader(mail->data, mail->header.size);
	TxpSpan name;
	TxpSpan keys;

	c->lake = txp_span_dup(txp_read_span(&r));
	w->source = txp_read_span(&r);
	c->directory = txp_span_dup(txp_read_span(&r));
	name = txp_read_span(&r);
	w->expected = txp_read_span(&r);
	w->encoding = txp_span_dup(txp_read_span(&r));
	w->is_csv = txp_read_u8(&r) != 0;
	w->csv.delimiter = (char) txp_read_u8(&r);
	w->csv.quote = (char) txp_read_u8(&r);
	read_lines(w, &r);
	c->compress = !r.bad && txp_read_u8(&r) != 0;
	keys = txp_read_span(&r);
	if (!r.bad && name.len < sizeof(c->name))
		snprintf(c->name, sizeof(c->name), "%.*s", (int) name.len, name.data);
	if (r.bad || r.p != r.end || c->lake == NULL || c->directory == NULL || w->encoding == NULL ||
		w->source.data == NULL || w->expected.len != TXP_SHA256 || strlen(c->name) != name.len ||
		!txp_is_file_name(c->name))
	{
		txp_error(c->channel, (TxpError){.fatal = true, .answer = true, .sqlstate = "08P01"},
				  "the frame of a file request is broken");
		return false;
	}
	return keys.data == NULL || txp_copy_take_keys(c, keys);
}

static bool
fail(const Rewrite *w, const char *sqlstate, const char *message)
{
	txp_copy_discard(w->copy);
	txp_error(w->copy->channel, (TxpError){.fatal = true, .answer = true, .sqlstate = sqlstate},
			  "%s: \"%.*s\"", message, (int) w->source.len, w->source.data);
	return false;
}

/* `bytes` become what the text is in the encoding of the file; false with errno. */
static bool
convert_back(Rewrite *w, bool last)
{
	char *from = w->text.data;
	size_t left = w->text.len;
	bool done = false;

	while (!done)
	{
		bool flush = left == 0;
		size_t room = left * 4 + 64;
		char *start = txd_buf_reserve(&w->bytes, room);
		char *out = start;
		size_t result = iconv(w->back, flush ? NULL : &from, flush ? NULL : &left, &out, &room);

		w->bytes.len += (size_t) (out - start);
		if (result == (size_t) -1 && errno != E2BIG)
			return false;
		done = left == 0 && (flush || !last);
	}
	return true;
}

/* Writes the text there is; how the copy is packed is known as soon as there is some. False after an ERROR. */
static bool
flush(Rewrite *w, const TxpSource *s, bool last)
{
	TxpCopy *c = w->copy;
	const TxdBuf *bytes = s->converts ? &w->bytes : &w->text;

	if (c->fd < 0)
	{
		w->packed = s->packed;
		c->compress = c->compress || s->packed;
		if (!txp_copy_create(c))
			return false;
	}
	w->bytes.len = 0;
	if (s->converts && (w->text.len > 0 || last) && !convert_back(w, last))
		return fail(w, "22021", "text that is not of its encoding is in file");
	EVP_DigestUpdate(w->content_hash, bytes->data, bytes->len);
	if (!txp_copy_write(c, bytes->data, bytes->len, last))
	{
		txp_copy_fail(c, errno, "write file");
		return false;
	}
	w->text.len = 0;
	return true;
}

static bool
is_gone(Rewrite *w, int64_t line)
{
	if (w->next_gone == w->ngone || w->gone[w->next_gone] != line)
		return false;
	w->next_gone++;
	return true;
}

static void
take_record(Walk *walk, const char *p, size_t len, size_t line_ends)
{
	int64_t line = walk->line;
	size_t bare = txp_without_line_end(p, len);

	walk->line += (int64_t) line_ends;
	if (walk->out != NULL && is_gone(walk->out, line))
	{
		while (line_ends-- > 0)
			txd_buf_byte(&walk->out->text, '\n');
		return;
	}
	if (bare > 0)
	{
		EVP_DigestUpdate(walk->kept, &line, sizeof(line));
		EVP_DigestUpdate(walk->kept, p, bare);
	}
	if (walk->out != NULL)
		txd_buf_append(&walk->out->text, p, len);
}

/* The byte-order mark is no part of a record. */
static size_t
begin(Walk *walk, bool at_end)
{
	if (walk->started || (walk->text.len < TXP_BOM_LEN && !at_end))
		return 0;
	walk->started = true;
	if (walk->text.len < TXP_BOM_LEN || memcmp(walk->text.data, TXP_BOM, TXP_BOM_LEN) != 0)
		return 0;
	if (walk->out != NULL)
		txd_buf_append(&walk->out->text, TXP_BOM, TXP_BOM_LEN);
	return TXP_BOM_LEN;
}

static bool
take_records(Walk *walk, bool at_end)
{
	const TxdCsvOptions *csv = walk->rewrite->is_csv ? &walk->rewrite->csv : NULL;
	size_t at = begin(walk, at_end);
	size_t line_ends = 0;
	size_t len;

	while (walk->started && (len = txp_record_length(csv, walk->text.data + at, walk->text.len - at,
													 at_end, &line_ends)) > 0)
	{
		take_record(walk, walk->text.data + at, len, line_ends);
		at += len;
		if (walk->out != NULL && walk->out->text.len >= TXP_CHUNK &&
			!flush(walk->out, walk->source, false))
			return false;
	}
	walk->text.len -= at;
	memmove(walk->text.data, walk->text.data + at, walk->text.len);
	return walk->text.len <= TXP_MAX_RECORD ||
		   fail(walk->rewrite, "54000", "a record is longer than 64 MB in file");
}

/* Is what was read what the ledger says it is? It may be another file than the one that was searched. */
static bool
is_expected(const Rewrite *w, TxpSource *s)
{
	unsigned char sha256[TXP_SHA256];
	bool same;

	txp_source_hash(s, sha256);
	same = memcmp(sha256, w->expected.data, TXP_SHA256) == 0;
	txp_source_content_hash(s, sha256);
	return same || (s->packed && memcmp(sha256, w->expected.data, TXP_SHA256) == 0) ||
		   fail(w, "XX001", "other content than the file that arrived is in file");
}

/* All of an opened file, which is closed; false after an ERROR, or when the channel has ended. */
static bool
walk_through(const Rewrite *w, Rewrite *out, TxpSource *s, unsigned char kept[TXP_SHA256])
{
	Walk walk = {.rewrite = w, .out = out, .source = s, .line = 1, .kept = EVP_MD_CTX_new()};
	bool ok = s != NULL && txp_source_set_encoding(s, w->encoding) && walk.kept != NULL &&
			  EVP_DigestInit_ex(walk.kept, EVP_sha256(), NULL) == 1;

	txd_buf_reserve(&walk.text, TXP_CHUNK);
	while (ok && txp_source_content(s, &walk.text))
		ok = take_records(&walk, false) && !txp_channel_ended(w->copy->channel);
	ok = ok && s->at_end && take_records(&walk, true);
	if (ok && out != NULL)
		ok = is_expected(w, s) && flush(out, s, true);
	if (ok)
		EVP_DigestFinal_ex(walk.kept, kept, NULL);
	EVP_MD_CTX_free(walk.kept);
	txd_buf_free(&walk.text);
	txp_source_close(s);
	return ok;
}

static TxpSource *
open_temp(const Rewrite *w)
{
	const TxpCopy *c = w->copy;
	TxpSource *s;
	TxdBuf path = {0};

	txd_buf_append(&path, c->directory, strlen(c->directory));
	txd_buf_byte(&path, '/');
	txd_buf_append(&path, c->temp, strlen(c->temp));
	s = txp_source_open(c->channel, true, (TxpSpan){c->lake, (uint32_t) strlen(c->lake)},
						(TxpSpan){path.data, (uint32_t) path.len});
	txd_buf_free(&path);
	if (s != NULL)
		s->pgp = c->pgp;
	return s;
}

static bool
ends_in(const char *name, const char *suffix)
{
	size_t len = strlen(name);
	size_t n = strlen(suffix);

	return len > n && strcmp(name + len - n, suffix) == 0;
}

/* "sales.csv.gz" becomes "sales-1a2b3c4d.csv.zst": by content, so that the same work finds what it did. */
static bool
name_by_content(Rewrite *w)
{
	TxpCopy *c = w->copy;
	char name[NAME_MAX + 40];
	char *dot;
	size_t stem;

	if (w->packed && (ends_in(c->name, ".gz") || ends_in(c->name, ".zst")))
		*strrchr(c->name, '.') = '\0';
	dot = strrchr(c->name, '.');
	stem = dot != NULL && dot > c->name ? (size_t) (dot - c->name) : strlen(c->name);
	snprintf(name, sizeof(name), "%.*s-%02x%02x%02x%02x%s%s%s", (int) stem, c->name, c->sha256[0],
			 c->sha256[1], c->sha256[2], c->sha256[3], c->name + stem, c->compress ? ".zst" : "",
			 c->pgp != NULL ? TXP_SEALED_SUFFIX : "");
	if (strlen(name) > NAME_MAX)
	{
		txp_copy_fail(c, ENAMETOOLONG, "write anew file");
		return false;
	}
	memcpy(c->name, name, strlen(name) + 1);
	return true;
}

/* Under its name, which it may have had before a crash: *made tells. False after an ERROR. */
static bool
publish(Rewrite *w, bool *made)
{
	TxpCopy *c = w->copy;
	struct stat st;
	bool done = false;

	*made = !txp_copy_is_there(c, c->name, c->compress, &done);
	if (*made && (done || !txp_copy_finish(c)))
		return false;
	if (fstatat(c->dir, c->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
	{
		w->size = st.st_size;
		return true;
	}
	txp_copy_fail(c, errno, "look at file");
	return false;
}

static bool
rewrite(Rewrite *w, bool *made)
{
	TxpCopy *c = w->copy;
	unsigned char before[TXP_SHA256];
	unsigned char after[TXP_SHA256];
	TxpSource *s = txp_source_open(c->channel, true, (TxpSpan){c->lake, (uint32_t) strlen(c->lake)},
								   w->source);

	if (s == NULL)
		return false;
	s->pgp = c->pgp;
	if (!walk_through(w, w, s, before))
		return false;
	if (w->next_gone != w->ngone)
		return fail(w, "XX001", "records that were to go are not in file");
	EVP_DigestFinal_ex(w->content_hash, c->sha256, NULL);
	if (!walk_through(w, NULL, open_temp(w), after))
		return false;
	if (memcmp(before, after, TXP_SHA256) != 0)
		return fail(w, "22P04", "a broken record stands in the way of records behind it in file");
	return name_by_content(w) && publish(w, made);
}

/* The source's path says what is written; false after an ERROR. */
static bool
start(Rewrite *w)
{
	unsigned char sha256[TXP_SHA256];

	w->content_hash = EVP_MD_CTX_new();
	w->back = iconv_open(w->encoding, "UTF-8");
	if (w->content_hash == NULL ||
		EVP_Digest(w->source.data, w->source.len, sha256, NULL, EVP_sha256(), NULL) != 1 ||
		EVP_DigestInit_ex(w->content_hash, EVP_sha256(), NULL) != 1)
		return fail(w, "58000", "the cryptographic library offers no SHA-256 for file");
	if (w->back == (iconv_t) -1)
		return fail(w, "22023", "the encoding is not known for file");
	txp_copy_name_temp(w->copy, sha256);
	return txp_copy_make_directory(w->copy);
}

void
txp_rewrite_main(TxpChannel *channel, TxpMail *opening)
{
	Rewrite w = {.copy = txp_copy_new(channel), .back = (iconv_t) -1};
	bool made = false;
	TxdBuf answer = {0};

	if (unpack(&w, opening) && start(&w) && rewrite(&w, &made))
	{
		txp_copy_discard(w.copy);
		txp_put_str(&answer, w.copy->name);
		txp_put_u8(&answer, made);
		txp_put_i64(&answer, w.size);
		txp_put_opt(&answer, w.copy->sha256, TXP_SHA256);
		txp_answer(channel, TXP_FILE_REWRITTEN, &answer);
	}
	else if (w.copy->dir >= 0)
		txp_copy_discard(w.copy);
	if (w.back != (iconv_t) -1)
		iconv_close(w.back);
	EVP_MD_CTX_free(w.content_hash);
	txp_copy_free(w.copy);
	txd_buf_free(&w.text);
	txd_buf_free(&w.bytes);
	free(w.gone);
	free(w.encoding);
}
