/*
 * fileio.c — what a session asks of its txpipe_io child about files.
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "fileio.h"
#include "guc.h"
#include "payload.h"

#define UNIX_TO_POSTGRES_USECS                                                                     \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * USECS_PER_SEC)

TxpFileIo *
txp_fileio_new(MemoryContext parent)
{
	TxpFileIo *files = MemoryContextAllocZero(parent, sizeof(TxpFileIo));

	files->context = AllocSetContextCreate(parent, "txpipe files", ALLOCSET_DEFAULT_SIZES);
	return files;
}

void
txp_fileio_reset(TxpFileIo *files)
{
	MemoryContextReset(files->context);
	files->io = NULL;
	files->ahead = NULL;
}

static TxpIo *
child(TxpFileIo *files)
{
	if (files->io != NULL && txp_io_gone(files->io))
		txp_fileio_reset(files);
	if (files->io == NULL)
		files->io = txp_io_start(files->context);
	return files->io;
}

void
txp_fileio_start(TxpFileIo *files)
{
	(void) child(files);
}

static void
keep(TxpFileChannel *channel, const TxpFrame *frame)
{
	MemoryContext old = MemoryContextSwitchTo(channel->context);
	TxpFrame *kept = palloc(sizeof(TxpFrame));

	*kept = *frame;
	kept->data = memcpy(palloc0(frame->size + 1), frame->data, frame->size);
	channel->pending = lappend(channel->pending, kept);
	MemoryContextSwitchTo(old);
}

/* Waits for a frame of the channel. Allocates in the current memory context. */
static void
receive(TxpFileIo *files, uint32 channel, TxpFrame *frame)
{
	for (;;)
	{
		if (!txp_io_receive(files->io, -1, frame))
			txp_io_raise_gone(files->io);
		if (frame->channel == channel)
			return;
		if (files->ahead != NULL && frame->channel == files->ahead->channel)
			keep(files->ahead, frame);
		pfree(frame->data);
	}
}

/* One request with one answer; returns false and the error when that is what the child answers. */
static bool
ask(TxpFileIo *files, TxpFrameType type, StringInfo request, TxpFrameType answer, TxpFrame *frame,
	TxpIoError *error)
{
	TxpIo *io = child(files);
	uint32 channel = txp_io_new_channel(io);

	if (!txp_io_send(io, type, channel, 0, request))
		txp_io_raise_gone(io);
	receive(files, channel, frame);
	if (frame->type == answer)
		return true;
	if (frame->type != TXP_ERROR)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("txpipe_io answered with a frame of type %d", (int) frame->type)));
	txp_io_read_error(frame, error);
	return false;
}

bool
txp_fileio_hash(TxpFileIo *files, const char *name, uint8 *sha256, int64 *bytes,
				TimestampTz *modified_at)
{
	StringInfoData request;
	TxpFrame frame;
	TxpIoError error;
	TxpReader r;
	TxpSpan hash;

	initStringInfo(&request);
	txp_put_str(&request, txp_landing_directory);
	txp_put_str(&request, name);
	if (!ask(files, TXP_FILE_HASH, &request, TXP_FILE_HASHED, &frame, &error))
	{
		ereport(LOG, (errmsg("a landing file is left for later: %s", error.message)));
		return false;
	}
	r = txp_reader(frame.data, frame.size);
	*bytes = txp_read_i64(&r);
	*modified_at = txp_read_i64(&r) - UNIX_TO_POSTGRES_USECS;
	hash = txp_read_span(&r);
	r.bad = r.bad || hash.len != TXP_SHA256_SIZE;
	txp_reader_check(&r);
	memcpy(sha256, hash.data, TXP_SHA256_SIZE);
	return true;
}

/* "sales.csv" becomes "sales-1a2b3c4d.csv". */
static char *
name_with_hash(const char *name, const uint8 *sha256)
{
	const char *dot = strrchr(name, '.');
	int stem = dot != NULL && dot > name ? (int) (dot - name) : (int) strlen(name);
	char hex[9] = "";

	hex_encode((const char *) sha256, 4, hex);
	return psprintf("%.*s-%s%s", stem, name, hex, name + stem);
}

/* Name of the copy, or NULL with the error. */
static char *
copy_as(TxpFileIo *files, const char *source, const char *directory, const char *name,
		const uint8 *sha256, const char *keys, TxpIoError *error)
{
	StringInfoData request;
	TxpFrame frame;
	TxpReader r;
	TxpSpan used;
	bool copied;

	initStringInfo(&request);
	txp_put_str(&request, txp_landing_directory);
	txp_put_str(&request, source);
	txp_put_str(&request, txp_lake_directory);
	txp_put_str(&request, directory);
	txp_put_str(&request, name);
	txp_put_bytes(&request, (const char *) sha256, TXP_SHA256_SIZE);
	txp_put_u8(&request, txp_lake_compression == TXP_LAKE_ZSTD);
	txp_put_str(&request, keys);
	copied = ask(files, TXP_FILE_COPY, &request, TXP_FILE_COPIED, &frame, error);
	explicit_bzero(request.data, request.len);
	if (!copied)
		return NULL;
	r = txp_reader(frame.data, frame.size);
	used = txp_read_span(&r);
	txp_reader_check(&r);
	return txp_span_text(used);
}

char *
txp_fileio_copy(TxpFileIo *files, const char *source, const char *directory, const char *name,
				const uint8 *sha256, const char *keys)
{
	TxpIoError error;
	char *used = copy_as(files, source, directory, name, sha256, keys, &error);

	if (used == NULL && error.sqlstate == ERRCODE_DUPLICATE_OBJECT)
		used =
			copy_as(files, source, directory, name_with_hash(name, sha256), sha256, keys, &error);
	if (used == NULL)
		txp_io_raise(&error);
	return used;
}

void
txp_fileio_rewrite(TxpFileIo *files, const TxpRewriting *what, TxpRewritten *result)
{
	const TxdCsvOptions *csv = &what->plan->rows->csv;
	char *directory = pnstrdup(what->path, strrchr(what->path, '/') - what->path);
	StringInfoData request;
	TxpFrame frame;
	TxpIoError error;
	TxpReader r;
	TxpSpan hash;
	bool written;

	initStringInfo(&request);
	txp_put_str(&request, txp_lake_directory);
	txp_put_str(&request, what->path);
	txp_put_str(&request, directory);
	txp_put_str(&request, what->name);
	txp_put_bytes(&request, (const char *) what->sha256, TXP_SHA256_SIZE);
	txp_put_str(&request, what->plan->encoding);
	txp_put_u8(&request, what->plan->rows->format == TXD_CSV);
	txp_put_u8(&request, csv->delimiter);
	txp_put_u8(&request, csv->quote);
	txp_put_u32(&request, what->nlines);
	for (int i = 0; i < what->nlines; i++)
		txp_put_i64(&request, what->lines[i]);
	txp_put_u8(&request, txp_lake_compression == TXP_LAKE_ZSTD);
	txp_put_str(&request, what->keys);
	written = ask(files, TXP_FILE_REWRITE, &request, TXP_FILE_REWRITTEN, &frame, &error);
	explicit_bzero(request.data, request.len);
	if (!written)
		txp_io_raise(&error);
	r = txp_reader(frame.data, frame.size);
	result->path = psprintf("%s/%s", directory, txp_span_text(txp_read_span(&r)));
	result->made = txp_read_u8(&r) != 0;
	result->bytes = txp_read_i64(&r);
	hash = txp_read_span(&r);
	r.bad = r.bad || hash.len != TXP_SHA256_SIZE;
	txp_reader_check(&r);
	memcpy(result->sha256, hash.data, TXP_SHA256_SIZE);
}

static void
put_lines(StringInfo request, const TxpFileLines *only)
{
	int count = only ? only->count : 0;

	txp_put_u32(request, count);
	for (int i = 0; i < count; i++)
		txp_put_i64(request, only->lines[i]);
	txp_put_str(request, only ? only->record : NULL);
}

static void
put_opening(StringInfo request, bool landing, const char *name, const TxpFeedPlan *plan)
{
	initStringInfo(request);
	txp_put_str(request, landing ? txp_landing_directory : txp_lake_directory);
	txp_put_str(request, name);
	txp_put_u8(request, landing);
	txp_put_str(request, plan->encoding);
	txp_put_str(request, plan->header);
	txp_rowplan_pack(plan->rows, request);
	txp_put_u32(request, plan->batch_rows);
	txp_put_u32(request, plan->batch_bytes);
	put_lines(request, plan->only);
}

/* Of the child that is there. The request may hold a key: it does not stay in memory, and its hash stands for it. */
static TxpFileChannel *
open_channel(TxpFileIo *files, StringInfo request)
{
	TxpFileChannel *channel = palloc0(sizeof(TxpFileChannel));
	bool sent;

	channel->files = files;
	channel->channel = txp_io_new_channel(files->io);
	channel->context = CurrentMemoryContext;
	sent = txp_io_send(files->io, TXP_FILE_OPEN, channel->channel, 0, request);
	explicit_bzero(request->data, request->len);
	pfree(request->data);
	if (!sent)
		txp_io_raise_gone(files->io);
	return channel;
}

static void
hash_request(const StringInfoData *request, uint8 *sha256)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) request->data, request->len) < 0 ||
		pg_cryptohash_final(context, sha256, TXP_SHA256_SIZE) < 0)
		elog(ERROR, "could not compute a SHA-256 hash");
	pg_cryptohash_free(context);
}

void
txp_fileio_open_ahead(TxpFileIo *files, const char *name, const TxpFeedPlan *plan)
{
	MemoryContext old;
	StringInfoData request;

	/* Another one would empty the context, in which the present file's channel may be. */
	if (files->io != NULL && txp_io_gone(files->io))
		txp_io_raise_gone(files->io);
	(void) child(files);
	old = MemoryContextSwitchTo(files->context);
	put_opening(&request, false, name, plan);
	hash_request(&request, files->ahead_request);
	files->ahead = open_channel(files, &request);
	MemoryContextSwitchTo(old);
}

/* What was opened ahead, unless something has changed since. */
static TxpFileChannel *
take_ahead(TxpFileIo *files, const StringInfoData *request)
{
	TxpFileChannel *ahead = files->ahead;
	uint8 sha256[TXP_SHA256_SIZE];

	if (ahead == NULL)
		return NULL;
	files->ahead = NULL;
	hash_request(request, sha256);
	if (!txp_io_gone(files->io) && memcmp(sha256, files->ahead_request, sizeof(sha256)) == 0)
		return ahead;
	if (!txp_io_gone(files->io))
		txp_fileio_close(ahead);
	return NULL;
}

TxpFileChannel *
txp_fileio_open(TxpFileIo *files, bool landing, const char *name, const TxpFeedPlan *plan)
{
	TxpFileChannel *channel;
	StringInfoData request;

	put_opening(&request, landing, name, plan);
	channel = take_ahead(files, &request);
	if (channel == NULL)
	{
		(void) child(files);
		return open_channel(files, &request);
	}
	explicit_bzero(request.data, request.len);
	return channel;
}

bool
txp_fileio_is_content(TxpReader *end, const uint8 *sha256)
{
	TxpSpan stored = txp_read_span(end);
	TxpSpan content = txp_read_span(end);

	return (stored.len == TXP_SHA256_SIZE && memcmp(stored.data, sha256, stored.len) == 0) ||
		   (content.len == TXP_SHA256_SIZE && memcmp(content.data, sha256, content.len) == 0);
}

static TxpFrame *
checked(TxpFrame *frame)
{
	TxpIoError error;

	if (frame->type == TXP_ERROR)
	{
		txp_io_read_error(frame, &error);
		txp_io_raise(&error);
	}
	return frame;
}

static TxpFrame *
next_frame(TxpFileChannel *channel)
{
	MemoryContext old = MemoryContextSwitchTo(channel->context);
	TxpFrame *frame = palloc(sizeof(TxpFrame));

	receive(channel->files, channel->channel, frame);
	MemoryContextSwitchTo(old);
	return checked(frame);
}

TxpFrame *
txp_fileio_next(TxpFileChannel *channel)
{
	TxpFrame *frame;

	if (channel->pending == NIL)
		return next_frame(channel);
	frame = linitial(channel->pending);
	channel->pending = list_delete_first(channel->pending);
	return checked(frame);
}

TxpFrame *
txp_fileio_repeat(TxpFileChannel *channel, uint32 seq)
{
	if (!txp_io_send(channel->files->io, TXP_BATCH_REPEAT, channel->channel, seq, NULL))
		txp_io_raise_gone(channel->files->io);
	for (;;)
	{
		TxpFrame *frame = next_frame(channel);
		MemoryContext old;

		if (frame->type == TXP_BATCH_RAW && frame->seq == seq)
			return frame;
		old = MemoryContextSwitchTo(channel->context);
		channel->pending = lappend(channel->pending, frame);
		MemoryContextSwitchTo(old);
	}
}

void
txp_fileio_done(TxpFileChannel *channel, uint32 seq)
{
	if (!txp_io_send(channel->files->io, TXP_BATCH_DONE, channel->channel, seq, NULL))
		txp_io_raise_gone(channel->files->io);
}

void
txp_fileio_close(TxpFileChannel *channel)
{
	TxpFrame frame;
	ListCell *lc;

	if (!txp_io_send(channel->files->io, TXP_CLOSE, channel->channel, 0, NULL))
		txp_io_raise_gone(channel->files->io);
	do
	{
		receive(channel->files, channel->channel, &frame);
		pfree(frame.data);
	} while (frame.type != TXP_CLOSED);
	foreach (lc, channel->pending)
		pfree(((TxpFrame *) lfirst(lc))->data);
	list_free_deep(channel->pending);
	pfree(channel);
}
