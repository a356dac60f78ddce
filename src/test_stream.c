/*
 * test_stream.c — what a stream would make of some messages, before there is one.
 *
 * Messages are decoded as a stream's would be and their values read as the target's types, all as the caller,
 * who would be the owner. Nothing is inserted.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "args.h"
#include "error_class.h"
#include "infer.h"
#include "io_client.h"
#include "link.h"
#include "options.h"
#include "rights.h"
#include "rowreader.h"
#include "sample.h"
#include "sample_report.h"
#include "transaction.h"
#include "unixtime.h"

#define MAX_MESSAGES 10000
#define MAX_BYTES (256 * 1024 * 1024)
#define TIMEOUT_MS 5000

/* Columns of the result. */
enum
{
	COL_TOPIC,
	COL_PARTITION,
	COL_OFFSET,
	COL_TIMESTAMP,
	COL_DECODED,
	COL_CODE,
	COL_MESSAGE,
	COL_COLUMN,
	COL_PAYLOAD,
	NCOLS
};

typedef struct Trial
{
	TxpRowReader *reader;
	TupleDesc desc; /* of the rows, registered: they are records */
	TxpRows rows;
	ReturnSetInfo *rsinfo;
	TxpSample *sample;
	MemoryContext scratch; /* of one message */
} Trial;

static TxpStream *
stream_of_arguments(FunctionCallInfo fcinfo)
{
	TxpStream *stream = txp_sample_stream(txp_arg_text(fcinfo, 0, "server"),
										  txp_arg_text(fcinfo, 1, "topic"), "earliest");

	stream->name = pstrdup("test_stream");
	stream->owner_name = GetUserNameFromId(stream->owner, false);
	stream->target = PG_ARGISNULL(2) ? InvalidOid : PG_GETARG_OID(2);
	stream->target_name = psprintf("%u", stream->target);
	stream->format = txp_arg_text(fcinfo, 3, "format");
	(void) txp_format_by_name(stream->format);
	stream->columns = txp_stream_columns(txp_arg_jsonb_or_null(fcinfo, 4));
	stream->options = txp_arg_jsonb_or_null(fcinfo, 6);
	if (stream->options != NULL)
		txp_options_check(TXP_OPTION_STREAM, stream->options);
	txp_stream_apply_options(stream);
	return stream;
}

static void
tell_columns(const TxpStream *stream, List *columns)
{
	StringInfoData list;
	ListCell *lc;

	initStringInfo(&list);
	foreach (lc, columns)
	{
		const TxpInferredColumn *column = lfirst(lc);
		int32 typmod;
		Oid type;

		parseTypeString(column->type, &type, &typmod, false);
		appendStringInfo(&list, "%s%s %s", list.len ? ", " : "", quote_identifier(column->name),
						 format_type_with_typemod(type, typmod));
	}
	ereport(NOTICE, (errmsg("a table inferred from topic \"%s\" has %d columns", stream->topic,
							list_length(columns)),
					 errdetail("%s.", list.data), errhint("txpipe.create_stream creates it.")));
}

/* As the target's columns, or as those that would be inferred. */
static TxpRowPlan *
plan_of(TxpIo *io, TxpStream *stream)
{
	static const TxdCsvOptions csv = {',', '"', false, false, ""};
	TxpRowPlan *plan;
	List *columns;

	if (OidIsValid(stream->target))
		return txp_link_plan(stream)->plan;
	columns = txp_infer_columns(io, stream);
	tell_columns(stream, columns);
	plan = txp_rowplan_for_mapping(txp_format_by_name(stream->format),
								   txp_infer_mapping(stream, columns, true), &csv);
	txp_rowplan_set_shape(plan, stream->envelope, stream->rows);
	txp_rowplan_set_keys(
		plan, &(TxpPlanKeys){stream->server, stream->server, stream->encrypt, stream->owner});
	txp_rowplan_set_schemas(plan, stream->server, stream->owner, &stream->schemas);
	return plan;
}

/* The rows of the sample, one behind the other. */
static void
gather_rows(Trial *t, const TxpRowPlan *plan)
{
	const TxpSample *sample = t->sample;
	uint32 *lengths = palloc(sizeof(uint32) * ((Size) sample->nrows + 1));
	uint32 n = 0;
	size_t len = 0;
	char *block;

	for (uint32 i = 0; i < sample->n; i++)
		len += sample->messages[i].row ? sample->messages[i].m.row_length : 0;
	block = MemoryContextAllocHuge(CurrentMemoryContext, len + 1);
	len = 0;
	for (uint32 i = 0; i < sample->n; i++)
	{
		const TxpSampled *message = &sample->messages[i];

		if (message->row == NULL)
			continue;
		lengths[n++] = message->m.row_length;
		memcpy(block + len, message->row, message->m.row_length);
		len += message->m.row_length;
	}
	txp_rows_find_messages(plan, block, len, n, lengths, &t->rows);
	t->rows.context = t->scratch;
}

/* The row as a JSON object. */
static Datum
read_row(Trial *t, uint32 row)
{
	HeapTuple tuple = heap_tuple_from_minimal_tuple(txp_rows_tuple(t->reader, &t->rows, row));
	Datum json;

	HeapTupleHeaderSetDatumLength(tuple->t_data, tuple->t_len);
	HeapTupleHeaderSetTypeId(tuple->t_data, t->desc->tdtypeid);
	HeapTupleHeaderSetTypMod(tuple->t_data, t->desc->tdtypmod);
	json = DirectFunctionCall1(row_to_json, HeapTupleHeaderGetDatum(tuple->t_data));
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(TextDatumGetCString(json)));
}

typedef struct Reading
{
	Trial *trial;
	uint32 row;
	Datum *decoded;
} Reading;

static bool
read_to_keep(void *arg)
{
	const Reading *reading = arg;

	*reading->decoded = read_row(reading->trial, reading->row);
	return true;
}

/* The same, or the error a type's input function raised. */
static ErrorData *
try_row(Trial *t, uint32 row, Datum *decoded)
{
	Reading reading = {t, row, decoded};
	ErrorData *error = txp_subtransaction_try(read_to_keep, &reading, t->scratch);

	if (error != NULL && !txp_error_is_of_rows(error->sqlerrcode))
		ReThrowError(error);
	return error;
}

static void
set_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL;
	if (text != NULL)
		values[column] = CStringGetTextDatum(text);
}

static void
set_refusal(Datum *values, bool *nulls, const char *code, const char *message, const char *column)
{
	set_text(values, nulls, COL_CODE, code);
	set_text(values, nulls, COL_MESSAGE, message);
	set_text(values, nulls, COL_COLUMN, column);
}

/* What the columns say of the message itself. */
static void
set_place(const Trial *t, const TxpMessage *m, Datum *values, bool *nulls)
{
	TimestampTz when = 0;

	set_text(values, nulls, COL_TOPIC, t->sample->parts.topics[m->topic]);
	values[COL_PARTITION] = Int32GetDatum(m->partition);
	values[COL_OFFSET] = Int64GetDatum(m->offset);
	nulls[COL_PARTITION] = nulls[COL_OFFSET] = false;
	nulls[COL_TIMESTAMP] = !txp_unix_ms_to_timestamptz(m->timestamp_ms, &when);
	values[COL_TIMESTAMP] = TimestampTzGetDatum(when);
	if (m->payload.data != NULL && pg_verify_mbstr(PG_UTF8, m->payload.data, m->payload.len, true))
		set_text(values, nulls, COL_PAYLOAD, txp_span_text(m->payload));
}

static void
put_row(Trial *t, uint32 row, Datum *values, bool *nulls)
{
	ErrorData *error = try_row(t, row, &values[COL_DECODED]);

	nulls[COL_DECODED] = error != NULL;
	if (error != NULL)
		set_refusal(values, nulls, unpack_sql_state(error->sqlerrcode), error->message,
					error->column_name);
	tuplestore_putvalues(t->rsinfo->setResult, t->rsinfo->setDesc, values, nulls);
}

/* `accepted` is the message's number among those that became rows. */
static void
put_message(Trial *t, const TxpSampled *sampled, uint32 accepted)
{
	const TxpMessage *m = &sampled->m;
	Datum values[NCOLS] = {0};
	bool nulls[NCOLS];
	uint32 first = 0;
	uint32 last = 0;

	memset(nulls, true, sizeof(nulls));
	set_place(t, m, values, nulls);
	if (sampled->row != NULL)
	{
		first = txp_rows_first(&t->rows, accepted);
		last = txp_rows_first(&t->rows, accepted + 1);
		if (first == last)
			set_refusal(values, nulls, NULL, "the message has no rows", NULL);
	}
	else
		set_refusal(values, nulls, txp_span_text(m->code), txp_span_text(m->message),
					txp_span_text(m->column));
	if (first == last)
		tuplestore_putvalues(t->rsinfo->setResult, t->rsinfo->setDesc, values, nulls);
	for (; first < last; first++)
		put_row(t, first, values, nulls);
}

static void
put_sample(ReturnSetInfo *rsinfo, const TxpRowPlan *plan, TxpSample *sample)
{
	Trial t = {.reader = txp_rowreader_new(plan),
			   .desc = CreateTupleDescCopy(plan->desc),
			   .rsinfo = rsinfo,
			   .sample = sample};
	MemoryContext old = CurrentMemoryContext;
	uint32 accepted = 0;

	BlessTupleDesc(t.desc);
	t.scratch = AllocSetContextCreate(old, "txpipe message", ALLOCSET_DEFAULT_SIZES);
	gather_rows(&t, plan);
	MemoryContextSwitchTo(t.scratch);
	for (uint32 i = 0; i < sample->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		put_message(&t, &sample->messages[i], accepted);
		accepted += sample->messages[i].row != NULL;
		MemoryContextReset(t.scratch);
	}
	MemoryContextSwitchTo(old);
}

PG_FUNCTION_INFO_V1(txpipe_test_stream);
Datum
txpipe_test_stream(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TxpStream *stream = stream_of_arguments(fcinfo);
	TxpSampleWish wish = {.max_messages = txp_arg_count(fcinfo, 5, "max_messages", MAX_MESSAGES),
						  .max_bytes = MAX_BYTES,
						  .timeout_ms = TIMEOUT_MS};
	TxpRowPlan *plan;
	TxpSample *sample;
	TxpRights saved;
	TxpIo *io;

	InitMaterializedSRF(fcinfo, 0);
	io = txp_io_start(CurrentMemoryContext);
	plan = plan_of(io, stream);
	sample = txp_sample_take(io, stream, plan, &wish);
	txp_io_stop(io);
	if (OidIsValid(stream->target))
		txp_sample_report(stream->topic, plan, sample);
	txp_rights_owner(stream->owner, &saved);
	put_sample(rsinfo, plan, sample);
	txp_rights_restore(&saved);
	return (Datum) 0;
}
