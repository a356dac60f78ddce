/*
 * rule_counts.c — how many rows of a file met which rule.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "rule_counts.h"
#include "spi.h"

/* What a file counts stays in memory until its end. */
#define MAX_COUNTS 1000

void
txp_rule_counts_add(TxpRuleCounts *counts, const char *rule, const char *action, int64 rows)
{
	MemoryContext old;
	TxpRuleCount *count;
	ListCell *lc;

	foreach (lc, counts->counts)
	{
		count = lfirst(lc);
		if (strcmp(count->action, action) == 0 && strcmp(count->rule, rule) == 0)
		{
			count->rows += rows;
			return;
		}
	}
	if (list_length(counts->counts) == MAX_COUNTS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
						errmsg("a file has more than %d different codes of warnings", MAX_COUNTS),
						errhint("A code names a kind of trouble, not a line.")));
	old = MemoryContextSwitchTo(counts->context);
	count = palloc(sizeof(TxpRuleCount));
	count->rule = pstrdup(rule);
	count->action = action;
	count->rows = rows;
	counts->counts = lappend(counts->counts, count);
	MemoryContextSwitchTo(old);
}

void
txp_rule_counts_store(int64 file_id, const TxpRuleCounts *counts)
{
	static TxpStatement clear = {
		"DELETE FROM txpipe.file_rule_store WHERE file_id = $1", 1, {INT8OID}};
	static TxpStatement insert = {
		"INSERT INTO txpipe.file_rule_store (file_id, rule, action, rows) "
		"SELECT $1, c.* FROM unnest($2, $3, $4) AS c",
		4,
		{INT8OID, TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID}};
	int n = list_length(counts->counts);
	Datum *rules = palloc(sizeof(Datum) * (n + 1));
	Datum *actions = palloc(sizeof(Datum) * (n + 1));
	Datum *rows = palloc(sizeof(Datum) * (n + 1));
	Datum values[4] = {Int64GetDatum(file_id)};

	for (int i = 0; i < n; i++)
	{
		const TxpRuleCount *count = list_nth(counts->counts, i);

		rules[i] = CStringGetTextDatum(count->rule);
		actions[i] = CStringGetTextDatum(count->action);
		rows[i] = Int64GetDatum(count->rows);
	}
	(void) txp_spi_do(&clear, values, NULL);
	if (n == 0)
		return;
	values[1] = txp_spi_array(TEXTOID, rules, NULL, n);
	values[2] = txp_spi_array(TEXTOID, actions, NULL, n);
	values[3] = txp_spi_array(INT8OID, rows, NULL, n);
	(void) txp_spi_do(&insert, values, NULL);
}
