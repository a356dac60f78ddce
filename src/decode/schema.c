/*
 * schema.c — a decoder's own copy of its schema, and the checks that a schema makes sense.
 */
#include <stdlib.h>
#include <string.h>

#include "decoder.h"
#include "fieldname.h"
#include "value.h"

#define MAX_COLUMNS 1600 /* PostgreSQL's limit */

/* Where copies go; without a base only their size is counted. */
typedef struct Arena
{
	char *base;
	size_t used;
} Arena;

static void *
arena_put(Arena *a, const void *bytes, size_t len)
{
	char *to = NULL;

	if (bytes == NULL)
		return NULL;
	if (a->base != NULL)
	{
		to = a->base + a->used;
		memcpy(to, bytes, len);
	}
	a->used += (len + 15) & ~(size_t) 15;
	return to;
}

static char *
arena_text(Arena *a, const char *s)
{
	return arena_put(a, s, s != NULL ? strlen(s) + 1 : 0);
}

static void
copy_columns(const TxdSchema *from, TxdSchema *to, Arena *a)
{
	TxdColumn *columns = arena_put(a, from->columns, from->ncolumns * sizeof(TxdColumn));

	for (int i = 0; i < from->ncolumns; i++)
	{
		const TxdColumn *col = &from->columns[i];
		TxdColumn copy = *col;

		copy.name = arena_text(a, col->name);
		copy.default_text = arena_text(a, col->default_text);
		if (col->npaths > 0)
			copy.paths = arena_put(a, col->paths, col->npaths * sizeof(char *));
		for (int k = 0; k < col->npaths; k++)
		{
			char *path = arena_text(a, col->paths[k]);

			if (a->base != NULL)
				copy.paths[k] = path;
		}
		if (a->base != NULL)
			columns[i] = copy;
	}
	to->columns = columns;
}

static void
copy_topics(const TxdSchema *from, TxdSchema *to, Arena *a)
{
	TxdTopicFormat *topics = arena_put(a, from->topics, from->ntopics * sizeof(TxdTopicFormat));

	for (int i = 0; i < from->ntopics; i++)
	{
		char *topic = arena_text(a, from->topics[i].topic);

		if (a->base != NULL)
			topics[i].topic = topic;
	}
	to->topics = topics;
}

void *
txd_schema_copy(const TxdSchema *from, TxdSchema *to)
{
	Arena a = {NULL, 0};
	int n = from->zone.nchanges;

	for (int pass = 0; pass < 2; pass++)
	{
		*to = *from;
		copy_columns(from, to, &a);
		copy_topics(from, to, &a);
		to->avro_schema = arena_text(&a, from->avro_schema);
		to->protobuf_schema = arena_text(&a, from->protobuf_schema);
		to->protobuf_message = arena_text(&a, from->protobuf_message);
		to->key_avro_schema = arena_text(&a, from->key_avro_schema);
		to->key_protobuf_schema = arena_text(&a, from->key_protobuf_schema);
		to->key_protobuf_message = arena_text(&a, from->key_protobuf_message);
		to->rows = arena_text(&a, from->rows);
		to->csv.null_text = arena_text(&a, from->csv.null_text != NULL ? from->csv.null_text : "");
		to->zone.at = arena_put(&a, from->zone.at, n * sizeof(int64_t));
		to->zone.offset = arena_put(&a, from->zone.offset, (n + 1) * sizeof(int32_t));
		if (pass == 0)
			a = (Arena){txd_alloc(a.used), 0};
	}
	return a.base;
}

static bool
check_csv(const TxdCsvOptions *csv, TxdError *err)
{
	if (csv->delimiter == csv->quote || csv->delimiter == '\0' || csv->quote == '\0' ||
		strchr("\r\n", csv->delimiter) != NULL || strchr("\r\n", csv->quote) != NULL ||
		(csv->delimiter & 0x80) != 0 || (csv->quote & 0x80) != 0)
		return txd_refuse(
			err, "bad_value", NULL,
			"CSV delimiter and quote must be two different ASCII characters, no line ends");
	return true;
}

/* What the server's catalog can say of a type; the encoders compute with it. */
static bool
check_modifiers(const TxdColumn *col, TxdError *err)
{
	bool ok = true;

	if (col->type == TXD_NUMERIC)
		ok = col->precision >= 0 && col->precision <= 1000 && col->scale >= -1000 &&
			 col->scale <= 1000;
	else if (col->type >= TXD_DATE && col->type <= TXD_TIMESTAMPTZ)
		ok = col->precision >= -1 && col->precision <= 6;
	return ok || txd_refuse(err, "bad_value", col, "no type has precision %d and scale %d",
							(int) col->precision, (int) col->scale);
}

static bool
check_zone(const TxdZone *zone, TxdError *err)
{
	const int32_t day = 86400;

	if (zone->nchanges > 0 && (zone->at == NULL || zone->offset == NULL))
		return txd_refuse(err, "bad_value", NULL, "time zone has no offsets");
	for (int i = 0; zone->offset != NULL && i <= zone->nchanges; i++)
		if (zone->offset[i] <= -day || zone->offset[i] >= day)
			return txd_refuse(err, "bad_value", NULL, "time zone is a day or more off UTC");
	return true;
}

static bool
check_encrypted(const TxdSchema *schema, const TxdColumn *col, TxdError *err)
{
	if (schema->encryption_keys == NULL)
		return txd_refuse(err, "bad_value", col, "there is no key to encrypt with");
	if (col->type != TXD_BYTEA)
		return txd_refuse(err, "wrong_type", col, "an encrypted value is bytea");
	if (col->default_text != NULL)
		return txd_refuse(err, "bad_value", col, "a default would not be encrypted");
	if (col->source == TXD_FROM_FIELD || col->source == TXD_FROM_REST ||
		col->source == TXD_FROM_VALUE || col->source == TXD_FROM_KEY ||
		col->source == TXD_FROM_KEY_FIELD || col->source == TXD_FROM_HEADERS ||
		col->source == TXD_FROM_ENVELOPE_FIELD)
		return true;
	return txd_refuse(err, "bad_value", col,
					  "place and time of a message are not encrypted, and headers only as a whole");
}

/* A column without a path takes the field of its name: is the path of a field within that one? */
static bool
is_within_named(const char *path, const TxdColumn *col)
{
	size_t len = txd_first_name(path);

	return txd_path_goes_on(path[len]) && txd_name_match(path, len, col->name) != TXD_NAME_NONE;
}

/* Has the column an object in which the path is? */
static bool
has_inside(const TxdColumn *col, const char *path)
{
	if (col->npaths == 0)
		return col->source == TXD_FROM_FIELD && is_within_named(path, col);
	for (int k = 0; k < col->npaths; k++)
	{
		size_t len = strlen(col->paths[k]);

		if (strncmp(path, col->paths[k], len) == 0 && txd_path_goes_on(path[len]))
			return true;
	}
	return false;
}

/* Has the column an object of which another one encrypts a field? */
static bool
holds_encrypted(const TxdSchema *schema, const TxdColumn *col)
{
	for (int i = 0; i < schema->ncolumns; i++)
	{
		const TxdColumn *other = &schema->columns[i];

		for (int n = 0; n < other->npaths && other->source == col->source &&
						other->convert == TXD_AS_ENCRYPTED;
			 n++)
			if (has_inside(col, other->paths[n]))
				return true;
	}
	return false;
}

/*
 * What holds a whole message or key would hold in clear what another column encrypts of it. The rest of a message
 * may have a field that lost against its alternative.
 */
static bool
check_leaks(const TxdSchema *schema, TxdError *err)
{
	bool of_value = false;
	bool of_key = false;

	for (int i = 0; i < schema->ncolumns; i++)
	{
		const TxdColumn *col = &schema->columns[i];
		bool key = col->source == TXD_FROM_KEY || col->source == TXD_FROM_KEY_FIELD;

		if (col->convert == TXD_AS_ENCRYPTED && col->source != TXD_FROM_HEADERS)
			*(key ? &of_key : &of_value) = true;
	}
	for (int i = 0; i < schema->ncolumns; i++)
	{
		const TxdColumn *col = &schema->columns[i];
		bool whole = col->source == TXD_FROM_REST || col->source == TXD_FROM_VALUE;

		if (col->convert != TXD_AS_ENCRYPTED &&
			((whole && of_value) || (col->source == TXD_FROM_KEY && of_key) ||
			 holds_encrypted(schema, col)))
			return txd_refuse(
				err, "bad_value", col,
				"it would have in clear what another column encrypts: encrypt it, too");
	}
	return true;
}

static bool
is_one_of(const char *path, const char *one, const char *other)
{
	size_t len = txd_first_name(path);

	return (len == strlen(one) && strncmp(path, one, len) == 0) ||
		   (len == strlen(other) && strncmp(path, other, len) == 0);
}

/* Has the object around rows at that path what is in them, too? */
static bool
holds_rows(const TxdSchema *schema, const char *path)
{
	size_t len = strlen(path);

	if (schema->envelope == TXD_DEBEZIUM)
		return is_one_of(path, "before", "after");
	if (schema->envelope == TXD_CLOUDEVENTS)
		return is_one_of(path, "data", "data_base64");
	if (len > strlen(schema->rows))
		len = strlen(schema->rows);
	return strncmp(path, schema->rows, len) == 0;
}

static bool
check_around(const TxdSchema *schema, const TxdColumn *col, TxdError *err)
{
	bool encrypts = false;

	if (schema->envelope == TXD_NO_ENVELOPE && (schema->rows == NULL || *schema->rows == '$'))
		return txd_refuse(err, "bad_value", col, "there is nothing around the message's fields");
	if (col->npaths == 0)
		return txd_refuse(err, "bad_value", col, "a field of the envelope needs a path");
	for (int i = 0; i < schema->ncolumns; i++)
		encrypts |= schema->columns[i].convert == TXD_AS_ENCRYPTED &&
					schema->columns[i].source != TXD_FROM_ENVELOPE_FIELD;
	for (int k = 0; k < col->npaths && encrypts && col->convert != TXD_AS_ENCRYPTED; k++)
		if (holds_rows(schema, col->paths[k]))
			return txd_refuse(
				err, "bad_value", col,
				"it would have in clear what another column encrypts: encrypt it, too");
	return true;
}

static bool
check_shape(const TxdSchema *schema, TxdError *err)
{
	if (schema->envelope == TXD_NO_ENVELOPE && schema->rows == NULL)
		return true;
	if (!txd_has_json_fields(schema->format))
		return txd_refuse(
			err, "bad_value", NULL,
			"envelopes and rows within messages need the format json, avro or protobuf");
	if (schema->rows == NULL)
		return true;
	if (schema->tombstones)
		return txd_refuse(
			err, "bad_value", NULL,
			"a message without a value does not say which of several rows it deletes");
	if (*schema->rows == '$' && strcmp(schema->rows, TXD_ROWS_VALUE) != 0 &&
		strcmp(schema->rows, TXD_ROWS_LINES) != 0)
		return txd_refuse(err, "bad_value", NULL, "rows are at a path, at $, or $lines");
	if (strcmp(schema->rows, TXD_ROWS_LINES) == 0 &&
		(schema->format != TXD_JSON || schema->ntopics > 0 || schema->envelope != TXD_NO_ENVELOPE))
		return txd_refuse(err, "bad_value", NULL,
						  "lines are rows of the format json, without an envelope");
	return true;
}

static bool
check_topics(const TxdSchema *schema, TxdError *err)
{
	bool ok = schema->ntopics == 0 || txd_has_json_fields(schema->format);

	for (int i = 0; i < schema->ntopics; i++)
		ok &= txd_has_json_fields(schema->topics[i].format);
	return ok || txd_refuse(err, "bad_value", NULL,
							"topics may differ in the formats json, avro and protobuf");
}

static bool
check_column(const TxdSchema *schema, const TxdColumn *col, int *nplain, TxdError *err)
{
	if (col->convert == TXD_AS_PSEUDONYM && schema->key == NULL)
		return txd_refuse(err, "bad_value", col, "there is no key to make pseudonyms with");
	if (col->convert == TXD_AS_PSEUDONYM && col->type != TXD_STRING)
		return txd_refuse(err, "wrong_type", col, "a pseudonym is text");
	if (col->convert == TXD_AS_ENCRYPTED && !check_encrypted(schema, col, err))
		return false;
	if (col->type == TXD_OTHER && schema->form != TXD_TEXT)
		return txd_refuse(err, "wrong_type", col, "type needs the text form");
	for (int k = 0; k < col->npaths; k++)
		if (col->paths == NULL || col->paths[k] == NULL)
			return txd_refuse(err, "bad_value", col, "path %d is missing", k + 1);
	if (col->source == TXD_FROM_ENVELOPE_FIELD && !check_around(schema, col, err))
		return false;
	if (col->or_key &&
		(col->source != TXD_FROM_FIELD || schema->envelope != TXD_DEBEZIUM || schema->rows != NULL))
		return txd_refuse(err, "bad_value", col, "only keys of Debezium have fields of the row");
	if ((col->source == TXD_FROM_KEY_FIELD || col->source == TXD_FROM_HEADER) && col->npaths == 0)
		return txd_refuse(err, "bad_value", col,
						  "a field of the key needs a path, a header a name");
	if (col->source == TXD_FROM_IS_TOMBSTONE && col->type != TXD_BOOL)
		return txd_refuse(err, "wrong_type", col, "whether there is a value needs a boolean");
	if (col->source == TXD_FROM_REST && !txd_has_json_fields(schema->format))
		return txd_refuse(err, "bad_value", col,
						  "\"$rest\" needs the format json, avro or protobuf");
	if (col->source == TXD_FROM_FIELD && !txd_has_json_fields(schema->format) &&
		schema->format != TXD_CSV && ++*nplain > 1)
		return txd_refuse(err, "bad_value", col, "formats without fields fill one column");
	return true;
}

bool
txd_schema_check(const TxdSchema *schema, TxdError *err)
{
	int nplain = 0;

	if (schema->ncolumns < 1 || schema->ncolumns > MAX_COLUMNS)
		return txd_refuse(err, "bad_value", NULL, "%d columns, not 1 to 1600", schema->ncolumns);
	if (!check_zone(&schema->zone, err))
		return false;
	if (schema->format == TXD_CSV && !check_csv(&schema->csv, err))
		return false;
	if (!check_topics(schema, err) || !check_shape(schema, err))
		return false;
	for (int i = 0; i < schema->ncolumns; i++)
	{
		if (schema->columns[i].name == NULL)
			return txd_refuse(err, "bad_value", NULL, "column %d has no name", i + 1);
		if (!check_modifiers(&schema->columns[i], err) ||
			!check_column(schema, &schema->columns[i], &nplain, err))
			return false;
	}
	return check_leaks(schema, err);
}
