/*
 * csv.h — CSV records (RFC 4180, as COPY reads them): where one ends, and its fields.
 *
 * A quote opens a quoted field only as the field's first byte; elsewhere it is data, as a backslash
 * is everywhere. A record's line end (LF, CRLF, or a CR at its very end) and a byte-order mark
 * before it are no part of it.
 */
#ifndef TXD_CSV_H
#define TXD_CSV_H

#include "decode.h"

typedef struct TxdCsvField
{
	const char *text; /* between the quotes; doubled quotes unresolved */
	size_t len;
	bool quoted;
	bool doubled;
} TxdCsvField;

typedef struct TxdCsvRecord
{
	TxdCsvField *fields;
	int n;
	int max;
} TxdCsvRecord;

/* Splits one record into its fields, of which there is at least one; false is bad_csv. */
extern bool txd_csv_split(const TxdCsvOptions *csv, const char *p, size_t len, TxdCsvRecord *record,
						  TxdError *err);

/* The field's text: part of the record, or appended to scratch. */
extern const char *txd_csv_text(const TxdCsvField *field, char quote, TxdBuf *scratch, size_t *len);

#endif
