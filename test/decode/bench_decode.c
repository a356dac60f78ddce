/*
 * bench_decode.c — rows a second of the decoders on one core: 260-byte JSON, the same as CSV, Avro and
 * Protobuf, with 11 columns, and what tracking of fields and a field of the key add. The best of several
 * rounds counts: the machine has other work.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "decode/decode.h"

#define ROUNDS 15
#define ROWS 200000

static const char json[] =
	"{\"eventType\":\"purchase\",\"customerId\":\"48213\",\"productId\":\"1093\","
	"\"timestamp\":\"2024-03-09T17:04:51\",\"quantity\":3,\"totalAmount\":241.97,"
	"\"paymentMethod\":\"Credit Card\",\"metadata\":{\"category\":\"Home & Kitchen\","
	"\"source\":\"Advertisement\"},\"recommendedProductId\":\"4410\",\"algorithm\":\"none\"}";

/* The same topic's other kinds of event. */
static const char *const mixed[] = {
	json,
	"{\"eventType\":\"productView\",\"customerId\":\"48213\",\"productId\":\"1093\","
	"\"timestamp\":\"2024-03-09T17:04:51\",\"metadata\":{\"category\":\"Home & Kitchen\","
	"\"source\":\"Advertisement\"}}",
	"{\"eventType\":\"addToCart\",\"customerId\":\"48213\",\"productId\":\"1093\","
	"\"timestamp\":\"2024-03-09T17:04:51\",\"quantity\":3,\"metadata\":{}}",
	"{\"eventType\":\"recommendationClick\",\"customerId\":\"48213\",\"productId\":\"1093\","
	"\"timestamp\":\"2024-03-09T17:04:51\",\"recommendedProductId\":\"4410\","
	"\"algorithm\":\"none\",\"metadata\":{}}",
};

static const char key[] = "{\"customer\":48213,\"region\":\"eu\"}";

static const char csv[] = "purchase,48213,1093,2024-03-09T17:04:51,3,241.97,Credit Card,"
						  "Home & Kitchen,Advertisement,4410,none\n";

/* The same values; a length or a number below 64 is one byte in both. */
static const char avro_schema[] =
	"{\"type\":\"record\",\"name\":\"event\",\"fields\":["
	"{\"name\":\"eventType\",\"type\":\"string\"},{\"name\":\"customerId\",\"type\":\"int\"},"
	"{\"name\":\"productId\",\"type\":\"string\"},"
	"{\"name\":\"timestamp\",\"type\":{\"type\":\"long\",\"logicalType\":\"local-timestamp-"
	"millis\"}},"
	"{\"name\":\"quantity\",\"type\":\"int\"},{\"name\":\"totalAmount\",\"type\":"
	"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":10,\"scale\":2}},"
	"{\"name\":\"paymentMethod\",\"type\":\"string\"},"
	"{\"name\":\"metadata\",\"type\":{\"type\":\"record\",\"name\":\"metadata\",\"fields\":["
	"{\"name\":\"category\",\"type\":\"string\"},{\"name\":\"source\",\"type\":\"string\"}]}},"
	"{\"name\":\"recommendedProductId\",\"type\":\"string\"},"
	"{\"name\":\"algorithm\",\"type\":\"string\"}]}";

static const char avro[] = "\x10purchase\xaa\xf1\x05\x08"
						   "1093\xf0\xe5\xa2\xb8\xc4\x63\x06\x04\x5e\x85\x16"
						   "Credit Card\x1cHome & Kitchen\x1a"
						   "Advertisement\x08"
						   "4410\x08none";

static const char protobuf_schema[] =
	"syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\"; message Event {"
	"string eventType = 1; int32 customerId = 2; string productId = 3;"
	"google.protobuf.Timestamp timestamp = 4; int32 quantity = 5; double totalAmount = 6;"
	"string paymentMethod = 7; Metadata metadata = 8; string recommendedProductId = 9; string "
	"algorithm = 10;}"
	"message Metadata { string category = 1; string source = 2; }";

static const char protobuf[] =
	"\x0a\x08purchase\x10\xd5\xf8\x02\x1a\x04"
	"1093\x22\x06\x08\xc3\x97\xb2\xaf\x06\x28\x03\x31\xd7\xa3\x70\x3d\x0a\x3f\x6e\x40"
	"\x3a\x0b"
	"Credit Card\x42\x1f\x0a\x0eHome & Kitchen\x12\x0d"
	"Advertisement\x4a\x04"
	"4410\x52\x04none";

static const char *category[] = {"metadata.category"};
static const char *source[] = {"metadata.source"};
static const char *customer[] = {"customer"};

static TxdColumn columns[] = {
	{.name = "event_type", .type = TXD_STRING},
	{.name = "customer_id", .type = TXD_INT4},
	{.name = "product_id", .type = TXD_STRING},
	{.name = "timestamp", .type = TXD_TIMESTAMP, .precision = -1},
	{.name = "quantity", .type = TXD_INT4},
	{.name = "total_amount", .type = TXD_NUMERIC, .precision = 10, .scale = 2},
	{.name = "payment_method", .type = TXD_STRING},
	{.name = "category", .type = TXD_STRING},
	{.name = "source", .type = TXD_STRING},
	{.name = "recommended_product_id", .type = TXD_STRING},
	{.name = "algorithm", .type = TXD_STRING},
	{.name = "key", .type = TXD_INT4, .source = TXD_FROM_KEY_FIELD, .npaths = 1, .paths = customer},
};

static double
cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

typedef struct Payload
{
	const char *bytes;
	size_t len;
} Payload;

/* Seconds for ROWS messages, which come from `payloads` in turn; ends the program on a refusal. */
static double
decode_rows(TxdDecoder *d, const Payload *payloads, int n, TxdBuf *rows)
{
	TxdMessage message = {.timestamp_ms = -1, .key = key, .key_len = strlen(key)};
	TxdError err = {0};
	double from = cpu_seconds();

	for (int i = 0; i < ROWS; i++)
	{
		if (i % 10000 == 0)
			rows->len = 0;
		message.payload = payloads[i % n].bytes;
		message.payload_len = payloads[i % n].len;
		message.offset = i;
		if (!txd_decode(d, &message, rows, &err))
		{
			fprintf(stderr, "%s: %s\n", err.code, err.message);
			exit(1);
		}
	}
	return cpu_seconds() - from;
}

static void
run(const char *what, TxdSchema schema, const Payload *payloads, int n)
{
	TxdBuf rows = {NULL, 0, 0};
	TxdError err = {0};
	TxdDecoder *d;
	double best = 1e9;

	schema.columns = columns;
	schema.csv = (TxdCsvOptions){',', '"', false, false, ""};
	d = txd_new(&schema, &err);
	if (d == NULL)
		fprintf(stderr, "%s: %s\n", err.code, err.message);
	for (int i = 0; d != NULL && i < ROUNDS; i++)
	{
		double seconds = decode_rows(d, payloads, n, &rows);

		best = seconds < best ? seconds : best;
	}
	printf("%-28s %.2f million rows/s, %.0f ns each\n", what, ROWS / best / 1e6, best / ROWS * 1e9);
	txd_buf_free(&rows);
	txd_free(d);
}

#define PAYLOAD(bytes) ((Payload){bytes, sizeof(bytes) - 1})

int
main(void)
{
	const Payload four[] = {{mixed[0], strlen(mixed[0])},
							{mixed[1], strlen(mixed[1])},
							{mixed[2], strlen(mixed[2])},
							{mixed[3], strlen(mixed[3])}};

	run("csv", (TxdSchema){.format = TXD_CSV, .ncolumns = 11}, &PAYLOAD(csv), 1);
	columns[7].paths = category;
	columns[8].paths = source;
	columns[7].npaths = columns[8].npaths = 1;
	run("json", (TxdSchema){.format = TXD_JSON, .ncolumns = 11}, four, 1);
	run("avro", (TxdSchema){.format = TXD_AVRO, .ncolumns = 11, .avro_schema = avro_schema},
		&PAYLOAD(avro), 1);
	run("protobuf",
		(TxdSchema){.format = TXD_PROTOBUF,
					.ncolumns = 11,
					.protobuf_schema = protobuf_schema,
					.protobuf_message = "Event"},
		&PAYLOAD(protobuf), 1);
	run("json, tracked", (TxdSchema){.format = TXD_JSON, .ncolumns = 11, .track_fields = true},
		four, 1);
	run("json, a field of the key", (TxdSchema){.format = TXD_JSON, .ncolumns = 12}, four, 1);
	run("json, four kinds", (TxdSchema){.format = TXD_JSON, .ncolumns = 11}, four, 4);
	run("json, four kinds, tracked",
		(TxdSchema){.format = TXD_JSON, .ncolumns = 11, .track_fields = true}, four, 4);
	return 0;
}
