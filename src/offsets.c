/*
 * offsets.c — how far a stream has come.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "offsets.h"
#include "spi.h"
#include "unixtime.h"
#include "version.h"

#define TIMESTAMPTZARRAYOID 1185
#define PLACE_BYTES 32
/* Longest wait for a batch that holds the offsets. */
#define LOCK_WAIT_MS 10000
#define LOCK_WAIT_TEXT "10s"

bool
txp_topic_id_is_known(const pg_uuid_t *id)
{
	static const pg_uuid_t none;

	return memcmp(id, &none, sizeof(none)) != 0;
}

/* An argument; NULL when the id is not known. */
static Datum
topic_id_datum(const pg_uuid_t *id, bool *is_null)
{
	*is_null = !txp_topic_id_is_known(id);
	return UUIDPGetDatum(id);
}

static pg_uuid_t
read_topic_id(TxpReader *r)
{
	TxpSpan span = txp_read_span(r);
	pg_uuid_t id = {{0}};

	if (span.data != NULL && span.len == UUID_LEN)
		memcpy(id.data, span.data, UUID_LEN);
	else if (span.data != NULL)
		r->bad = true;
	return id;
}

void
txp_partitions_read(const TxpFrame *frame, TxpPartitions *parts)
{
	TxpReader r = txp_reader(frame->data, frame->size);

	parts->ntopics = txp_read_count(&r, 2 * sizeof(uint32));
	parts->topics = palloc(sizeof(char *) * (parts->ntopics + 1));
	parts->topic_ids = palloc(sizeof(pg_uuid_t) * (parts->ntopics + 1));
	for (int i = 0; i < parts->ntopics; i++)
	{
		parts->topics[i] = txp_span_text(txp_read_span(&r));
		parts->topic_ids[i] = read_topic_id(&r);
	}
	parts->n = txp_read_count(&r, PLACE_BYTES);
	parts->places = palloc(sizeof(TxpPlace) * (parts->n + 1));
	for (int i = 0; i < parts->n; i++)
	{
		TxpPlace *place = &parts->places[i];

		place->topic = txp_read_u32(&r);
		place->partition = txp_read_i32(&r);
		place->low = txp_read_i64(&r);
		place->high = txp_read_i64(&r);
		place->start = txp_read_i64(&r);
		if (place->topic >= parts->ntopics)
			r.bad = true;
	}
	txp_reader_check(&r);
}

TxpPosition *
txp_offsets_find(List *positions, const char *topic, int32 partition)
{
	ListCell *lc;

	foreach (lc, positions)
	{
		TxpPosition *position = lfirst(lc);

		if (position->partition == partition && strcmp(position->topic, topic) == 0)
			return position;
	}
	return NULL;
}

bool
txp_offsets_wanted(const TxpPartitionSet *set, int32 partition, const TxpPosition *position)
{
	if (position != NULL && position->assignment != TXP_BY_OPTION)
		return position->assignment == TXP_ADOPTED;
	return txp_partition_in(set, partition);
}

void
txp_partitions_keep(TxpPartitions *parts, const TxpPartitionSet *set, List *positions)
{
	int n = 0;

	for (int i = 0; i < parts->n; i++)
	{
		const TxpPlace *place = &parts->places[i];
		const TxpPosition *position =
			txp_offsets_find(positions, parts->topics[place->topic], place->partition);

		if (txp_offsets_wanted(set, place->partition, position))
			parts->places[n++] = *place;
	}
	parts->n = n;
}

/* Ends are told only for rows nobody has locked: a batch that is being written knows better. */
int
txp_offsets_store(int32 stream_id, const TxpPartitions *parts)
{
	static TxpStatement insert = {
		"INSERT INTO txpipe.stream_offset "
		"(stream_id, topic, partition, topic_id, next_offset, end_offset) "
		"SELECT $1, t, p, i, CASE WHEN old THEN l ELSE s END, e "
		"FROM unnest($2::text[], $3::int[], $4::bigint[], $5::uuid[], $6::bigint[], "
		"$7::bigint[]) AS u(t, p, e, i, l, s), "
		"(SELECT EXISTS (SELECT FROM txpipe.stream_offset WHERE stream_id = $1)) AS x(old) "
		"ON CONFLICT (stream_id, topic, partition) DO NOTHING",
		7,
		{INT4OID, TEXTARRAYOID, INT4ARRAYOID, INT8ARRAYOID, UUIDARRAYOID, INT8ARRAYOID,
		 INT8ARRAYOID}};
	static TxpStatement update = {
		"WITH free AS (SELECT topic, partition FROM txpipe.stream_offset "
		"              WHERE stream_id = $1 FOR UPDATE SKIP LOCKED) "
		"UPDATE txpipe.stream_offset o SET end_offset = u.e, topic_id = coalesce(o.topic_id, u.i) "
		"FROM unnest($2::text[], $3::int[], $4::bigint[], $5::uuid[]) AS u(t, p, e, i) "
		"JOIN free ON free.topic = u.t AND free.partition = u.p "
		"WHERE o.stream_id = $1 AND o.topic = u.t AND o.partition = u.p "
		"AND (o.end_offset <> u.e OR (o.topic_id IS NULL AND u.i IS NOT NULL))",
		5,
		{INT4OID, TEXTARRAYOID, INT4ARRAYOID, INT8ARRAYOID, UUIDARRAYOID}};
	enum
	{
		ID = 3,
		N = 6
	};
	static const Oid types[N] = {TEXTOID, INT4OID, INT8OID, UUIDOID, INT8OID, INT8OID};
	Datum *column[N];
	Datum values[1 + N] = {Int32GetDatum(stream_id)};
	bool *no_id = palloc(sizeof(bool) * (parts->n + 1));
	int added;

	for (int c = 0; c < N; c++)
		column[c] = palloc(sizeof(Datum) * (parts->n + 1));
	for (int i = 0; i < parts->n; i++)
	{
		const TxpPlace *place = &parts->places[i];

		column[0][i] = CStringGetTextDatum(parts->topics[place->topic]);
		column[1][i] = Int32GetDatum(place->partition);
		column[2][i] = Int64GetDatum(place->high);
		column[ID][i] = topic_id_datum(&parts->topic_ids[place->topic], &no_id[i]);
		column[4][i] = Int64GetDatum(place->low);
		column[5][i] = Int64GetDatum(place->start);
	}
	for (int c = 0; c < N; c++)
		values[1 + c] = txp_spi_array(types[c], column[c], c == ID ? no_id : NULL, parts->n);
	added = (int) txp_spi_do(&insert, values, NULL);
	(void) txp_spi_do(&update, values, NULL);
	return added;
}

static void *
read_position(uint64 row)
{
	TxpPosition *position = palloc(sizeof(TxpPosition));

	position->topic = txp_spi_text(row, 1);
	position->partition = DatumGetInt32(txp_spi_datum(row, 2));
	position->next = DatumGetInt64(txp_spi_datum(row, 3));
	position->end = DatumGetInt64(txp_spi_datum(row, 4));
	position->last_offset = DatumGetInt64(txp_spi_datum(row, 5));
	position->last_hash = DatumGetInt64(txp_spi_datum(row, 6));
	position->topic_id = *DatumGetUUIDP(txp_spi_datum(row, 7));
	position->assignment = (TxpAssignment) DatumGetInt32(txp_spi_datum(row, 8));
	return position;
}

List *
txp_offsets_read(int32 stream_id, int64 epoch)
{
	static TxpStatement statement = {
		"SELECT topic, partition, next_offset, end_offset, coalesce(last_offset, -1), "
		"coalesce(last_hash, 0), "
		"coalesce(topic_id, '00000000-0000-0000-0000-000000000000'), "
		"CASE assignment WHEN 'released' THEN 1 WHEN 'adopted' THEN 2 ELSE 0 END "
		"FROM txpipe.stream_offset WHERE stream_id = $1 AND ($2 < 0 OR EXISTS "
		"(SELECT FROM txpipe.stream WHERE stream_id = $1 AND epoch = $2)) "
		"ORDER BY topic, partition",
		2,
		{INT4OID, INT8OID}};
	Datum values[2] = {Int32GetDatum(stream_id), Int64GetDatum(epoch)};

	return txp_spi_list(&statement, values, NULL, read_position);
}

bool
txp_offsets_jump(int32 stream_id, const char *topic, const pg_uuid_t *id, int32 partition,
				 int64 from, int64 to, int64 end)
{
	static TxpStatement statement = {
		"UPDATE txpipe.stream_offset o SET next_offset = $5, last_offset = NULL, last_hash = NULL, "
		"end_offset = greatest($6, $5), topic_id = coalesce($7, topic_id), "
		"updated_at = clock_timestamp() "
		"FROM (SELECT topic, partition FROM txpipe.stream_offset "
		"      WHERE stream_id = $1 AND topic = $2 AND partition = $3 AND next_offset = $4 "
		"      AND assignment IS DISTINCT FROM 'released' FOR UPDATE SKIP LOCKED) f "
		"WHERE o.stream_id = $1 AND o.topic = f.topic AND o.partition = f.partition",
		7,
		{INT4OID, TEXTOID, INT4OID, INT8OID, INT8OID, INT8OID, UUIDOID}};
	bool no_id;
	Datum values[7] = {Int32GetDatum(stream_id),  CStringGetTextDatum(topic),
					   Int32GetDatum(partition),  Int64GetDatum(from),
					   Int64GetDatum(to),         Int64GetDatum(end),
					   topic_id_datum(id, &no_id)};

	return txp_spi_do(&statement, values, no_id ? "      n" : NULL) == 1;
}

static void
hint_batch_at_work(void *arg)
{
	if (geterrcode() == ERRCODE_LOCK_NOT_AVAILABLE)
		errhint(
			"The batch at work, or somebody who consumes the stream, must end first; call again.");
}

void
txp_offsets_lock_all(int32 stream_id)
{
	static TxpStatement statement = {"SELECT FROM txpipe.stream_offset WHERE stream_id = $1 ORDER "
									 "BY topic, partition FOR UPDATE",
									 1,
									 {INT4OID}};
	Datum values[1] = {Int32GetDatum(stream_id)};
	ErrorContextCallback context = {error_context_stack, hint_batch_at_work, NULL};
	int level = NewGUCNestLevel();

	error_context_stack = &context;
	if (LockTimeout == 0 || LockTimeout > LOCK_WAIT_MS)
		(void) set_config_option("lock_timeout", LOCK_WAIT_TEXT, PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	(void) txp_spi_do(&statement, values, NULL);
	AtEOXact_GUC(false, level);
	error_context_stack = context.previous;
}

void
txp_offsets_set(int32 stream_id, const char *topic, const pg_uuid_t *id, int32 partition,
				int64 next, int64 end)
{
	static TxpStatement statement = {
		"INSERT INTO txpipe.stream_offset AS o "
		"(stream_id, topic, partition, next_offset, end_offset, topic_id) "
		"VALUES ($1, $2, $3, $4, $5, $6) "
		"ON CONFLICT (stream_id, topic, partition) DO UPDATE SET next_offset = $4, end_offset = "
		"$5, topic_id = $6, "
		"last_offset = NULL, last_hash = NULL, updated_at = clock_timestamp()",
		6,
		{INT4OID, TEXTOID, INT4OID, INT8OID, INT8OID, UUIDOID}};
	bool no_id;
	Datum values[6] = {Int32GetDatum(stream_id), CStringGetTextDatum(topic),
					   Int32GetDatum(partition), Int64GetDatum(next),
					   Int64GetDatum(end),       topic_id_datum(id, &no_id)};

	(void) txp_spi_do(&statement, values, no_id ? "     n" : NULL);
}

int64
txp_offsets_assign(int32 stream_id, const char *topic, int32 partition, TxpAssignment assignment)
{
	static TxpStatement statement = {
		"UPDATE txpipe.stream_offset SET assignment = $4, updated_at = clock_timestamp() "
		"WHERE stream_id = $1 AND topic = $2 AND partition = $3 RETURNING next_offset",
		4,
		{INT4OID, TEXTOID, INT4OID, TEXTOID}};
	const char *name = assignment == TXP_RELEASED ? "released" : "adopted";
	Datum values[4] = {Int32GetDatum(stream_id), CStringGetTextDatum(topic),
					   Int32GetDatum(partition), CStringGetTextDatum(name)};

	return DatumGetInt64(txp_spi_ask(&statement, values, NULL));
}

void
txp_offsets_forget_last(int32 stream_id, const char *topic, int32 partition)
{
	static TxpStatement statement = {
		"UPDATE txpipe.stream_offset SET last_offset = NULL, last_hash = NULL "
		"WHERE stream_id = $1 AND topic = $2 AND partition = $3",
		3,
		{INT4OID, TEXTOID, INT4OID}};
	Datum values[3] = {Int32GetDatum(stream_id), CStringGetTextDatum(topic),
					   Int32GetDatum(partition)};

	(void) txp_spi_do(&statement, values, NULL);
}

/* The ranges' places as two arguments: topics and partitions. */
static void
range_places(char *const *topics, const TxpBatch *batch, Datum *topic_array, Datum *number_array)
{
	Datum *names = palloc(sizeof(Datum) * ((Size) batch->nranges + 1));
	Datum *numbers = palloc(sizeof(Datum) * ((Size) batch->nranges + 1));

	for (uint32 i = 0; i < batch->nranges; i++)
	{
		names[i] = CStringGetTextDatum(topics[batch->ranges[i].topic]);
		numbers[i] = Int32GetDatum(batch->ranges[i].partition);
	}
	*topic_array = txp_spi_array(TEXTOID, names, NULL, batch->nranges);
	*number_array = txp_spi_array(INT4OID, numbers, NULL, batch->nranges);
}

bool
txp_offsets_lock(int32 stream_id, TimestampTz created_at, int64 epoch, const char *states,
				 char *const *topics, const TxpBatch *batch)
{
	static TxpStatement statement = {
		"SELECT u.n, o.next_offset "
		"FROM unnest($2::text[], $3::int[]) WITH ORDINALITY AS u(t, p, n) "
		"JOIN txpipe.stream_offset o ON o.stream_id = $1 AND o.topic = u.t AND o.partition = u.p "
		"WHERE EXISTS (SELECT FROM txpipe.stream s WHERE s.stream_id = $1 AND s.created_at = $5 "
		"AND s.epoch = $6 AND s.state = ANY (string_to_array($4, ','))) "
		"AND o.assignment IS DISTINCT FROM 'released' FOR UPDATE OF o SKIP LOCKED",
		6,
		{INT4OID, TEXTARRAYOID, INT4ARRAYOID, TEXTOID, TIMESTAMPTZOID, INT8OID}};
	Datum values[6] = {Int32GetDatum(stream_id),
					   0,
					   0,
					   CStringGetTextDatum(states),
					   TimestampTzGetDatum(created_at),
					   Int64GetDatum(epoch)};
	uint64 n;
	bool same;

	range_places(topics, batch, &values[1], &values[2]);
	SPI_connect();
	n = txp_spi_run(&statement, values, NULL);
	same = n == batch->nranges;
	for (uint64 i = 0; same && i < n; i++)
		same = batch->ranges[DatumGetInt64(txp_spi_datum(i, 1)) - 1].from ==
			   DatumGetInt64(txp_spi_datum(i, 2));
	SPI_finish();
	/* Whom an update of the extension kept waiting. */
	txp_version_check();
	return same;
}

/* Columns of the update, each an array with one element per range. */
enum
{
	COL_NEXT,
	COL_END,
	COL_ROWS,
	COL_REJECTS,
	COL_BYTES,
	COL_LAST_OFFSET,
	COL_LAST_HASH,
	COL_LAST_TIME,
	COL_FROM,
	NCOLS
};

void
txp_offsets_move(int32 stream_id, char *const *topics, const TxpBatch *batch, const int64 *refused)
{
	static TxpStatement statement = {
		"UPDATE txpipe.stream_offset o SET next_offset = u.x, "
		"end_offset = greatest(CASE WHEN u.e < 0 THEN o.end_offset ELSE u.e END, u.x), "
		"rows_total = o.rows_total + u.r, dead_letters_total = o.dead_letters_total + u.d, "
		"bytes_total = o.bytes_total + u.b, last_offset = coalesce(u.lo, o.last_offset), "
		"last_hash = coalesce(u.lh, o.last_hash), "
		"last_timestamp = coalesce(u.lt, o.last_timestamp), updated_at = clock_timestamp() "
		"FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[], "
		"$7::bigint[], "
		"$8::bigint[], $9::bigint[], $10::bigint[], $11::timestamptz[], $12::bigint[]) "
		"AS u(t, p, x, e, r, d, b, lo, lh, lt, f) "
		"WHERE o.stream_id = $1 AND o.topic = u.t AND o.partition = u.p AND o.next_offset = u.f "
		"AND o.assignment IS DISTINCT FROM 'released'",
		3 + NCOLS,
		{INT4OID, TEXTARRAYOID, INT4ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID,
		 INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID,
		 INT8ARRAYOID}};
	Datum values[3 + NCOLS] = {Int32GetDatum(stream_id)};
	Datum *column[NCOLS];
	bool *no_last = palloc(batch->nranges + 1);
	bool *no_time = palloc(batch->nranges + 1);

	for (int c = 0; c < NCOLS; c++)
		column[c] = palloc(sizeof(Datum) * ((Size) batch->nranges + 1));
	for (uint32 i = 0; i < batch->nranges; i++)
	{
		const TxpRange *range = &batch->ranges[i];
		TimestampTz when = 0;

		no_last[i] = range->last_offset < 0;
		no_time[i] = no_last[i] || !txp_unix_ms_to_timestamptz(range->last_timestamp_ms, &when);
		column[COL_NEXT][i] = Int64GetDatum(range->next);
		column[COL_END][i] = Int64GetDatum(range->end);
		column[COL_ROWS][i] = Int64GetDatum(range->rows - refused[i]);
		column[COL_REJECTS][i] = Int64GetDatum(range->rejects + refused[i]);
		column[COL_BYTES][i] = Int64GetDatum(range->bytes);
		column[COL_LAST_OFFSET][i] = Int64GetDatum(range->last_offset);
		column[COL_LAST_HASH][i] = Int64GetDatum(range->last_hash);
		column[COL_LAST_TIME][i] = TimestampTzGetDatum(when);
		column[COL_FROM][i] = Int64GetDatum(range->from);
	}
	range_places(topics, batch, &values[1], &values[2]);
	for (int c = 0; c < NCOLS; c++)
		values[3 + c] = txp_spi_array(c == COL_LAST_TIME ? TIMESTAMPTZOID : INT8OID, column[c],
									  c == COL_LAST_TIME                           ? no_time
									  : c == COL_LAST_OFFSET || c == COL_LAST_HASH ? no_last
																				   : NULL,
									  batch->nranges);
	if (txp_spi_do(&statement, values, NULL) != batch->nranges)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("the offsets of stream %d were moved while its batch was written", stream_id),
			 errhint("A trigger of the target must call neither seek_stream nor release_partition "
					 "on its own stream.")));
}

/* Ends only ever grow. In an SPI connection of the caller. */
static void
store_end(int32 stream_id, const char *topic, int32 partition, int64 end)
{
	static TxpStatement statement = {
		"UPDATE txpipe.stream_offset SET end_offset = $4 "
		"WHERE stream_id = $1 AND topic = $2 AND partition = $3 AND end_offset < $4",
		4,
		{INT4OID, TEXTOID, INT4OID, INT8OID}};
	Datum values[4] = {Int32GetDatum(stream_id), CStringGetTextDatum(topic),
					   Int32GetDatum(partition), Int64GetDatum(end)};

	(void) txp_spi_run(&statement, values, NULL);
}

bool
txp_offsets_store_ends(int32 stream_id, char *const *topics, int ntopics, const TxpFrame *ends)
{
	TxpReader r = txp_reader(ends->data, ends->size);
	uint32 n = txp_read_count(&r, 16);

	SPI_connect();
	for (uint32 i = 0; i < n; i++)
	{
		uint32 topic = txp_read_u32(&r);
		int32 partition = txp_read_i32(&r);
		int64 end = txp_read_i64(&r);

		if (topic >= ntopics)
			r.bad = true;
		txp_reader_check(&r);
		store_end(stream_id, topics[topic], partition, end);
	}
	SPI_finish();
	n = txp_read_u8(&r);
	txp_reader_check(&r);
	return n != 0;
}

void
txp_offsets_store_ends_of(int32 stream_id, char *const *topics, int ntopics, const TxpBatch *batch)
{
	SPI_connect();
	for (uint32 i = 0; i < batch->nranges; i++)
	{
		const TxpRange *range = &batch->ranges[i];

		if (range->topic < ntopics)
			store_end(stream_id, topics[range->topic], range->partition, range->end);
	}
	SPI_finish();
}
