/*
 * alerts.c — what the rows of rules become: alerts, in the transaction of the batch.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "common/int.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "alerts.h"
#include "outbox.h"
#include "spi.h"

#define CHANNEL "txpipe_alert"
/* So many alerts of one rule and batch are told one by one; the others are one message. */
#define MAX_NOTICES 50
/* The server's limit is 8000. */
#define MAX_PAYLOAD 7900
#define MAX_COOLDOWN_DAYS 10000

typedef enum AlertColumn
{
	COL_SUBJECT,
	COL_EVENT_TIME,
	COL_TRANSACTION_ID,
	COL_REASON,
	COL_EVIDENCE,
	COL_TOPIC,
	COL_PARTITION,
	COL_OFFSET,
	COL_SEVERITY,
	NCOLS
} AlertColumn;

/* What rules return and alerts have, in the order of the statement that stores them. */
static const struct
{
	const char *name;
	Oid type; /* text: anything that can be written */
} columns[NCOLS] = {
	{"subject", TEXTOID},         {"event_time", TIMESTAMPTZOID}, {"transaction_id", TEXTOID},
	{"reason", TEXTOID},          {"evidence", JSONBOID},         {"kafka_topic", TEXTOID},
	{"kafka_partition", INT4OID}, {"kafka_offset", INT8OID},      {"severity", TEXTOID},
};

typedef struct Alert
{
	uint64 row; /* of the result */
	char *subject;
	TimestampTz at;
	char *transaction_id;
} Alert;

/* An alert that is there: what cool-downs compare with. */
typedef struct Raised
{
	char *subject;
	TimestampTz at;
	char *transaction_id;
} Raised;

typedef struct Taking
{
	const TxpStream *stream;
	const TxpAlertRule *rule;
	SPITupleTable *rows;
	int column[NCOLS]; /* number in the result, or SPI_ERROR_NOATTRIBUTE */
	Alert *alerts;     /* by subject and time */
	uint64 n;
	Raised *raised; /* likewise */
	uint64 nraised;
	TimestampTz now; /* of rows without a time */
} Taking;

int64
txp_alerts_cooldown(const Interval *cooldown)
{
	if (cooldown->time < 0 || cooldown->day < 0 || cooldown->month != 0 ||
		cooldown->day + cooldown->time / USECS_PER_DAY > MAX_COOLDOWN_DAYS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("cooldown of a rule must be from 0 to %d days, without months",
							   MAX_COOLDOWN_DAYS),
						errhint("0 raises every alert. Months are not equally long: say days.")));
	return cooldown->time + cooldown->day * USECS_PER_DAY;
}

void
txp_alerts_check_shape(const char *rule, TupleDesc desc)
{
	for (int c = 0; c < NCOLS; c++)
	{
		int column = SPI_fnumber(desc, columns[c].name);

		if (column <= 0 && c == COL_SUBJECT)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
							errmsg("rule \"%s\" returns no column \"subject\"", rule),
							errhint("Return who or what an alert is about, for example "
									"account_id AS subject.")));
		if (column > 0 && columns[c].type != TEXTOID &&
			SPI_gettypeid(desc, column) != columns[c].type)
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
							errmsg("column \"%s\" of rule \"%s\" is of type %s", columns[c].name,
								   rule, format_type_be(SPI_gettypeid(desc, column))),
							errhint("Cast it to %s.", format_type_be(columns[c].type))));
	}
}

/* --- which rows become alerts --- */

static TimestampTz
shifted(TimestampTz at, int64 us)
{
	TimestampTz result;

	if (TIMESTAMP_NOT_FINITE(at) || pg_add_s64_overflow(at, us, &result))
		return at;
	return result;
}

static char *
text_of(const Taking *taking, uint64 row, AlertColumn c)
{
	if (taking->column[c] <= 0)
		return NULL;
	return SPI_getvalue(taking->rows->vals[row], taking->rows->tupdesc, taking->column[c]);
}

static TimestampTz
time_of(const Taking *taking, uint64 row)
{
	bool isnull = true;
	Datum value = 0;

	if (taking->column[COL_EVENT_TIME] > 0)
		value = SPI_getbinval(taking->rows->vals[row], taking->rows->tupdesc,
							  taking->column[COL_EVENT_TIME], &isnull);
	return isnull ? taking->now : DatumGetTimestampTz(value);
}

/* Those that repeat one another, of one transaction, are neighbours. */
static int
compare_subjects(const void *left, const void *right)
{
	const Alert *a = left;
	const Alert *b = right;
	int order = strcmp(a->subject, b->subject);

	if (order == 0)
		order = (a->at > b->at) - (a->at < b->at);
	if (order == 0)
		order = strcmp(a->transaction_id ? a->transaction_id : "",
					   b->transaction_id ? b->transaction_id : "");
	return order ? order : (a->row > b->row) - (a->row < b->row);
}

static int
compare_times(const void *left, const void *right)
{
	const Alert *a = left;
	const Alert *b = right;
	int order = (a->at > b->at) - (a->at < b->at);

	return order ? order : (a->row > b->row) - (a->row < b->row);
}

static void
read_rows(Taking *taking)
{
	taking->alerts = palloc_extended(sizeof(Alert) * taking->n, MCXT_ALLOC_HUGE);
	for (uint64 i = 0; i < taking->n; i++)
	{
		char *subject = text_of(taking, i, COL_SUBJECT);

		taking->alerts[i] = (Alert){.row = i,
									.subject = subject ? subject : "",
									.at = time_of(taking, i),
									.transaction_id = text_of(taking, i, COL_TRANSACTION_ID)};
	}
	qsort(taking->alerts, taking->n, sizeof(Alert), compare_subjects);
}

/* Subjects are sorted: each once. */
static Datum
subject_array(const Taking *taking, TimestampTz *from, TimestampTz *to)
{
	Datum *subjects = palloc_extended(sizeof(Datum) * taking->n, MCXT_ALLOC_HUGE);
	int n = 0;

	*from = *to = taking->alerts[0].at;
	for (uint64 i = 0; i < taking->n; i++)
	{
		const Alert *alert = &taking->alerts[i];

		if (i == 0 || strcmp(alert->subject, taking->alerts[i - 1].subject) != 0)
			subjects[n++] = CStringGetTextDatum(alert->subject);
		*from = Min(*from, alert->at);
		*to = Max(*to, alert->at);
	}
	return txp_spi_array(TEXTOID, subjects, NULL, n);
}

void
txp_alerts_lock(const TxpAlertRule *rule)
{
	static TxpStatement lock = {"SELECT FROM txpipe.alert_rule_store WHERE rule = $1 "
								"FOR NO KEY UPDATE",
								1,
								{TEXTOID}};
	Datum values[1] = {CStringGetTextDatum(rule->name)};

	SPI_connect();
	(void) txp_spi_run(&lock, values, NULL);
	SPI_finish();
}

/* The alerts near those at hand. */
static void
read_raised(Taking *taking)
{
	static TxpStatement statement = {
		"SELECT subject, event_time, transaction_id FROM txpipe.alert_store WHERE stream_id = $1 "
		"AND rule = $2 AND subject = ANY ($3) AND event_time BETWEEN $4 AND $5 "
		"ORDER BY subject COLLATE \"C\", event_time",
		5,
		{INT4OID, TEXTOID, TEXTARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};
	int64 cooldown = taking->rule->cooldown_us;
	int nest_level = NewGUCNestLevel();
	Datum values[5] = {Int32GetDatum(taking->stream->id), CStringGetTextDatum(taking->rule->name)};
	TimestampTz from;
	TimestampTz to;

	/* The plan is kept, and may be made while there are no alerts yet: the index is right for any number. */
	(void) set_config_option("enable_seqscan", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	values[2] = subject_array(taking, &from, &to);
	values[3] = TimestampTzGetDatum(shifted(from, -cooldown));
	values[4] = TimestampTzGetDatum(shifted(to, cooldown));
	taking->nraised = txp_spi_run(&statement, values, NULL);
	AtEOXact_GUC(true, nest_level);
	taking->raised = palloc_extended(sizeof(Raised) * (taking->nraised + 1), MCXT_ALLOC_HUGE);
	for (uint64 i = 0; i < taking->nraised; i++)
		taking->raised[i] = (Raised){.subject = txp_spi_text(i, 1),
									 .at = DatumGetTimestampTz(txp_spi_datum(i, 2)),
									 .transaction_id = txp_spi_text(i, 3)};
}

static bool
same_text(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* Does the one that is there come before all that the other's cool-down concerns? */
static bool
is_before(const Taking *taking, const Raised *there, const Alert *alert)
{
	TimestampTz since = shifted(alert->at, -taking->rule->cooldown_us);
	int order = strcmp(there->subject, alert->subject);

	if (order != 0)
		return order < 0;
	return there->at < since || (there->at == since && taking->rule->cooldown_us > 0);
}

/* An alert that is there, at or after the beginning of the cool-down: does it keep the other back? */
static bool
keeps_back(const Taking *taking, const Raised *there, const Alert *alert)
{
	int64 cooldown = taking->rule->cooldown_us;

	if (cooldown > 0 && there->at < shifted(alert->at, cooldown))
		return true;
	return there->at == alert->at && same_text(there->transaction_id, alert->transaction_id);
}

/* Of those that are there, from `at` on, one that is too close. */
static bool
meets_raised(const Taking *taking, const Alert *alert, uint64 at)
{
	for (; at < taking->nraised; at++)
	{
		const Raised *there = &taking->raised[at];

		if (there->at > shifted(alert->at, taking->rule->cooldown_us) ||
			strcmp(there->subject, alert->subject) != 0)
			return false;
		if (keeps_back(taking, there, alert))
			return true;
	}
	return false;
}

/* Likewise the last of those of the same batch that are raised: those before are further away, or of another transaction. */
static bool
meets_kept(const Taking *taking, const Alert *alert, uint64 kept)
{
	const Alert *last = kept > 0 ? &taking->alerts[kept - 1] : NULL;
	Raised there;

	if (last == NULL)
		return false;
	there = (Raised){last->subject, last->at, last->transaction_id};
	return !is_before(taking, &there, alert) && keeps_back(taking, &there, alert);
}

/* Leaves those that are raised, in the order of their time. */
static void
apply_cooldown(Taking *taking)
{
	uint64 at = 0;
	uint64 kept = 0;

	for (uint64 i = 0; i < taking->n; i++)
	{
		Alert alert = taking->alerts[i];

		CHECK_FOR_INTERRUPTS();
		while (at < taking->nraised && is_before(taking, &taking->raised[at], &alert))
			at++;
		if (!meets_raised(taking, &alert, at) && !meets_kept(taking, &alert, kept))
			taking->alerts[kept++] = alert;
	}
	taking->n = kept;
	qsort(taking->alerts, taking->n, sizeof(Alert), compare_times);
}

/* --- what is done with them --- */

static Datum
value_of(const Taking *taking, const Alert *alert, AlertColumn c, bool *isnull)
{
	char *text;

	*isnull = false;
	if (c == COL_SUBJECT)
		return CStringGetTextDatum(alert->subject);
	if (c == COL_EVENT_TIME)
		return TimestampTzGetDatum(alert->at);
	if (taking->column[c] > 0 && columns[c].type != TEXTOID)
		return SPI_getbinval(taking->rows->vals[alert->row], taking->rows->tupdesc,
							 taking->column[c], isnull);
	text = text_of(taking, alert->row, c);
	if (text == NULL && c == COL_SEVERITY)
		text = taking->rule->severity;
	*isnull = text == NULL;
	return text ? CStringGetTextDatum(text) : (Datum) 0;
}

static Datum
array_of(const Taking *taking, AlertColumn c)
{
	Datum *values = palloc_extended(sizeof(Datum) * taking->n, MCXT_ALLOC_HUGE);
	bool *nulls = palloc_extended(sizeof(bool) * taking->n, MCXT_ALLOC_HUGE);

	for (uint64 i = 0; i < taking->n; i++)
		values[i] = value_of(taking, &taking->alerts[i], c, &nulls[i]);
	return txp_spi_array(columns[c].type, values, nulls, (int) taking->n);
}

/* Leaves the numbers of the alerts as the result, in their order. */
static void
store(const Taking *taking)
{
	static TxpStatement statement = {
		"INSERT INTO txpipe.alert_store (stream_id, rule, subject, event_time, transaction_id, "
		"reason, evidence, kafka_topic, kafka_partition, kafka_offset, severity) "
		"SELECT $1, $2, a.subject, a.event_time, a.transaction_id, a.reason, a.evidence, "
		"a.kafka_topic, a.kafka_partition, a.kafka_offset, a.severity "
		"FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11) WITH ORDINALITY AS a (subject, "
		"event_time, transaction_id, reason, evidence, kafka_topic, kafka_partition, "
		"kafka_offset, severity, n) ORDER BY a.n RETURNING alert_id, severity, event_time",
		11,
		{INT4OID, TEXTOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		 JSONBARRAYOID, TEXTARRAYOID, INT4ARRAYOID, INT8ARRAYOID, TEXTARRAYOID}};
	Datum values[2 + NCOLS] = {Int32GetDatum(taking->stream->id),
							   CStringGetTextDatum(taking->rule->name)};

	for (int c = 0; c < NCOLS; c++)
		values[2 + c] = array_of(taking, c);
	(void) txp_spi_run(&statement, values, NULL);
}

/* Of those that were stored. */
static Datum
numbers(void)
{
	Datum *ids = palloc_extended(sizeof(Datum) * SPI_processed, MCXT_ALLOC_HUGE);

	for (uint64 i = 0; i < SPI_processed; i++)
		ids[i] = txp_spi_datum(i, 1);
	return txp_spi_array(INT8OID, ids, NULL, (int) SPI_processed);
}

/*
 * Whoever is connected may listen: a payload names the alert, and what it says of people is read in txpipe.alert by those
 * who may.
 */
static void
begin_payload(const Taking *taking, StringInfo payload)
{
	initStringInfo(payload);
	appendStringInfoString(payload, "{\"rule\": ");
	escape_json(payload, taking->rule->name);
	appendStringInfoString(payload, ", \"stream\": ");
	escape_json(payload, taking->stream->name);
}

static void
notify(const StringInfoData *payload, int64 alert_id)
{
	if (payload->len <= MAX_PAYLOAD)
		Async_Notify(CHANNEL, payload->data);
	else
		Async_Notify(CHANNEL, psprintf("{\"alert_id\": " INT64_FORMAT "}", alert_id));
}

static void
notify_of(const Taking *taking, uint64 i)
{
	int64 alert_id = DatumGetInt64(txp_spi_datum(i, 1));
	char at[MAXDATELEN + 1];
	StringInfoData payload;

	JsonEncodeDateTime(at, txp_spi_datum(i, 3), TIMESTAMPTZOID, NULL);
	begin_payload(taking, &payload);
	appendStringInfo(&payload,
					 ", \"alert_id\": " INT64_FORMAT ", \"severity\": \"%s\", \"event_time\": "
					 "\"%s\"}",
					 alert_id, txp_spi_text(i, 2), at);
	notify(&payload, alert_id);
}

static void
notify_of_all(const Taking *taking)
{
	uint64 one_by_one = taking->n <= MAX_NOTICES ? taking->n : MAX_NOTICES;
	StringInfoData payload;

	for (uint64 i = 0; i < one_by_one; i++)
		notify_of(taking, i);
	if (one_by_one == taking->n)
		return;
	begin_payload(taking, &payload);
	appendStringInfo(&payload,
					 ", \"more_alerts\": " UINT64_FORMAT ", \"first_alert_id\": " INT64_FORMAT
					 ", \"last_alert_id\": " INT64_FORMAT "}",
					 taking->n - one_by_one, DatumGetInt64(txp_spi_datum(one_by_one, 1)),
					 DatumGetInt64(txp_spi_datum(taking->n - 1, 1)));
	notify(&payload, DatumGetInt64(txp_spi_datum(one_by_one, 1)));
}

void
txp_alerts_take(const TxpStream *stream, const TxpAlertRule *rule, SPITupleTable *rows, uint64 n)
{
	Taking taking = {
		.stream = stream, .rule = rule, .rows = rows, .n = n, .now = GetCurrentTimestamp()};

	/* A table it reads may have been altered since the rule was made. */
	txp_alerts_check_shape(rule->name, rows->tupdesc);
	if (n == 0)
		return;
	for (int c = 0; c < NCOLS; c++)
		taking.column[c] = SPI_fnumber(rows->tupdesc, columns[c].name);
	SPI_connect();
	read_rows(&taking);
	read_raised(&taking);
	apply_cooldown(&taking);
	if (taking.n > 0)
	{
		store(&taking);
		notify_of_all(&taking);
		if (rule->topic != NULL)
			txp_outbox_add_alerts(stream, rule->topic, rule->avro, numbers());
	}
	SPI_finish();
}
