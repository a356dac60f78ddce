/*
 * bench_rows.h — the rows of the benchmark, and what they look like in a message: row n is a function of n alone.
 */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MAX_MESSAGE 2048

typedef enum Form
{
	FORM_JSON,
	FORM_CSV,
	FORM_KEYED_JSON,
	FORM_KEYED_CSV,
	FORM_SCHEMA_JSON,
	FORM_AVRO,
	FORM_PROTOBUF
} Form;

typedef struct Row
{
	const char *event_type;
	const char *payment_method;
	const char *category;
	const char *source;
	const char *algorithm;
	int customer_id;
	int product_id;
	int recommended_product_id;
	int quantity;
	int64_t cents;
	char timestamp[32];
} Row;

/* splitmix64 */
static uint64_t
mix(uint64_t n)
{
	n += UINT64_C(0x9e3779b97f4a7c15);
	n = (n ^ (n >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	n = (n ^ (n >> 27)) * UINT64_C(0x94d049bb133111eb);
	return n ^ (n >> 31);
}

static Row
make_row(int64_t n)
{
	static const char *const events[] = {"purchase", "productView", "addToCart",
										 "recommendationClick"};
	static const char *const payments[] = {"Credit Card", "PayPal", "Bank Transfer", "Apple Pay"};
	static const char *const categories[] = {"Home & Kitchen", "Electronics", "Books",
											 "Sports & Outdoors"};
	static const char *const sources[] = {"Advertisement", "Direct", "Search", "Newsletter"};
	static const char *const algorithms[] = {"collaborative_filtering", "popularity", "content",
											 "none"};
	uint64_t r = mix((uint64_t) n);
	time_t at = (time_t) (1704067200 + n % 31536000);
	struct tm tm;
	Row row = {.event_type = events[r & 3],
			   .payment_method = payments[(r >> 2) & 3],
			   .category = categories[(r >> 4) & 3],
			   .source = sources[(r >> 6) & 3],
			   .algorithm = algorithms[(r >> 8) & 3],
			   .customer_id = (int) ((r >> 10) % 100000) + 1,
			   .product_id = (int) ((r >> 28) % 5000) + 1,
			   .recommended_product_id = (int) ((r >> 40) % 5000) + 1,
			   .quantity = (int) ((r >> 52) % 9) + 1,
			   .cents = (int64_t) ((r >> 20) % 100000) + 99};

	gmtime_r(&at, &tm);
	strftime(row.timestamp, sizeof(row.timestamp), "%Y-%m-%dT%H:%M:%S", &tm);
	return row;
}

static int
write_csv(char *to, const Row *r)
{
	return snprintf(to, MAX_MESSAGE, "%s,%d,%d,%s,%d,%" PRId64 ".%02d,%s,%s,%s,%d,%s",
					r->event_type, r->customer_id, r->product_id, r->timestamp, r->quantity,
					r->cents / 100, (int) (r->cents % 100), r->payment_method, r->category,
					r->source, r->recommended_product_id, r->algorithm);
}

static int
write_json(char *to, const Row *r)
{
	return snprintf(to, MAX_MESSAGE,
					"{\"eventType\":\"%s\",\"customerId\":\"%d\",\"productId\":\"%d\","
					"\"timestamp\":\"%s\",\"quantity\":%d,\"totalAmount\":%" PRId64 ".%02d,"
					"\"paymentMethod\":\"%s\",\"metadata\":{\"category\":\"%s\",\"source\":\"%s\"},"
					"\"recommendedProductId\":\"%d\",\"algorithm\":\"%s\"}",
					r->event_type, r->customer_id, r->product_id, r->timestamp, r->quantity,
					r->cents / 100, (int) (r->cents % 100), r->payment_method, r->category,
					r->source, r->recommended_product_id, r->algorithm);
}

/* Flat, and with the schema that Kafka Connect wants in each message. */
static int
write_schema_json(char *to, int64_t n, const Row *r)
{
	static const char schema[] = "{\"schema\":{\"type\":\"struct\",\"fields\":["
								 "{\"field\":\"event_type\",\"type\":\"string\"},{\"field\":"
								 "\"customer_id\",\"type\":\"int32\"},"
								 "{\"field\":\"product_id\",\"type\":\"string\"},"
								 "{\"field\":\"timestamp\",\"type\":\"int64\",\"name\":\"org."
								 "apache.kafka.connect.data.Timestamp\"},"
								 "{\"field\":\"quantity\",\"type\":\"int32\"},{\"field\":\"total_"
								 "amount\",\"type\":\"double\"},"
								 "{\"field\":\"payment_method\",\"type\":\"string\"},{\"field\":"
								 "\"category\",\"type\":\"string\"},"
								 "{\"field\":\"source\",\"type\":\"string\"},"
								 "{\"field\":\"recommended_product_id\",\"type\":\"string\"},"
								 "{\"field\":\"algorithm\",\"type\":\"string\"}]},\"payload\":";

	return snprintf(to, MAX_MESSAGE,
					"%s{\"event_type\":\"%s\",\"customer_id\":%d,\"product_id\":\"%d\","
					"\"timestamp\":%" PRId64 ",\"quantity\":%d,\"total_amount\":%" PRId64 ".%02d,"
					"\"payment_method\":\"%s\",\"category\":\"%s\",\"source\":\"%s\","
					"\"recommended_product_id\":\"%d\",\"algorithm\":\"%s\"}}",
					schema, r->event_type, r->customer_id, r->product_id,
					(1704067200 + n % 31536000) * 1000, r->quantity, r->cents / 100,
					(int) (r->cents % 100), r->payment_method, r->category, r->source,
					r->recommended_product_id, r->algorithm);
}

/* Avro: a number of the type int or long. */
static char *
put_long(char *to, int64_t v)
{
	uint64_t rest = (uint64_t) v << 1 ^ (uint64_t) (v >> 63);

	for (; rest > 0x7f; rest >>= 7)
		*to++ = (char) (rest | 0x80);
	*to++ = (char) rest;
	return to;
}

static char *
put_string(char *to, const char *text)
{
	size_t len = strlen(text);

	to = put_long(to, (int64_t) len);
	memcpy(to, text, len);
	return to + len;
}

static char *
put_number_as_string(char *to, int v)
{
	char digits[16];

	snprintf(digits, sizeof(digits), "%d", v);
	return put_string(to, digits);
}

/* By the schema in StreamBench.pm. */
static int
write_avro(char *to, int64_t n, const Row *r)
{
	char *p = put_string(to, r->event_type);

	p = put_long(p, r->customer_id);
	p = put_number_as_string(p, r->product_id);
	p = put_long(p, (1704067200 + n % 31536000) * 1000);
	p = put_long(p, r->quantity);
	p = put_long(p, 4); /* the decimal's bytes */
	for (int shift = 24; shift >= 0; shift -= 8)
		*p++ = (char) (r->cents >> shift);
	p = put_string(p, r->payment_method);
	p = put_string(p, r->category);
	p = put_string(p, r->source);
	p = put_number_as_string(p, r->recommended_product_id);
	return (int) (put_string(p, r->algorithm) - to);
}

/* Protobuf: what begins a field, a number and a text. */
static char *
put_varint(char *to, uint64_t v)
{
	for (; v > 0x7f; v >>= 7)
		*to++ = (char) (v | 0x80);
	*to++ = (char) v;
	return to;
}

static char *
put_number_field(char *to, int field, uint64_t v)
{
	return put_varint(put_varint(to, (uint64_t) field << 3), v);
}

static char *
put_text_field(char *to, int field, const char *text)
{
	size_t len = strlen(text);

	to = put_varint(put_varint(to, (uint64_t) field << 3 | 2), len);
	memcpy(to, text, len);
	return to + len;
}

/* By the schema in StreamBench.pm. */
static int
write_protobuf(char *to, int64_t n, const Row *r)
{
	double total = (double) r->cents / 100;
	char metadata[200];
	char product[16];
	char recommended[16];
	char *p = put_text_field(to, 1, r->event_type);

	snprintf(product, sizeof(product), "%d", r->product_id);
	snprintf(recommended, sizeof(recommended), "%d", r->recommended_product_id);
	p = put_number_field(p, 2, (uint64_t) r->customer_id);
	p = put_text_field(p, 3, product);
	p = put_varint(put_varint(p, 4 << 3 | 2), 6);
	p = put_number_field(p, 1, (uint64_t) (1704067200 + n % 31536000));
	p = put_number_field(p, 5, (uint64_t) r->quantity);
	*p++ = 6 << 3 | 1;
	memcpy(p, &total, sizeof(total));
	p = put_text_field(p + sizeof(total), 7, r->payment_method);
	*put_text_field(put_text_field(metadata, 1, r->category), 2, r->source) = '\0';
	p = put_text_field(p, 8, metadata);
	p = put_text_field(p, 9, recommended);
	return (int) (put_text_field(p, 10, r->algorithm) - to);
}

static int
write_row(char *to, int64_t n, const Row *r, Form form)
{
	int id = 0;
	int len;

	if (form == FORM_SCHEMA_JSON)
		return write_schema_json(to, n, r);
	if (form == FORM_AVRO)
		return write_avro(to, n, r);
	if (form == FORM_PROTOBUF)
		return write_protobuf(to, n, r);
	if (form == FORM_CSV || form == FORM_KEYED_CSV)
	{
		if (form == FORM_KEYED_CSV)
			id = snprintf(to, MAX_MESSAGE, "%" PRId64 ",", n);
		return id + write_csv(to + id, r);
	}
	if (form == FORM_KEYED_JSON)
		id = snprintf(to, MAX_MESSAGE, "{\"eventId\":%" PRId64, n);
	len = write_json(to + id, r);
	if (id > 0)
		to[id] = ','; /* in the place of the brace */
	return id + len;
}

static int
write_transaction(char *to, int64_t n, int large)
{
	uint64_t r = mix((uint64_t) n);
	int account = (int) (r % 1000000);
	int cents = (int) ((r >> 20) % 90000) + 100;
	struct timespec now;
	struct tm tm;
	char at[32];

	if (n % 1000 >= 1000 - large)
		cents += 1000000;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%S", &tm);
	return snprintf(to, MAX_MESSAGE,
					"{\"transaction_id\":\"T%" PRId64 "\",\"account_id\":\"C%07d\","
					"\"timestamp\":\"%s.%06ldZ\",\"type\":\"payment\",\"amount\":%d.%02d,"
					"\"currency\":\"EUR\",\"channel\":\"online\",\"status\":\"completed\","
					"\"merchant\":\"M%d\",\"latitude\":%d.%02d,\"longitude\":%d.%02d,"
					"\"device_id\":\"D%07d\"}",
					n, account, at, now.tv_nsec / 1000, cents / 100, cents % 100,
					(int) ((r >> 40) % 5000), account % 50, account % 100, account % 170,
					account % 97, account);
}

#endif
