/*
 * value_cli.c — encodes values read from standard input, for comparison with a server (diff_pg).
 *
 * Input: lines of type, time zone, value in hexadecimal, separated by tabs; the type as SQL writes it.
 * Output, line by line: "ok", field of the binary form without its length word, field of the text form,
 * both in hexadecimal; or "no", code, message.
 */
#include "decode/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIRST_YEAR_SECONDS INT64_C(-5364662400) /* 1800 */
#define LAST_YEAR_SECONDS INT64_C(16725225600)  /* 2500 */
#define STEP_SECONDS 43200
#define MAX_CHANGES 4096

static const char *const type_names[] = {
	[TXD_INT2] = "smallint",
	[TXD_INT4] = "integer",
	[TXD_INT8] = "bigint",
	[TXD_FLOAT4] = "real",
	[TXD_FLOAT8] = "double precision",
	[TXD_NUMERIC] = "numeric",
	[TXD_BOOL] = "boolean",
	[TXD_STRING] = "text",
	[TXD_VARCHAR] = "varchar",
	[TXD_CHAR] = "char",
	[TXD_DATE] = "date",
	[TXD_TIME] = "time",
	[TXD_TIMESTAMP] = "timestamp",
	[TXD_TIMESTAMPTZ] = "timestamptz",
	[TXD_UUID] = "uuid",
	[TXD_JSONTEXT] = "json",
	[TXD_JSONB] = "jsonb",
	[TXD_BYTEA] = "bytea",
};

static int64_t change_at[MAX_CHANGES];
static int32_t change_offset[MAX_CHANGES + 1];

static int32_t
offset_at(int64_t t)
{
	time_t when = (time_t) t;
	struct tm tm;

	localtime_r(&when, &tm);
	return (int32_t) tm.tm_gmtoff;
}

/* The C library's idea of a zone, from the same time zone files as the server's. */
static void
load_zone(const char *name, TxdZone *zone)
{
	int64_t from = FIRST_YEAR_SECONDS;

	setenv("TZ", name, 1);
	tzset();
	zone->nchanges = 0;
	zone->at = change_at;
	zone->offset = change_offset;
	change_offset[0] = offset_at(from);
	for (; from < LAST_YEAR_SECONDS; from += STEP_SECONDS)
	{
		int64_t low = from;
		int64_t high = from + STEP_SECONDS;

		if (offset_at(high) == change_offset[zone->nchanges])
			continue;
		while (high - low > 1)
		{
			int64_t mid = low + (high - low) / 2;

			if (offset_at(mid) == change_offset[zone->nchanges])
				low = mid;
			else
				high = mid;
		}
		if (zone->nchanges == MAX_CHANGES)
			abort();
		change_at[zone->nchanges++] = high;
		change_offset[zone->nchanges] = offset_at(high);
	}
}

/* "numeric(10,2)" and the like. */
static void
parse_type(const char *spec, TxdColumn *column)
{
	size_t base = strcspn(spec, "(");
	int a = 0;
	int b = 0;
	int given = spec[base] == '(' ? sscanf(spec + base, "(%d,%d)", &a, &b) : 0;

	memset(column, 0, sizeof(*column));
	column->name = "c";
	column->type = TXD_OTHER;
	for (int i = 0; i < TXD_OTHER; i++)
	{
		if (strncmp(type_names[i], spec, base) == 0 && type_names[i][base] == '\0')
			column->type = (TxdType) i;
	}
	if (column->type == TXD_OTHER)
	{
		fprintf(stderr, "value_cli: unknown type %s\n", spec);
		exit(2);
	}
	column->precision = given > 0 ? a : column->type == TXD_NUMERIC ? 0 : -1;
	column->scale = b;
	if (column->type == TXD_VARCHAR || column->type == TXD_CHAR)
		column->length = a;
}

static void
print_hex(const TxdBuf *buf, size_t skip)
{
	putchar('\t');
	for (size_t i = skip; i < buf->len; i++)
		printf("%02x", (unsigned char) buf->data[i]);
}

static void
encode(const char *spec, const TxdZone *zone, const char *value, size_t len)
{
	static TxdBuf binary;
	static TxdBuf text;
	TxdColumn column;
	TxdError err = {0};
	TxdError text_err = {0};
	bool ok;

	parse_type(spec, &column);
	binary.len = text.len = 0;
	ok = txd_value(&column, TXD_BINARY, zone, TXD_KIND_TEXT, value, len, false, &binary, &err);
	if (ok !=
		txd_value(&column, TXD_TEXT, zone, TXD_KIND_TEXT, value, len, false, &text, &text_err))
	{
		printf("no\tforms_differ\t%s%s\n", err.message, text_err.message);
		return;
	}
	if (!ok)
	{
		printf("no\t%s\t%s\n", err.code, err.message);
		return;
	}
	fputs("ok", stdout);
	print_hex(&binary, 4);
	print_hex(&text, 0);
	putchar('\n');
}

/* Decodes hexadecimal in place; returns the number of bytes. */
static size_t
unhex(char *hex)
{
	size_t n = 0;

	for (; hex[2 * n] != '\0' && hex[2 * n] != '\n'; n++)
	{
		char pair[3] = {hex[2 * n], hex[2 * n + 1], '\0'};

		hex[n] = (char) strtol(pair, NULL, 16);
	}
	return n;
}

int
main(void)
{
	char *line = NULL;
	size_t size = 0;
	char zone_name[64] = "";
	TxdZone zone = {0};

	while (getline(&line, &size, stdin) > 0)
	{
		char *save;
		char *spec = strtok_r(line, "\t", &save);
		char *name = strtok_r(NULL, "\t", &save);
		char *hex = name + strlen(name) + 1;
		size_t len = unhex(hex);

		if (strcmp(name, zone_name) != 0)
		{
			snprintf(zone_name, sizeof(zone_name), "%s", name);
			load_zone(name, &zone);
		}
		encode(spec, &zone, hex, len);
	}
	free(line);
	return 0;
}
