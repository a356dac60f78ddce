/*
 * replay.c — SQL functions on dead letters: replay_dead_letters, dismiss_dead_letters, delete_dead_letters.
 *
 * A replay decodes the letters with the stream's present definition in a child of its own and writes the rows
 * as a batch is written. Each letter is locked until the end of the transaction, so it becomes a row once.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/memutils.h"

#include "args.h"
#include "batch.h"
#include "encryption.h"
#include "isolate.h"
#include "letters.h"
#include "progress.h"
#include "sink.h"
#include "stream.h"
#include "transaction.h"

/* Bounds of what is decoded and written at a time. */
#define CHUNK_LETTERS 5000
#define CHUNK_BYTES (8 * 1024 * 1024)
#define DECODE_TIMEOUT_MS 60000

typedef struct Replay
{
	TxpLink *link;
	uint32 channel;
	TxpLetterChoice choice;
	Datum fixed; /* payload to be used instead, bytea; 0: none */
	Datum kept;  /* that as it is stored, encrypted where the stream encrypts */
	int64 replayed;
	int64 failed;
	int64 left_open; /* of the stream, chosen or not */
} Replay;

/* Letters that are decoded together; all in one memory context. */
typedef struct Chunk
{
	TxpLetter **letters;
	int n;
	TxpBatch batch;
	int *letter_of_row;
	TxpLetterFailure *failures;
	int nfailures;
} Chunk;

static bool
fetch_chunk(Replay *replay, Portal portal, Chunk *chunk)
{
	Size bytes = 0;

	memset(chunk, 0, sizeof(*chunk));
	chunk->letters = palloc(sizeof(TxpLetter *) * CHUNK_LETTERS);
	while (chunk->n < CHUNK_LETTERS && bytes < CHUNK_BYTES)
	{
		TxpLetter *letter = txp_letters_fetch(portal);

		if (letter == NULL)
			break;
		if (replay->fixed)
		{
			Datum given = letter->encrypted ? replay->kept : replay->fixed;
			struct varlena *fixed = PG_DETOAST_DATUM_COPY(given);

			letter->message.payload = (TxpSpan){VARDATA(fixed), VARSIZE(fixed) - VARHDRSZ};
		}
		bytes += letter->message.key.len + letter->message.payload.len;
		chunk->letters[chunk->n++] = letter;
	}
	return chunk->n > 0;
}

static void
put_span(StringInfo buf, TxpSpan span)
{
	if (span.data == NULL)
		txp_put_str(buf, NULL);
	else
		txp_put_bytes(buf, span.data, span.len);
}

/* The letters come in the order of their topics. */
static void
put_topics(StringInfo buf, Chunk *chunk)
{
	StringInfoData names;
	uint32 n = 0;

	initStringInfo(&names);
	for (int i = 0; i < chunk->n; i++)
	{
		if (i == 0 || strcmp(chunk->letters[i]->topic, chunk->letters[i - 1]->topic) != 0)
		{
			txp_put_str(&names, chunk->letters[i]->topic);
			n++;
		}
		chunk->letters[i]->message.topic = n - 1;
	}
	txp_put_u32(buf, n);
	appendBinaryStringInfo(buf, names.data, names.len);
}

static void
decode(Replay *replay, Chunk *chunk, TxpFrame *decoded)
{
	StringInfoData buf;

	initStringInfo(&buf);
	txp_rowplan_pack(replay->link->plan, &buf);
	put_topics(&buf, chunk);
	txp_put_u32(&buf, chunk->n);
	for (int i = 0; i < chunk->n; i++)
	{
		const TxpMessage *m = &chunk->letters[i]->message;

		txp_put_u8(&buf, chunk->letters[i]->encrypted);
		txp_put_u32(&buf, m->topic);
		txp_put_i32(&buf, m->partition);
		txp_put_i64(&buf, m->offset);
		txp_put_i64(&buf, m->timestamp_ms);
		put_span(&buf, m->key);
		put_span(&buf, m->headers);
		put_span(&buf, m->payload);
	}
	replay->channel = txp_io_new_channel(replay->link->io);
	txp_io_send(replay->link->io, TXP_DECODE, replay->channel, 0, &buf);
	explicit_bzero(buf.data, buf.len);
	pfree(buf.data);
	txp_io_expect(replay->link->io, replay->channel, TXP_DECODED, DECODE_TIMEOUT_MS, decoded);
}

static void
note_failure(Chunk *chunk, int letter, char *code, char *message, char *column)
{
	chunk->failures[chunk->nfailures++] =
		(TxpLetterFailure){chunk->letters[letter]->id, code, message, column};
}

/* DECODED: rows make a raw batch, the others are failures. */
static void
read_decoded(Chunk *chunk, const TxpFrame *frame)
{
	TxpReader r = txp_reader(frame->data, frame->size);
	TxpBatch *batch = &chunk->batch;
	Size bytes = 0;

	if (txp_read_u32(&r) != (uint32) chunk->n)
		r.bad = true;
	txp_reader_check(&r);
	chunk->failures = palloc(sizeof(TxpLetterFailure) * chunk->n);
	chunk->letter_of_row = palloc(sizeof(int) * chunk->n);
	batch->raw = palloc0(sizeof(TxpMessage) * chunk->n);
	for (int i = 0; i < chunk->n; i++)
	{
		uint32 len = txp_read_u32(&r);

		if (len == TXP_ABSENT)
		{
			char *code = txp_span_text(txp_read_span(&r));
			char *message = txp_span_text(txp_read_span(&r));

			note_failure(chunk, i, code, message, txp_span_text(txp_read_span(&r)));
			txp_reader_check(&r);
			continue;
		}
		chunk->letter_of_row[batch->nrows] = i;
		batch->raw[batch->nrows] = chunk->letters[i]->message;
		batch->raw[batch->nrows++].row_length = len;
		bytes += len;
	}
	batch->rows = txp_read_span(&r);
	if (bytes != batch->rows.len)
		r.bad = true;
	txp_reader_check(&r);
}

static void
write_rows(Replay *replay, Chunk *chunk)
{
	TxpBatch *batch = &chunk->batch;
	bool *refused = palloc0(sizeof(bool) * ((Size) batch->nrows + 1));
	int64 *ids = palloc(sizeof(int64) * ((Size) batch->nrows + 1));
	List *refusals;
	ListCell *lc;
	int n = 0;

	if (txp_batch_insert(replay->link, batch, &refusals) != TXP_BATCH_WRITTEN)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("the target of stream \"%s\" was changed meanwhile",
							   replay->link->stream->name),
						errhint("Call again.")));
	foreach (lc, refusals)
	{
		TxpRefusal *refusal = lfirst(lc);

		refused[refusal->row] = true;
		note_failure(chunk, chunk->letter_of_row[refusal->row], refusal->code, refusal->message,
					 refusal->column);
	}
	for (uint32 i = 0; i < batch->nrows; i++)
	{
		if (!refused[i])
			ids[n++] = chunk->letters[chunk->letter_of_row[i]]->id;
	}
	txp_letters_replayed(ids, n, replay->kept);
	replay->replayed += n;
}

/* The reason a supplied payload fails for is not the stored one's. */
static void
write_failures(Replay *replay, const Chunk *chunk)
{
	txp_letters_failed(chunk->failures, chunk->nfailures, replay->fixed == 0);
	replay->failed += chunk->nfailures;
	if (replay->fixed && chunk->nfailures > 0)
		ereport(NOTICE, (errmsg("the payload given cannot become a row either"),
						 errdetail("%s: %s", chunk->failures[0].code, chunk->failures[0].message)));
}

static void
count_open(Replay *replay)
{
	TxpLetterChoice all = {replay->choice.stream_id};

	replay->left_open = txp_letters_count_open(&all);
}

static void
replay_all(Replay *replay)
{
	MemoryContext outer = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(outer, "txpipe replay", ALLOCSET_DEFAULT_SIZES);
	Portal portal = txp_letters_open(&replay->choice);
	TxpFrame decoded;
	Chunk chunk;

	txp_progress_stage(TXP_REPLAYING_LETTERS, txp_letters_count_open(&replay->choice), 0);
	txp_progress_stream(replay->choice.stream_id);
	MemoryContextSwitchTo(context);
	while (fetch_chunk(replay, portal, &chunk))
	{
		if (replay->link->io == NULL)
			replay->link->io = txp_io_start(outer);
		decode(replay, &chunk, &decoded);
		read_decoded(&chunk, &decoded);
		write_rows(replay, &chunk);
		write_failures(replay, &chunk);
		txp_progress_read(chunk.n, chunk.nfailures, 0, 0);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(outer);
	MemoryContextDelete(context);
	SPI_cursor_close(portal);
	count_open(replay);
}

/* All as it would be, and undone. */
static bool
replay_to_undo(void *arg)
{
	replay_all(arg);
	return false;
}

static void
replay_dry(Replay *replay)
{
	ErrorData *error = txp_subtransaction_try(replay_to_undo, replay, CurrentMemoryContext);

	if (error != NULL)
		ReThrowError(error);
}

static void
keep_fixed(Replay *replay)
{
	const TxpRowPlan *plan = replay->link->plan;
	bytea *given = replay->fixed ? DatumGetByteaPP(replay->fixed) : NULL;

	replay->kept = replay->fixed;
	if (given != NULL && plan->encrypts)
		replay->kept = PointerGetDatum(txp_encrypt(
			txp_encryption_keys(CurrentMemoryContext, plan->encryption_server, plan->key_user),
			false, VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given)));
}

static void
replay_stream(Replay *replay, TxpStream *stream, bool dry_run)
{
	SPI_connect();
	txp_sink_fire_deferred();
	replay->link = txp_link_plan(stream);
	replay->link->replay = true;
	keep_fixed(replay);
	txp_progress_begin(TXP_JOB_REPLAY_LETTERS);
	PG_TRY();
	{
		if (dry_run)
			replay_dry(replay);
		else
			replay_all(replay);
	}
	PG_FINALLY();
	{
		txp_progress_end();
	}
	PG_END_TRY();
	txp_io_stop(replay->link->io);
	SPI_finish();
}

/* --- arguments --- */

static Datum
array_argument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? 0 : PG_GETARG_DATUM(n);
}

static void
choose(FunctionCallInfo fcinfo, const TxpStream *stream, TxpLetterChoice *choice)
{
	choice->stream_id = stream->id;
	choice->ids = array_argument(fcinfo, 1);
	choice->codes = array_argument(fcinfo, 2);
}

/* A payload belongs to one letter. */
static Datum
payload_argument(FunctionCallInfo fcinfo, int n, Datum ids)
{
	if (PG_ARGISNULL(n))
		return 0;
	if (ids == 0 ||
		ArrayGetNItems(ARR_NDIM(DatumGetArrayTypeP(ids)), ARR_DIMS(DatumGetArrayTypeP(ids))) != 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a payload fixes one dead letter"),
						errhint("Name it: ids => ARRAY[dead_letter_id].")));
	return PG_GETARG_DATUM(n);
}

PG_FUNCTION_INFO_V1(txpipe_replay_dead_letters);
Datum
txpipe_replay_dead_letters(PG_FUNCTION_ARGS)
{
	TxpStream *stream = txp_stream_of_user(txp_arg_text(fcinfo, 0, "stream"));
	bool dry_run = txp_arg_bool(fcinfo, 4, false);
	Replay replay = {0};
	TupleDesc desc;
	Datum values[3];
	bool nulls[3] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	/* The commit, and what is deferred to it, is the caller's. */
	txp_stream_require_owner(stream, "replay its dead letters");
	choose(fcinfo, stream, &replay.choice);
	replay.fixed = payload_argument(fcinfo, 3, replay.choice.ids);
	/* One bad letter shall not keep the others from being replayed. */
	stream->stop_on_error = false;

	replay_stream(&replay, stream, dry_run);

	values[0] = Int64GetDatum(replay.replayed);
	values[1] = Int64GetDatum(replay.failed);
	values[2] = Int64GetDatum(replay.left_open);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

PG_FUNCTION_INFO_V1(txpipe_dismiss_dead_letters);
Datum
txpipe_dismiss_dead_letters(PG_FUNCTION_ARGS)
{
	TxpLetterChoice choice;

	choose(fcinfo, txp_stream_of_user(txp_arg_text(fcinfo, 0, "stream")), &choice);
	PG_RETURN_INT64(txp_letters_dismiss(&choice));
}

PG_FUNCTION_INFO_V1(txpipe_delete_dead_letters);
Datum
txpipe_delete_dead_letters(PG_FUNCTION_ARGS)
{
	const TxpStream *stream = txp_stream_of_user(txp_arg_text(fcinfo, 0, "stream"));

	if (PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"older_than\" must not be null"),
						errhint("'0' deletes all that are settled.")));
	PG_RETURN_INT64(txp_letters_delete(stream->id, PG_GETARG_DATUM(1)));
}
