/*
 * rule_counts.h — how many rows of a file met which rule.
 */
#ifndef TXP_RULE_COUNTS_H
#define TXP_RULE_COUNTS_H

#include "postgres.h"
#include "nodes/pg_list.h"

typedef struct TxpRuleCounts
{
	MemoryContext context;
	List *counts; /* of TxpRuleCount */
} TxpRuleCounts;

typedef struct TxpRuleCount
{
	char *rule;
	const char *action; /* reject, warn, fix, absent */
	int64 rows;
} TxpRuleCount;

/* Adds rows; `action` is a static string. ERRORs beyond a thousand kinds. */
extern void txp_rule_counts_add(TxpRuleCounts *counts, const char *rule, const char *action,
								int64 rows);
/* Stores them for a file, in place of those of an earlier load. */
extern void txp_rule_counts_store(int64 file_id, const TxpRuleCounts *counts);

#endif
