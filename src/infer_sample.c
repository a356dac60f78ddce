/*
 * infer_sample.c — what the first messages of a topic hold, for the columns of a table.
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/pg_type.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "infer_sample.h"
#include "rowplan.h"
#include "sample.h"
#include "schema_facts.h"

#define SAMPLE_MESSAGES 1000
#define SAMPLE_MS 5000
#define SAMPLE_BYTES (64 * 1024 * 1024)

/* Are the fields of rows others than a schema's, or of other messages, too? */
static bool
has_shape(const TxpStream *stream)
{
	return stream->rows[0] != '\0' || strcmp(stream->envelope, "none") != 0 ||
		   stream->schemas.topic_formats != NULL;
}

/* Do values have fields? */
static bool
has_fields(const TxpStream *stream)
{
	TxdFormat format = txp_format_by_name(stream->format);

	return format == TXD_JSON || format == TXD_AVRO || format == TXD_PROTOBUF;
}

/* A plan for messages, and keys, as the JSON they become. */
static TxpRowPlan *
json_plan(const TxpStream *stream, bool key)
{
	static const TxdCsvOptions csv = {',', '"', false, false, ""};
	Datum columns = DirectFunctionCall1(
		jsonb_in,
		CStringGetDatum(has_fields(stream)
							? "{\"value\": {\"path\": \"$value\", \"type\": \"text\"}}"
							: "{\"value\": {\"path\": \"$value\", \"type\": \"bytea\"}}"));
	TxpRowPlan *plan =
		txp_rowplan_for_mapping(txp_format_by_name(stream->format), DatumGetJsonbP(columns), &csv);

	txp_rowplan_set_shape(plan, stream->envelope, stream->rows);
	if (has_fields(stream) && !has_shape(stream))
		txp_rowplan_add_hidden(plan, "schema", TEXTOID, TXD_FROM_SCHEMA);
	if (key)
	{
		txp_rowplan_add_hidden(plan, "key", JSONOID, TXD_FROM_KEY);
		txp_rowplan_add_hidden(plan, "key_schema", TEXTOID, TXD_FROM_KEY_SCHEMA);
	}
	txp_rowplan_set_schemas(plan, stream->server, stream->owner, &stream->schemas);
	return plan;
}

/* What is collected: of values, or of keys. */
typedef struct Side
{
	TxpJsonFacts *facts; /* NULL: nothing */
	TxpSpan last;        /* schema */
} Side;

/* The next field of a row by json_plan. Its data are NULL where there is none. */
static TxpSpan
next_field(TxpReader *r)
{
	TxpSpan field = {0};
	uint32 len;

	memcpy(&len, r->p, sizeof(len));
	len = pg_ntoh32(len);
	r->p += sizeof(len);
	if (len == PG_UINT32_MAX)
		return field;
	field = (TxpSpan){r->p, len};
	r->p += len;
	return field;
}

/* Adds what the schema says, whose order counts, unless it was the last one. */
static void
add_schema(Side *side, TxpSpan schema)
{
	if (schema.data == NULL ||
		(schema.len == side->last.len && memcmp(schema.data, side->last.data, schema.len) == 0))
		return;
	txp_schema_facts_add(side->facts, schema.data, schema.len);
	side->last = schema;
}

/* Of a key that is no object the one field has no name. */
static void
add_key(Side *key, TxpSpan json)
{
	StringInfoData wrapped;
	uint32 n = 0;

	while (n < json.len && isspace((unsigned char) json.data[n]))
		n++;
	if (n == json.len)
		return;
	if (json.data[n] == '{')
	{
		txp_json_facts_add(key->facts, json.data, json.len);
		return;
	}
	initStringInfo(&wrapped);
	appendStringInfoString(&wrapped, "{\"\":");
	appendBinaryStringInfo(&wrapped, json.data, json.len);
	appendStringInfoChar(&wrapped, '}');
	txp_json_facts_add(key->facts, wrapped.data, wrapped.len);
}

/* Adds the rows of a message by the plan, and its schemas. */
static void
add_facts(const TxpSampled *sampled, bool schema, Side *values, Side *key)
{
	TxpReader r;

	if (sampled->row == NULL)
		return;
	r = txp_reader(sampled->row, sampled->m.row_length);
	while (r.p < r.end)
	{
		TxpSpan value;

		r.p += sizeof(uint16); /* how many fields */
		value = next_field(&r);
		if (schema)
			add_schema(values, next_field(&r));
		if (value.data != NULL && values->facts != NULL)
			txp_json_facts_add(values->facts, value.data, value.len);
		if (key->facts != NULL)
		{
			TxpSpan json = next_field(&r);

			add_schema(key, next_field(&r));
			add_key(key, json);
		}
	}
}

static TxpSample *
take_sample(TxpIo *io, const TxpStream *stream, bool key)
{
	TxpSampleWish wish = {
		.max_messages = SAMPLE_MESSAGES, .max_bytes = SAMPLE_BYTES, .timeout_ms = SAMPLE_MS};
	TxpStream source = *stream;
	TxpSample *sample;
	int64 offsets = 0;

	source.start_at = "earliest";
	sample = txp_sample_take(io, &source, json_plan(stream, key), &wish);
	for (int i = 0; i < sample->parts.n; i++)
		offsets += sample->parts.places[i].high - sample->parts.places[i].low;
	/* Of text and bytea the table is known without one. */
	if (sample->n == 0 && has_fields(stream))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("topic \"%s\" holds no message to infer a table from", stream->topic),
				 offsets > 0 ? errdetail("Of " INT64_FORMAT
										 " offsets none could be read as a message within %d s.",
										 offsets, SAMPLE_MS / 1000)
							 : 0,
				 errhint("Create the table and name it as the target, or let something be produced "
						 "first.")));
	return sample;
}

void
txp_infer_sample(TxpIo *io, const TxpStream *stream, bool key, TxpInferSample *sample)
{
	bool schema = has_fields(stream) && !has_shape(stream);
	Side values = {.facts = has_fields(stream) ? txp_json_facts_new() : NULL};
	Side keys = {.facts = key ? txp_json_facts_new() : NULL};
	TxpSample *taken;

	*sample = (TxpInferSample){0};
	if (values.facts == NULL && !key)
		return;
	taken = take_sample(io, stream, key);
	for (uint32 i = 0; i < taken->n; i++)
		add_facts(&taken->messages[i], schema, &values, &keys);
	sample->messages = taken->n;
	sample->fields = values.facts != NULL ? txp_json_facts_list(values.facts) : NIL;
	sample->key = key ? txp_json_facts_list(keys.facts) : NIL;
}
