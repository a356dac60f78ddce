/*
 * isolate.c — finding the rows PostgreSQL refuses.
 *
 * Rows are applied in order, each try in a subtransaction that ends with the deferred constraints. Of rows that
 * fail together COPY mostly tells which one it was; what lies before it, it alone and what lies behind it are tried
 * next, otherwise both halves. What passes stays while the rest is searched, because rows can collide with one
 * another; at the end all of it is rolled back, and the caller applies the good rows once, or all of it is kept.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "error_class.h"
#include "isolate.h"
#include "sink.h"
#include "transaction.h"

typedef struct Search
{
	TxpApply apply;
	void *arg;
	bool stop;    /* at the first refusal */
	bool keep;    /* what passes */
	bool several; /* rows of a message, which is what is counted here */
	uint32 nrows;
	List *refusals;
	MemoryContext context;
} Search;

typedef struct Piece
{
	Search *search;
	uint32 first;
	uint32 count;
} Piece;

static bool
apply_piece(void *arg)
{
	const Piece *piece = arg;

	piece->search->apply(piece->search->arg, piece->first, piece->count, NULL);
	txp_sink_fire_deferred();
	return true;
}

/*
 * Applies the rows in a subtransaction that stays when it passes; else returns the error. What a try leaves
 * in memory goes with it: there may be thousands.
 */
static ErrorData *
try_rows(Search *search, uint32 first, uint32 count)
{
	MemoryContext scratch =
		AllocSetContextCreate(search->context, "txpipe try", ALLOCSET_DEFAULT_SIZES);
	Piece piece = {search, first, count};
	ErrorData *error;

	MemoryContextSwitchTo(scratch);
	error = txp_subtransaction_try(apply_piece, &piece, search->context);
	MemoryContextSwitchTo(search->context);
	MemoryContextDelete(scratch);
	return error;
}

/* `told`: which of the rows of a message COPY stopped at, from 1; 0: it does not say. */
static void
note_refusal(Search *search, uint32 row, uint64 told, ErrorData *error)
{
	TxpRefusal *refusal = palloc(sizeof(TxpRefusal));

	refusal->row = row;
	refusal->code = pstrdup(unpack_sql_state(error->sqlerrcode));
	refusal->message =
		error->detail ? psprintf("%s: %s", error->message, error->detail) : pstrdup(error->message);
	if (search->several && told > 0)
		refusal->message = psprintf("row " UINT64_FORMAT ": %s", told - 1, refusal->message);
	refusal->discreet = txp_error_without_values(error);
	refusal->column = error->column_name ? pstrdup(error->column_name) : NULL;
	search->refusals = lappend(search->refusals, refusal);
}

void
txp_refusals_hide_values(List *refusals)
{
	ListCell *lc;

	foreach (lc, refusals)
	{
		TxpRefusal *refusal = lfirst(lc);

		refusal->message = refusal->discreet;
	}
}

static void search_range(Search *search, uint32 first, uint32 count, bool trust);

/* The row at fault is known: true when it is one, and no row before it is. */
static bool
search_around(Search *search, uint32 first, uint32 row)
{
	int before = list_length(search->refusals);

	if (row > first)
		search_range(search, first, row - first, false);
	if (list_length(search->refusals) > before)
		return false;
	search_range(search, row, 1, false);
	return list_length(search->refusals) > before;
}

/*
 * `trust` what COPY tells. Where it was wrong once, of triggers that fire late, say, the halves bound the number
 * of tries.
 */
static void
search_range(Search *search, uint32 first, uint32 count, bool trust)
{
	while (count > 0 && !(search->stop && search->refusals != NIL))
	{
		ErrorData *error;
		uint64 told;
		uint32 done;

		CHECK_FOR_INTERRUPTS();
		error = try_rows(search, first, count);
		told = txp_sink_failed_row();
		if (error == NULL)
			return;
		if (!txp_error_is_of_rows(error->sqlerrcode))
			ReThrowError(error);
		if (count == 1)
			note_refusal(search, first, told, error);
		FreeErrorData(error);
		if (count == 1)
			return;
		if (trust && told >= 1 && told <= count)
		{
			done = (uint32) told;
			trust = search_around(search, first, first + done - 1);
		}
		else
		{
			done = count / 2;
			search_range(search, first, done, trust);
		}
		first += done;
		count -= done;
	}
}

static bool
search_rows(void *arg)
{
	Search *search = arg;

	(void) txp_sink_failed_row(); /* of another batch */
	search_range(search, 0, search->nrows, !search->several);
	return search->keep;
}

static List *
search_all(Search *search)
{
	ErrorData *error;

	search->context = CurrentMemoryContext;
	error = txp_subtransaction_try(search_rows, search, search->context);
	if (error != NULL)
		ReThrowError(error);
	return search->refusals;
}

List *
txp_isolate(uint32 nrows, bool several, TxpApply apply, void *arg)
{
	Search search = {.apply = apply, .arg = arg, .several = several, .nrows = nrows};

	return search_all(&search);
}

List *
txp_isolate_kept(uint32 nrows, bool several, bool stop, TxpApply apply, void *arg)
{
	Search search = {
		.apply = apply, .arg = arg, .stop = stop, .keep = true, .several = several, .nrows = nrows};

	return search_all(&search);
}
