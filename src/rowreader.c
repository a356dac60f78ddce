/*
 * rowreader.c — decoded rows as tuples, for user SQL over the relation `batch`.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "compat.h"
#include "rowreader.h"

struct TxpRowReader
{
	const TxpRowPlan *plan;
	bool *wanted;        /* by column of the plan */
	TupleDesc desc;      /* the plan's, or one with the row's number behind it */
	FmgrInfo *functions; /* receive functions of binary rows, input functions of text rows */
	Oid *ioparams;
	Datum *values;
	bool *nulls;
	TupleTableSlot *slot;  /* holds one tuple on its way into a tuplestore */
	MemoryContext scratch; /* what the types' functions leave behind */
};

static TxpRowReader *
new_reader(const TxpRowPlan *plan, TupleDesc desc)
{
	TxpRowReader *reader = palloc(sizeof(TxpRowReader));

	reader->plan = plan;
	reader->wanted = palloc(sizeof(bool) * plan->ncolumns);
	memset(reader->wanted, true, sizeof(bool) * plan->ncolumns);
	reader->desc = desc;
	reader->functions = palloc(sizeof(FmgrInfo) * plan->ncolumns);
	reader->ioparams = palloc(sizeof(Oid) * plan->ncolumns);
	reader->values = palloc(sizeof(Datum) * desc->natts);
	reader->nulls = palloc0(sizeof(bool) * desc->natts);
	reader->slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	reader->scratch =
		AllocSetContextCreate(CurrentMemoryContext, "txpipe row", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < plan->ncolumns; i++)
	{
		Oid type = TupleDescAttr(plan->desc, i)->atttypid;
		Oid function;

		if (plan->form == TXD_BINARY)
			getTypeBinaryInputInfo(type, &function, &reader->ioparams[i]);
		else
			getTypeInputInfo(type, &function, &reader->ioparams[i]);
		fmgr_info(function, &reader->functions[i]);
	}
	return reader;
}

TxpRowReader *
txp_rowreader_new(const TxpRowPlan *plan)
{
	return new_reader(plan, plan->desc);
}

TxpRowReader *
txp_rowreader_new_for(const TxpRowPlan *plan, const Bitmapset *columns)
{
	TxpRowReader *reader = txp_rowreader_new(plan);

	for (int i = 0; i < plan->ncolumns; i++)
		reader->wanted[i] = bms_is_member(i, columns);
	return reader;
}

TxpRowReader *
txp_rowreader_new_numbered(const TxpRowPlan *plan)
{
	TupleDesc desc = CreateTemplateTupleDesc(plan->ncolumns + 1);

	for (int i = 1; i <= plan->ncolumns; i++)
		TupleDescCopyEntry(desc, i, plan->desc, i);
	TupleDescInitEntry(desc, plan->ncolumns + 1, "$row", INT8OID, -1, 0);
	return new_reader(plan, desc);
}

TupleDesc
txp_rowreader_desc(const TxpRowReader *reader)
{
	return reader->desc;
}

static void
broken_row(void)
{
	ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION), errmsg("a decoded row is incomplete")));
}

static uint32
read_be32(const char *p)
{
	uint32 v;

	memcpy(&v, p, sizeof(v));
	return pg_ntoh32(v);
}

/* Behind so many fields of a binary row, each its length and bytes. */
static const char *
skip_fields(const char *p, const char *end, int n)
{
	for (int i = 0; i < n; i++)
	{
		int32 len;

		if (end - p < (ptrdiff_t) sizeof(len))
			broken_row();
		len = (int32) read_be32(p);
		p += sizeof(len);
		if (len < -1 || (len > 0 && end - p < len))
			broken_row();
		p += Max(len, 0);
	}
	return p;
}

/* End of the binary row at p: a count of fields, then the fields. */
static const char *
binary_row_end(const char *p, const char *end, int ncolumns)
{
	uint16 nfields;

	if (end - p < (ptrdiff_t) sizeof(nfields))
		broken_row();
	memcpy(&nfields, p, sizeof(nfields));
	if (pg_ntoh16(nfields) != ncolumns)
		broken_row();
	return skip_fields(p + sizeof(nfields), end, ncolumns);
}

static const char *
row_end(const TxpRowPlan *plan, const char *p, const char *end)
{
	if (plan->form == TXD_BINARY)
		return binary_row_end(p, end, plan->ncolumns);
	/* Line ends inside values are escaped. */
	p = memchr(p, '\n', end - p);
	if (p == NULL)
		broken_row();
	return p + 1;
}

uint32
txp_rows_count(const TxpRowPlan *plan, const char *block, size_t len)
{
	uint32 count = 0;

	for (const char *p = block; p < block + len; p = row_end(plan, p, block + len))
		count++;
	return count;
}

void
txp_rows_find(const TxpRowPlan *plan, const char *block, size_t len, uint32 count, TxpRows *rows)
{
	const char *p = block;
	const char *end = block + len;

	rows->block = block;
	rows->count = count;
	rows->context = CurrentMemoryContext;
	rows->start =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(size_t) * ((size_t) count + 1));
	rows->tuples =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(MinimalTuple) * ((size_t) count + 1));
	memset(rows->tuples, 0, sizeof(MinimalTuple) * ((size_t) count + 1));
	rows->first = NULL;
	for (uint32 i = 0; i < count; i++)
	{
		rows->start[i] = p - block;
		p = row_end(plan, p, end);
	}
	rows->start[count] = p - block;
	if (p != end)
		broken_row();
}

void
txp_rows_find_messages(const TxpRowPlan *plan, const char *block, size_t len, uint32 n,
					   const uint32 *lengths, TxpRows *rows)
{
	uint32 count;
	uint32 row = 0;
	size_t at = 0;

	if (plan->rows == NULL)
	{
		txp_rows_find(plan, block, len, n, rows);
		return;
	}
	count = txp_rows_count(plan, block, len);
	txp_rows_find(plan, block, len, count, rows);
	if (lengths == NULL)
		return;
	rows->first = palloc(sizeof(uint32) * ((Size) n + 1));
	for (uint32 i = 0; i <= n; i++)
	{
		while (row < count && rows->start[row] < at)
			row++;
		if (rows->start[row] != at)
			broken_row();
		rows->first[i] = row;
		at += i < n ? lengths[i] : 0;
	}
}

const char *
txp_rows_bytes(const TxpRows *rows, uint32 first, uint32 count, const Bitmapset *skip, size_t *len)
{
	size_t total = rows->start[first + count] - rows->start[first];
	StringInfoData buf;

	*len = total;
	if (skip == NULL)
		return rows->block + rows->start[first];
	initStringInfo(&buf);
	enlargeStringInfo(&buf, total);
	for (uint32 i = first; i < first + count; i++)
	{
		if (!bms_is_member(i, skip))
			appendBinaryStringInfo(&buf, rows->block + rows->start[i],
								   rows->start[i + 1] - rows->start[i]);
	}
	*len = buf.len;
	return buf.data;
}

static void
append_head(StringInfo buf, const TxpRowPlan *plan, const char *p, const char *end, int ncolumns)
{
	if (plan->form == TXD_BINARY)
	{
		uint16 nfields = pg_hton16(ncolumns);
		const char *fields = p + sizeof(nfields);

		appendBinaryStringInfo(buf, (const char *) &nfields, sizeof(nfields));
		appendBinaryStringInfo(buf, fields, skip_fields(fields, end, ncolumns) - fields);
	}
	else
	{
		const char *stop = p;

		/* Tabs inside values are escaped, and the columns are not the row's last. */
		for (int i = 0; i < ncolumns; i++)
			stop = (const char *) rawmemchr(stop, '\t') + 1;
		appendBinaryStringInfo(buf, p, stop - p);
		buf->data[buf->len - 1] = '\n';
	}
}

const char *
txp_rows_head(const TxpRowPlan *plan, const TxpRows *rows, uint32 first, uint32 count,
			  const Bitmapset *skip, size_t *len)
{
	int ncolumns = list_length(plan->names);
	StringInfoData buf;

	if (ncolumns == plan->ncolumns)
		return txp_rows_bytes(rows, first, count, skip, len);
	initStringInfo(&buf);
	enlargeStringInfo(&buf, rows->start[first + count] - rows->start[first]);
	for (uint32 i = first; i < first + count; i++)
	{
		if (!bms_is_member(i, skip))
			append_head(&buf, plan, rows->block + rows->start[i], rows->block + rows->start[i + 1],
						ncolumns);
	}
	*len = buf.len;
	return buf.data;
}

static void
read_binary(TxpRowReader *reader, const char *p)
{
	p += sizeof(uint16);
	for (int i = 0; i < reader->plan->ncolumns; i++)
	{
		int32 typmod = TupleDescAttr(reader->plan->desc, i)->atttypmod;
		int32 len = (int32) read_be32(p);
		StringInfoData field;

		p += sizeof(len);
		reader->nulls[i] = len < 0 || !reader->wanted[i];
		if (!reader->wanted[i])
		{
			p += Max(len, 0);
			continue;
		}
		if (len >= 0)
		{
			/* The receive functions expect a terminator behind the value, as a network message has. */
			field.data = palloc(len + 1);
			memcpy(field.data, p, len);
			field.data[len] = '\0';
			field.len = field.maxlen = len;
			field.cursor = 0;
			p += len;
		}
		reader->values[i] = ReceiveFunctionCall(&reader->functions[i], len < 0 ? NULL : &field,
												reader->ioparams[i], typmod);
		if (len >= 0 && field.cursor != len)
			ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
							errmsg("incorrect binary data format in column \"%s\"",
								   reader->plan->columns[i].name)));
	}
}

/* Undoes the escapes of COPY's text format; returns false for NULL. */
static bool
unescape(const char *p, const char *end, char *to)
{
	static const char escapes[] = "bfnrtv";
	static const char meanings[] = "\b\f\n\r\t\v";

	if (end - p == 2 && p[0] == '\\' && p[1] == 'N')
		return false;
	while (p < end)
	{
		if (*p == '\\' && p + 1 < end)
		{
			const char *known = memchr(escapes, *++p, sizeof(escapes) - 1);

			*to++ = known ? meanings[known - escapes] : *p;
			p++;
		}
		else
			*to++ = *p++;
	}
	*to = '\0';
	return true;
}

static void
read_text(TxpRowReader *reader, const char *p, const char *end)
{
	for (int i = 0; i < reader->plan->ncolumns; i++)
	{
		int32 typmod = TupleDescAttr(reader->plan->desc, i)->atttypmod;
		const char *stop = memchr(p, '\t', end - p);
		char *field;

		if ((stop == NULL) != (i == reader->plan->ncolumns - 1))
			broken_row();
		stop = stop ? stop : end;
		reader->nulls[i] = !reader->wanted[i];
		if (!reader->wanted[i])
		{
			p = stop + 1;
			continue;
		}
		field = palloc(stop - p + 1);
		reader->nulls[i] = !unescape(p, stop, field);
		if (!reader->nulls[i])
			field = pg_any_to_server(field, strlen(field), PG_UTF8);
		reader->values[i] = InputFunctionCall(
			&reader->functions[i], reader->nulls[i] ? NULL : field, reader->ioparams[i], typmod);
		p = stop + 1;
	}
}

MinimalTuple
txp_rows_tuple(TxpRowReader *reader, TxpRows *rows, uint32 row)
{
	MemoryContext old;

	if (rows->tuples[row] != NULL)
		return rows->tuples[row];
	MemoryContextReset(reader->scratch);
	old = MemoryContextSwitchTo(reader->scratch);
	if (reader->plan->form == TXD_BINARY)
		read_binary(reader, rows->block + rows->start[row]);
	else
		read_text(reader, rows->block + rows->start[row], rows->block + rows->start[row + 1] - 1);
	if (reader->desc->natts > reader->plan->ncolumns)
		reader->values[reader->plan->ncolumns] = Int64GetDatum(row);
	MemoryContextSwitchTo(rows->context);
	rows->tuples[row] = heap_form_minimal_tuple(reader->desc, reader->values, reader->nulls, 0);
	MemoryContextSwitchTo(old);
	return rows->tuples[row];
}

static Bitmapset *
add_filled(Bitmapset *filled, const TxpRowPlan *plan, const char *p, const char *end)
{
	p += plan->form == TXD_BINARY ? sizeof(uint16) : 0;
	for (int i = 0; i < plan->ncolumns; i++)
	{
		bool isnull;

		if (plan->form == TXD_BINARY)
		{
			int32 size = (int32) read_be32(p);

			isnull = size < 0;
			p += sizeof(size) + Max(size, 0);
		}
		else
		{
			const char *stop = memchr(p, '\t', end - p);

			stop = stop ? stop : end;
			isnull = stop - p == 2 && p[0] == '\\' && p[1] == 'N';
			p = Min(stop + 1, end);
		}
		if (!isnull)
			filled = bms_add_member(filled, i);
	}
	return filled;
}

Bitmapset *
txp_rows_filled(const TxpRowPlan *plan, const char *rows, size_t len)
{
	const char *end = rows + len;
	Bitmapset *filled = NULL;

	while (rows < end)
	{
		const char *next = row_end(plan, rows, end);

		/* A text row is told without its line end. */
		filled = add_filled(filled, plan, rows, next - 1);
		rows = next;
	}
	return filled;
}

void
txp_rows_store(TxpRowReader *reader, TxpRows *rows, uint32 first, uint32 count,
			   const Bitmapset *skip, Tuplestorestate *store)
{
	for (uint32 i = first; i < first + count; i++)
	{
		if (bms_is_member(i, skip))
			continue;
		ExecStoreMinimalTuple(txp_rows_tuple(reader, rows, i), reader->slot, false);
		tuplestore_puttupleslot(store, reader->slot);
	}
	ExecClearTuple(reader->slot);
}

/* A value that is passed by value; 0 for NULL. */
static Datum
value_of(TxpRowReader *reader, TxpRows *rows, uint32 row, int column)
{
	bool isnull;
	Datum value;

	ExecStoreMinimalTuple(txp_rows_tuple(reader, rows, row), reader->slot, false);
	value = slot_getattr(reader->slot, column + 1, &isnull);
	ExecClearTuple(reader->slot);
	return isnull ? 0 : value;
}

int64
txp_rows_int64(TxpRowReader *reader, TxpRows *rows, uint32 row, int column)
{
	return DatumGetInt64(value_of(reader, rows, row, column));
}

bool
txp_rows_bool(TxpRowReader *reader, TxpRows *rows, uint32 row, int column)
{
	return DatumGetBool(value_of(reader, rows, row, column));
}
