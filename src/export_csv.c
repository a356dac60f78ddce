/*
 * export_csv.c — the rows of a query as a CSV file, row by row from the executor to the file.
 *
 * Memory is that of one row and one buffer, however long the file is. The query runs with the caller's rights and
 * search_path in what is a read-only transaction to it, and to the functions it calls.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "nodes/parsenodes.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"

#include "args.h"
#include "outfile.h"

PG_FUNCTION_INFO_V1(txpipe_export_csv);

#define BYTE_ORDER_MARK "\xEF\xBB\xBF"
/* What spreadsheets take for the beginning of a formula. */
#define FORMULA "=+-@\t\r"

typedef struct CsvReceiver
{
	DestReceiver pub;
	TxpOutFile *file;
	bool spreadsheet;
	int64 rows;
	int ncolumns;
	FmgrInfo *output;
	bool *is_number;
	MemoryContext row_context;
} CsvReceiver;

/* --- one line --- */

/* Quoted where it must be, and where it would not be seen at all. */
static void
write_field(CsvReceiver *csv, const char *value, bool is_number)
{
	bool defuse = csv->spreadsheet && !is_number && value[0] && strchr(FORMULA, value[0]);
	bool quote = value[0] == '\0' || strpbrk(value, "\",\r\n") != NULL;

	if (quote)
		txp_outfile_write(csv->file, "\"", 1);
	if (defuse)
		txp_outfile_write(csv->file, "'", 1);
	while (*value)
	{
		size_t len = strcspn(value, "\"");

		txp_outfile_write(csv->file, value, len);
		value += len;
		if (*value == '"')
		{
			txp_outfile_write(csv->file, "\"\"", 2);
			value++;
		}
	}
	if (quote)
		txp_outfile_write(csv->file, "\"", 1);
}

/* The server's text as UTF-8. */
static void
write_text(CsvReceiver *csv, char *text, bool is_number)
{
	write_field(csv, pg_server_to_any(text, strlen(text), PG_UTF8), is_number);
}

static void
end_field(CsvReceiver *csv, int column)
{
	if (column < csv->ncolumns - 1)
		txp_outfile_write(csv->file, ",", 1);
	else
		txp_outfile_write(csv->file, "\r\n", 2);
}

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	CsvReceiver *csv = (CsvReceiver *) self;
	MemoryContext old = MemoryContextSwitchTo(csv->row_context);

	slot_getallattrs(slot);
	for (int i = 0; i < csv->ncolumns; i++)
	{
		/* NULL is an empty field; a line of nothing else would be taken for no line. */
		if (!slot->tts_isnull[i])
			write_text(csv, OutputFunctionCall(&csv->output[i], slot->tts_values[i]),
					   csv->is_number[i]);
		else if (csv->ncolumns == 1)
			write_field(csv, "", false);
		end_field(csv, i);
	}
	csv->rows++;
	MemoryContextSwitchTo(old);
	MemoryContextReset(csv->row_context);
	return true;
}

/* --- a query's rows, from the first to the last --- */

static void
begin_rows(DestReceiver *self, int operation, TupleDesc columns)
{
	CsvReceiver *csv = (CsvReceiver *) self;

	csv->ncolumns = columns->natts;
	csv->output = palloc(sizeof(FmgrInfo) * columns->natts);
	csv->is_number = palloc(sizeof(bool) * columns->natts);
	if (csv->spreadsheet)
		txp_outfile_write(csv->file, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK));
	for (int i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(columns, i);
		bool is_varlena;
		bool is_preferred;
		char category;
		Oid function;

		getTypeOutputInfo(column->atttypid, &function, &is_varlena);
		fmgr_info(function, &csv->output[i]);
		get_type_category_preferred(column->atttypid, &category, &is_preferred);
		csv->is_number[i] = category == TYPCATEGORY_NUMERIC;
		write_text(csv, NameStr(column->attname), false);
		end_field(csv, i);
	}
}

static void
end_rows(DestReceiver *self)
{
}

/* One statement that only reads, as far as its text says. */
static bool
is_select(SPIPlanPtr plan)
{
	List *sources = SPI_plan_get_plan_sources(plan);
	CachedPlanSource *source;
	Query *query;

	if (list_length(sources) != 1)
		return false;
	source = linitial(sources);
	if (list_length(source->query_list) != 1)
		return false;
	query = linitial_node(Query, source->query_list);
	return query->commandType == CMD_SELECT && !query->hasModifyingCTE && query->rowMarks == NIL &&
		   source->resultDesc != NULL && source->resultDesc->natts > 0;
}

static SPIPlanPtr
prepare_query(const char *text)
{
	SPIPlanPtr plan = SPI_prepare_cursor(text, 0, NULL, CURSOR_OPT_PARALLEL_OK);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare_cursor failed: %s", SPI_result_code_string(SPI_result));
	if (!is_select(plan))
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the query of an export must be one SELECT"),
			 errhint("SELECT, VALUES, TABLE and WITH ... SELECT do, with columns and without parts "
					 "that change data.")));
	return plan;
}

static void
set(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
}

/* What the session has set must not change the bytes; whoever calls functions must not write through them. */
static void
run_query(SPIPlanPtr plan, CsvReceiver *csv)
{
	SPIExecuteOptions options = {.read_only = true, .dest = &csv->pub};
	int level = NewGUCNestLevel();
	bool was_read_only = XactReadOnly;
	int code;

	/* As a setting it cannot be undone from PostgreSQL 16 on; an error restores it with its (sub)transaction. */
	XactReadOnly = true;
	set("DateStyle", "ISO");
	set("IntervalStyle", "postgres");
	set("extra_float_digits", "1");
	set("bytea_output", "hex");
	code = SPI_execute_plan_extended(plan, &options);
	if (code < 0)
		elog(ERROR, "SPI_execute_plan_extended returned %s", SPI_result_code_string(code));
	AtEOXact_GUC(false, level);
	XactReadOnly = was_read_only;
}

static bool
is_spreadsheet(const char *profile)
{
	if (strcmp(profile, "spreadsheet") == 0)
		return true;
	if (strcmp(profile, "rfc4180") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("there is no profile \"%s\"", profile),
						errhint("Valid profiles are rfc4180 and spreadsheet.")));
	return false;
}

/* export_csv(query text, name text, profile text) RETURNS text: the path written. */
Datum
txpipe_export_csv(PG_FUNCTION_ARGS)
{
	char *text = txp_arg_text(fcinfo, 0, "query");
	char *name = txp_arg_text(fcinfo, 1, "name");
	CsvReceiver csv = {{receive_row, begin_rows, end_rows, end_rows, DestNone}};
	MemoryContext context = CurrentMemoryContext;
	char *volatile path = NULL;
	SPIPlanPtr plan;

	csv.spreadsheet = is_spreadsheet(txp_arg_text(fcinfo, 2, "profile"));
	csv.row_context =
		AllocSetContextCreate(CurrentMemoryContext, "txpipe export row", ALLOCSET_DEFAULT_SIZES);
	SPI_connect();
	plan = prepare_query(text);
	csv.file = txp_outfile_open(name);
	PG_TRY();
	{
		TxpOutFacts facts = {0};

		run_query(plan, &csv);
		facts.rows = csv.rows;
		path = MemoryContextStrdup(context, txp_outfile_publish(csv.file, &facts));
	}
	PG_CATCH();
	{
		txp_outfile_abandon(csv.file);
		PG_RE_THROW();
	}
	PG_END_TRY();
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text(path));
}
