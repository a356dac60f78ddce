/*
 * writer.c — a Parquet file: its row groups one after the other, and the metadata behind them.
 */
#include <stdlib.h>
#include <string.h>

#include "pages.h"
#include "thrift.h"

#define MAGIC "PAR1"
#define GROUP_BYTES ((size_t) 32 * 1024 * 1024)

/* Numbers of the specification. */
#define VERSION 2
#define OPTIONAL 1
#define ZSTD 6

struct TxdParquet
{
	TxdPages pages;
	int ncolumns;
	TxdChunk *chunks;
	char *created_by;
	size_t group_bytes;
	int *sorted;
	int nsorted;
	int64_t rows;    /* of the groups that are written */
	TxdBytes groups; /* their metadata */
	size_t ngroups;
	TxdBytes group; /* metadata of the columns of the one that is being written */
	TxdParquetResult result;
	int bad_column;
};

/* --- a writer's life --- */

static bool
is_column(const TxdParquetColumn *column)
{
	if (column->name == NULL || column->name[0] == '\0')
		return false;
	return column->type != TXD_PARQUET_DECIMAL ||
		   (column->precision >= 1 && column->precision <= TXD_PARQUET_MAX_PRECISION &&
			column->scale >= 0 && column->scale <= column->precision);
}

static bool
copy_columns(TxdParquet *file, const TxdParquetColumn *columns, int n)
{
	file->chunks = calloc((size_t) n, sizeof(TxdChunk));
	if (file->chunks == NULL)
		return false;
	for (; file->ncolumns < n; file->ncolumns++)
	{
		TxdParquetColumn column = columns[file->ncolumns];

		if (!is_column(&column))
			return false;
		column.name = strdup(column.name);
		if (column.name == NULL)
			return false;
		txd_chunk_init(&file->chunks[file->ncolumns], &column);
	}
	return true;
}

static bool
copy_options(TxdParquet *file, const TxdParquetOptions *options)
{
	size_t size = sizeof(int) * (size_t) options->nsorted;

	file->group_bytes = options->group_bytes > 0 ? options->group_bytes : GROUP_BYTES;
	file->created_by = strdup(options->created_by);
	file->sorted = malloc(size > 0 ? size : 1);
	if (file->created_by == NULL || file->sorted == NULL)
		return false;
	if (size > 0)
		memcpy(file->sorted, options->sorted, size);
	file->nsorted = options->nsorted;
	return true;
}

TxdParquet *
txd_parquet_new(const TxdParquetColumn *columns, int n, const TxdParquetOptions *options,
				TxdParquetSink sink, void *arg)
{
	TxdParquet *file = calloc(1, sizeof(TxdParquet));

	if (file == NULL)
		return NULL;
	if (n < 1 || !copy_columns(file, columns, n) || !copy_options(file, options) ||
		!txd_pages_init(&file->pages, sink, arg))
	{
		txd_parquet_free(file);
		return NULL;
	}
	return file;
}

void
txd_parquet_free(TxdParquet *file)
{
	for (int i = 0; i < file->ncolumns; i++)
	{
		free((char *) file->chunks[i].column.name);
		txd_chunk_free(&file->chunks[i]);
	}
	free(file->chunks);
	free(file->created_by);
	free(file->sorted);
	txd_bytes_free(&file->groups);
	txd_bytes_free(&file->group);
	txd_pages_free(&file->pages);
	free(file);
}

uint64_t
txd_parquet_size(const TxdParquet *file)
{
	return file->pages.offset;
}

int
txd_parquet_bad_column(const TxdParquet *file)
{
	return file->bad_column;
}

/* --- metadata of a row group --- */

static void
put_statistics(TxdThrift *thrift, int field, const TxdChunk *chunk)
{
	TxdRange range;

	txd_chunk_range(chunk, &range);
	txd_thrift_struct(thrift, field);
	txd_thrift_i64(thrift, 3, (int64_t) chunk->nulls);
	if (range.is_known)
	{
		txd_thrift_binary(thrift, 5, range.max, range.max_len);
		txd_thrift_binary(thrift, 6, range.min, range.min_len);
	}
	txd_thrift_end(thrift);
}

static void
put_encodings(TxdThrift *thrift, int field, const TxdPagesFacts *facts)
{
	bool has_dictionary = facts->dictionary_at > 0;

	/* A dictionary's own page is plain. */
	txd_thrift_list(thrift, field, TXD_THRIFT_I32, has_dictionary ? 3 : 2);
	txd_thrift_i32_element(thrift, TXD_ENCODING_PLAIN);
	txd_thrift_i32_element(thrift, TXD_ENCODING_RLE);
	if (has_dictionary)
		txd_thrift_i32_element(thrift, TXD_ENCODING_RLE_DICTIONARY);
}

static void
put_chunk(TxdParquet *file, const TxdChunk *chunk, const TxdPagesFacts *facts)
{
	TxdThrift thrift = {.out = &file->group};
	const char *name = chunk->column.name;

	txd_thrift_begin(&thrift);
	txd_thrift_i64(&thrift, 2, (int64_t) facts->begin);
	txd_thrift_struct(&thrift, 3);
	txd_thrift_i32(&thrift, 1, (int32_t) txd_physical_type(&chunk->column));
	put_encodings(&thrift, 2, facts);
	txd_thrift_list(&thrift, 3, TXD_THRIFT_BINARY, 1);
	txd_thrift_binary_element(&thrift, name, strlen(name));
	txd_thrift_i32(&thrift, 4, ZSTD);
	txd_thrift_i64(&thrift, 5, (int64_t) chunk->rows);
	txd_thrift_i64(&thrift, 6, (int64_t) facts->raw_bytes);
	txd_thrift_i64(&thrift, 7, (int64_t) (file->pages.offset - facts->begin));
	txd_thrift_i64(&thrift, 9, (int64_t) facts->data_at);
	if (facts->dictionary_at > 0)
		txd_thrift_i64(&thrift, 11, (int64_t) facts->dictionary_at);
	put_statistics(&thrift, 12, chunk);
	txd_thrift_end(&thrift);
	txd_thrift_end(&thrift);
}

static void
put_group(TxdParquet *file, uint64_t begin, uint64_t raw_bytes, size_t rows)
{
	TxdThrift thrift = {.out = &file->groups};

	txd_thrift_begin(&thrift);
	txd_thrift_list(&thrift, 1, TXD_THRIFT_STRUCT, (size_t) file->ncolumns);
	txd_bytes_append(&file->groups, file->group.data, file->group.len);
	txd_thrift_i64(&thrift, 2, (int64_t) raw_bytes);
	txd_thrift_i64(&thrift, 3, (int64_t) rows);
	if (file->nsorted > 0)
		txd_thrift_list(&thrift, 4, TXD_THRIFT_STRUCT, (size_t) file->nsorted);
	for (int i = 0; i < file->nsorted; i++)
	{
		TxdThrift element = {.out = &file->groups};

		txd_thrift_begin(&element);
		txd_thrift_i32(&element, 1, file->sorted[i]);
		txd_thrift_bool(&element, 2, false);
		txd_thrift_bool(&element, 3, false);
		txd_thrift_end(&element);
	}
	txd_thrift_i64(&thrift, 5, (int64_t) begin);
	txd_thrift_i64(&thrift, 6, (int64_t) (file->pages.offset - begin));
	txd_thrift_end(&thrift);
	file->groups.failed |= file->group.failed;
}

static TxdParquetResult
write_group(TxdParquet *file)
{
	size_t rows = file->chunks[0].rows;
	uint64_t begin = file->pages.offset;
	uint64_t raw_bytes = 0;

	file->group.len = 0;
	for (int i = 0; i < file->ncolumns; i++)
	{
		TxdPagesFacts facts;
		TxdParquetResult result = txd_pages_write(&file->pages, &file->chunks[i], &facts);

		if (result != TXD_PARQUET_OK)
			return result;
		put_chunk(file, &file->chunks[i], &facts);
		raw_bytes += facts.raw_bytes;
		txd_chunk_clear(&file->chunks[i]);
	}
	put_group(file, begin, raw_bytes, rows);
	file->ngroups++;
	file->rows += (int64_t) rows;
	return file->groups.failed ? TXD_PARQUET_NO_MEMORY : TXD_PARQUET_OK;
}

/* --- metadata of the file --- */

/* The older of the two ways to say what a physical type means; -1: it had no word for it. */
static int
converted_type(TxdParquetType type)
{
	switch (type)
	{
		case TXD_PARQUET_TEXT:
			return 0;
		case TXD_PARQUET_DECIMAL:
			return 5;
		case TXD_PARQUET_DATE:
			return 6;
		case TXD_PARQUET_TIMESTAMP:
			return 10;
		case TXD_PARQUET_JSON:
			return 19;
		default:
			return -1;
	}
}

static void
put_timestamp(TxdThrift *thrift, bool is_utc)
{
	txd_thrift_struct(thrift, 8);
	txd_thrift_bool(thrift, 1, is_utc);
	txd_thrift_struct(thrift, 2);
	txd_thrift_empty(thrift, 2); /* microseconds */
	txd_thrift_end(thrift);
	txd_thrift_end(thrift);
}

static void
put_decimal(TxdThrift *thrift, const TxdParquetColumn *column)
{
	txd_thrift_struct(thrift, 5);
	txd_thrift_i32(thrift, 1, column->scale);
	txd_thrift_i32(thrift, 2, column->precision);
	txd_thrift_end(thrift);
}

static void
put_logical_type(TxdThrift *thrift, int field, const TxdParquetColumn *column)
{
	TxdParquetType type = column->type;

	if (converted_type(type) < 0 && type != TXD_PARQUET_LOCAL_TIMESTAMP)
		return;
	txd_thrift_struct(thrift, field);
	if (type == TXD_PARQUET_TEXT)
		txd_thrift_empty(thrift, 1);
	else if (type == TXD_PARQUET_DECIMAL)
		put_decimal(thrift, column);
	else if (type == TXD_PARQUET_DATE)
		txd_thrift_empty(thrift, 6);
	else if (type == TXD_PARQUET_JSON)
		txd_thrift_empty(thrift, 12);
	else
		put_timestamp(thrift, type == TXD_PARQUET_TIMESTAMP);
	txd_thrift_end(thrift);
}

static void
put_column(TxdBytes *out, const TxdParquetColumn *column)
{
	TxdThrift thrift = {.out = out};
	int converted = converted_type(column->type);
	bool is_decimal = column->type == TXD_PARQUET_DECIMAL;

	txd_thrift_begin(&thrift);
	txd_thrift_i32(&thrift, 1, (int32_t) txd_physical_type(column));
	if (txd_physical_type(column) == TXD_PHYSICAL_FIXED)
		txd_thrift_i32(&thrift, 2, txd_physical_width(column));
	txd_thrift_i32(&thrift, 3, OPTIONAL);
	txd_thrift_binary(&thrift, 4, column->name, strlen(column->name));
	if (converted >= 0)
		txd_thrift_i32(&thrift, 6, converted);
	if (is_decimal)
	{
		txd_thrift_i32(&thrift, 7, column->scale);
		txd_thrift_i32(&thrift, 8, column->precision);
	}
	put_logical_type(&thrift, 10, column);
	txd_thrift_end(&thrift);
}

static void
put_schema(TxdThrift *thrift, int field, const TxdParquet *file)
{
	TxdThrift root = {.out = thrift->out};

	txd_thrift_list(thrift, field, TXD_THRIFT_STRUCT, (size_t) file->ncolumns + 1);
	txd_thrift_begin(&root);
	txd_thrift_binary(&root, 4, "schema", strlen("schema"));
	txd_thrift_i32(&root, 5, file->ncolumns);
	txd_thrift_end(&root);
	for (int i = 0; i < file->ncolumns; i++)
		put_column(thrift->out, &file->chunks[i].column);
}

static void
put_footer(const TxdParquet *file, TxdBytes *out)
{
	TxdThrift thrift = {.out = out};
	size_t len;

	txd_thrift_begin(&thrift);
	txd_thrift_i32(&thrift, 1, VERSION);
	put_schema(&thrift, 2, file);
	txd_thrift_i64(&thrift, 3, file->rows);
	txd_thrift_list(&thrift, 4, TXD_THRIFT_STRUCT, file->ngroups);
	txd_bytes_append(out, file->groups.data, file->groups.len);
	txd_thrift_binary(&thrift, 6, file->created_by, strlen(file->created_by));
	/* Least and greatest are by the order of the type, of each column. */
	txd_thrift_list(&thrift, 7, TXD_THRIFT_STRUCT, (size_t) file->ncolumns);
	for (int i = 0; i < file->ncolumns; i++)
	{
		TxdThrift order = {.out = out};

		txd_thrift_begin(&order);
		txd_thrift_empty(&order, 1);
		txd_thrift_end(&order);
	}
	txd_thrift_end(&thrift);
	len = out->len;
	txd_bytes_little(out, len, sizeof(uint32_t));
	txd_bytes_append(out, MAGIC, strlen(MAGIC));
}

/* --- what a caller does --- */

static TxdParquetResult
begin_file(TxdParquet *file)
{
	TxdBytes magic = {(unsigned char *) MAGIC, strlen(MAGIC), 0, false};

	return file->pages.offset > 0 ? TXD_PARQUET_OK : txd_pages_send(&file->pages, &magic);
}

TxdParquetResult
txd_parquet_row(TxdParquet *file, const TxdParquetValue *values)
{
	size_t size = 0;

	if (file->result == TXD_PARQUET_OK)
		file->result = begin_file(file);
	for (int i = 0; i < file->ncolumns && file->result == TXD_PARQUET_OK; i++)
	{
		file->bad_column = i;
		file->result = txd_chunk_add(&file->chunks[i], &values[i]);
		size += txd_chunk_size(&file->chunks[i]);
	}
	if (file->result == TXD_PARQUET_OK && size >= file->group_bytes)
		file->result = write_group(file);
	return file->result;
}

TxdParquetResult
txd_parquet_finish(TxdParquet *file)
{
	if (file->result == TXD_PARQUET_OK)
		file->result = begin_file(file);
	if (file->result == TXD_PARQUET_OK && file->chunks[0].rows > 0)
		file->result = write_group(file);
	if (file->result != TXD_PARQUET_OK)
		return file->result;
	/* A place of the writer's own, since the sink may not come back. */
	file->group.len = 0;
	put_footer(file, &file->group);
	file->result = txd_pages_send(&file->pages, &file->group);
	return file->result;
}
