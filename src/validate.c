/*
 * validate.c — what loading a landing file would do, without doing it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "args.h"
#include "feed_match.h"
#include "load.h"
#include "loadfile.h"
#include "rights.h"
#include "spi.h"

#define MOST_LINES 1000

PG_FUNCTION_INFO_V1(txpipe_validate_file);

typedef struct Validation
{
	TxpLedgerFile file;
	char *group_name;
	char *group_key;
	TxpSample sample;
	TxpRuleCounts counts;
	char *over_limit;
} Validation;

/* The feed that run_hourly would take the file for, of those the caller may run. */
static void
find_feed(Validation *v)
{
	const TxpFeedPattern *pattern =
		txp_feed_match(txp_feed_patterns(GetUserId(), false), v->file.file.name, &v->group_key);

	if (pattern == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("no feed of yours takes \"%s\"", v->file.file.name),
						errhint("The file_pattern of a feed matches the whole path below "
								"txpipe.landing_directory; feeds are listed in "
								"txpipe.feed_status.")));
	v->file.feed_id = pattern->feed_id;
	v->group_name = pattern->group_name;
}

static void
try_file(Validation *v)
{
	TxpFileIo *files = txp_fileio_new(CurrentMemoryContext);
	const TxpFeed *feed;

	feed = txp_feed_by_id(txp_feeds_lock(v->group_name), v->file.feed_id);
	(void) txp_rights_resolve(feed->owner, feed->owner_name, psprintf("feed \"%s\"", feed->name));
	v->over_limit = txp_try_file(files, feed, v->group_key, &v->file, &v->sample, &v->counts);
	txp_fileio_reset(files);
}

static int
compare_lines(const void *a, const void *b, void *arg)
{
	const Datum *lines = arg;
	int64 x = DatumGetInt64(lines[*(const int *) a]);
	int64 y = DatumGetInt64(lines[*(const int *) b]);

	return (x > y) - (x < y);
}

static Datum
text_or_null(Datum text, bool *isnull)
{
	*isnull = VARSIZE_ANY_EXHDR(DatumGetPointer(text)) == 0;
	return text;
}

/* Bytes that are no text are escaped. */
static Datum
line_text(Datum record)
{
	bytea *bytes = DatumGetByteaPP(record);
	char *data = VARDATA_ANY(bytes);
	int len = VARSIZE_ANY_EXHDR(bytes);

	if (pg_verify_mbstr(GetDatabaseEncoding(), data, len, true))
		return PointerGetDatum(cstring_to_text_with_len(data, len));
	return DirectFunctionCall2(binary_encode, record, CStringGetTextDatum("escape"));
}

/* The sample as rows, in the order of the file. */
static void
put_lines(const TxpSample *sample, ReturnSetInfo *result)
{
	const TxpRejects *lines = &sample->lines;
	int *order = palloc(sizeof(int) * (lines->count + 1));

	for (int i = 0; i < lines->count; i++)
		order[i] = i;
	qsort_arg(order, lines->count, sizeof(int), compare_lines, lines->lines);
	for (int i = 0; i < lines->count; i++)
	{
		int n = order[i];
		bool nulls[6] = {false};
		Datum values[6] = {lines->lines[n],
						   CStringGetTextDatum(sample->outcomes[n]),
						   text_or_null(lines->codes[n], &nulls[2]),
						   lines->columns[n],
						   text_or_null(lines->messages[n], &nulls[4]),
						   lines->encrypted ? 0 : line_text(lines->records[n])};

		nulls[3] = lines->no_column[n];
		nulls[5] = lines->encrypted;
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

static void
report(const Validation *v)
{
	const TxpLedgerFile *file = &v->file;
	StringInfoData detail;
	ListCell *lc;

	initStringInfo(&detail);
	foreach (lc, v->counts.counts)
	{
		const TxpRuleCount *count = lfirst(lc);

		appendStringInfo(&detail, "%s%s %s: " INT64_FORMAT, detail.len > 0 ? ", " : "",
						 count->action, count->rule, count->rows);
	}
	ereport(NOTICE, (errmsg("of " INT64_FORMAT " records " INT64_FORMAT
							" would be loaded, " INT64_FORMAT " are duplicate, " INT64_FORMAT
							" filtered, " INT64_FORMAT " superseded, " INT64_FORMAT " rejected",
							file->read, file->loaded, file->duplicate, file->filtered,
							file->superseded, file->rejected),
					 detail.len > 0 ? errdetail("%s.", detail.data) : 0));
	if (v->over_limit != NULL)
		ereport(NOTICE, (errmsg("nothing would be loaded: %s", v->over_limit)));
}

Datum
txpipe_validate_file(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "txpipe validate", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	Validation v = {.sample = {.context = context, .most = MOST_LINES, .all = true}};

	InitMaterializedSRF(fcinfo, 0);
	old = MemoryContextSwitchTo(context);
	v.file.file.name = txp_arg_text(fcinfo, 0, "path");
	if (!txp_landing_stat(v.file.file.name, &v.file.file.bytes, &v.file.file.modified_at))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FILE),
				 errmsg("there is no file \"%s\" in the landing directory", v.file.file.name),
				 errhint("Give the path of a regular file below "
						 "txpipe.landing_directory.")));
	find_feed(&v);
	txp_load_begin(TXP_JOB_VALIDATE_FILE);
	PG_TRY();
	{
		try_file(&v);
	}
	PG_FINALLY();
	{
		txp_load_end();
	}
	PG_END_TRY();
	put_lines(&v.sample, result);
	report(&v);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return (Datum) 0;
}
