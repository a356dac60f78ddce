/*
 * bench_decode.c — rows a second of the decoders on one core: 260-byte JSON and CSV with 11
 * columns.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "decode/decode.h"

#define ROUNDS 2000000

static const char json[] =
	"{\"eventType\":\"purchase\",\"customerId\":\"48213\",\"productId\":\"1093\","
	"\"timestamp\":\"2024-03-09T17:04:51\",\"quantity\":3,\"totalAmount\":241.97,"
	"\"paymentMethod\":\"Credit Card\",\"metadata\":{\"category\":\"Home & Kitchen\","
	"\"source\":\"Advertisement\"},\"recommendedProductId\":\"4410\",\"algorithm\":\"none\"}";

static const char csv[] = "purchase,48213,1093,2024-03-09T17:04:51,3,241.97,Credit Card,"
						  "Home & Kitchen,Advertisement,4410,none\n";

static const char *category[] = {"metadata.category"};
static const char *source[] = {"metadata.source"};

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
};

static void
run(const char *what, TxdFormat format, const char *payload)
{
	TxdSchema schema = {.format = format,
						.ncolumns = sizeof(columns) / sizeof(columns[0]),
						.columns = columns,
						.csv = {',', '"', false, false, ""}};
	TxdMessage message = {.payload = payload, .payload_len = strlen(payload), .timestamp_ms = -1};
	TxdBuf rows = {NULL, 0, 0};
	TxdError err = {0};
	TxdDecoder *d = txd_new(&schema, &err);
	struct timespec from;
	struct timespec to;
	double seconds;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (int i = 0; d != NULL && i < ROUNDS; i++)
	{
		if (i % 10000 == 0)
			rows.len = 0;
		if (!txd_decode(d, &message, &rows, &err))
			break;
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	if (err.code != NULL)
	{
		fprintf(stderr, "%s: %s: %s\n", what, err.code, err.message);
		exit(1);
	}
	seconds = (double) (to.tv_sec - from.tv_sec) + (double) (to.tv_nsec - from.tv_nsec) / 1e9;
	printf("%s, %zu bytes: %.2f million rows/s\n", what, message.payload_len,
		   ROUNDS / seconds / 1e6);
	txd_buf_free(&rows);
	txd_free(d);
}

int
main(void)
{
	run("csv", TXD_CSV, csv);
	columns[7].paths = category;
	columns[8].paths = source;
	columns[7].npaths = columns[8].npaths = 1;
	run("json", TXD_JSON, json);
	return 0;
}
