/*
 * test_topics.c — topics of one stream whose messages have different formats.
 */
#include "rig.h"

static TxdColumn columns[] = {
	{.name = "id", .type = TXD_INT8},
	{.name = "whole", .type = TXD_JSONB, .source = TXD_FROM_VALUE},
	{.name = "raw", .type = TXD_BYTEA, .source = TXD_FROM_VALUE},
};

static const TxdTopicFormat topics[] = {{"a", TXD_AVRO}, {"p", TXD_PROTOBUF}};

#define CHECK_OF(rig, name, bytes, want)                                                           \
	do                                                                                             \
	{                                                                                              \
		(rig)->message.topic = (name);                                                             \
		CHECK_STR(rig_decode((rig), (bytes), sizeof(bytes) - 1), want);                            \
	} while (0)

static void
test_formats(void)
{
	TxdSchema schema = {.format = TXD_JSON,
						.ntopics = 2,
						.topics = topics,
						.avro_schema = "{\"type\":\"record\",\"name\":\"r\",\"fields\":["
									   "{\"name\":\"id\",\"type\":\"long\"}]}",
						.protobuf_schema = "syntax = \"proto3\"; message M { int64 id = 1; }"};
	Rig rig;

	COLUMNS(schema, columns);
	rig_open(&rig, &schema);
	CHECK_OF(&rig, "a", "\x0e", "7\t{\"id\":7}\t\\\\x0e");
	CHECK_OF(&rig, "p", "\x08\x07", "7\t{\"id\":7}\t\\\\x0807");
	CHECK_OF(&rig, "j", "{\"id\":7}", "7\t{\"id\":7}\t\\\\x7b226964223a377d");
	CHECK_OF(&rig, "j", "\0\0\0\0\1{\"id\":7}", "7\t{\"id\":7}\t\\\\x00000000017b226964223a377d");
	CHECK_OF(&rig, "aa", "\x0e", "bad_json -");
	CHECK_OF(&rig, "a", "{\"id\":7}", "bad_avro -");
	CHECK_OF(&rig, "p", "\x0e", "bad_protobuf -");
	rig_close(&rig);

	/* the topics' format may be the one without schemas */
	schema.format = TXD_AVRO;
	schema.topics = (const TxdTopicFormat[]){{"j", TXD_JSON}};
	schema.ntopics = 1;
	rig_open(&rig, &schema);
	CHECK_OF(&rig, "j", "{\"id\":7}", "7\t{\"id\":7}\t\\\\x7b226964223a377d");
	CHECK_OF(&rig, "x", "\x0e", "7\t{\"id\":7}\t\\\\x0e");
	rig_close(&rig);
}

static void
test_numbers(void)
{
	static const TxdRegistry registry = {.url = "http://r"};
	TxdSchema schema = {.format = TXD_JSON, .ntopics = 2, .topics = topics, .registry = &registry};
	TxdMessage m = {.payload = "\0\0\0\0\7\2", .payload_len = 6, .topic = "p"};
	TxdError err = {0};
	TxdWanted wanted;
	TxdDecoder *d;

	COLUMNS(schema, columns);
	d = txd_new(&schema, &err);
	CHECK(d != NULL && txd_wants_schema(d, &m, &wanted));
	CHECK(wanted.format == TXD_PROTOBUF && wanted.id == 7);
	txd_refuse_schema(d, &wanted, "no");
	CHECK(!txd_wants_schema(d, &m, &wanted));
	m.topic = "a";
	CHECK(txd_wants_schema(d, &m, &wanted) && wanted.format == TXD_AVRO);
	m.topic = "j";
	CHECK(!txd_wants_schema(d, &m, &wanted));
	txd_free(d);
}

static void
test_bad(void)
{
	TxdSchema schema = {.format = TXD_JSON, .ntopics = 1};
	TxdError err = {0};

	COLUMNS(schema, columns);
	schema.topics = topics;
	CHECK(txd_new(&schema, &err) == NULL);
	CHECK_STR(err.message, "Avro needs a schema, or a registry of them");
	schema.topics = (const TxdTopicFormat[]){{"c", TXD_CSV}};
	CHECK(txd_new(&schema, &err) == NULL);
	CHECK_STR(err.message, "topics may differ in the formats json, avro and protobuf");
	schema.topics = (const TxdTopicFormat[]){{"j", TXD_JSON}};
	schema.format = TXD_PLAIN_TEXT;
	CHECK(txd_new(&schema, &err) == NULL);
	CHECK_STR(err.code, "bad_value");
	schema.format = TXD_JSON;
	schema.rows = TXD_ROWS_LINES;
	CHECK(txd_new(&schema, &err) == NULL);
	CHECK_STR(err.code, "bad_value");
}

int
main(void)
{
	test_formats();
	test_numbers();
	test_bad();
	return check_done("topics");
}
