/*
 * bench_decode.c — rows a second of the decoders on one core: 260-byte JSON and CSV with 11
 * columns, and what tracking of fields and a field of the key add. The best of several rounds
 * counts: the machine has other work.
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

/* Seconds for ROWS messages, which come from `payloads` in turn; ends the program on a refusal. */
static double
decode_rows(TxdDecoder *d, const char *const *payloads, int n, TxdBuf *rows)
{
	TxdMessage message = {.timestamp_ms = -1, .key = key, .key_len = strlen(key)};
	TxdError err = {0};
	size_t len[8];
	double from;

	for (int i = 0; i < n; i++)
		len[i] = strlen(payloads[i]);
	from = cpu_seconds();
	for (int i = 0; i < ROWS; i++)
	{
		if (i % 10000 == 0)
			rows->len = 0;
		message.payload = payloads[i % n];
		message.payload_len = len[i % n];
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
run(const char *what, TxdSchema schema, const char *const *payloads, int n)
{
	TxdBuf rows = {NULL, 0, 0};
	TxdError err = {0};
	TxdDecoder *d;
	double best = 1e9;

	schema.columns = columns;
	schema.csv = (TxdCsvOptions){',', '"', false, false, ""};
	d = txd_new(&schema, &err);
	for (int i = 0; d != NULL && i < ROUNDS; i++)
	{
		double seconds = decode_rows(d, payloads, n, &rows);

		best = seconds < best ? seconds : best;
	}
	printf("%-28s %.2f million rows/s, %.0f ns each\n", what, ROWS / best / 1e6, best / ROWS * 1e9);
	txd_buf_free(&rows);
	txd_free(d);
}

int
main(void)
{
	const char *const one_csv[] = {csv};
	const char *const one_json[] = {json};

	run("csv", (TxdSchema){.format = TXD_CSV, .ncolumns = 11}, one_csv, 1);
	columns[7].paths = category;
	columns[8].paths = source;
	columns[7].npaths = columns[8].npaths = 1;
	run("json", (TxdSchema){.format = TXD_JSON, .ncolumns = 11}, one_json, 1);
	run("json, tracked", (TxdSchema){.format = TXD_JSON, .ncolumns = 11, .track_fields = true},
		one_json, 1);
	run("json, a field of the key", (TxdSchema){.format = TXD_JSON, .ncolumns = 12}, one_json, 1);
	run("json, four kinds", (TxdSchema){.format = TXD_JSON, .ncolumns = 11}, mixed, 4);
	run("json, four kinds, tracked",
		(TxdSchema){.format = TXD_JSON, .ncolumns = 11, .track_fields = true}, mixed, 4);
	return 0;
}
