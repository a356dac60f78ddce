/*
 * export_csv.c — the rows of a query as a CSV file, row by row from the executor to the file.
 *
 * Memory is that of one row and one buffer, however long the file is.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "args.h"
#include "export_query.h"
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
	plan = txp_export_prepare(text);
	csv.file = txp_outfile_open(name);
	PG_TRY();
	{
		TxpOutFacts facts = {0};

		txp_export_run(plan, &csv.pub);
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
