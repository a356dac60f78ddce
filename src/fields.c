/*
 * fields.c — the fields of a stream's JSON messages.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "batch_read.h"
#include "event.h"
#include "fields.h"
#include "new_column.h"
#include "spi.h"

static char *
path_of(const TxpField *field)
{
	return txp_span_text(field->path);
}

static char *
types_text(uint32 types, const char *between)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = TXD_FIELD_STRING; i <= TXD_FIELD_ARRAY; i++)
	{
		if (types & (1u << i))
			appendStringInfo(&text, "%s%s", text.len ? between : "", txd_field_type_name(i));
	}
	return text.data;
}

static Datum
types_array(uint32 types)
{
	Datum names[TXD_FIELD_ARRAY + 1];
	int n = 0;

	for (int i = TXD_FIELD_STRING; i <= TXD_FIELD_ARRAY; i++)
	{
		if (types & (1u << i))
			names[n++] = CStringGetTextDatum(txd_field_type_name(i));
	}
	return txp_spi_array(TEXTOID, names, NULL, n);
}

/* Columns of the statement below, each an array with one element per field. */
enum
{
	COL_PATH,
	COL_TYPES, /* as text: arrays of arrays must be even */
	COL_COUNT,
	COL_FIRST_TOPIC,
	COL_FIRST_PARTITION,
	COL_FIRST_OFFSET,
	COL_LAST_TOPIC,
	COL_LAST_PARTITION,
	COL_LAST_OFFSET,
	NCOLS
};

static const Oid column_type[NCOLS] = {TEXTOID, TEXTOID, INT8OID, TEXTOID, INT4OID,
									   INT8OID, TEXTOID, INT4OID, INT8OID};

static void
fill(Datum **column, const TxpLink *link, const TxpBatch *batch)
{
	for (int c = 0; c < NCOLS; c++)
		column[c] = palloc(sizeof(Datum) * (batch->nfields + 1));
	for (uint32 i = 0; i < batch->nfields; i++)
	{
		const TxpField *f = &batch->fields[i];

		column[COL_PATH][i] = CStringGetTextDatum(path_of(f));
		column[COL_TYPES][i] = CStringGetTextDatum(types_text(f->json_types, ","));
		column[COL_COUNT][i] = Int64GetDatum(f->count);
		column[COL_FIRST_TOPIC][i] = CStringGetTextDatum(link->topics[f->first_topic]);
		column[COL_FIRST_PARTITION][i] = Int32GetDatum(f->first_partition);
		column[COL_FIRST_OFFSET][i] = Int64GetDatum(f->first_offset);
		column[COL_LAST_TOPIC][i] = CStringGetTextDatum(link->topics[f->last_topic]);
		column[COL_LAST_PARTITION][i] = Int32GetDatum(f->last_partition);
		column[COL_LAST_OFFSET][i] = Int64GetDatum(f->last_offset);
	}
}

/* A field nobody has seen before is worth a line in the stream's log. */
static void
log_new(const TxpLink *link, const TxpBatch *batch, const char *path)
{
	for (uint32 i = 0; i < batch->nfields; i++)
	{
		const TxpField *f = &batch->fields[i];

		if (strcmp(path_of(f), path) == 0)
			txp_event_log(link->stream->id, "new_field",
						  psprintf("field \"%s\" (%s) was seen for the first time", path,
								   types_text(f->json_types, " or ")),
						  &(TxpEventPlace){link->topics[f->first_topic], f->first_partition,
										   f->first_offset, f->first_offset + 1});
	}
}

void
txp_fields_store(const TxpLink *link, const TxpBatch *batch)
{
	static TxpStatement statement = {
		"INSERT INTO txpipe.stream_field_store AS s (stream_id, path, json_types, occurrences, "
		"first_topic, first_partition, first_offset, last_topic, last_partition, last_offset) "
		"SELECT $1, p, ARRAY(SELECT unnest(string_to_array(t, ',')) ORDER BY 1), c, ft, fp, fo, "
		"lt, lp, lo "
		"FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[], $6::int[], $7::bigint[], "
		"$8::text[], $9::int[], $10::bigint[]) AS u(p, t, c, ft, fp, fo, lt, lp, lo) ORDER BY p "
		"ON CONFLICT (stream_id, path) DO UPDATE SET "
		"json_types = CASE WHEN s.json_types @> EXCLUDED.json_types THEN s.json_types "
		"ELSE ARRAY(SELECT DISTINCT unnest(s.json_types || EXCLUDED.json_types) ORDER BY 1) END, "
		"occurrences = s.occurrences + EXCLUDED.occurrences, last_seen = clock_timestamp(), "
		"first_topic = coalesce(s.first_topic, EXCLUDED.first_topic), "
		"first_partition = coalesce(s.first_partition, EXCLUDED.first_partition), "
		"first_offset = coalesce(s.first_offset, EXCLUDED.first_offset), "
		"last_topic = EXCLUDED.last_topic, last_partition = EXCLUDED.last_partition, "
		"last_offset = EXCLUDED.last_offset "
		"RETURNING path, xmax = 0",
		1 + NCOLS,
		{INT4OID, TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, TEXTARRAYOID, INT4ARRAYOID,
		 INT8ARRAYOID, TEXTARRAYOID, INT4ARRAYOID, INT8ARRAYOID}};
	Datum *column[NCOLS];
	Datum values[1 + NCOLS] = {Int32GetDatum(link->stream->id)};
	MemoryContext context = CurrentMemoryContext;
	List *fresh = NIL;
	ListCell *lc;
	uint64 n;

	if (batch->nfields == 0)
		return;
	fill(column, link, batch);
	for (int c = 0; c < NCOLS; c++)
		values[1 + c] = txp_spi_array(column_type[c], column[c], NULL, batch->nfields);
	SPI_connect();
	n = txp_spi_run(&statement, values, NULL);
	for (uint64 i = 0; i < n; i++)
	{
		MemoryContext old;

		if (!DatumGetBool(txp_spi_datum(i, 2)))
			continue;
		old = MemoryContextSwitchTo(context);
		fresh = lappend(fresh, txp_spi_text(i, 1));
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	foreach (lc, fresh)
		log_new(link, batch, lfirst(lc));
}

static int
by_path(const ListCell *a, const ListCell *b)
{
	return strcmp(path_of(lfirst(a)), path_of(lfirst(b)));
}

/* Fields that fill no column, nor lie in one that does, ancestors first. */
static List *
uncovered(const TxpLink *link, const TxpBatch *batch)
{
	List *fields = NIL;

	for (uint32 i = 0; i < batch->nfields; i++)
	{
		if (!txp_path_is_covered(link->plan, path_of(&batch->fields[i])))
			fields = lappend(fields, &batch->fields[i]);
	}
	list_sort(fields, by_path);
	return fields;
}

/* With on_new_field = stop: is this one new, of a stream that has seen others before? Notes it as seen. */
static bool
is_first_sight(const TxpLink *link, const char *path, uint32 types)
{
	static TxpStatement statement = {
		"INSERT INTO txpipe.stream_field_store (stream_id, path, json_types, occurrences) "
		"SELECT $1, $2, $3, 0 "
		"WHERE EXISTS (SELECT FROM txpipe.stream_field_store WHERE stream_id = $1) "
		"ON CONFLICT (stream_id, path) DO NOTHING",
		3,
		{INT4OID, TEXTOID, TEXTARRAYOID}};
	Datum values[3] = {Int32GetDatum(link->stream->id), CStringGetTextDatum(path),
					   types_array(types)};

	return txp_spi_do(&statement, values, NULL) > 0;
}

static TxpFieldsResult
stop_at_new(TxpLink *link, const TxpBatch *batch, List *fields)
{
	TxpFieldsResult result = TXP_FIELDS_KNOWN;
	ListCell *lc;

	foreach (lc, fields)
	{
		TxpField *f = lfirst(lc);
		char *path = path_of(f);

		if (!is_first_sight(link, path, f->json_types))
			continue;
		log_new(link, batch, path);
		if (result == TXP_FIELDS_KNOWN)
			txp_stream_pause_for(
				link->stream->id,
				psprintf("on_new_field is stop, and field \"%s\" (%s) is new: offset " INT64_FORMAT
						 " of partition %d of topic \"%s\"",
						 path, types_text(f->json_types, " or "), f->first_offset,
						 f->first_partition, link->topics[f->first_topic]));
		result = TXP_FIELDS_ACTED;
	}
	return result;
}

static bool
lies_in_one_of(List *paths, const char *path)
{
	ListCell *lc;

	foreach (lc, paths)
	{
		if (txp_path_is_within(path, lfirst(lc)))
			return true;
	}
	return false;
}

TxpFieldsResult
txp_fields_decide(TxpLink *link, const TxpBatch *batch)
{
	List *fields;
	List *added = NIL;
	ListCell *lc;

	if (batch->nfields == 0 || strcmp(link->stream->on_new_field, "rest") == 0)
		return TXP_FIELDS_KNOWN;
	fields = uncovered(link, batch);
	if (strcmp(link->stream->on_new_field, "stop") == 0)
		return stop_at_new(link, batch, fields);
	foreach (lc, fields)
	{
		TxpField *f = lfirst(lc);

		/* What lies in an object that has just got a column is in there. */
		if (!lies_in_one_of(added, path_of(f)) &&
			txp_new_column_add(link, path_of(f), f->json_types))
			added = lappend(added, path_of(f));
	}
	return added == NIL ? TXP_FIELDS_KNOWN : TXP_FIELDS_ACTED;
}
