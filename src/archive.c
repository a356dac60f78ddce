/*
 * archive.c — the rows of a stream with the option archive, kept in their batch's transaction until they are in a file.
 *
 * Values are kept as what a cast of PostgreSQL's own makes text of them, which is exact: the table of them is one for all streams,
 * nothing of a user's is called when a file is made of it, and erase_subject() finds in it what it finds in the target.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "pgtime.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"

#include "archive.h"
#include "compat.h"
#include "export_query.h"
#include "manifest.h"
#include "parquet_rows.h"
#include "spi.h"

/* A batch is bounded in bytes already; its tuples should not go to disk in between. */
#define STORE_KB (64 * 1024)
#define ROWS_NAME "archived"
/* Longest name of a directory of the stream's own; what is checked of each in outdir.c. */
#define NAME_LIMIT 200
/* Of numeric, in Parquet. */
#define MAX_DIGITS 38

/* What tells where a row is from; those of `is_always` have each plan. */
static const struct
{
	const char *name;
	const char *other_name; /* where the target has a column of the name that says something else */
	Oid type;
	TxdSource source;
	bool is_always;
} places[] = {{"kafka_topic", "archive_topic", TEXTOID, TXD_FROM_TOPIC, true},
			  {"kafka_partition", "archive_partition", INT4OID, TXD_FROM_PARTITION, true},
			  {"kafka_offset", "archive_offset", INT8OID, TXD_FROM_OFFSET, true},
			  {"kafka_timestamp", "archive_timestamp", TIMESTAMPTZOID, TXD_FROM_TIMESTAMP, true},
			  {"kafka_row", "archive_row", INT4OID, TXD_FROM_ROW, false},
			  {"kafka_tombstone", NULL, BOOLOID, TXD_FROM_IS_TOMBSTONE, false}};

enum
{
	NPLACES = lengthof(places),
	ROW = NPLACES - 2,
	TOMBSTONE,
	CELLS = NPLACES,
	NCOLUMNS
};

/* How values of a type become text. */
typedef struct CellText
{
	FmgrInfo function;
	bool is_cast; /* to text; else it is the type's output function */
} CellText;

struct TxpArchive
{
	const TxpStream *stream;
	const TxpRowPlan *plan;
	int place[NPLACES]; /* columns of the plan; -1: it has none */
	int ncells;
	int *cells; /* columns of the plan */
	CellText *cells_to_text;
	Datum *texts;
	bool *nulls;
	Datum columns; /* as in txpipe.archive_shape, as the next two */
	Datum types;
	Datum encrypted; /* 0: none */
	TupleDesc desc;  /* of what is kept */
};

/* --- columns --- */

static int
find_place(const TxpRowPlan *plan, int place)
{
	for (int i = 0; i < plan->ncolumns; i++)
	{
		if (plan->columns[i].source == places[place].source &&
			plan->columns[i].convert == TXD_AS_IS &&
			TupleDescAttr(plan->desc, i)->atttypid == places[place].type)
			return i;
	}
	return -1;
}

static bool
has_column(const TxpRowPlan *plan, const char *name)
{
	for (int i = 0; i < plan->ncolumns; i++)
	{
		if (strcmp(plan->columns[i].name, name) == 0)
			return true;
	}
	return false;
}

void
txp_archive_add_columns(TxpRowPlan *plan)
{
	for (int i = 0; i < TOMBSTONE; i++)
	{
		if (find_place(plan, i) >= 0 || (i == ROW && plan->rows == NULL))
			continue;
		txp_rowplan_add_hidden(
			plan, has_column(plan, places[i].name) ? places[i].other_name : places[i].name,
			places[i].type, places[i].source);
	}
}

/* The type in the file. Its text is the value's as it is kept. */
static char *
archived_type(Oid type, int32 typmod)
{
	int32 precision;
	int32 scale;

	type = getBaseTypeAndTypmod(type, &typmod);
	switch (type)
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case DATEOID:
		case TIMESTAMPTZOID:
		case TIMESTAMPOID:
		case BYTEAOID:
			return format_type_be(type);
		case JSONOID:
		case JSONBOID:
			return "json";
		case NUMERICOID:
			if (typmod < (int32) VARHDRSZ)
				return "text";
			precision = ((typmod - VARHDRSZ) >> 16) & 0xffff;
			scale = (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;
			if (precision > MAX_DIGITS || scale < 0 || scale > precision)
				return "text";
			return psprintf("numeric(%d,%d)", precision, scale);
		default:
			return "text";
	}
}

static bool
is_place(const TxpArchive *archive, int column)
{
	for (int i = 0; i < NPLACES; i++)
	{
		if (archive->place[i] == column)
			return true;
	}
	return false;
}

/* Some types have a cast of their own, as char(n), whose padding is not of the value. A user's casts may fail where output does not. */
static void
find_to_text(Oid type, CellText *how)
{
	Oid function;
	bool is_varlena;

	how->is_cast =
		find_coercion_pathway(TEXTOID, type, COERCION_EXPLICIT, &function) == COERCION_PATH_FUNC &&
		function < FirstNormalObjectId;
	if (!how->is_cast)
		getTypeOutputInfo(type, &function, &is_varlena);
	fmgr_info(function, &how->function);
}

static Datum
to_text(CellText *how, Datum value)
{
	if (how->is_cast)
		return FunctionCall1(&how->function, value);
	return CStringGetTextDatum(OutputFunctionCall(&how->function, value));
}

/* The target's columns that say no place. */
static void
find_cells(TxpArchive *archive)
{
	const TxpRowPlan *plan = archive->plan;
	int n = list_length(plan->names);
	Datum *names = palloc(sizeof(Datum) * (n + 1));
	Datum *types = palloc(sizeof(Datum) * (n + 1));
	Datum *encrypted = palloc(sizeof(Datum) * (n + 1));
	int nencrypted = 0;

	archive->cells = palloc(sizeof(int) * (n + 1));
	archive->cells_to_text = palloc(sizeof(CellText) * (n + 1));
	for (int i = 0; i < n; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(plan->desc, i);

		if (is_place(archive, i))
			continue;
		find_to_text(attribute->atttypid, &archive->cells_to_text[archive->ncells]);
		names[archive->ncells] = CStringGetTextDatum(plan->columns[i].name);
		types[archive->ncells] =
			CStringGetTextDatum(archived_type(attribute->atttypid, attribute->atttypmod));
		if (plan->columns[i].convert == TXD_AS_ENCRYPTED)
			encrypted[nencrypted++] = names[archive->ncells];
		archive->cells[archive->ncells++] = i;
	}
	archive->columns = txp_spi_array(TEXTOID, names, NULL, archive->ncells);
	archive->types = txp_spi_array(TEXTOID, types, NULL, archive->ncells);
	if (nencrypted > 0)
		archive->encrypted = txp_spi_array(TEXTOID, encrypted, NULL, nencrypted);
}

static TupleDesc
kept_desc(void)
{
	TupleDesc desc = CreateTemplateTupleDesc(NCOLUMNS);

	for (int i = 0; i < NPLACES; i++)
		TupleDescInitEntry(desc, i + 1, places[i].name, places[i].type, -1, 0);
	TupleDescInitEntry(desc, CELLS + 1, "cells", TEXTARRAYOID, -1, 0);
	return desc;
}

TxpArchive *
txp_archive_new(const TxpStream *stream, const TxpRowPlan *plan)
{
	TxpArchive *archive = palloc0(sizeof(TxpArchive));
	const char *directory = txp_archive_directory(stream->name, 0) + strlen(TXP_RAW "/");

	if (strchr(directory, '/') - directory > NAME_LIMIT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the name of stream \"%s\" is too long for a directory", stream->name),
				 errhint("An archive needs a name of at most %d bytes.",
						 NAME_LIMIT - (int) strlen("stream="))));
	archive->stream = stream;
	archive->plan = plan;
	for (int i = 0; i < NPLACES; i++)
		archive->place[i] = find_place(plan, i);
	find_cells(archive);
	archive->texts = palloc(sizeof(Datum) * (archive->ncells + 1));
	archive->nulls = palloc(sizeof(bool) * (archive->ncells + 1));
	archive->desc = kept_desc();
	return archive;
}

Bitmapset *
txp_archive_needs(const TxpArchive *archive)
{
	Bitmapset *needs = NULL;

	for (int i = 0; i < NPLACES; i++)
	{
		if (archive->place[i] >= 0)
			needs = bms_add_member(needs, archive->place[i]);
	}
	for (int i = 0; i < archive->ncells; i++)
		needs = bms_add_member(needs, archive->cells[i]);
	return needs;
}

/* --- hours --- */

static LOCKTAG
tag_of(const char *stream, TimestampTz hour)
{
	Oid table = get_relname_relid("archive_row_store", get_namespace_oid("txpipe", false));
	uint32 name = hash_bytes((const unsigned char *) stream, strlen(stream));
	LOCKTAG tag;

	/* Which of 65,536 hours will do: then it is another only after seven years. */
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, table, name, (uint16) (hour / USECS_PER_HOUR));
	return tag;
}

bool
txp_archive_lock(const char *stream, TimestampTz hour, LOCKMODE mode, bool wait)
{
	LOCKTAG tag = tag_of(stream, hour);

	return LockAcquire(&tag, mode, false, !wait) != LOCKACQUIRE_NOT_AVAIL;
}

bool
txp_archive_is_open(const char *stream, TimestampTz hour)
{
	LOCKTAG tag = tag_of(stream, hour);

	return TXP_LOCK_HELD_BY_ME(&tag, ShareLock);
}

static TimestampTz
this_hour(void)
{
	TimestampTz now = GetCurrentTimestamp();

	return now - now % USECS_PER_HOUR;
}

/* The present hour, which stays open to this transaction: when the lock was awaited into the next one, that counts. */
static TimestampTz
enter_hour(const TxpStream *stream)
{
	TimestampTz hour;

	do
	{
		hour = this_hour();
		(void) txp_archive_lock(stream->name, hour, ShareLock, true);
	} while (this_hour() != hour);
	return hour;
}

char *
txp_archive_directory(const char *stream, TimestampTz hour)
{
	pg_time_t time = timestamptz_to_time_t(hour);
	char place[64];
	StringInfoData path;

	pg_strftime(place, sizeof(place), "/date=%Y-%m-%d/hour=%H", pg_gmtime(&time));
	initStringInfo(&path);
	appendStringInfoString(&path, TXP_RAW "/stream=");
	txp_partition_put(&path, stream);
	appendStringInfoString(&path, place);
	return path.data;
}

/* --- rows --- */

static void
keep_row(TxpArchive *archive, TupleTableSlot *slot, Tuplestorestate *kept)
{
	Datum values[NCOLUMNS] = {0};
	bool nulls[NCOLUMNS] = {false};
	int dims[1] = {archive->ncells};
	int lower[1] = {1};

	slot_getallattrs(slot);
	for (int i = 0; i < NPLACES; i++)
	{
		int column = archive->place[i];

		nulls[i] = column < 0 || slot->tts_isnull[column];
		if (!nulls[i])
			values[i] = slot->tts_values[column];
	}
	for (int i = 0; i < archive->ncells; i++)
	{
		int column = archive->cells[i];

		archive->nulls[i] = slot->tts_isnull[column];
		if (!archive->nulls[i])
			archive->texts[i] = to_text(&archive->cells_to_text[i], slot->tts_values[column]);
	}
	values[CELLS] = PointerGetDatum(
		archive->ncells == 0 ? construct_empty_array(TEXTOID)
							 : construct_md_array(archive->texts, archive->nulls, 1, dims, lower,
												  TEXTOID, -1, false, TYPALIGN_INT));
	tuplestore_putvalues(kept, archive->desc, values, nulls);
}

static int64
keep_rows(TxpArchive *archive, Tuplestorestate *batch, Tuplestorestate *kept)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(archive->plan->desc, &TTSOpsMinimalTuple);
	MemoryContext row =
		AllocSetContextCreate(CurrentMemoryContext, "txpipe archive", ALLOCSET_DEFAULT_SIZES);
	int level = NewGUCNestLevel();
	int64 n = 0;

	txp_export_settings();
	tuplestore_select_read_pointer(batch, 0);
	tuplestore_rescan(batch);
	while (tuplestore_gettupleslot(batch, true, false, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(row);

		CHECK_FOR_INTERRUPTS();
		keep_row(archive, slot, kept);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row);
		n++;
	}
	AtEOXact_GUC(false, level);
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(row);
	return n;
}

/* The shape of these rows; two transactions may make the same one, of which the first is taken from then on. */
static int32
shape_of(const TxpArchive *archive)
{
	static TxpStatement find = {
		"SELECT coalesce(min(shape_id), 0) FROM txpipe.archive_shape WHERE stream_id = $1 "
		"AND owner_oid = $2 AND columns = $3 AND types = $4 AND encrypted IS NOT DISTINCT FROM $5 "
		"AND has_rows = $6 AND has_tombstones = $7",
		7,
		{INT4OID, OIDOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BOOLOID, BOOLOID}};
	static TxpStatement make = {
		"INSERT INTO txpipe.archive_shape (stream_id, owner_oid, columns, types, encrypted, "
		"has_rows, has_tombstones, stream, owner_name) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING shape_id",
		9,
		{INT4OID, OIDOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BOOLOID, BOOLOID, TEXTOID,
		 NAMEOID}};
	const TxpStream *stream = archive->stream;
	Datum values[9] = {Int32GetDatum(stream->id),
					   ObjectIdGetDatum(stream->owner),
					   archive->columns,
					   archive->types,
					   archive->encrypted,
					   BoolGetDatum(archive->place[ROW] >= 0),
					   BoolGetDatum(archive->place[TOMBSTONE] >= 0)};
	const char *nulls = archive->encrypted ? NULL : "    n    ";
	int32 id = DatumGetInt32(txp_spi_ask(&find, values, nulls));

	if (id != 0)
		return id;
	values[7] = CStringGetTextDatum(stream->name);
	values[8] = DirectFunctionCall1(namein, CStringGetDatum(stream->owner_name));
	return DatumGetInt32(txp_spi_ask(&make, values, nulls));
}

static void
store_rows(TxpArchive *archive, Tuplestorestate *kept, int64 n)
{
	static TxpStatement insert = {
		"INSERT INTO txpipe.archive_row_store (shape_id, hour, kafka_topic, kafka_partition, "
		"kafka_offset, kafka_timestamp, kafka_row, kafka_tombstone, cells) "
		"SELECT $1, $2, r.* FROM " ROWS_NAME " AS r",
		2,
		{INT4OID, TIMESTAMPTZOID}};
	EphemeralNamedRelationData relation = {.md = {.name = ROWS_NAME,
												  .tupdesc = archive->desc,
												  .enrtype = ENR_NAMED_TUPLESTORE,
												  .enrtuples = n},
										   .reldata = kept};
	Datum values[2] = {Int32GetDatum(shape_of(archive)),
					   TimestampTzGetDatum(enter_hour(archive->stream))};
	int code;

	SPI_connect();
	code = SPI_register_relation(&relation);
	if (code < 0)
		elog(ERROR, "SPI_register_relation returned %s", SPI_result_code_string(code));
	(void) txp_spi_run(&insert, values, NULL);
	SPI_finish();
}

void
txp_archive_rows(TxpArchive *archive, Tuplestorestate *batch)
{
	Tuplestorestate *kept = tuplestore_begin_heap(false, false, STORE_KB);
	int64 n = keep_rows(archive, batch, kept);

	if (n > 0)
		store_rows(archive, kept, n);
	tuplestore_end(kept);
}
