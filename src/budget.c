/*
 * budget.c — how many dead letters a stream may have before it is paused.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "budget.h"
#include "io/clock.h"
#include "isolate.h"
#include "spi.h"

/* Ratios of fewer messages say nothing. */
#define RATIO_MIN_MESSAGES 1000
/* Other workers of the stream, and users, change the size of the dead letters meanwhile. */
#define COUNT_EVERY_US (INT64CONST(10) * 1000 * 1000)

/* What the batches of error_window had. */
typedef struct Spent
{
	int64 messages;
	int64 dead_letters;
	int64 refused; /* of them, by PostgreSQL */
} Spent;

static void
read_spent(const TxpStream *stream, Spent *spent)
{
	static TxpStatement statement = {
		"SELECT coalesce(sum(messages), 0)::bigint, coalesce(sum(dead_letters), 0)::bigint, "
		"coalesce(sum(refused), 0)::bigint FROM txpipe.batch_history_store "
		"WHERE stream_id = $1 AND finished_at > greatest("
		"clock_timestamp() - make_interval(secs => $2), "
		"(SELECT max(happened_at) FROM txpipe.stream_event_store "
		"WHERE stream_id = $1 AND event = 'resumed'))",
		2,
		{INT4OID, FLOAT8OID}};
	Datum values[2] = {Int32GetDatum(stream->id), Float8GetDatum(stream->error_window)};

	SPI_connect();
	(void) txp_spi_run(&statement, values, NULL);
	spent->messages = DatumGetInt64(txp_spi_datum(0, 1));
	spent->dead_letters = DatumGetInt64(txp_spi_datum(0, 2));
	spent->refused = DatumGetInt64(txp_spi_datum(0, 3));
	SPI_finish();
}

static bool
over_ratio(int64 part, int64 all, int ratio)
{
	return ratio > 0 && all >= RATIO_MIN_MESSAGES && part * 100 > all * ratio;
}

/* The option that is exceeded, NULL: none. */
static const char *
exceeded(const TxpStream *stream, const Spent *spent)
{
	if (stream->error_budget > 0 && spent->dead_letters > stream->error_budget)
		return psprintf("error_budget of " INT64_FORMAT, stream->error_budget);
	if (over_ratio(spent->dead_letters, spent->messages, stream->error_ratio))
		return psprintf("error_ratio of %d %%", stream->error_ratio);
	if (stream->refused_budget > 0 && spent->refused > stream->refused_budget)
		return psprintf("refused_budget of " INT64_FORMAT, stream->refused_budget);
	if (over_ratio(spent->refused, spent->messages, stream->refused_ratio))
		return psprintf("refused_ratio of %d %%", stream->refused_ratio);
	return NULL;
}

/* Why the last of them is one. */
static char *
last_reason(const TxpBatch *batch, List *refusals)
{
	if (refusals != NIL)
	{
		const TxpRefusal *last = llast(refusals);

		return psprintf("%s: %s", last->code, last->message);
	}
	return psprintf("%s: %s", txp_span_text(batch->rejects[batch->nrejects - 1].code),
					txp_span_text(batch->rejects[batch->nrejects - 1].message));
}

static bool
check_budget(const TxpStream *stream, const TxpBatch *batch, List *refusals)
{
	Spent spent;
	const char *option;

	if (!txp_budget_is_set(stream) && refusals == NIL)
		return true;
	read_spent(stream, &spent);
	option = exceeded(stream, &spent);
	if (option == NULL)
		return true;
	txp_stream_pause_for(
		stream->id,
		psprintf(INT64_FORMAT
				 " of " INT64_FORMAT " messages within %d s became dead letters, " INT64_FORMAT
				 " of them refused by PostgreSQL: more than the %s allows; the last: %s",
				 spent.dead_letters, spent.messages, stream->error_window, spent.refused, option,
				 last_reason(batch, refusals)));
	return false;
}

/* --- dead_letter_max_bytes --- */

static int64
count_bytes(int32 stream_id)
{
	static TxpStatement statement = {
		"SELECT coalesce(sum(coalesce(octet_length(kafka_key), 0) + "
		"coalesce(pg_column_size(kafka_headers), 0) + coalesce(octet_length(payload), 0) + "
		"coalesce(octet_length(payload_fixed), 0)), 0)::bigint "
		"FROM txpipe.dead_letter_store WHERE stream_id = $1",
		1,
		{INT4OID}};
	Datum values[1] = {Int32GetDatum(stream_id)};

	return DatumGetInt64(txp_spi_ask(&statement, values, NULL));
}

static int64
bytes_of(const TxpMessage *m)
{
	return (int64) m->key.len + m->headers.len + m->payload.len;
}

static int64
bytes_of_letters(const TxpBatch *batch, List *refusals)
{
	int64 bytes = 0;
	ListCell *lc;

	for (uint32 i = 0; i < batch->nrejects; i++)
		bytes += bytes_of(&batch->rejects[i]);
	foreach (lc, refusals)
		bytes += bytes_of(&batch->raw[((TxpRefusal *) lfirst(lc))->row]);
	return bytes;
}

/* Counting reads all of them, so it is done when the sum of what was added says it is time, and now and then. */
static void
check_size(TxpLink *link, const TxpBatch *batch, List *refusals)
{
	const TxpStream *stream = link->stream;
	int64 now_us = txp_now_us();

	if (stream->dead_letter_max_bytes == 0)
		return;
	link->letters.bytes += bytes_of_letters(batch, refusals);
	if (link->letters.counted_us == 0 || now_us - link->letters.counted_us > COUNT_EVERY_US ||
		link->letters.bytes > stream->dead_letter_max_bytes)
	{
		link->letters.bytes = count_bytes(stream->id);
		link->letters.counted_us = now_us;
	}
	if (link->letters.bytes > stream->dead_letter_max_bytes)
		txp_stream_pause_for(stream->id,
							 psprintf("the stream's dead letters take " INT64_FORMAT
									  " bytes, more than dead_letter_max_bytes (" INT64_FORMAT
									  ") allows; the last: %s",
									  link->letters.bytes, stream->dead_letter_max_bytes,
									  last_reason(batch, refusals)));
}

void
txp_budget_spend(TxpLink *link, const TxpBatch *batch, List *refusals)
{
	if (batch->nrejects == 0 && refusals == NIL)
		return;
	/* CALL consume(): a person looks on, and the stream does not run. */
	if (strcmp(link->stream->state, "paused") == 0)
		return;
	if (check_budget(link->stream, batch, refusals))
		check_size(link, batch, refusals);
}
