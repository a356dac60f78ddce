/*
 * kafka_sql.c — SQL functions that talk to brokers and leave tables alone: topics, peek, produce.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "args.h"
#include "io_client.h"
#include "message_format.h"
#include "properties.h"
#include "sample.h"
#include "unixtime.h"

#define REQUEST_TIMEOUT_MS 10000
#define MAX_PEEK 100000

/* Sends one request on a child of its own and returns it with the answer. */
static TxpIo *
ask(TxpFrameType request, StringInfo payload, TxpFrameType answer, TxpFrame *frame)
{
	TxpIo *io = txp_io_start(CurrentMemoryContext);
	uint32 channel = txp_io_new_channel(io);

	txp_io_send(io, request, channel, 0, payload);
	explicit_bzero(payload->data, payload->len);
	txp_io_expect(io, channel, answer, REQUEST_TIMEOUT_MS + 5000, frame);
	return io;
}

PG_FUNCTION_INFO_V1(txpipe_topics);
Datum
txpipe_topics(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid server = txp_server_by_name(txp_arg_text(fcinfo, 0, "server"));
	StringInfoData buf;
	TxpFrame frame;
	TxpReader r;
	uint32 n;

	InitMaterializedSRF(fcinfo, 0);
	initStringInfo(&buf);
	txp_pack_properties(&buf, server, GetUserId());
	txp_put_str(&buf, NULL);
	txp_put_u32(&buf, REQUEST_TIMEOUT_MS);
	txp_io_stop(ask(TXP_TOPICS, &buf, TXP_TOPIC_LIST, &frame));

	r = txp_reader(frame.data, frame.size);
	n = txp_read_count(&r, 16);
	for (uint32 i = 0; i < n; i++)
	{
		TxpSpan topic = txp_read_span(&r);
		Datum values[3];
		bool nulls[3] = {false};

		values[0] = PointerGetDatum(cstring_to_text_with_len(topic.data, topic.len));
		values[1] = Int32GetDatum(txp_read_i32(&r));
		values[2] = Int64GetDatum(txp_read_i64(&r));
		txp_reader_check(&r);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* Bytes as they come, read as text where they are text. */
static void
put_bytes(TxpSpan span, Datum *text, bool *text_null, Datum *bytes, bool *bytes_null)
{
	*bytes_null = span.data == NULL;
	*text_null = *bytes_null || !pg_verify_mbstr(GetDatabaseEncoding(), span.data, span.len, true);
	if (!*bytes_null) /* text and bytea have the same shape */
		*bytes = PointerGetDatum(cstring_to_text_with_len(span.data, span.len));
	*text = *bytes;
}

static void
put_peeked(ReturnSetInfo *rsinfo, const TxpMessage *m)
{
	Datum values[8] = {Int32GetDatum(m->partition), Int64GetDatum(m->offset)};
	bool nulls[8] = {false};
	TimestampTz when = 0;

	nulls[2] = !txp_unix_ms_to_timestamptz(m->timestamp_ms, &when);
	values[2] = TimestampTzGetDatum(when);
	put_bytes(m->key, &values[3], &nulls[3], &values[6], &nulls[6]);
	put_bytes(m->payload, &values[4], &nulls[4], &values[7], &nulls[7]);
	nulls[5] = m->headers.data == NULL;
	if (!nulls[5])
		values[5] = DirectFunctionCall1(jsonb_in, CStringGetDatum(txp_span_text(m->headers)));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(txpipe_peek);
Datum
txpipe_peek(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	char *server = txp_arg_text(fcinfo, 0, "server");
	char *topic = txp_arg_text(fcinfo, 1, "topic");
	char *start_at = txp_arg_text(fcinfo, 3, "start_at");
	TxpSampleWish wish = {.timeout_ms = txp_arg_interval_ms(fcinfo, 4, "timeout"),
						  .max_messages = txp_arg_count(fcinfo, 2, "max_messages", MAX_PEEK),
						  .newest = strcmp(start_at, "latest") == 0};
	TxpSample *sample;
	TxpIo *io;

	InitMaterializedSRF(fcinfo, 0);
	io = txp_io_start(CurrentMemoryContext);
	sample = txp_sample_take(io, txp_sample_stream(server, topic, start_at), txp_sample_raw_plan(),
							 &wish);
	txp_io_stop(io);
	for (uint32 i = 0; i < sample->n; i++)
		put_peeked(rsinfo, &sample->messages[i].m);
	return (Datum) 0;
}

/* What the two kinds of produce have in common: their first six arguments, but for the value. */
static Datum
produce(FunctionCallInfo fcinfo, Oid server, const char *value, Jsonb *format)
{
	char *topic = txp_arg_text(fcinfo, 1, "topic");
	StringInfoData buf;
	TxpFrame frame;
	TxpReader r;
	TupleDesc desc;
	Datum values[2];
	bool nulls[2] = {false};

	/* Nothing of this database changes, but something does. */
	PreventCommandIfReadOnly("txpipe.produce()");
	if (!PG_ARGISNULL(5) && PG_GETARG_INT32(5) < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("partition %d is not possible", PG_GETARG_INT32(5)),
						errhint("Partitions count from 0; without one the key chooses it.")));
	initStringInfo(&buf);
	txp_pack_properties(&buf, server, GetUserId());
	txp_put_encodings(&buf, server, GetUserId(), topic, format ? list_make1(format) : NIL);
	txp_put_str(&buf, topic);
	txp_put_i32(&buf, PG_ARGISNULL(5) ? -1 : PG_GETARG_INT32(5));
	txp_put_str(&buf, txp_arg_text_or_null(fcinfo, 3));
	txp_put_str(&buf, value);
	txp_put_headers(&buf, txp_arg_jsonb_or_null(fcinfo, 4));
	txp_put_u32(&buf, REQUEST_TIMEOUT_MS);
	txp_io_stop(ask(TXP_PRODUCE, &buf, TXP_PRODUCED, &frame));

	r = txp_reader(frame.data, frame.size);
	values[0] = Int32GetDatum(txp_read_i32(&r));
	values[1] = Int64GetDatum(txp_read_i64(&r));
	txp_reader_check(&r);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

PG_FUNCTION_INFO_V1(txpipe_produce);
Datum
txpipe_produce(PG_FUNCTION_ARGS)
{
	Oid server = txp_server_by_name(txp_arg_text(fcinfo, 0, "server"));

	return produce(fcinfo, server, txp_arg_text_or_null(fcinfo, 2), NULL);
}

PG_FUNCTION_INFO_V1(txpipe_produce_json);
Datum
txpipe_produce_json(PG_FUNCTION_ARGS)
{
	Oid server = txp_server_by_name(txp_arg_text(fcinfo, 0, "server"));
	Jsonb *format =
		txp_message_format(server, txp_arg_text(fcinfo, 6, "format"),
						   txp_arg_text_or_null(fcinfo, 3), txp_arg_jsonb_or_null(fcinfo, 7));
	Jsonb *value = txp_arg_jsonb_or_null(fcinfo, 2);

	return produce(fcinfo, server,
				   value ? JsonbToCString(NULL, &value->root, VARSIZE(value)) : NULL, format);
}

/* bytea as text where it is valid UTF-8, else NULL; for payload_text and line. */
PG_FUNCTION_INFO_V1(txpipe_utf8);
Datum
txpipe_utf8(PG_FUNCTION_ARGS)
{
	bytea *bytes = PG_GETARG_BYTEA_PP(0);

	if (!pg_verify_mbstr(GetDatabaseEncoding(), VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), true))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)));
}
