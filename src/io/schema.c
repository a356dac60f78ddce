/*
 * schema.c — unpacks the schema of a stream or file.
 */
#include <stdlib.h>

#include "schema.h"

char *
txp_text_read(TxpReader *r)
{
	TxpSpan span = txp_read_span(r);
	char *text;

	if (span.data == NULL)
		return NULL;
	text = txd_alloc(span.len + 1);
	memcpy(text, span.data, span.len);
	text[span.len] = '\0';
	return text;
}

/* The frame's copy of it is wiped. */
static char *
read_secret(TxpReader *r)
{
	TxpReader copy = *r;
	char *text = txp_text_read(r);
	TxpSpan span = txp_read_span(&copy);

	if (text != NULL)
		explicit_bzero((char *) span.data, span.len);
	return text;
}

const TxdRegistry *
txp_where_read(TxpReader *r)
{
	TxdRegistry *registry = txd_alloc(sizeof(*registry));

	registry->url = txp_text_read(r);
	registry->user_info = read_secret(r);
	registry->ca_pem = txp_text_read(r);
	registry->wait_s = txp_read_i32(r);
	if (registry->url != NULL)
		return registry;
	free((void *) registry->user_info);
	free((void *) registry->ca_pem);
	free(registry);
	return NULL;
}

static void
read_topics(TxpReader *r, TxdSchema *schema)
{
	int n = (int) txp_read_count(r, sizeof(uint32_t) + 1);
	TxdTopicFormat *topics = txd_alloc(((size_t) n + 1) * sizeof(*topics));

	for (int i = 0; i < n; i++)
	{
		topics[i].topic = txp_text_read(r);
		topics[i].format = (TxdFormat) txp_read_u8(r);
		r->bad |= topics[i].topic == NULL || topics[i].format > TXD_PROTOBUF;
	}
	schema->ntopics = n;
	schema->topics = topics;
}

static void
read_column(TxpReader *r, TxdColumn *column)
{
	column->name = txp_text_read(r);
	column->type = (TxdType) txp_read_u8(r);
	column->length = txp_read_i32(r);
	column->precision = txp_read_i32(r);
	column->scale = txp_read_i32(r);
	column->not_null = txp_read_u8(r) != 0;
	column->source = (TxdSource) txp_read_u8(r);
	column->convert = (TxdConvert) txp_read_u8(r);
	column->npaths = (int) txp_read_count(r, sizeof(uint32_t));
	column->paths = txd_alloc(((size_t) column->npaths + 1) * sizeof(char *));
	for (int i = 0; i < column->npaths; i++)
	{
		column->paths[i] = txp_text_read(r);
		r->bad |= column->paths[i] == NULL;
	}
	column->default_text = txp_text_read(r);
	column->or_key = txp_read_u8(r) != 0;
	r->bad |= column->name == NULL || column->type > TXD_OTHER ||
			  column->source > TXD_FROM_KEY_SCHEMA || column->convert > TXD_AS_ENCRYPTED;
}

static void
read_zone(TxpReader *r, TxdZone *zone)
{
	int n = (int) txp_read_count(r, sizeof(int64_t) + sizeof(int32_t));
	int64_t *at = txd_alloc(((size_t) n + 1) * sizeof(*at));
	int32_t *offset = txd_alloc(((size_t) n + 1) * sizeof(*offset));

	txp_read(r, at, (size_t) n * sizeof(*at));
	txp_read(r, offset, ((size_t) n + 1) * sizeof(*offset));
	*zone = (TxdZone){n, at, offset};
}

TxdSchema *
txp_schema_read(TxpReader *r)
{
	TxdSchema *schema = txd_alloc(sizeof(*schema));

	*schema = (TxdSchema){.format = (TxdFormat) txp_read_u8(r)};
	schema->form = (TxdForm) txp_read_u8(r);
	schema->csv.delimiter = (char) txp_read_u8(r);
	schema->csv.quote = (char) txp_read_u8(r);
	schema->csv.header = txp_read_u8(r) != 0;
	schema->csv.ragged = txp_read_u8(r) != 0;
	schema->tombstones = txp_read_u8(r) != 0;
	schema->track_fields = txp_read_u8(r) != 0;
	schema->envelope = (TxdEnvelope) txp_read_u8(r);
	schema->rows = txp_text_read(r);
	schema->csv.null_text = txp_text_read(r);
	schema->key = read_secret(r);
	schema->encryption_keys = read_secret(r);
	schema->avro_schema = txp_text_read(r);
	schema->protobuf_schema = txp_text_read(r);
	schema->protobuf_message = txp_text_read(r);
	schema->key_format = (TxdKeyFormat) txp_read_u8(r);
	schema->key_avro_schema = txp_text_read(r);
	schema->key_protobuf_schema = txp_text_read(r);
	schema->key_protobuf_message = txp_text_read(r);
	schema->registry = txp_where_read(r);
	read_topics(r, schema);
	read_zone(r, &schema->zone);
	schema->ncolumns = (int) txp_read_count(r, 16);
	schema->columns = txd_alloc(((size_t) schema->ncolumns + 1) * sizeof(TxdColumn));
	memset(schema->columns, 0, ((size_t) schema->ncolumns + 1) * sizeof(TxdColumn));
	for (int i = 0; i < schema->ncolumns && !r->bad; i++)
		read_column(r, &schema->columns[i]);
	r->bad |= schema->format > TXD_PROTOBUF || schema->form > TXD_TEXT ||
			  schema->envelope > TXD_CLOUDEVENTS || schema->key_format > TXD_KEY_PROTOBUF ||
			  schema->csv.null_text == NULL;
	return schema;
}

static void
free_secret(const char *text)
{
	if (text != NULL)
		explicit_bzero((void *) text, strlen(text));
	free((void *) text);
}

void
txp_where_free(const TxdRegistry *registry)
{
	if (registry == NULL)
		return;
	free_secret(registry->user_info);
	free((void *) registry->url);
	free((void *) registry->ca_pem);
	free((void *) registry);
}

void
txp_schema_free(TxdSchema *schema)
{
	for (int i = 0; i < schema->ncolumns; i++)
	{
		TxdColumn *column = &schema->columns[i];

		for (int p = 0; p < column->npaths; p++)
			free((void *) column->paths[p]);
		free((void *) column->paths);
		free((void *) column->name);
		free((void *) column->default_text);
	}
	free(schema->columns);
	free((void *) schema->zone.at);
	free((void *) schema->zone.offset);
	free((void *) schema->csv.null_text);
	free((void *) schema->rows);
	free((void *) schema->avro_schema);
	free((void *) schema->protobuf_schema);
	free((void *) schema->protobuf_message);
	for (int i = 0; i < schema->ntopics; i++)
		free((void *) schema->topics[i].topic);
	free((void *) schema->topics);
	free((void *) schema->key_avro_schema);
	free((void *) schema->key_protobuf_schema);
	free((void *) schema->key_protobuf_message);
	txp_where_free(schema->registry);
	free_secret(schema->key);
	free_secret(schema->encryption_keys);
	free(schema);
}

bool
txp_schema_uses(const TxdSchema *schema, TxdSource source)
{
	for (int i = 0; i < schema->ncolumns; i++)
	{
		if (schema->columns[i].source == source)
			return true;
	}
	return false;
}
