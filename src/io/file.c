/*
 * file.c — a file's records as batches: CSV, or one JSON document or text a line.
 */
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "handlers.h"
#include "link.h"
#include "put.h"
#include "records.h"
#include "schema.h"
#include "source.h"

typedef struct FileReader
{
	TxpChannel *channel;
	TxpSource *source;
	TxdSchema *schema;
	TxdDecoder *decoder;
	TxpWindow window;
	TxdBuf text; /* content not yet taken apart starts at `at` */
	size_t at;
	int64_t line;  /* number of the next record's first line */
	int64_t *only; /* lines to be read, ascending; nonly 0: all */
	uint32_t nonly;
	uint32_t next_only;
	char *mended; /* record to be read in place of those, or NULL */
	bool started; /* the byte-order mark is behind us */
	bool needs_header;
	int64_t records;
	int64_t rows;
	int64_t rejects;
	bool failed;
} FileReader;

static void
fail(FileReader *f, const char *sqlstate, const char *detail, const char *hint, const char *message)
{
	txp_error(f->channel,
			  (TxpError){.fatal = true, .sqlstate = sqlstate, .detail = detail, .hint = hint}, "%s",
			  message);
	f->failed = true;
}

static void
bind_header(FileReader *f, const char *p, size_t len)
{
	TxdError err = {0};

	f->needs_header = false;
	if (!txd_bind_header(f->decoder, p, len, &err))
		fail(f, "22P04", err.column, "Map the columns to the names in the header.", err.message);
}

static bool
set_encoding(FileReader *f, TxpSpan name)
{
	char *encoding = txp_span_dup(name);
	bool ok = encoding == NULL || txp_source_set_encoding(f->source, encoding);

	free(encoding);
	return ok;
}

static void
read_lines(FileReader *f, TxpReader *r)
{
	f->nonly = txp_read_u32(r);
	if ((size_t) (r->end - r->p) / sizeof(int64_t) < f->nonly)
		r->bad = true;
	if (r->bad)
		return;
	f->only = txd_alloc(sizeof(int64_t) * ((size_t) f->nonly + 1));
	for (uint32_t i = 0; i < f->nonly; i++)
		f->only[i] = txp_read_i64(r);
	f->mended = txp_span_dup(txp_read_span(r));
}

static bool
unpack(FileReader *f, const TxpMail *mail)
{
	TxpReader r = txp_reader(mail->data, mail->header.size);
	TxpSpan top = txp_read_span(&r);
	TxpSpan path = txp_read_span(&r);
	bool landing = txp_read_u8(&r) != 0;
	TxpSpan encoding = txp_read_span(&r);
	TxpSpan header = txp_read_span(&r);
	TxdError err = {0};
	uint32_t batch_rows;

	f->schema = txp_schema_read(&r);
	batch_rows = txp_read_u32(&r);
	txp_window_init(&f->window, f->channel, batch_rows, txp_read_u32(&r));
	read_lines(f, &r);
	if (r.bad || encoding.data == NULL || r.p != r.end)
	{
		fail(f, "08P01", NULL, NULL, "the frame that opens a file is broken");
		return false;
	}
	if (f->schema->format == TXD_BYTES)
	{
		fail(f, "0A000", NULL, "Use csv, json or text.", "files cannot be read as format bytea");
		return false;
	}
	f->decoder = txd_new(f->schema, &err);
	if (f->decoder == NULL)
	{
		fail(f, "22023", err.column, NULL, err.message);
		return false;
	}
	f->window.pgp = txd_pgp_of(f->decoder);
	f->needs_header = f->schema->format == TXD_CSV && f->schema->csv.header;
	f->line = 1;
	if (header.data != NULL)
		bind_header(f, header.data, header.len);
	if (f->failed)
		return false;
	f->source = txp_source_open(f->channel, false, top, path);
	if (f->source == NULL)
		return false;
	f->source->pgp = f->window.pgp;
	f->source->stays_sealed = landing;
	return set_encoding(f, encoding);
}

/* Length of the next record with its line ends, 0 where more content is needed. */
static size_t
next_record(FileReader *f, bool at_end, size_t *line_ends)
{
	return txp_record_length(f->schema->format == TXD_CSV ? &f->schema->csv : NULL,
							 f->text.data + f->at, f->text.len - f->at, at_end, line_ends);
}

static bool
is_wanted(FileReader *f, int64_t line)
{
	if (f->nonly == 0)
		return true;
	while (f->next_only < f->nonly && f->only[f->next_only] < line)
		f->next_only++;
	return f->next_only < f->nonly && f->only[f->next_only] == line;
}

/* One record into the open batch; blank lines are nothing. */
static void
take_record(FileReader *f, const char *p, size_t len, size_t line_ends)
{
	TxpBatch *batch = txp_window_open(&f->window);
	int64_t line = f->line;
	TxpRange *range;

	f->line += (int64_t) line_ends;
	len = txp_without_line_end(p, len);
	if (len == 0)
		return;
	if (f->needs_header)
	{
		bind_header(f, p, len);
		return;
	}
	if (!is_wanted(f, line))
		return;
	if (f->mended != NULL)
	{
		p = f->mended;
		len = txp_without_line_end(p, strlen(p));
	}
	if (batch->nranges == 0)
		txp_batch_range(batch, 0, 0, line);
	range = &batch->range[0];
	f->records++;
	if (txp_batch_add(
			&f->window, f->decoder,
			&(TxdMessage){.payload = p, .payload_len = len, .timestamp_ms = -1, .line = line},
			NULL))
	{
		range->rows++;
		f->rows++;
	}
	else
	{
		range->rejects++;
		f->rejects++;
	}
	range->next = f->line > line ? f->line : line + 1;
}

/* Bytes of the file, as it is stored, up to the next record; of content that is unpacked or converted a little more. */
static int64_t
bytes_taken(const FileReader *f)
{
	const TxpSource *s = f->source;
	int64_t taken = s->bytes - (int64_t) (s->chunk_len - s->chunk_at);

	return s->packed || s->converts ? taken : taken - (int64_t) (f->text.len - f->at);
}

/* Waits for acknowledgements while the window is full; false when the channel ended or failed. */
static bool
make_room(FileReader *f)
{
	int wait_ms = f->window.unacked == TXP_WINDOW ? 60000 : 0;
	TxpMail *mail;

	while ((mail = txp_channel_mail(f->channel, wait_ms)) != NULL)
	{
		f->failed = !txp_window_mail(&f->window, mail);
		txp_mail_free(mail);
		if (f->failed)
			break;
		wait_ms = 0;
	}
	return !f->failed && !txp_channel_ended(f->channel);
}

static bool
emit(FileReader *f)
{
	TxpRange *range;

	while (f->window.unacked == TXP_WINDOW)
	{
		if (!make_room(f))
			return false;
	}
	range = &txp_window_open(&f->window)->range[0];
	range->bytes = bytes_taken(f);
	range->end = f->source->st.st_size;
	txp_window_emit(&f->window, f->decoder, true);
	return true;
}

/* Takes apart what has been read. */
static bool
take_records(FileReader *f, bool at_end)
{
	size_t line_ends = 0;
	size_t len;

	if (!f->started && (f->text.len >= TXP_BOM_LEN || at_end))
	{
		if (f->text.len >= TXP_BOM_LEN && memcmp(f->text.data, TXP_BOM, TXP_BOM_LEN) == 0)
			f->at = TXP_BOM_LEN;
		f->started = true;
	}
	while (f->started && !f->failed && (len = next_record(f, at_end, &line_ends)) > 0)
	{
		/* Room first: a batch under construction needs a slot of its own. */
		if (txp_window_full(&f->window) && !emit(f))
			return false;
		while (f->window.unacked == TXP_WINDOW)
		{
			if (!make_room(f))
				return false;
		}
		take_record(f, f->text.data + f->at, len, line_ends);
		f->at += len;
	}
	if (f->text.len - f->at > TXP_MAX_RECORD)
		fail(f, "54000", NULL, "Is the file of the format given?", "a record is longer than 64 MB");
	f->text.len -= f->at;
	memmove(f->text.data, f->text.data + f->at, f->text.len);
	f->at = 0;
	return !f->failed;
}

static bool
read_all(FileReader *f)
{
	txd_buf_reserve(&f->text, TXP_CHUNK);
	while (txp_source_content(f->source, &f->text))
	{
		if (!take_records(f, false) || txp_channel_ended(f->channel))
			return false;
	}
	if (!f->source->at_end || !take_records(f, true))
		return false;
	if (f->needs_header)
	{
		fail(f, "22P04", NULL, "A file without header needs the option header set to false.",
			 "the file is empty: it has no header");
		return false;
	}
	return txp_window_open(&f->window)->nranges == 0 || emit(f);
}

static void
send_end(FileReader *f)
{
	unsigned char sha256[TXP_SHA256];
	TxdBuf frame = {0};

	txp_source_hash(f->source, sha256);
	txp_put_i64(&frame, f->records);
	txp_put_i64(&frame, f->rows);
	txp_put_i64(&frame, f->rejects);
	txp_put_i64(&frame, f->source->bytes);
	txp_put_opt(&frame, sha256, sizeof(sha256));
	txp_source_content_hash(f->source, sha256);
	txp_put_opt(&frame, f->source->packed ? sha256 : NULL, sizeof(sha256));
	txp_put_u32(&frame, (uint32_t) f->schema->ncolumns);
	for (int i = 0; i < f->schema->ncolumns; i++)
		txp_put_i64(&frame, txd_is_absent(f->decoder, i) ? -1 : (int64_t) txd_fixed(f->decoder)[i]);
	txp_send(f->channel, TXP_FILE_END, 0, &frame);
}

void
txp_file_main(TxpChannel *channel, TxpMail *opening)
{
	FileReader *f = txd_alloc(sizeof(*f));
	TxpMail *mail;

	*f = (FileReader){.channel = channel};
	if (unpack(f, opening) && read_all(f))
	{
		send_end(f);
		/* The last batches may still be asked for again. */
		while (!f->failed && !txp_channel_ended(channel))
		{
			mail = txp_channel_mail(channel, 60000);
			f->failed = mail != NULL && !txp_window_mail(&f->window, mail);
			txp_mail_free(mail);
		}
	}
	txp_window_free(&f->window);
	txp_source_close(f->source);
	if (f->decoder != NULL)
		txd_free(f->decoder);
	txp_schema_free(f->schema);
	txd_buf_free(&f->text);
	free(f->only);
	free(f->mended);
	free(f);
}
