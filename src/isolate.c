/*
 * isolate.c — finding the rows PostgreSQL refuses.
 *
 * Rows are applied in order, a half at a time, each try in a subtransaction that ends with the deferred
 * constraints. What passes stays while the rest is searched, because rows can collide with one another;
 * at the end all of it is rolled back, and the caller applies the good rows once.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "isolate.h"
#include "sink.h"

typedef struct Search
{
	TxpApply apply;
	void *arg;
	List *refusals;
	MemoryContext context;
	ResourceOwner owner;
} Search;

bool
txp_error_is_of_rows(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case MAKE_SQLSTATE('2', '1', '0', '0', '0'): /* cardinality violation */
		case MAKE_SQLSTATE('2', '2', '0', '0', '0'): /* data exception */
		case MAKE_SQLSTATE('2', '3', '0', '0', '0'): /* integrity constraint violation */
		case MAKE_SQLSTATE('2', '7', '0', '0', '0'): /* triggered data change violation */
		case MAKE_SQLSTATE('4', '4', '0', '0', '0'): /* WITH CHECK OPTION violation */
		case MAKE_SQLSTATE('P', '0', '0', '0', '0'): /* RAISE in PL/pgSQL */
			return true;
		default:
			return false;
	}
}

static void
end_subtransaction(Search *search, bool keep)
{
	if (keep)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(search->context);
	CurrentResourceOwner = search->owner;
}

/* Applies the rows in a subtransaction that stays when it passes; else returns the error. */
static ErrorData *
try_rows(Search *search, uint32 first, uint32 count)
{
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(search->context);
	PG_TRY();
	{
		search->apply(search->arg, first, count, NULL);
		txp_sink_fire_deferred();
		end_subtransaction(search, true);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(search->context);
		error = CopyErrorData();
		FlushErrorState();
		end_subtransaction(search, false);
	}
	PG_END_TRY();
	return error;
}

static void
note_refusal(Search *search, uint32 row, ErrorData *error)
{
	TxpRefusal *refusal = palloc(sizeof(TxpRefusal));

	refusal->row = row;
	refusal->code = pstrdup(unpack_sql_state(error->sqlerrcode));
	refusal->message =
		error->detail ? psprintf("%s: %s", error->message, error->detail) : pstrdup(error->message);
	refusal->column = error->column_name ? pstrdup(error->column_name) : NULL;
	search->refusals = lappend(search->refusals, refusal);
}

static void
search_range(Search *search, uint32 first, uint32 count)
{
	ErrorData *error;

	CHECK_FOR_INTERRUPTS();
	error = try_rows(search, first, count);
	if (error == NULL)
		return;
	if (!txp_error_is_of_rows(error->sqlerrcode))
		ReThrowError(error);
	if (count == 1)
		note_refusal(search, first, error);
	FreeErrorData(error);
	if (count > 1)
	{
		search_range(search, first, count / 2);
		search_range(search, first + count / 2, count - count / 2);
	}
}

List *
txp_isolate(uint32 nrows, TxpApply apply, void *arg)
{
	ResourceOwner outer = CurrentResourceOwner;
	Search search = {apply, arg, NIL, CurrentMemoryContext, outer};

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(search.context);
	search.owner = CurrentResourceOwner;
	PG_TRY();
	{
		search_range(&search, 0, nrows);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(search.context);
		error = CopyErrorData();
		FlushErrorState();
		search.owner = outer;
		end_subtransaction(&search, false);
		ReThrowError(error);
	}
	PG_END_TRY();
	search.owner = outer;
	end_subtransaction(&search, false);
	return search.refusals;
}
