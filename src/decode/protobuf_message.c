/*
 * protobuf_message.c — Protobuf as a stream's format.
 *
 * With a registry, messages of the file that they name, behind the path to their type. With a schema of the stream's own,
 * messages of one type and nothing else.
 */
#include "protobuf_read.h"
#include "translate.h"

static void *
read_schema(const TxdSchema *stream, const char *const *names, const char *const *texts, int n,
			TxdError *err)
{
	(void) stream;
	return txd_protobuf_new(names, texts, n, err);
}

static void *
read_own(const TxdSchema *stream, TxdError *err)
{
	return txd_protobuf_own(stream->protobuf_schema, stream->protobuf_message, err);
}

static void
release(void *schema)
{
	txd_protobuf_free(schema);
}

static bool
put(void *schema, const char *data, size_t len, TxdBuf *json, TxdError *err)
{
	return txd_protobuf_json(schema, data, len, json, err);
}

static bool
read_bound(void *schema, TxdBoundMessage *m)
{
	return txd_pb_read_bound(schema, m);
}

static void
describe(void *schema, TxdBuf *json)
{
	txd_protobuf_describe(schema, json);
}

const TxdLanguage txd_protobuf_language = {.name = "Protobuf",
										   .refusal = "bad_protobuf",
										   .read = read_schema,
										   .read_own = read_own,
										   .release = release,
										   .put = put,
										   .put_own = put,
										   .read_bound = read_bound,
										   .describe = describe};
