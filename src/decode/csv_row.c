/*
 * csv_row.c — which field of a CSV record fills which column: by header name or by number.
 */
#include <stdlib.h>
#include <string.h>

#include "decoder.h"
#include "field.h"

static void
add_place(TxdCsvPlaces *places, int field)
{
	places->field = txd_realloc(places->field, (places->n + 1) * sizeof(int));
	places->field[places->n++] = field;
}

/*
 * Finds the one header name that matches one of the names of the column as `how` says. *place stays
 * -1 when none does; two that do are refused.
 */
static bool
match_names(const TxdCsvRecord *header, const TxdColumn *col, TxdNameMatch how, int *place,
			TxdError *err)
{
	int nnames = col->npaths > 0 ? col->npaths : 1;

	for (int k = 0; k < nnames && *place < 0; k++)
	{
		const char *name = col->npaths > 0 ? col->paths[k] : col->name;

		for (int i = 0; i < header->n; i++)
		{
			const TxdCsvField *f = &header->fields[i];

			if (txd_name_match(f->text, f->len, name) != how)
				continue;
			if (*place >= 0 && how == TXD_NAME_EXACT)
				return txd_refuse(err, "duplicate_field", col, "header has \"%s\" twice", name);
			if (*place >= 0)
				return txd_refuse(err, "ambiguous_field", col,
								  "fields %d and %d of the header both match \"%s\"", *place + 1,
								  i + 1, name);
			*place = i;
		}
	}
	return true;
}

static bool
bind_column(TxdDecoder *d, int column, int *found, TxdError *err)
{
	const TxdColumn *col = &d->schema.columns[column];
	int place = -1;

	for (int how = TXD_NAME_EXACT; how < TXD_NAME_NONE && place < 0; how++)
		if (!match_names(&d->record, col, how, &place, err))
			return false;
	if (place >= 0)
	{
		add_place(&d->places[column], place);
		(*found)++;
	}
	else if (col->not_null && col->default_text == NULL)
		return txd_refuse(err, "missing_field", col, "header has no field \"%s\"",
						  col->npaths > 0 ? col->paths[0] : col->name);
	return true;
}

bool
txd_is_absent(const TxdDecoder *d, int column)
{
	const TxdColumn *col = &d->schema.columns[column];

	return d->bound && col->source == TXD_FROM_FIELD && col->npaths > 0 &&
		   col->default_text == NULL && d->places[column].n == 0;
}

/* Names as matching wants them: doubled quotes resolved into `text`, no white space around. */
static void
clean_names(TxdCsvRecord *header, char quote, TxdBuf *text)
{
	for (int i = 0; i < header->n; i++)
	{
		TxdCsvField *name = &header->fields[i];

		name->text = txd_csv_text(name, quote, text, &name->len);
		txd_trim(&name->text, &name->len);
	}
}

/* Lines that end with CR alone would make one long header of the whole file. */
static bool
has_lone_cr(const char *record, size_t len)
{
	while (len > 0 && (record[len - 1] == '\n' || record[len - 1] == '\r'))
		len--;
	return memchr(record, '\r', len) != NULL;
}

bool
txd_bind_header(TxdDecoder *d, const char *record, size_t len, TxdError *err)
{
	int wanted = 0;
	int found = 0;

	if (d->schema.format != TXD_CSV || !d->schema.csv.header || d->bound)
		return txd_refuse(err, "bad_csv", NULL, "no header is expected here");
	if (!txd_check_text(NULL, record, len, err) ||
		!txd_csv_split(&d->schema.csv, record, len, &d->record, err))
		return false;
	d->scratch.len = 0;
	txd_buf_reserve(&d->scratch, len + 1); /* for all names at once: they must not move */
	clean_names(&d->record, d->schema.csv.quote, &d->scratch);
	if (has_lone_cr(record, len))
		return txd_refuse(err, "bad_csv", NULL,
						  "header holds a carriage return; lines end with LF or CRLF");
	for (int i = 0; i < d->schema.ncolumns; i++)
	{
		if (d->schema.columns[i].source != TXD_FROM_FIELD)
			continue;
		wanted++;
		if (!bind_column(d, i, &found, err))
			return false;
	}
	if (wanted > 0 && found == 0)
		return txd_refuse(err, "missing_field", NULL,
						  "header has none of the mapped fields; is the delimiter right?");
	d->nheader = d->record.n;
	d->bound = true;
	return true;
}

/* A field number of a path, counted from 0; -1 where the path is none. */
static int
field_number(const char *path)
{
	char *end;
	long n = strtol(path, &end, 10);

	return path[0] >= '1' && path[0] <= '9' && *end == '\0' && n <= 100000 ? (int) n - 1 : -1;
}

bool
txd_csv_bind_numbers(TxdDecoder *d, TxdError *err)
{
	int ordinal = 0;

	for (int i = 0; i < d->schema.ncolumns; i++)
	{
		const TxdColumn *col = &d->schema.columns[i];

		if (col->source != TXD_FROM_FIELD)
			continue;
		for (int k = 0; k < col->npaths; k++)
		{
			int field = field_number(col->paths[k]);

			if (field < 0)
				return txd_refuse(err, "bad_value", col,
								  "\"%s\" is not the number of a field, and there is no header",
								  col->paths[k]);
			add_place(&d->places[i], field);
			d->any_width = true;
		}
		if (col->npaths == 0)
			add_place(&d->places[i], ordinal);
		ordinal++;
		for (int k = 0; k < d->places[i].n; k++)
			if (d->places[i].field[k] >= d->nheader)
				d->nheader = d->places[i].field[k] + 1;
	}
	d->bound = true;
	return true;
}

const TxdCsvField *
txd_csv_find(const TxdDecoder *d, int column)
{
	const TxdCsvPlaces *places = &d->places[column];

	for (int k = 0; k < places->n; k++)
		if (places->field[k] < d->record.n)
			return &d->record.fields[places->field[k]];
	return NULL;
}

/* The record is too short: names the first column that misses its field. */
static bool
refuse_short(const TxdDecoder *d, TxdError *err)
{
	const TxdColumn *col = NULL;

	for (int i = 0; i < d->schema.ncolumns && col == NULL; i++)
		if (d->places[i].n > 0 && txd_csv_find(d, i) == NULL)
			col = &d->schema.columns[i];
	return txd_refuse(err, "missing_field", col, "record has %d fields instead of %d", d->record.n,
					  d->nheader);
}

bool
txd_csv_fields(TxdDecoder *d, const TxdMessage *message, TxdError *err)
{
	const TxdCsvOptions *csv = &d->schema.csv;

	if (!d->bound)
		return txd_refuse(err, "bad_csv", NULL, "the header has not been read");
	if (!txd_csv_split(csv, message->payload, message->payload_len, &d->record, err))
		return false;
	if (d->record.n > d->nheader && !d->any_width)
		return txd_refuse(err, "extra_field", NULL, "record has %d fields instead of %d",
						  d->record.n, d->nheader);
	if (d->record.n < d->nheader && !csv->ragged)
		return refuse_short(d, err);
	return true;
}
