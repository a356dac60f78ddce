/*
 * copy_search.c — one copy in the lake: which of its records are a person's, and the copy without them.
 *
 * A copy is read as its feed reads it, and a record is the person's where the columns say so, as rows of targets are;
 * one that is no row is looked at as text, as rejected records are. Files of the lake are never replaced: a copy
 * without those records is made beside it, the ledger takes that one, and the old one goes with the commit. What is
 * left of each of those records is its line ends, so that all others keep their lines.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "batch_read.h"
#include "clean_lake.h"
#include "copy_search.h"
#include "encryption.h"
#include "error_class.h"
#include "isolate.h"
#include "rights.h"
#include "spi.h"
#include "steps.h"
#include "transaction.h"

typedef struct CopySearch
{
	TxpFeedSearch *feed;
	TxpLakeCopy *copy;
	MemoryContext context;
	TxdPgp *keys; /* of records that are no rows, when one was looked at */
	TxpFileChannel *channel;
	TxpRows rows;
	TxpOutcomes outcomes;
	TxpBatch batch;
	Datum *lines; /* bigint */
	int nlines;
	int allocated;
} CopySearch;

static void
add_line(CopySearch *search, int64 line)
{
	if (search->nlines == search->allocated)
	{
		search->allocated = Max(64, search->allocated * 2);
		search->lines = search->lines == NULL
							? palloc(sizeof(Datum) * search->allocated)
							: repalloc(search->lines, sizeof(Datum) * search->allocated);
	}
	search->lines[search->nlines++] = Int64GetDatum(line);
}

/* --- the feed --- */

/* What is true of the person's rows, as the step that finds them. False: the feed cannot be searched. */
static bool
set_step(TxpFeedSearch *search)
{
	static TxpStatement query = {
		"SELECT txpipe.subject_condition($1, $2, $3, $4), $4 IS NULL AND $3 && "
		"ARRAY(SELECT jsonb_object_keys($2))",
		4,
		{TEXTARRAYOID, JSONBOID, TEXTARRAYOID, TEXTOID}};
	const TxpRowPlan *rows = search->plan.rows;
	Datum *names = palloc(sizeof(Datum) * rows->ncolumns);
	Datum *sealed = palloc(sizeof(Datum) * rows->ncolumns);
	MemoryContext context = CurrentMemoryContext;
	int nsealed = 0;
	TxpStep *step = palloc0(sizeof(TxpStep));
	Datum values[4];
	char *condition;

	for (int i = 0; i < rows->ncolumns; i++)
	{
		names[i] = CStringGetTextDatum(rows->columns[i].name);
		if (rows->columns[i].convert == TXD_AS_ENCRYPTED)
			sealed[nsealed++] = names[i];
	}
	values[0] = txp_spi_array(TEXTOID, names, NULL, rows->ncolumns);
	values[1] = search->erasure->subject;
	values[2] = txp_spi_array(TEXTOID, sealed, NULL, nsealed);
	values[3] = search->erasure->server;
	SPI_connect();
	(void) txp_spi_run(&query, values, values[3] ? NULL : "   n");
	condition = txp_spi_text(0, 1);
	if (condition == NULL)
		search->hindrance = "it has not all of these columns";
	else if (DatumGetBool(txp_spi_datum(0, 2)))
		search->hindrance = "encrypted, and no server is given";
	else
		step->sql = MemoryContextStrdup(
			context, psprintf("SELECT t.line_no, 'filtered', NULL::text, NULL::text, NULL::text "
							  "FROM batch AS t WHERE %s",
							  condition));
	SPI_finish();
	step->name = "erase_subject";
	step->trusted = search->feed->trusted;
	search->plan.steps = list_make1(step);
	return search->hindrance == NULL;
}

/* The feed's plan, with nothing but our step. */
bool
txp_copy_search_plan(void *arg)
{
	TxpFeedSearch *search = arg;
	TxpFeed feed = *search->feed;
	TxpRights saved;
	Relation target = NULL;
	Oid relid;

	feed.steps = list_make1(&(TxpStep){0});
	feed.rules = NIL;
	txp_rights_owner(feed.owner, &saved);
	relid = txp_feed_target(&feed);
	if (OidIsValid(relid))
		target = table_open(relid, AccessShareLock);
	txp_feed_plan(&feed, target, "0", "", &search->plan);
	if (target != NULL)
		table_close(target, NoLock);
	txp_rights_restore(&saved);
	if (set_step(search))
		search->reader = txp_rowreader_new(search->plan.rows);
	return true;
}

/* --- one copy --- */

/* TxpApply: which of the rows are the person's. */
static void
apply(void *arg, uint32 first, uint32 count, const Bitmapset *skip)
{
	CopySearch *search = arg;
	TxpFeedSearch *feed = search->feed;
	TxpRights saved;

	txp_rights_owner(feed->feed->owner, &saved);
	PushActiveSnapshot(GetTransactionSnapshot());
	txp_steps_run(feed->plan.steps, feed->plan.rows, feed->reader, &search->rows,
				  feed->plan.line_column, 0, first, count, skip, &search->outcomes);
	PopActiveSnapshot();
	txp_rights_restore(&saved);
}

typedef struct Attempt
{
	CopySearch *search;
	const Bitmapset *skip;
} Attempt;

static bool
try_rows(void *arg)
{
	Attempt *attempt = arg;

	apply(attempt->search, 0, attempt->search->batch.nrows, attempt->skip);
	return true;
}

/* Is a record that is no row the person's? It comes encrypted where the feed's do. */
static void
look_at_record(CopySearch *search, const TxpMessage *record)
{
	static TxpStatement query = {
		"SELECT txpipe.mentions($2, txpipe.utf8($1), encode($1, 'escape'))",
		2,
		{BYTEAOID, JSONBOID}};
	const TxpFeedSearch *feed = search->feed;
	bytea *bytes = palloc(VARHDRSZ + record->payload.len);
	Datum values[] = {PointerGetDatum(bytes), feed->erasure->subject};

	SET_VARSIZE(bytes, VARHDRSZ + record->payload.len);
	if (record->payload.len > 0)
		memcpy(VARDATA(bytes), record->payload.data, record->payload.len);
	if (feed->plan.rows->encrypts)
	{
		if (search->keys == NULL)
			search->keys =
				txp_encryption_keys_of(search->context, txp_feed_encryption_keys(feed->feed));
		values[0] = PointerGetDatum(txp_decrypt(search->keys, bytes));
	}
	if (DatumGetBool(txp_spi_ask(&query, values, NULL)))
		add_line(search, record->offset);
}

/* Rows that PostgreSQL refuses are no rows. */
static void
look_at_rows(CopySearch *search)
{
	Attempt attempt = {search, NULL};
	ErrorData *error = txp_subtransaction_try_many(try_rows, &attempt, CurrentMemoryContext);
	Bitmapset *skip = NULL;
	List *refusals;
	TxpBatch raw;
	ListCell *lc;

	if (error != NULL)
	{
		if (!txp_error_is_of_rows(error->sqlerrcode))
			ReThrowError(error);
		refusals = txp_isolate(search->batch.nrows, false, apply, search);
		if (refusals == NIL)
			ReThrowError(error);
		txp_batch_read(txp_fileio_repeat(search->channel, search->batch.seq), &raw);
		foreach (lc, refusals)
		{
			uint32 row = ((TxpRefusal *) lfirst(lc))->row;

			skip = bms_add_member(skip, row);
			look_at_record(search, &raw.raw[row]);
		}
		attempt.skip = skip;
		error = txp_subtransaction_try_many(try_rows, &attempt, CurrentMemoryContext);
		if (error != NULL)
			ReThrowError(error);
	}
	for (uint32 i = 0; search->outcomes.fate != NULL && i < search->batch.nrows; i++)
	{
		if (search->outcomes.fate[i] != 0)
			add_line(search, txp_rows_int64(search->feed->reader, &search->rows, i,
											search->feed->plan.line_column));
	}
}

static void
look_at_batch(CopySearch *search, const TxpFrame *frame)
{
	const TxpRowPlan *rows = search->feed->plan.rows;

	memset(&search->outcomes, 0, sizeof(search->outcomes));
	txp_batch_read(frame, &search->batch);
	txp_rows_find(rows, search->batch.rows.data, search->batch.rows.len, search->batch.nrows,
				  &search->rows);
	if (search->batch.nrows > 0)
		look_at_rows(search);
	for (uint32 i = 0; i < search->batch.nrejects; i++)
		look_at_record(search, &search->batch.rejects[i]);
}

/* What is damaged, or was changed, must not become what the ledger takes for good. */
static void
check_content(const TxpFrame *end, const TxpLakeCopy *copy)
{
	TxpReader r = txp_reader(end->data, end->size);
	bool same;

	for (int i = 0; i < 4; i++)
		(void) txp_read_i64(&r);
	same = txp_fileio_is_content(&r, copy->sha256);
	txp_reader_check(&r);
	if (!same)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("the copy \"%s\" in the lake has other content than the file that "
							   "arrived",
							   copy->path)));
}

static void
find_lines(CopySearch *search)
{
	MemoryContext old = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(old, "txpipe batch", ALLOCSET_DEFAULT_SIZES);
	bool at_end = false;

	search->channel = txp_fileio_open(search->feed->erasure->files, false, search->copy->path,
									  &search->feed->plan);
	search->lines = palloc(sizeof(Datum) * (search->allocated = 64));
	while (!at_end)
	{
		TxpFrame *frame = txp_fileio_next(search->channel);

		CHECK_FOR_INTERRUPTS();
		at_end = frame->type == TXP_FILE_END;
		if (frame->type == TXP_BATCH)
		{
			MemoryContextSwitchTo(context);
			look_at_batch(search, frame);
			MemoryContextSwitchTo(old);
			MemoryContextReset(context);
			txp_fileio_done(search->channel, frame->seq);
		}
		else if (at_end)
			check_content(frame, search->copy);
		pfree(frame->data);
		pfree(frame);
	}
	txp_fileio_close(search->channel);
	MemoryContextDelete(context);
}

/* Those found, and those of rejected records that were found before; ascending. */
static ArrayType *
all_lines(const CopySearch *search)
{
	static TxpStatement query = {
		"SELECT coalesce(array_agg(DISTINCT l.n ORDER BY l.n), '{}') FROM (SELECT unnest($1) "
		"UNION ALL SELECT r.line_no FROM unnest($2, $3) AS r (file_id, line_no) "
		"    WHERE r.file_id = ANY ($4)) AS l (n)",
		4,
		{INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID}};
	MemoryContext context = CurrentMemoryContext;
	MemoryContext old;
	Datum values[] = {txp_spi_array(INT8OID, search->lines, NULL, search->nlines),
					  search->feed->erasure->rejected, search->feed->erasure->rejected_lines,
					  search->copy->files};
	ArrayType *lines;

	SPI_connect();
	(void) txp_spi_run(&query, values, NULL);
	old = MemoryContextSwitchTo(context);
	lines = DatumGetArrayTypePCopy(txp_spi_datum(0, 1));
	MemoryContextSwitchTo(old);
	SPI_finish();
	return lines;
}

/* The ledger has the new copy; records of those lines that were rejected cannot be replayed any more. */
static void
enter_copy(const CopySearch *search, const TxpRewritten *new, Datum lines, int nlines)
{
	static TxpStatement update = {
		"UPDATE txpipe.file_ledger SET lake_path = $3, copy_sha256 = $4, copy_bytes = $5, "
		"rows_erased = rows_erased + $6, reason = concat_ws('; ', reason, $6 || ' records were "
		"erased from its copy on ' || to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD')) "
		"WHERE feed_id = $1 AND lake_path = $2",
		6,
		{INT4OID, TEXTOID, TEXTOID, BYTEAOID, INT8OID, INT8OID}};
	static TxpStatement dismiss = {
		"UPDATE txpipe.rejected_line SET line_bytes = '', line_fixed = NULL, encrypted = false, "
		"message = 'erased', state = CASE state WHEN 'open' THEN 'dismissed' ELSE state END "
		"WHERE file_id = ANY ($1) AND line_no = ANY ($2) AND line_bytes <> ''",
		2,
		{INT8ARRAYOID, INT8ARRAYOID}};
	bytea *sha256 = palloc(VARHDRSZ + TXP_SHA256_SIZE);
	Datum entry[] = {Int32GetDatum(search->feed->feed->feed_id),
					 CStringGetTextDatum(search->copy->path),
					 CStringGetTextDatum(new->path),
					 PointerGetDatum(sha256),
					 Int64GetDatum(new->bytes),
					 Int64GetDatum(nlines)};
	Datum rejected[] = {search->copy->files, lines};

	SET_VARSIZE(sha256, VARHDRSZ + TXP_SHA256_SIZE);
	memcpy(VARDATA(sha256), new->sha256, TXP_SHA256_SIZE);
	(void) txp_spi_do(&update, entry, NULL);
	(void) txp_spi_do(&dismiss, rejected, NULL);
}

static void
rewrite(const CopySearch *search, ArrayType *lines, int nlines)
{
	const TxpFeedSearch *feed = search->feed;
	TxpRewriting what = {.path = search->copy->path,
						 .name = search->copy->name,
						 .plan = &feed->plan,
						 .sha256 = search->copy->sha256,
						 .nlines = nlines,
						 .lines = (const int64 *) ARR_DATA_PTR(lines),
						 .keys = txp_feed_encryption_keys(feed->feed)};
	TxpRewritten new;

	txp_fileio_rewrite(feed->erasure->files, &what, &new);
	if (what.keys != NULL)
		explicit_bzero(unconstify(char *, what.keys), strlen(what.keys));
	if (new.made)
		txp_lake_remove_at_abort(new.path);
	enter_copy(search, &new, PointerGetDatum(lines), nlines);
	txp_lake_give_up(feed->feed->feed_id, search->copy->path);
}

/* TxpWork: finds the person's records, and has the copy written without them. */
static bool
erase_copy(void *arg)
{
	CopySearch *search = arg;
	ArrayType *lines;
	int nlines;

	find_lines(search);
	lines = all_lines(search);
	nlines = ArrayGetNItems(ARR_NDIM(lines), ARR_DIMS(lines));
	if (nlines == 0)
		return true;
	rewrite(search, lines, nlines);
	search->feed->rewritten++;
	search->feed->records += nlines;
	return true;
}

/* Trouble of the surroundings ends the erasure, which can be repeated; what is wrong with a copy is reported. */
static bool
is_of_copy(int sqlerrcode)
{
	/* The child is gone; deadlock and the like; disk full, out of memory; lock timeout; cancelled. */
	static const char *const others[] = {"08", "40", "53", "55P03", "57"};
	const char *code = unpack_sql_state(sqlerrcode);

	for (int i = 0; i < (int) lengthof(others); i++)
	{
		if (strncmp(code, others[i], strlen(others[i])) == 0)
			return false;
	}
	return true;
}

char *
txp_copy_search_reason(const TxpFeedSearch *search, ErrorData *error)
{
	if (!is_of_copy(error->sqlerrcode))
		ReThrowError(error);
	if (txp_feed_encrypts(search->feed))
		txp_error_hide_values(error);
	return error->message;
}

ErrorData *
txp_copy_search_erase(TxpFeedSearch *search, TxpLakeCopy *copy)
{
	MemoryContext old = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(old, "txpipe copy", ALLOCSET_DEFAULT_SIZES);
	CopySearch work = {.feed = search, .copy = copy, .context = context};
	ErrorData *error;

	MemoryContextSwitchTo(context);
	error = txp_subtransaction_try(erase_copy, &work, old);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	if (error != NULL)
		txp_fileio_reset(search->erasure->files);
	return error;
}
