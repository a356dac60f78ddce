/*
 * envelope.c — change events of Debezium and CloudEvents: where the fields of the row are, and what is around them.
 */
#include <string.h>
#include <strings.h>

#include "shape.h"

#define MEMBER(name)                                                                               \
	{                                                                                              \
		name, sizeof(name) - 1,                                                                    \
		{                                                                                          \
			0                                                                                      \
		}                                                                                          \
	}

/* --- Debezium --- */

/* What Debezium writes for a large value that an update has left alone; of bytea in base64, or as bytes of Avro and Protobuf. */
static const char unavailable[] = "\"__debezium_unavailable_value\"";
static const char unavailable_base64[] = "\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"";
static const char unavailable_bytes[] =
	"\"\\\\x5f5f646562657a69756d5f756e617661696c61626c655f76616c7565\"";

/* {"schema": …, "payload": …}, as JsonConverter writes with schemas.enable. */
static bool
is_wrapped(const TxdMember *schema, const TxdMember *payload, int count)
{
	return count == 2 && schema->value.text != NULL && payload->value.text != NULL &&
		   (txd_is_object(&payload->value) || payload->value.null);
}

/* The payload, with what its values mean by the schema. */
static bool
open_payload(TxdDecoder *d, const TxdMember *schema, const TxdMember *payload, TxdBuf *out,
			 TxdPiece *text, TxdError *err)
{
	*text = txd_piece_of(&payload->value);
	return !txd_is_object(&schema->value) ||
		   txd_connect_json(d->shape->connect, schema->value.text, schema->value.len, &text->text,
							&text->len, out, err);
}

/* A key that is no JSON is left to who takes fields from it. */
static bool
open_key(TxdDecoder *d, TxdPiece *key, TxdError *err)
{
	TxdMember m[] = {MEMBER("schema"), MEMBER("payload")};
	TxdJsonValue whole;
	TxdError ignored;
	int count;

	if (key->text == NULL || d->key_match == NULL)
		return true;
	return !txd_read_members(d, *key, m, 2, &count, &whole, &ignored) ||
		   !is_wrapped(&m[0], &m[1], count) ||
		   open_payload(d, &m[0], &m[1], &d->shape->key, key, err) || txd_refuse_key(err);
}

static bool
open_change(const TxdJsonValue *op, const TxdJsonValue *after, TxdOpened *opened, TxdError *err)
{
	if (op->text == NULL || op->kind != TXD_KIND_TEXT)
		return txd_refuse(err, "bad_envelope", NULL,
						  "no event of Debezium: it has no \"op\", nor \"schema\" and \"payload\"");
	if (op->len == 1 && *op->text == 'd')
	{
		opened->deletes = true;
		return true;
	}
	if (op->len == 1 && *op->text == 't')
		return txd_refuse(err, "truncate", NULL,
						  "the source table was truncated, which deletes nothing here");
	if (op->len != 1 || strchr("cru", *op->text) == NULL)
		return txd_refuse(err, "unknown_op", NULL,
						  "\"op\" is none of c, r, u, d: the event makes no row");
	if (after->text == NULL || !txd_is_object(after))
		return txd_refuse(err, "bad_envelope", NULL,
						  "the event has no row: its \"after\" is no object");
	opened->body = txd_piece_of(after);
	return true;
}

static bool
open_debezium(TxdDecoder *d, const TxdMessage *message, TxdOpened *opened, TxdError *err)
{
	TxdMember m[] = {MEMBER("op"), MEMBER("after"), MEMBER("schema"), MEMBER("payload")};
	TxdPiece text = {message->payload, message->payload_len};
	TxdJsonValue whole;
	int count;

	if (!open_key(d, &opened->key, err))
		return false;
	if (message->payload == NULL)
		return true;
	if (!txd_read_members(d, text, m, 4, &count, &whole, err))
		return false;
	if (is_wrapped(&m[2], &m[3], count))
	{
		if (!open_payload(d, &m[2], &m[3], &d->shape->event, &text, err) ||
			!txd_read_members(d, text, m, 4, &count, &whole, err))
			return false;
	}
	/* Older converters write a tombstone so. */
	if (whole.null)
		return true;
	opened->around = txd_piece_of(&whole);
	return open_change(&m[0].value, &m[1].value, opened, err);
}

/* Also as an element, as which it stands for an array; a text that only speaks of it is none. */
static bool
lacks_value(TxdPiece json)
{
	return json.text != NULL &&
		   (memmem(json.text, json.len, unavailable, strlen(unavailable)) != NULL ||
			memmem(json.text, json.len, unavailable_base64, strlen(unavailable_base64)) != NULL ||
			memmem(json.text, json.len, unavailable_bytes, strlen(unavailable_bytes)) != NULL);
}

/* The JSON that column i is made of. */
static TxdPiece
source_of(const TxdDecoder *d, int i, TxdPiece row)
{
	TxdSource source = d->schema.columns[i].source;

	if (source == TXD_FROM_VALUE)
		return row;
	if (source == TXD_FROM_REST)
		return (TxdPiece){d->rest.data, d->rest.len};
	if ((source == TXD_FROM_FIELD || source == TXD_FROM_ENVELOPE_FIELD) &&
		d->found[i].serial == d->serial)
		return txd_piece_of(&d->found[i].value);
	return (TxdPiece){0};
}

bool
txd_envelope_check(TxdDecoder *d, TxdPiece row, TxdError *err)
{
	for (int i = 0; i < d->schema.ncolumns; i++)
		if (lacks_value(source_of(d, i, row)))
			return txd_refuse(err, "unavailable_value", &d->schema.columns[i],
							  "the event lacks a large value that the update left alone; the "
							  "source sends it with REPLICA IDENTITY FULL");
	return true;
}

/* --- CloudEvents --- */

static bool
refuse_cloudevent(TxdError *err)
{
	return txd_refuse(err, "bad_envelope", NULL,
					  "no CloudEvent: it has no \"specversion\", nor a header ce_specversion");
}

/* The event is JSON, its data a member. */
static bool
open_structured(TxdDecoder *d, const TxdMessage *message, TxdOpened *opened, TxdError *err)
{
	TxdMember m[] = {MEMBER("specversion"), MEMBER("data"), MEMBER("data_base64")};
	TxdJsonValue whole;
	int count;

	if (!txd_read_members(d, (TxdPiece){message->payload, message->payload_len}, m, 3, &count,
						  &whole, err))
		return false;
	if (m[0].value.text == NULL || m[0].value.kind != TXD_KIND_TEXT)
		return refuse_cloudevent(err);
	if (m[2].value.text != NULL)
		return txd_refuse(err, "bad_envelope", NULL,
						  "the CloudEvent has its data in base64, which is not read");
	opened->around = txd_piece_of(&whole);
	opened->body = (TxdPiece){"{}", 2};
	if (m[1].value.text != NULL && !m[1].value.null)
		opened->body = txd_piece_of(&m[1].value);
	return true;
}

/*
 * Attributes are headers ce_…, the value is the data. Around it is the object that the event would be in JSON.
 */
static bool
open_binary(TxdDecoder *d, const TxdMessage *message, TxdOpened *opened, TxdError *err)
{
	TxdBuf *out = &d->shape->attributes;
	const char *s = message->headers;
	TxdJson j = {s, s, s + message->headers_len, err, false};
	TxdJsonValue name;
	TxdJsonValue value;
	bool first = true;
	int got;

	opened->body = (TxdPiece){message->payload, message->payload_len};
	if (d->shape->match == NULL)
		return true;
	out->len = 0;
	txd_json_space(&j);
	j.p++;
	while ((got = txd_next_member(&j, &first, &name, &value)) > 0)
	{
		TxdPiece piece = txd_piece_of(&value);

		if (name.len <= 3 || memcmp(name.text, "ce_", 3) != 0)
			continue;
		txd_buf_append(out, out->len > 0 ? ",\"" : "{\"", 2);
		txd_buf_append(out, name.text + 3, name.len - 3);
		txd_buf_append(out, "\":", 2);
		txd_buf_append(out, piece.text, piece.len);
	}
	txd_buf_append(out, ",\"data\":", 8);
	txd_buf_append(out, message->payload, message->payload_len);
	txd_buf_byte(out, '}');
	opened->around = (TxdPiece){out->data, out->len};
	return got == 0;
}

static bool
begins_with(const TxdJsonValue *value, const char *text)
{
	size_t len = strlen(text);

	return value->text != NULL && value->kind == TXD_KIND_TEXT && value->len >= len &&
		   strncasecmp(value->text, text, len) == 0;
}

static bool
open_cloudevent(TxdDecoder *d, const TxdMessage *message, TxdOpened *opened, TxdError *err)
{
	TxdMember m[] = {MEMBER("content-type"), MEMBER("ce_specversion")};
	TxdPiece headers = {message->headers, message->headers_len};
	TxdJsonValue whole;
	int count;

	if (message->payload == NULL)
		return true;
	if (headers.text != NULL && !txd_read_members(d, headers, m, 2, &count, &whole, err))
		return false;
	if (begins_with(&m[0].value, "application/cloudevents-batch"))
		return txd_refuse(err, "bad_envelope", NULL, "a batch of CloudEvents is not read");
	if (m[1].value.text != NULL && !begins_with(&m[0].value, "application/cloudevents"))
		return open_binary(d, message, opened, err);
	return open_structured(d, message, opened, err);
}

bool
txd_envelope_open(TxdDecoder *d, const TxdMessage *message, TxdOpened *opened, TxdError *err)
{
	TxdPiece whole = {message->payload, message->payload_len};

	*opened = (TxdOpened){.key = {message->key, message->key_len}};
	if (d->schema.envelope == TXD_DEBEZIUM)
		return open_debezium(d, message, opened, err);
	if (d->schema.envelope == TXD_CLOUDEVENTS)
		return open_cloudevent(d, message, opened, err);
	opened->body = opened->around = whole;
	return true;
}

bool
txd_envelope_is_suspect(const TxdDecoder *d, TxdPiece around)
{
	return d->schema.envelope == TXD_DEBEZIUM && lacks_value(around);
}
