/*
 * step_plan.c — the kept plan of a stream's step, and which columns of `batch` it looks at.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"

#include "error_class.h"
#include "step_plan.h"
#include "steps.h"
#include "transaction.h"

void
txp_step_plan(TxpStreamStep *step, uint32 count)
{
	if (txp_plan_keep(&step->kept, step->sql, step->trusted, count))
		step->generation = -1;
}

void
txp_step_register(TupleDesc desc, Tuplestorestate *store, uint32 count)
{
	txp_batch_register(desc, store, txp_plan_rows(count));
}

/* --- which columns --- */

typedef struct Needs
{
	List *rtables; /* of the query at hand, then of those around it */
	Bitmapset *columns;
	int ncolumns;
} Needs;

static bool note_needs(Node *node, void *arg);

static void
note_join_column(Needs *needs, const Var *var, const RangeTblEntry *join)
{
	List *here = needs->rtables;

	needs->rtables = list_copy_tail(here, var->varlevelsup);
	(void) note_needs(list_nth(join->joinaliasvars, var->varattno - 1), needs);
	needs->rtables = here;
}

static void
note_column(Needs *needs, const Var *var)
{
	RangeTblEntry *rte = rt_fetch(var->varno, (List *) list_nth(needs->rtables, var->varlevelsup));

	if (rte->rtekind != RTE_JOIN && rte->rtekind != RTE_NAMEDTUPLESTORE)
		return;
	if (var->varattno <= 0)
		needs->columns = bms_add_range(needs->columns, 0, needs->ncolumns - 1);
	else if (rte->rtekind == RTE_JOIN)
		note_join_column(needs, var, rte);
	else
		needs->columns = bms_add_member(needs->columns, var->varattno - 1);
}

static bool
note_needs(Node *node, void *arg)
{
	Needs *needs = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		note_column(needs, castNode(Var, node));
		return false;
	}
	if (IsA(node, Query))
	{
		Query *query = castNode(Query, node);

		needs->rtables = lcons(query->rtable, needs->rtables);
		/* A join lists all columns of both sides; those that are used are followed from where they are. */
		(void) query_tree_walker(query, note_needs, needs, QTW_IGNORE_JOINALIASES);
		needs->rtables = list_delete_first(needs->rtables);
		return false;
	}
	return expression_tree_walker(node, note_needs, needs);
}

static CachedPlanSource *
source_of(const TxpStreamStep *step)
{
	return linitial(SPI_plan_get_plan_sources(step->kept.plan));
}

Bitmapset *
txp_step_needs(const TxpStreamStep *step, int ncolumns)
{
	Needs needs = {.ncolumns = ncolumns};
	ListCell *lc;

	foreach (lc, source_of(step)->query_list)
		(void) note_needs(lfirst(lc), &needs);
	return needs.columns;
}

bool
txp_step_needs_more(TxpStreamStep *step, int ncolumns, const Bitmapset *needs)
{
	int generation = source_of(step)->generation;

	if (generation == step->generation)
		return false;
	step->generation = generation;
	return !bms_is_subset(txp_step_needs(step, ncolumns), needs);
}

typedef struct Planning
{
	TxpStreamStep *step;
	TupleDesc desc;
	MemoryContext context; /* of what is found */
	Bitmapset *needs;
} Planning;

static bool
plan_for_needs(void *arg)
{
	Planning *planning = arg;

	SPI_connect();
	txp_step_register(planning->desc, NULL, 0);
	txp_step_plan(planning->step, 0);
	MemoryContextSwitchTo(planning->context);
	planning->needs = txp_step_needs(planning->step, planning->desc->natts);
	SPI_finish();
	return true;
}

/* When it runs, and the step still fails, its policy says what happens. */
static Bitmapset *
needs_or_all(TxpStreamStep *step, TupleDesc desc)
{
	Planning planning = {step, desc, CurrentMemoryContext};
	ErrorData *error = txp_subtransaction_try(plan_for_needs, &planning, CurrentMemoryContext);

	if (error == NULL)
		return planning.needs;
	if (!txp_error_is_of_statement(error->sqlerrcode))
		ReThrowError(error);
	return bms_add_range(NULL, 0, desc->natts - 1);
}

Bitmapset *
txp_steps_needs(const List *steps, TupleDesc desc)
{
	Bitmapset *needs = NULL;
	ListCell *lc;

	PushActiveSnapshot(GetTransactionSnapshot());
	foreach (lc, steps)
		needs = bms_join(needs, needs_or_all(lfirst(lc), desc));
	PopActiveSnapshot();
	return needs;
}
