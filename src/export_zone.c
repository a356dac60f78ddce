/*
 * export_zone.c — several data sets of Parquet files in one directory, of one snapshot, of which only what changed is written.
 *
 * A query says the pieces: the rows of a data set, or of one month of it, whether the files of the last export still have
 * them, and which files those are. A piece that is written again with the same bytes keeps its files, too. One manifest
 * names the files of all data sets, and replaces the last one in one step; those of single data sets follow.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "args.h"
#include "dataset.h"
#include "export_query.h"
#include "guc.h"
#include "io/below.h"
#include "manifest.h"
#include "outdir.h"
#include "parquet_rows.h"

PG_FUNCTION_INFO_V1(txpipe_write_zone);

/* Columns of the query of pieces; a part is four texts: file, rows, bytes, sha256. */
enum
{
	DATASET = 1,
	QUERY,
	PARTITION_BY,
	SORT_BY,
	STATE,
	IS_CURRENT,
	PARTS,
	COLUMNS = PARTS
};
#define PART_TEXTS 4

typedef struct Piece
{
	char *dataset;
	char *query;
	TxpNames partition_by;
	TxpNames sort_by;
	char *state;
	bool is_current;
	List *parts;   /* of the last export, TxpPart */
	bool is_there; /* their files are */
} Piece;

typedef struct Zone
{
	MemoryContext context;
	char *name;
	TxpDataset *dataset;
	TxpParquetRows *rows; /* being written */
	StringInfoData datasets;
	bool is_changed;
	int64 written;
} Zone;

/* --- the pieces --- */

static TxpNames
read_names(Datum datum, bool is_null)
{
	TxpNames names = {0};
	Datum *values;

	if (is_null)
		return names;
	deconstruct_array(DatumGetArrayTypeP(datum), TEXTOID, -1, false, TYPALIGN_INT, &values, NULL,
					  &names.n);
	names.names = palloc(sizeof(char *) * (names.n + 1));
	for (int i = 0; i < names.n; i++)
		names.names[i] = TextDatumGetCString(values[i]);
	return names;
}

static List *
read_parts(TxpNames texts, char *state)
{
	List *parts = NIL;

	for (int i = 0; i + PART_TEXTS <= texts.n; i += PART_TEXTS)
	{
		TxpPart *part = palloc0(sizeof(TxpPart));
		char *slash = strrchr(texts.names[i], '/');

		part->directory = slash == NULL ? "" : pnstrdup(texts.names[i], slash + 1 - texts.names[i]);
		part->file = pstrdup(slash == NULL ? texts.names[i] : slash + 1);
		part->rows = pg_strtoint64(texts.names[i + 1]);
		part->bytes = pg_strtoint64(texts.names[i + 2]);
		strlcpy(part->sha256, texts.names[i + 3], sizeof(part->sha256));
		part->state = state;
		parts = lappend(parts, part);
	}
	return parts;
}

/* Whoever may call the function may say another query than export_curated(). */
static void
refuse_query(void)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("the query of pieces is not one, or has other columns"),
					errhint("SELECT * FROM txpipe.curated_pieces(false) has the right ones.")));
}

static void
check_columns(TupleDesc columns)
{
	static const Oid types[COLUMNS] = {TEXTOID, TEXTOID, TEXTARRAYOID, TEXTARRAYOID,
									   TEXTOID, BOOLOID, TEXTARRAYOID};
	bool fit = columns->natts == COLUMNS;

	for (int i = 0; fit && i < COLUMNS; i++)
		fit = TupleDescAttr(columns, i)->atttypid == types[i];
	if (!fit)
		refuse_query();
}

static Piece *
read_piece(HeapTuple tuple, TupleDesc columns)
{
	Piece *piece = palloc(sizeof(Piece));
	Datum values[COLUMNS];
	bool nulls[COLUMNS];

	heap_deform_tuple(tuple, columns, values, nulls);
	if (nulls[DATASET - 1] || nulls[QUERY - 1])
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("a piece has no data set or no query")));
	piece->dataset = TextDatumGetCString(values[DATASET - 1]);
	piece->query = TextDatumGetCString(values[QUERY - 1]);
	piece->partition_by = read_names(values[PARTITION_BY - 1], nulls[PARTITION_BY - 1]);
	piece->sort_by = read_names(values[SORT_BY - 1], nulls[SORT_BY - 1]);
	piece->state = nulls[STATE - 1] ? NULL : TextDatumGetCString(values[STATE - 1]);
	piece->is_current = !nulls[IS_CURRENT - 1] && DatumGetBool(values[IS_CURRENT - 1]);
	piece->parts = read_parts(read_names(values[PARTS - 1], nulls[PARTS - 1]), piece->state);
	return piece;
}

static List *
read_pieces(Zone *zone, const char *query)
{
	List *pieces = NIL;

	if (SPI_execute(query, true, 0) != SPI_OK_SELECT)
		refuse_query();
	check_columns(SPI_tuptable->tupdesc);
	MemoryContextSwitchTo(zone->context);
	for (uint64 i = 0; i < SPI_processed; i++)
		pieces = lappend(pieces, read_piece(SPI_tuptable->vals[i], SPI_tuptable->tupdesc));
	return pieces;
}

/* --- writing one --- */

static bool
is_same(const TxpPart *old, const TxpPart *now)
{
	return strcmp(old->directory, now->directory) == 0 && old->bytes == now->bytes &&
		   old->rows == now->rows && strcmp(old->sha256, now->sha256) == 0;
}

/* Are the parts from `first` on, byte by byte, those of the last export? */
static bool
is_unchanged(const Piece *piece, const List *parts, int first)
{
	if (list_length(parts) - first != list_length(piece->parts))
		return false;
	for (int i = 0; i < list_length(piece->parts); i++)
	{
		if (!is_same(list_nth(piece->parts, i), list_nth(parts, first + i)))
			return false;
	}
	return true;
}

static bool
are_there(const Zone *zone, const Piece *piece)
{
	ListCell *cell;

	foreach (cell, piece->parts)
	{
		TxpPart *part = lfirst(cell);
		struct stat st;

		if (txp_below_stat(
				txp_export_directory,
				psprintf("%s/%s/%s%s", zone->name, piece->dataset, part->directory, part->file),
				&st) != 0 ||
			!S_ISREG(st.st_mode) || st.st_size != part->bytes)
			return false;
	}
	return true;
}

static void
keep_piece(Zone *zone, const Piece *piece)
{
	ListCell *cell;

	foreach (cell, piece->parts)
		txp_dataset_keep_part(zone->dataset, lfirst(cell));
}

static void
write_piece(Zone *zone, const Piece *piece, SPIPlanPtr plan)
{
	int first = list_length(txp_dataset_parts(zone->dataset));
	const List *parts;

	zone->rows = txp_parquet_rows_new(zone->dataset, piece->partition_by, piece->sort_by);
	txp_export_run(plan, txp_parquet_rows_receiver(zone->rows));
	MemoryContextSwitchTo(zone->context);
	zone->rows = NULL;
	parts = txp_dataset_parts(zone->dataset);
	if (piece->is_there && is_unchanged(piece, parts, first))
	{
		txp_dataset_take_back(zone->dataset, first);
		keep_piece(zone, piece);
		return;
	}
	for (int i = first; i < list_length(parts); i++)
		((TxpPart *) list_nth(parts, i))->state = piece->state;
	zone->written += list_length(parts) - first;
}

/* --- data sets --- */

/* The moment a manifest was written; one of ours says it once, and another form is none of ours. */
static char *
written_at(const char *text)
{
	static const char member[] = "\"written_at\": \"";
	const char *now = txp_outdir_now();
	const char *at = text == NULL ? NULL : strstr(text, member);

	if (at == NULL || strspn(at + strlen(member), "0123456789-T:Z") != strlen(now))
		return pstrdup(now);
	return pnstrdup(at + strlen(member), strlen(now));
}

/* The manifest of the parts from `first` on, which is staged when it is another one. */
static void
end_dataset(Zone *zone, const Piece *piece, const char *facts, int first)
{
	const List *parts = txp_dataset_parts(zone->dataset);
	char *last = txp_manifest_read(psprintf("%s/%s", zone->name, piece->dataset));
	char *text = txp_manifest_text(piece->dataset, facts, parts, first, written_at(last));

	if (last == NULL || strcmp(last, text) != 0)
	{
		text = txp_manifest_text(piece->dataset, facts, parts, first, txp_outdir_now());
		txp_dataset_add_manifest(zone->dataset, text);
		zone->is_changed = true;
	}
	appendStringInfoString(&zone->datasets, zone->datasets.len > 0 ? ",\n" : "\n");
	appendBinaryStringInfo(&zone->datasets, text, strlen(text) - 1);
}

static void
write_pieces(Zone *zone, List *pieces)
{
	char *facts = NULL;
	int first = 0;

	for (int i = 0; i < list_length(pieces); i++)
	{
		Piece *piece = list_nth(pieces, i);
		Piece *next = i + 1 < list_length(pieces) ? list_nth(pieces, i + 1) : NULL;
		SPIPlanPtr plan = NULL;

		piece->is_there = are_there(zone, piece);
		if (facts == NULL || !piece->is_current || !piece->is_there)
			plan = txp_export_prepare(piece->query);
		MemoryContextSwitchTo(zone->context);
		if (facts == NULL)
		{
			txp_dataset_enter(zone->dataset, piece->dataset);
			facts = txp_parquet_rows_facts(txp_export_columns(plan), piece->partition_by);
			first = list_length(txp_dataset_parts(zone->dataset));
		}
		if (piece->is_current && piece->is_there)
			keep_piece(zone, piece);
		else
			write_piece(zone, piece, plan);
		if (plan != NULL)
			SPI_freeplan(plan);
		if (next == NULL || strcmp(next->dataset, piece->dataset) != 0)
		{
			end_dataset(zone, piece, facts, first);
			facts = NULL;
		}
	}
}

static char *
zone_manifest(const Zone *zone, const char *written_at)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, "{\"zone\": ");
	escape_json(&text, zone->name);
	appendStringInfo(&text, ", \"written_at\": \"%s\", \"datasets\": [%s]}\n", written_at,
					 zone->datasets.data);
	return text.data;
}

/* NULL: it is the one that is there. */
static char *
new_manifest(const Zone *zone)
{
	char *last = txp_manifest_read(zone->name);

	if (!zone->is_changed && last != NULL &&
		strcmp(last, zone_manifest(zone, written_at(last))) == 0)
		return NULL;
	return zone_manifest(zone, txp_outdir_now());
}

/* --- the call --- */

/* TRUNCATE, and whatever writes a table anew, would leave nothing in it for a snapshot from before. */
static void
lock_tables(ArrayType *tables)
{
	Datum *values;
	int n;

	deconstruct_array(tables, REGCLASSOID, sizeof(Oid), true, TYPALIGN_INT, &values, NULL, &n);
	for (int i = 0; i < n; i++)
	{
		Oid relid = DatumGetObjectId(values[i]);
		char *name = get_rel_name(relid);

		if (name == NULL)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
							errmsg("there is no relation with OID %u", relid)));
		name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), name);
		if (SPI_execute(psprintf("LOCK TABLE %s IN ACCESS SHARE MODE", name), false, 0) !=
			SPI_OK_UTILITY)
			elog(ERROR, "could not lock table %s", name);
	}
}

/*
 * Of a snapshot that is taken when no other export of the zone is at work, and the tables are held; queries that only
 * read use the active one.
 */
static char *
write_zone(Zone *zone, const char *query, ArrayType *tables)
{
	char *volatile path = NULL;

	PG_TRY();
	{
		lock_tables(tables);
		PushActiveSnapshot(GetTransactionSnapshot());
		write_pieces(zone, read_pieces(zone, query));
		path = txp_dataset_publish(zone->dataset, new_manifest(zone));
		PopActiveSnapshot();
	}
	PG_CATCH();
	{
		if (zone->rows != NULL)
			txp_parquet_rows_abandon(zone->rows);
		txp_dataset_abandon(zone->dataset);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return path;
}

/* write_zone(zone text, pieces text, tables regclass[], OUT path text, OUT written bigint) */
Datum
txpipe_write_zone(PG_FUNCTION_ARGS)
{
	Zone zone = {.context = CurrentMemoryContext, .name = txp_arg_text(fcinfo, 0, "zone")};
	char *query = txp_arg_text(fcinfo, 1, "pieces");
	ArrayType *tables;
	Datum values[2];
	bool nulls[2] = {true, true};
	TupleDesc tupdesc;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	tupdesc = BlessTupleDesc(tupdesc);
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("tables must not be null")));
	tables = PG_GETARG_ARRAYTYPE_P(2);
	txp_export_check_isolation();
	initStringInfo(&zone.datasets);
	SPI_connect();
	MemoryContextSwitchTo(zone.context);
	zone.dataset = txp_dataset_begin_alone(zone.name, ".parquet");
	if (zone.dataset != NULL)
	{
		values[0] = CStringGetTextDatum(write_zone(&zone, query, tables));
		values[1] = Int64GetDatum(zone.written);
		nulls[0] = nulls[1] = false;
	}
	SPI_finish();
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(tupdesc, values, nulls)));
}
