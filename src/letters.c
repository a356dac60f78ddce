/*
 * letters.c — dead letters that are there: chosen, read for a replay, settled.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "letters.h"
#include "rights.h"
#include "spi.h"
#include "unixtime.h"

#define INT8ARRAY 1016 /* bigint[] */

/* $1 stream, $2 ids, $3 codes */
#define CHOSEN                                                                                     \
	"stream_id = $1 AND state = 'open' AND ($2 IS NULL OR dead_letter_id = ANY ($2)) "             \
	"AND ($3 IS NULL OR code = ANY ($3))"

static void
choice_arguments(const TxpLetterChoice *choice, Datum values[3], char nulls[4])
{
	values[0] = Int32GetDatum(choice->stream_id);
	values[1] = choice->ids;
	values[2] = choice->codes;
	nulls[0] = ' ';
	nulls[1] = choice->ids ? ' ' : 'n';
	nulls[2] = choice->codes ? ' ' : 'n';
	nulls[3] = '\0';
}

Portal
txp_letters_open(const TxpLetterChoice *choice)
{
	static const char sql[] =
		"SELECT dead_letter_id, kafka_topic, kafka_partition, kafka_offset, kafka_timestamp, "
		"kafka_key, kafka_headers::text, payload, encrypted FROM txpipe.dead_letter_store "
		"WHERE " CHOSEN " ORDER BY kafka_topic, kafka_partition, kafka_offset, dead_letter_id "
		"FOR UPDATE SKIP LOCKED";
	Oid types[3] = {INT4OID, INT8ARRAY, TEXTARRAYOID};
	Datum values[3];
	char nulls[4];
	TxpRights saved;
	Portal portal;

	choice_arguments(choice, values, nulls);
	txp_rights_catalog(&saved);
	portal = SPI_cursor_open_with_args(NULL, sql, 3, types, values, nulls, false, 0);
	txp_rights_restore(&saved);
	return portal;
}

/* text and bytea have the same shape */
static TxpSpan
span_of_column(int column)
{
	bool isnull;
	Datum value = txp_spi_value(0, column, &isnull);
	struct varlena *copy;

	if (isnull)
		return (TxpSpan){NULL, 0};
	copy = PG_DETOAST_DATUM_COPY(value);
	return (TxpSpan){VARDATA(copy), VARSIZE(copy) - VARHDRSZ};
}

static TxpLetter *
read_letter(void)
{
	TxpLetter *letter = palloc0(sizeof(TxpLetter));
	bool isnull;
	Datum when = txp_spi_value(0, 5, &isnull);

	letter->id = DatumGetInt64(txp_spi_datum(0, 1));
	letter->topic = txp_spi_text(0, 2);
	letter->message.partition = DatumGetInt32(txp_spi_datum(0, 3));
	letter->message.offset = DatumGetInt64(txp_spi_datum(0, 4));
	letter->message.timestamp_ms =
		isnull ? -1 : txp_timestamptz_to_unix_ms(DatumGetTimestampTz(when));
	letter->message.key = span_of_column(6);
	letter->message.headers = span_of_column(7);
	letter->message.payload = span_of_column(8);
	letter->encrypted = DatumGetBool(txp_spi_datum(0, 9));
	return letter;
}

TxpLetter *
txp_letters_fetch(Portal letters)
{
	MemoryContext context = CurrentMemoryContext;
	TxpLetter *letter = NULL;
	TxpRights saved;

	txp_rights_catalog(&saved);
	SPI_cursor_fetch(letters, true, 1);
	txp_rights_restore(&saved);
	MemoryContextSwitchTo(context);
	if (SPI_processed > 0)
		letter = read_letter();
	SPI_freetuptable(SPI_tuptable);
	return letter;
}

void
txp_letters_replayed(const int64 *ids, int n, Datum fixed)
{
	static TxpStatement statement = {
		"UPDATE txpipe.dead_letter_store SET state = 'replayed', settled_at = clock_timestamp(), "
		"payload_fixed = $2 WHERE dead_letter_id = ANY ($1)",
		2,
		{INT8ARRAY, BYTEAOID}};
	Datum *elements = palloc(sizeof(Datum) * ((Size) n + 1));
	Datum values[2];

	for (int i = 0; i < n; i++)
		elements[i] = Int64GetDatum(ids[i]);
	values[0] = txp_spi_array(INT8OID, elements, NULL, n);
	values[1] = fixed;
	if (n > 0)
		(void) txp_spi_do(&statement, values, fixed ? "  " : " n");
}

void
txp_letters_failed(const TxpLetterFailure *failures, int n, bool reasons)
{
	static TxpStatement statement = {
		"UPDATE txpipe.dead_letter_store d SET attempts = attempts + 1, "
		"code = CASE WHEN $5 THEN u.c ELSE d.code END, "
		"message = CASE WHEN $5 THEN u.m ELSE d.message END, "
		"column_name = CASE WHEN $5 THEN u.n ELSE d.column_name END "
		"FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS u(i, c, m, n) "
		"WHERE dead_letter_id = u.i",
		5,
		{INT8ARRAY, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BOOLOID}};
	static const Oid types[4] = {INT8OID, TEXTOID, TEXTOID, TEXTOID};
	bool *nulls = palloc0((Size) n + 1);
	Datum *elements[4];
	Datum values[5];

	for (int c = 0; c < 4; c++)
		elements[c] = palloc0(sizeof(Datum) * ((Size) n + 1));
	for (int i = 0; i < n; i++)
	{
		elements[0][i] = Int64GetDatum(failures[i].id);
		elements[1][i] = CStringGetTextDatum(failures[i].code);
		elements[2][i] = CStringGetTextDatum(failures[i].message);
		nulls[i] = failures[i].column == NULL;
		if (!nulls[i])
			elements[3][i] = CStringGetTextDatum(failures[i].column);
	}
	for (int c = 0; c < 4; c++)
		values[c] = txp_spi_array(types[c], elements[c], c == 3 ? nulls : NULL, n);
	values[4] = BoolGetDatum(reasons);
	if (n > 0)
		(void) txp_spi_do(&statement, values, NULL);
}

int64
txp_letters_dismiss(const TxpLetterChoice *choice)
{
	static TxpStatement statement = {"UPDATE txpipe.dead_letter_store SET state = 'dismissed', "
									 "settled_at = clock_timestamp() WHERE " CHOSEN,
									 3,
									 {INT4OID, INT8ARRAY, TEXTARRAYOID}};
	Datum values[3];
	char nulls[4];

	choice_arguments(choice, values, nulls);
	return (int64) txp_spi_do(&statement, values, nulls);
}

int64
txp_letters_delete(int32 stream_id, Datum older_than)
{
	static TxpStatement statement = {
		"DELETE FROM txpipe.dead_letter_store WHERE stream_id = $1 AND state <> 'open' "
		"AND settled_at <= clock_timestamp() - $2",
		2,
		{INT4OID, INTERVALOID}};
	Datum values[2] = {Int32GetDatum(stream_id), older_than};

	return (int64) txp_spi_do(&statement, values, NULL);
}

int64
txp_letters_count_open(const TxpLetterChoice *choice)
{
	static TxpStatement statement = {"SELECT count(*) FROM txpipe.dead_letter_store WHERE " CHOSEN,
									 3,
									 {INT4OID, INT8ARRAY, TEXTARRAYOID}};
	Datum values[3];
	char nulls[4];

	choice_arguments(choice, values, nulls);
	return DatumGetInt64(txp_spi_ask(&statement, values, nulls));
}
