/*
 * pages.c — the pages of a column of a row group.
 */
#include "pages.h"

#include <string.h>

#include "hybrid.h"
#include "thrift.h"

#define PAGE_ROWS 20000
#define PAGE_BYTES ((size_t) 1024 * 1024)
#define ZSTD_LEVEL 3

/* The specification's numbers of pages. */
#define DATA_PAGE 0
#define DICTIONARY_PAGE 2

/* Where a column's pages are. */
typedef struct Reader
{
	size_t row;
	size_t value;            /* values before it */
	const unsigned char *at; /* the next plain one */
} Reader;

bool
txd_pages_init(TxdPages *pages, TxdParquetSink sink, void *arg)
{
	*pages = (TxdPages){.sink = sink, .arg = arg, .zstd = ZSTD_createCCtx()};
	return pages->zstd != NULL;
}

void
txd_pages_free(TxdPages *pages)
{
	ZSTD_freeCCtx(pages->zstd);
	txd_bytes_free(&pages->numbers);
	txd_bytes_free(&pages->packed);
	txd_bytes_free(&pages->raw);
	txd_bytes_free(&pages->ready);
}

TxdParquetResult
txd_pages_send(TxdPages *pages, const TxdBytes *bytes)
{
	if (bytes->failed)
		return TXD_PARQUET_NO_MEMORY;
	if (!pages->sink(pages->arg, bytes->data, bytes->len))
		return TXD_PARQUET_FAILED;
	pages->offset += bytes->len;
	return TXD_PARQUET_OK;
}

static void
page_header(TxdPages *pages, int type, size_t compressed, size_t nvalues, int encoding)
{
	TxdThrift thrift = {.out = &pages->ready};

	txd_thrift_begin(&thrift);
	txd_thrift_i32(&thrift, 1, type);
	txd_thrift_i32(&thrift, 2, (int32_t) pages->raw.len);
	txd_thrift_i32(&thrift, 3, (int32_t) compressed);
	txd_thrift_struct(&thrift, type == DATA_PAGE ? 5 : 7);
	txd_thrift_i32(&thrift, 1, (int32_t) nvalues);
	txd_thrift_i32(&thrift, 2, encoding);
	if (type == DATA_PAGE)
	{
		txd_thrift_i32(&thrift, 3, TXD_ENCODING_RLE);
		txd_thrift_i32(&thrift, 4, TXD_ENCODING_RLE);
	}
	txd_thrift_end(&thrift);
	txd_thrift_end(&thrift);
}

/* Compresses what is in `raw` and sends it behind its header. */
static TxdParquetResult
send_page(TxdPages *pages, int type, size_t nvalues, int encoding, TxdPagesFacts *facts)
{
	TxdBytes *packed = &pages->packed;
	size_t bound = ZSTD_compressBound(pages->raw.len);
	TxdParquetResult result;

	packed->len = pages->ready.len = 0;
	if (pages->raw.failed || !txd_bytes_reserve(packed, bound))
		return TXD_PARQUET_NO_MEMORY;
	packed->len = ZSTD_compressCCtx(pages->zstd, packed->data, packed->cap, pages->raw.data,
									pages->raw.len, ZSTD_LEVEL);
	if (ZSTD_isError(packed->len))
	{
		packed->len = 0;
		return TXD_PARQUET_FAILED;
	}
	page_header(pages, type, packed->len, nvalues, encoding);
	facts->raw_bytes += pages->ready.len + pages->raw.len;
	result = txd_pages_send(pages, &pages->ready);
	return result == TXD_PARQUET_OK ? txd_pages_send(pages, packed) : result;
}

/* --- content --- */

/* Which of the rows have a value: definition levels, with their length before them. */
static void
put_levels(TxdPages *pages, const TxdChunk *chunk, size_t row, size_t rows)
{
	pages->numbers.len = pages->packed.len = 0;
	for (size_t i = row; i < row + rows; i++)
	{
		uint32_t level = chunk->present.data[i];

		txd_bytes_append(&pages->numbers, &level, sizeof(level));
	}
	if (pages->numbers.failed)
		return;
	txd_hybrid(&pages->packed, (const uint32_t *) pages->numbers.data, rows, 1);
	txd_bytes_little(&pages->raw, pages->packed.len, sizeof(uint32_t));
	txd_bytes_append(&pages->raw, pages->packed.data, pages->packed.len);
}

static void
put_booleans(TxdPages *pages, const unsigned char *values, size_t n)
{
	pages->numbers.len = 0;
	for (size_t i = 0; i < n; i++)
	{
		uint32_t bit = values[i];

		txd_bytes_append(&pages->numbers, &bit, sizeof(bit));
	}
	if (!pages->numbers.failed)
		txd_pack_bits(&pages->raw, (const uint32_t *) pages->numbers.data, n, 1);
}

/* The rows from the reader's on that make a page, all of them of the dictionary or none. */
static size_t
cut_page(const TxdChunk *chunk, Reader *reader, bool is_indexed)
{
	size_t begin = reader->row;
	const unsigned char *first = reader->at;

	for (; reader->row < chunk->rows && reader->row - begin < PAGE_ROWS; reader->row++)
	{
		if (!chunk->present.data[reader->row])
			continue;
		if (is_indexed ? reader->value == chunk->indexed
					   : (size_t) (reader->at - first) >= PAGE_BYTES)
			break;
		reader->value++;
		if (!is_indexed)
			(void) txd_chunk_next(chunk, &reader->at);
	}
	return reader->row - begin;
}

static TxdParquetResult
send_data_page(TxdPages *pages, const TxdChunk *chunk, Reader *reader, TxdPagesFacts *facts)
{
	bool is_indexed = reader->value < chunk->indexed;
	Reader begin = *reader;
	size_t rows = cut_page(chunk, reader, is_indexed);
	size_t n = reader->value - begin.value;

	pages->raw.len = 0;
	put_levels(pages, chunk, begin.row, rows);
	if (is_indexed)
	{
		int bits = txd_chunk_index_bits(chunk);

		txd_bytes_byte(&pages->raw, (unsigned char) bits);
		txd_hybrid(&pages->raw, (const uint32_t *) chunk->indexes.data + begin.value, n, bits);
	}
	else if (chunk->column.type == TXD_PARQUET_BOOLEAN)
		put_booleans(pages, begin.at, n);
	else
		txd_bytes_append(&pages->raw, begin.at, (size_t) (reader->at - begin.at));
	if (pages->numbers.failed || pages->packed.failed)
		return TXD_PARQUET_NO_MEMORY;
	return send_page(pages, DATA_PAGE, rows,
					 is_indexed ? TXD_ENCODING_RLE_DICTIONARY : TXD_ENCODING_PLAIN, facts);
}

TxdParquetResult
txd_pages_write(TxdPages *pages, TxdChunk *chunk, TxdPagesFacts *facts)
{
	TxdParquetResult result = TXD_PARQUET_OK;
	Reader reader = {0};

	*facts = (TxdPagesFacts){.begin = pages->offset};
	if (!txd_chunk_close(chunk))
		return TXD_PARQUET_NO_MEMORY;
	if (chunk->entries > 0)
	{
		facts->dictionary_at = pages->offset;
		pages->raw.len = 0;
		txd_bytes_append(&pages->raw, chunk->dictionary.data, chunk->dictionary.len);
		result = send_page(pages, DICTIONARY_PAGE, chunk->entries, TXD_ENCODING_PLAIN, facts);
	}
	facts->data_at = pages->offset;
	reader.at = chunk->plain.data;
	while (result == TXD_PARQUET_OK && reader.row < chunk->rows)
		result = send_data_page(pages, chunk, &reader, facts);
	return result;
}
