/*
 * export_parquet.c — the rows of a query as a data set of Parquet files.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "args.h"
#include "dataset.h"
#include "export_query.h"
#include "guc.h"
#include "manifest.h"
#include "outdir.h"
#include "parquet_rows.h"

PG_FUNCTION_INFO_V1(txpipe_export_parquet);
PG_FUNCTION_INFO_V1(txpipe_read_manifest);

static TxpNames
names_argument(FunctionCallInfo fcinfo, int n, const char *argument)
{
	TxpNames names;

	names.names = txp_arg_names(fcinfo, n, argument, "Leave it out for none.", &names.n);
	return names;
}

/* Directories of data sets that are not replaced as a whole. */
static void
check_name(const char *name)
{
	if (strcmp(name, TXP_RAW) == 0 || strcmp(name, TXP_CURATED) == 0 ||
		strncmp(name, TXP_CURATED "/", strlen(TXP_CURATED "/")) == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("data set \"%s\" is kept by %s()", name,
							   strcmp(name, TXP_RAW) == 0 ? "export_archive" : "export_curated"),
						errhint("Choose another name.")));
}

/* export_parquet(query text, dataset text, partition_by text[], sort_by text[]) RETURNS text: path of the manifest. */
Datum
txpipe_export_parquet(PG_FUNCTION_ARGS)
{
	char *query = txp_arg_text(fcinfo, 0, "query");
	char *name = txp_arg_text(fcinfo, 1, "dataset");
	TxpNames partition_by = names_argument(fcinfo, 2, "partition_by");
	TxpNames sort_by = names_argument(fcinfo, 3, "sort_by");
	MemoryContext context = CurrentMemoryContext;
	TxpDataset *dataset;
	TxpParquetRows *rows;
	char *volatile path = NULL;
	const char *facts;
	SPIPlanPtr plan;

	check_name(name);
	SPI_connect();
	plan = txp_export_prepare(query);
	MemoryContextSwitchTo(context);
	facts = txp_parquet_rows_facts(txp_export_columns(plan), partition_by);
	dataset = txp_dataset_begin(name, ".parquet");
	rows = txp_parquet_rows_new(dataset, partition_by, sort_by);
	PG_TRY();
	{
		txp_export_run(plan, txp_parquet_rows_receiver(rows));
		MemoryContextSwitchTo(context);
		path =
			txp_dataset_publish(dataset, txp_manifest_text(name, facts, txp_dataset_parts(dataset),
														   0, txp_outdir_now()));
	}
	PG_CATCH();
	{
		txp_parquet_rows_abandon(rows);
		txp_dataset_abandon(dataset);
		PG_RE_THROW();
	}
	PG_END_TRY();
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text(path));
}

/* read_manifest(dataset text, OUT directory text, OUT manifest text) */
Datum
txpipe_read_manifest(PG_FUNCTION_ARGS)
{
	char *name = txp_arg_text(fcinfo, 0, "dataset");
	char *text = txp_manifest_read(name);
	Datum values[2] = {CStringGetTextDatum(psprintf("%s/%s", txp_export_directory, name))};
	bool nulls[2] = {false, text == NULL};
	TupleDesc tupdesc;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (text != NULL)
		values[1] = CStringGetTextDatum(text);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
