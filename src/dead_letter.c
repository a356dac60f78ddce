/*
 * dead_letter.c — messages that could not become rows, stored as they came, with the reason.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "dead_letter.h"
#include "isolate.h"
#include "spi.h"
#include "unixtime.h"

/* Columns of the INSERT, each an array with one element per letter. */
enum
{
	COL_TOPIC,
	COL_PARTITION,
	COL_OFFSET,
	COL_TIMESTAMP,
	COL_KEY,
	COL_HEADERS,
	COL_PAYLOAD,
	COL_CODE,
	COL_MESSAGE,
	COL_COLUMN,
	NCOLS
};

static const Oid element_type[NCOLS] = {TEXTOID, INT4OID,  INT8OID, TIMESTAMPTZOID, BYTEAOID,
										TEXTOID, BYTEAOID, TEXTOID, TEXTOID,        TEXTOID};

typedef struct Letters
{
	int n;
	Datum *values[NCOLS];
	bool *nulls[NCOLS];
} Letters;

static void
put(Letters *letters, int column, Datum value, bool isnull)
{
	letters->values[column][letters->n] = value;
	letters->nulls[column][letters->n] = isnull;
}

static void
put_span(Letters *letters, int column, TxpSpan span)
{
	/* text and bytea have the same shape */
	put(letters, column,
		span.data ? PointerGetDatum(cstring_to_text_with_len(span.data, span.len)) : 0,
		span.data == NULL);
}

static void
put_message(Letters *letters, char *const *topics, const TxpMessage *m)
{
	TimestampTz when = 0;
	bool has_time = txp_unix_ms_to_timestamptz(m->timestamp_ms, &when);

	put(letters, COL_TOPIC, CStringGetTextDatum(topics[m->topic]), false);
	put(letters, COL_PARTITION, Int32GetDatum(m->partition), false);
	put(letters, COL_OFFSET, Int64GetDatum(m->offset), false);
	put(letters, COL_TIMESTAMP, TimestampTzGetDatum(when), !has_time);
	put_span(letters, COL_KEY, m->key);
	put_span(letters, COL_HEADERS, m->headers);
	put_span(letters, COL_PAYLOAD, m->payload);
}

/* Is a letter open already in one of the batch's ranges? Mostly not, and none has to be looked for. */
static bool
were_read_before(const TxpStream *stream, const TxpBatch *batch)
{
	static TxpStatement statement = {
		"SELECT FROM unnest($2::int[], $3::bigint[], $4::bigint[]) AS r(p, a, z) "
		"WHERE (SELECT true FROM txpipe.dead_letter_store d WHERE d.stream_id = $1 "
		"AND d.kafka_partition = p AND d.kafka_offset >= a AND d.kafka_offset < z "
		"AND d.state = 'open' LIMIT 1) LIMIT 1",
		4,
		{INT4OID, INT4ARRAYOID, INT8ARRAYOID, INT8ARRAYOID}};
	Datum *partition = palloc(sizeof(Datum) * batch->nranges);
	Datum *from = palloc(sizeof(Datum) * batch->nranges);
	Datum *next = palloc(sizeof(Datum) * batch->nranges);
	Datum values[4] = {Int32GetDatum(stream->id)};

	for (uint32 i = 0; i < batch->nranges; i++)
	{
		partition[i] = Int32GetDatum(batch->ranges[i].partition);
		from[i] = Int64GetDatum(batch->ranges[i].from);
		next[i] = Int64GetDatum(batch->ranges[i].next);
	}
	values[1] = txp_spi_array(INT4OID, partition, NULL, batch->nranges);
	values[2] = txp_spi_array(INT8OID, from, NULL, batch->nranges);
	values[3] = txp_spi_array(INT8OID, next, NULL, batch->nranges);
	return txp_spi_do(&statement, values, NULL) > 0;
}

/*
 * A message that is read again, because a stream was moved back, and is bad again is no second letter while
 * the first one is open. Another message in its place, of a topic created anew, is one; of encrypted ones only the time
 * can tell.
 */
static void
insert_letters(const TxpStream *stream, const TxpBatch *batch, Letters *letters, bool encrypted)
{
	static TxpStatement statement = {
		"INSERT INTO txpipe.dead_letter_store (stream_id, kafka_topic, kafka_partition, "
		"kafka_offset, "
		"kafka_timestamp, kafka_key, kafka_headers, payload, code, message, column_name, "
		"encrypted) "
		"SELECT $1, i, p, o, t, k, h::pg_catalog.jsonb, v, c, m, n, $13 "
		"FROM (SELECT unnest($2::text[]) AS i, unnest($3::int[]) AS p, unnest($4::bigint[]) AS o, "
		"unnest($5::timestamptz[]) AS t, unnest($6::bytea[]) AS k, unnest($7::text[]) AS h, "
		"unnest($8::bytea[]) AS v, unnest($9::text[]) AS c, unnest($10::text[]) AS m, "
		"unnest($11::text[]) AS n) AS u "
		"WHERE NOT $12 OR (SELECT true FROM txpipe.dead_letter_store d WHERE d.stream_id = $1 "
		"AND d.kafka_topic = i AND d.kafka_partition = p AND d.kafka_offset = o "
		"AND d.state = 'open' AND d.kafka_timestamp IS NOT DISTINCT FROM t "
		"AND (d.encrypted AND $13 AND t IS NOT NULL OR d.kafka_key IS NOT DISTINCT FROM k "
		"AND d.payload IS NOT DISTINCT FROM v) LIMIT 1) IS NULL",
		3 + NCOLS,
		{INT4OID, TEXTARRAYOID, INT4ARRAYOID, INT8ARRAYOID, 1185 /* timestamptz[] */, BYTEAARRAYOID,
		 TEXTARRAYOID, BYTEAARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BOOLOID, BOOLOID}};
	int nest_level = NewGUCNestLevel();
	Datum values[3 + NCOLS];

	/*
	 * unnest in the target list streams; in FROM it would store all messages once more, on disk. The plans are
	 * kept, made for a table that may have been empty then: the index is right for any size. The LIMIT keeps
	 * a search from becoming a join, which would compare all letters with all rows.
	 */
	(void) set_config_option("enable_seqscan", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	values[0] = Int32GetDatum(stream->id);
	for (int c = 0; c < NCOLS; c++)
		values[1 + c] =
			txp_spi_array(element_type[c], letters->values[c], letters->nulls[c], letters->n);
	values[1 + NCOLS] = BoolGetDatum(were_read_before(stream, batch));
	values[2 + NCOLS] = BoolGetDatum(encrypted);
	(void) txp_spi_do(&statement, values, NULL);
	AtEOXact_GUC(true, nest_level);
}

void
txp_dead_letters_store(const TxpStream *stream, char *const *topics, const TxpBatch *batch,
					   List *refusals, bool encrypted)
{
	Size count = (Size) batch->nrejects + list_length(refusals);
	Letters letters = {0};
	ListCell *lc;

	if (count == 0)
		return;
	for (int c = 0; c < NCOLS; c++)
	{
		letters.values[c] = palloc(sizeof(Datum) * count);
		letters.nulls[c] = palloc(sizeof(bool) * count);
	}
	for (uint32 i = 0; i < batch->nrejects; i++)
	{
		put_message(&letters, topics, &batch->rejects[i]);
		put_span(&letters, COL_CODE, batch->rejects[i].code);
		put_span(&letters, COL_MESSAGE, batch->rejects[i].message);
		put_span(&letters, COL_COLUMN, batch->rejects[i].column);
		letters.n++;
	}
	foreach (lc, refusals)
	{
		TxpRefusal *refusal = lfirst(lc);

		put_message(&letters, topics, &batch->raw[refusal->row]);
		put(&letters, COL_CODE, CStringGetTextDatum(refusal->code), false);
		put(&letters, COL_MESSAGE, CStringGetTextDatum(refusal->message), false);
		put(&letters, COL_COLUMN, refusal->column ? CStringGetTextDatum(refusal->column) : 0,
			refusal->column == NULL);
		letters.n++;
	}
	insert_letters(stream, batch, &letters, encrypted);
}
