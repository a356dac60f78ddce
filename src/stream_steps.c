/*
 * stream_steps.c — the SQL a stream runs on every batch, as the catalogs have it, and what it did.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "spi.h"
#include "stream_steps.h"

static const char *const policy_names[] = {"stop", "skip", "dead_letter"};

TxpStepPolicy
txp_step_policy(const char *name)
{
	for (int i = 0; i < (int) lengthof(policy_names); i++)
	{
		if (strcmp(name, policy_names[i]) == 0)
			return i;
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("on_error of a step cannot be \"%s\"", name),
					errhint("stop, skip or dead_letter.")));
}

/* Kept plans live in a context of the server's. */
static void
free_plans(void *arg)
{
	ListCell *lc;

	foreach (lc, (List *) arg)
		txp_plan_free(&((TxpStreamStep *) lfirst(lc))->kept);
}

static TxpAlertRule *
read_rule(uint64 row, char *name)
{
	char *severity = txp_spi_text(row, 5);
	TxpAlertRule *rule;

	if (severity == NULL)
		return NULL;
	rule = palloc(sizeof(TxpAlertRule));
	rule->name = name;
	rule->severity = severity;
	rule->topic = txp_spi_text(row, 6);
	rule->cooldown_us = DatumGetInt64(txp_spi_datum(row, 7));
	rule->avro = DatumGetBool(txp_spi_datum(row, 8));
	return rule;
}

static void *
read_step(uint64 row)
{
	TxpStreamStep *step = palloc0(sizeof(TxpStreamStep));

	step->name = txp_spi_text(row, 1);
	step->sql = txp_spi_text(row, 2);
	step->ordinal = DatumGetInt32(txp_spi_datum(row, 3));
	step->on_error = txp_step_policy(txp_spi_text(row, 4));
	step->rule = read_rule(row, step->name);
	return step;
}

List *
txp_stream_steps_load(int32 stream_id, List *trusted)
{
	static TxpStatement statement = {
		"SELECT s.step, s.sql, s.ordinal, s.on_error, r.severity, r.topic, "
		"(extract(epoch FROM r.cooldown) * 1000000)::bigint, r.format = 'avro' "
		"FROM txpipe.stream_step_store s LEFT JOIN txpipe.alert_rule_store r "
		"ON r.stream_id = s.stream_id AND r.rule = s.step "
		"WHERE s.stream_id = $1 AND s.enabled ORDER BY s.kind = 'rule', s.ordinal, s.step",
		1,
		{INT4OID}};
	Datum values[1] = {Int32GetDatum(stream_id)};
	MemoryContextCallback *callback;
	List *steps = txp_spi_list(&statement, values, NULL, read_step);
	ListCell *lc;

	if (steps == NIL)
		return NIL;
	foreach (lc, steps)
		((TxpStreamStep *) lfirst(lc))->trusted = trusted;
	callback = palloc(sizeof(MemoryContextCallback));
	callback->func = free_plans;
	callback->arg = steps;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	return steps;
}

/* What a step may be called, and where the insert into the target is in the order. */
static void
check_place(const char *step, const int32 *ordinal, TxpStepPolicy on_error)
{
	bool is_target = strcmp(step, TXP_TARGET_STEP) == 0;

	if (step[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a step must have a name"),
						errhint("Give it a short one.")));
	if (is_target && on_error == TXP_STEP_SKIP)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("step \"%s\" cannot be skipped", step),
						errhint("Its messages would be lost. Use stop or dead_letter.")));
	if (ordinal != NULL && (*ordinal == 0) != is_target)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("ordinal %d does not fit step \"%s\"", *ordinal, step),
						errhint("0 is the insert into the target, or the step \"%s\" in its place; "
								"negative ones run before it.",
								TXP_TARGET_STEP)));
}

void
txp_stream_step_set(int32 stream_id, const char *step, const char *sql, const int32 *ordinal,
					const char *on_error)
{
	static TxpStatement taken = {
		"SELECT step FROM txpipe.stream_step_store "
		"WHERE stream_id = $1 AND kind = 'step' AND step <> $2 AND ordinal = $3",
		3,
		{INT4OID, TEXTOID, INT4OID}};
	static TxpStatement upsert = {
		"INSERT INTO txpipe.stream_step_store AS s (stream_id, step, ordinal, sql, on_error) "
		"VALUES ($1, $2, CASE WHEN $2 = '" TXP_TARGET_STEP "' THEN 0 ELSE coalesce($3, "
		"    (SELECT greatest(max(ordinal), 0) + 100 FROM txpipe.stream_step_store "
		"      WHERE stream_id = $1 AND kind = 'step'), 100) END, $4, $5) "
		"ON CONFLICT (stream_id, step) DO UPDATE SET sql = EXCLUDED.sql, "
		"on_error = EXCLUDED.on_error, ordinal = coalesce($3, s.ordinal) WHERE s.kind = 'step'",
		5,
		{INT4OID, TEXTOID, INT4OID, TEXTOID, TEXTOID}};
	Datum values[5] = {Int32GetDatum(stream_id), CStringGetTextDatum(step),
					   Int32GetDatum(ordinal ? *ordinal : 0), CStringGetTextDatum(sql),
					   CStringGetTextDatum(on_error)};

	check_place(step, ordinal, txp_step_policy(on_error));
	SPI_connect();
	if (ordinal != NULL && txp_spi_run(&taken, values, NULL) > 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("ordinal %d belongs to step \"%s\"", *ordinal, txp_spi_text(0, 1)),
						errhint("Every step of a stream has an ordinal of its own.")));
	if (txp_spi_run(&upsert, values, ordinal ? NULL : "  n  ") == 0)
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("\"%s\" is the name of a rule of this stream", step),
						errhint("Choose another name, or drop the rule first.")));
	SPI_finish();
}

void
txp_stream_step_remove(int32 stream_id, const char *step)
{
	static TxpStatement statement = {"DELETE FROM txpipe.stream_step_store "
									 "WHERE stream_id = $1 AND step = $2 AND kind = 'step'",
									 2,
									 {INT4OID, TEXTOID}};
	Datum values[2] = {Int32GetDatum(stream_id), CStringGetTextDatum(step)};

	if (txp_spi_do(&statement, values, NULL) == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no step \"%s\"", step),
						errhint("Steps are listed in txpipe.stream_step.")));
}

/* Columns of the statement below, each an array with one element per step. */
enum
{
	COL_STEP,
	COL_CALLS,
	COL_ROWS,
	COL_US,
	COL_ERRORS,
	COL_ERROR,
	NCOLS
};

static const Oid column_type[NCOLS] = {TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID, TEXTOID};

/* Returns how many steps ran. */
static int
fill(const List *steps, Datum **column, bool *no_error)
{
	int n = 0;
	ListCell *lc;

	for (int c = 0; c < NCOLS; c++)
		column[c] = palloc0(sizeof(Datum) * list_length(steps));
	foreach (lc, steps)
	{
		const TxpStreamStep *step = lfirst(lc);
		const TxpStepCount *count = &step->count;

		if (count->calls == 0 && count->errors == 0)
			continue;
		column[COL_STEP][n] = CStringGetTextDatum(step->name);
		column[COL_CALLS][n] = Int64GetDatum(count->calls);
		column[COL_ROWS][n] = Int64GetDatum(count->rows);
		column[COL_US][n] = Int64GetDatum(count->us);
		column[COL_ERRORS][n] = Int64GetDatum(count->errors);
		no_error[n] = count->error == NULL;
		if (count->error != NULL)
			column[COL_ERROR][n] = CStringGetTextDatum(count->error);
		n++;
	}
	return n;
}

/* A step that was dropped meanwhile has no counts any more. */
void
txp_stream_steps_count(int32 stream_id, int32 part, const List *steps)
{
	static TxpStatement statement = {
		"INSERT INTO txpipe.stream_step_count AS c (stream_id, step, part, calls_total, "
		"rows_total, us_total, last_us, errors_total, last_error, last_error_at) "
		"SELECT $1, u.s, $2, u.c, u.r, u.us, u.us, u.n, u.e, "
		"CASE WHEN u.e IS NOT NULL THEN clock_timestamp() END "
		"FROM unnest($3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], "
		"$8::text[]) AS u(s, c, r, us, n, e) "
		"JOIN txpipe.stream_step_store p ON p.stream_id = $1 AND p.step = u.s ORDER BY u.s "
		"ON CONFLICT (stream_id, step, part) DO UPDATE SET "
		"calls_total = c.calls_total + EXCLUDED.calls_total, "
		"rows_total = c.rows_total + EXCLUDED.rows_total, "
		"us_total = c.us_total + EXCLUDED.us_total, last_us = EXCLUDED.last_us, "
		"last_call = clock_timestamp(), errors_total = c.errors_total + EXCLUDED.errors_total, "
		"last_error = coalesce(EXCLUDED.last_error, c.last_error), "
		"last_error_at = coalesce(EXCLUDED.last_error_at, c.last_error_at)",
		2 + NCOLS,
		{INT4OID, INT4OID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID,
		 TEXTARRAYOID}};
	bool *no_error = palloc(sizeof(bool) * list_length(steps));
	Datum values[2 + NCOLS] = {Int32GetDatum(stream_id), Int32GetDatum(part)};
	Datum *column[NCOLS];
	int n = fill(steps, column, no_error);

	for (int c = 0; c < NCOLS; c++)
		values[2 + c] =
			txp_spi_array(column_type[c], column[c], c == COL_ERROR ? no_error : NULL, n);
	if (n > 0)
		(void) txp_spi_do(&statement, values, NULL);
}
