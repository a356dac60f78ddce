/*
 * event.c — the log of a stream.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "event.h"
#include "spi.h"

void
txp_event_log(int32 stream_id, const char *event, const char *message, const TxpEventPlace *place)
{
	static TxpStatement statement = {
		"INSERT INTO txpipe.stream_event_store "
		"(stream_id, event, message, topic, partition, from_offset, to_offset) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7)",
		7,
		{INT4OID, TEXTOID, TEXTOID, TEXTOID, INT4OID, INT8OID, INT8OID}};
	Datum values[7] = {Int32GetDatum(stream_id), CStringGetTextDatum(event),
					   CStringGetTextDatum(message)};
	char nulls[] = "   nnnn";

	if (place && place->topic)
	{
		values[3] = CStringGetTextDatum(place->topic);
		values[4] = Int32GetDatum(place->partition);
		values[5] = Int64GetDatum(place->from);
		values[6] = Int64GetDatum(place->to);
		nulls[3] = nulls[4] = ' ';
		nulls[5] = place->from >= 0 ? ' ' : 'n';
		nulls[6] = place->to >= 0 ? ' ' : 'n';
	}
	(void) txp_spi_do(&statement, values, nulls);
}
