/*
 * rules.h — cleaning rules: conditions that the rows of a feed's files are checked against, all of them as
 * one statement over `batch` before the feed's first step.
 */
#ifndef TXP_RULES_H
#define TXP_RULES_H

#include "postgres.h"
#include "access/tupdesc.h"
#include "nodes/pg_list.h"

typedef struct TxpRule
{
	char *name; /* also the code of what it rejects */
	char *expression;
	char *column;  /* or NULL */
	char *message; /* a template; NULL: one that names the rule */
	bool warns;    /* else it rejects */
} TxpRule;

/* Rules of a feed that are on, in order, in `context`. Needs an SPI connection. */
extern List *txp_rules_read(int32 feed_id, MemoryContext context);

/* The rule of that name, or NULL. */
extern const TxpRule *txp_rules_find(const List *rules, const char *name);

/* Is it one condition, and are the parts of its message expressions? ERRORs otherwise. Only grammar is checked. */
extern void txp_rule_check(const TxpRule *rule);

/*
 * The statement of all rules. It returns rows as a step does: (line_no, 'rejected', rule, message, column)
 * for the first rule that rejects a line, (line_no, 'warning', rule, NULL, NULL) for every one that warns
 * about a line no rule rejects.
 */
extern char *txp_rules_statement(const List *rules);

/*
 * Runs each rule by itself over an empty batch, with the current user's rights: an error names the rule. `trusted`: whose code
 * they may run, see trust.h.
 */
extern void txp_rules_try(const List *rules, const List *trusted, TupleDesc batch);

#endif
