/*
 * bench_messages.c — the messages of the benchmark: events of a shop, 260 bytes of JSON with 11 fields.
 *
 *   bench_messages rows COUNT [FORM]                        prints them as lines, of CSV
 *   bench_messages produce SERVERS TOPIC PARTITIONS COUNT [--form FORM] [--poison PERCENT] [--refused PERCENT]
 *                                                         [--rate N]
 *   bench_messages produce SERVERS TOPIC PARTITIONS COUNT --transactions N [--rate N]
 *   bench_messages drain SERVERS TOPIC PARTITIONS COUNT     reads them, and does nothing with them
 *   bench_messages version                                  of librdkafka
 *
 * Message n is the same row in all of them. FORM: json, csv, or keyed_json and keyed_csv, where n comes first as the
 * event's id, schema_json, for Kafka Connect, or avro and protobuf, bare values. --poison: so many of a hundred cannot be decoded, --refused: break
 * CHECK (quantity > 0). --transactions: of a million accounts, made at the time of sending; N of a thousand, the last
 * ones, have an amount over 10,000. --rate: messages a second, spread evenly; otherwise as fast as the broker takes them.
 * produce prints how many were sound, poisoned, refused; drain prints seconds from the first message to the
 * last, its own CPU seconds, and how old messages were when they came, in milliseconds: p50, p95, p99, most.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <librdkafka/rdkafka.h>

#include "bench_rows.h"

#define RUN 100 /* neighbours in one partition: each run has the same share of poison */
#define TIMEOUT_MS 60000
#define DRAIN_BATCH 1000
#define MAX_AGE 100000 /* older messages count as this old */

typedef struct Options
{
	const char *servers;
	const char *topic;
	int partitions;
	int64_t count;
	int poison;
	int refused;
	int64_t rate;
	int transactions; /* -1: events of a shop */
	Form form;
} Options;

static int64_t undelivered;

static void
fail(const char *what, const char *reason)
{
	fprintf(stderr, "bench_messages: %s: %s\n", what, reason);
	exit(1);
}

static double
now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

/* Breaks a message, in one of four ways by turns; keeps its length but for the one that is cut. */
static int
poison(char *message, int len, int64_t turn)
{
	char *quantity = strstr(message, "\"quantity\":") + strlen("\"quantity\":");
	char *payment = strstr(message, "\"paymentMethod\":\"") + strlen("\"paymentMethod\":\"");

	switch (turn % 4)
	{
		case 0:
			return len - 20; /* not JSON */
		case 1:
			*quantity = '['; /* not JSON, found in the middle */
			return len;
		case 2:
			*payment = (char) 0xff; /* not UTF-8 */
			return len;
		default:
			memcpy(strstr(message, "2024-") + 5, "19-39", 5); /* no such day */
			return len;
	}
}

/* --- producing --- */

static void
set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char reason[300];

	if (rd_kafka_conf_set(conf, name, value, reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
		fail(name, reason);
}

static rd_kafka_t *
new_client(rd_kafka_type_t type, rd_kafka_conf_t *conf, const char *servers)
{
	char reason[300];
	rd_kafka_t *rk;

	set(conf, "bootstrap.servers", servers);
	rk = rd_kafka_new(type, conf, reason, sizeof(reason));
	if (rk == NULL)
		fail(servers, reason);
	return rk;
}

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	(void) rk;
	(void) opaque;
	if (m->err)
		undelivered++;
}

static void
send_message(rd_kafka_t *rk, const Options *o, int64_t n, int64_t *sent)
{
	char message[MAX_MESSAGE];
	Row row = make_row(n);
	int32_t partition = (int32_t) (n / RUN % o->partitions);
	int place = (int) (n % RUN);
	int len;
	rd_kafka_resp_err_t err;

	/* Poison from the front of each run of 100, refused rows from its end. */
	int kind = place < o->poison ? 1 : place >= RUN - o->refused ? 2 : 0;

	if (kind == 2)
		row.quantity = -row.quantity;
	len = o->transactions >= 0 ? write_transaction(message, n, o->transactions)
							   : write_row(message, n, &row, o->form);
	if (kind == 1)
		len = poison(message, len, o->poison == RUN ? n : n / RUN);
	/* Room comes with the delivery reports, which polling takes in. */
	while ((err = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(o->topic), RD_KAFKA_V_PARTITION(partition),
									RD_KAFKA_V_VALUE(message, (size_t) len),
									RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END)) ==
		   RD_KAFKA_RESP_ERR__QUEUE_FULL)
		rd_kafka_poll(rk, 10);
	if (err)
		fail(o->topic, rd_kafka_err2str(err));
	sent[kind]++;
}

/* Holds message n back until its time has come, a millisecond's worth at a time. */
static void
keep_pace(rd_kafka_t *rk, const Options *o, int64_t n, double begin)
{
	double due = begin + (double) n / (double) o->rate;
	double left;

	while ((left = due - now_seconds()) > 0.0005)
		rd_kafka_poll(rk, left < 0.001 ? 1 : (int) (left * 1000));
}

/* A message has its time before it is sent: connecting is no part of its way. */
static void
await_topic(rd_kafka_t *rk, const char *name)
{
	rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, name, NULL);
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 0, topic, &metadata, TIMEOUT_MS);

	if (err)
		fail(name, rd_kafka_err2str(err));
	rd_kafka_metadata_destroy(metadata);
	rd_kafka_topic_destroy(topic);
}

static void
produce(const Options *o)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	int64_t sent[3] = {0};
	double begin;
	rd_kafka_t *rk;

	set(conf, "linger.ms", o->rate > 0 ? "1" : "50");
	set(conf, "queue.buffering.max.messages", "200000");
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rk = new_client(RD_KAFKA_PRODUCER, conf, o->servers);
	await_topic(rk, o->topic);
	begin = now_seconds();
	for (int64_t n = 0; n < o->count; n++)
	{
		if (o->rate > 0)
			keep_pace(rk, o, n, begin);
		send_message(rk, o, n, sent);
		if (n % 1000 == 0)
			rd_kafka_poll(rk, 0);
	}
	if (rd_kafka_flush(rk, TIMEOUT_MS) || undelivered > 0)
		fail(o->topic, "messages were not delivered");
	rd_kafka_destroy(rk);
	printf("%" PRId64 " %" PRId64 " %" PRId64 "\n", sent[0], sent[1], sent[2]);
}

/* --- draining --- */

static rd_kafka_t *
begin_reading(const Options *o)
{
	rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(o->partitions);
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *rk;

	/* As txpipe_io reads. */
	set(conf, "group.id", "bench");
	set(conf, "enable.auto.commit", "false");
	set(conf, "enable.auto.offset.store", "false");
	set(conf, "auto.offset.reset", "error");
	rk = new_client(RD_KAFKA_CONSUMER, conf, o->servers);
	rd_kafka_poll_set_consumer(rk);
	for (int p = 0; p < o->partitions; p++)
		rd_kafka_topic_partition_list_add(all, o->topic, p)->offset = 0;
	if (rd_kafka_assign(rk, all))
		fail(o->topic, "cannot be assigned");
	rd_kafka_topic_partition_list_destroy(all);
	return rk;
}

/* How many messages were so many milliseconds old. */
static int64_t ages[MAX_AGE + 1];

static void
count_age(const rd_kafka_message_t *m)
{
	struct timespec now;
	int64_t age;

	clock_gettime(CLOCK_REALTIME, &now);
	age = (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000 - rd_kafka_message_timestamp(m, NULL);
	ages[age < 0 ? 0 : age > MAX_AGE ? MAX_AGE : age]++;
}

/* The age that so many per cent of the messages did not exceed. */
static int
age_percentile(int percent, int64_t count)
{
	int64_t seen = 0;
	int age = -1;

	while (seen * 100 < count * percent)
		seen += ages[++age];
	return age;
}

static void
drain(const Options *o)
{
	static rd_kafka_message_t *batch[DRAIN_BATCH];
	rd_kafka_t *rk = begin_reading(o);
	rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(rk);
	struct rusage use;
	double begin = 0;
	int64_t count = 0;

	while (count < o->count)
	{
		ssize_t got;

		/* One, and what else is there: for a whole batch librdkafka would wait. */
		batch[0] = rd_kafka_consume_queue(queue, TIMEOUT_MS);
		if (batch[0] == NULL)
			fail(o->topic, "no more messages");
		got = rd_kafka_consume_batch_queue(queue, 0, batch + 1, DRAIN_BATCH - 1);
		got = got < 0 ? 1 : got + 1;
		if (begin == 0)
			begin = now_seconds();
		for (ssize_t i = 0; i < got; i++)
		{
			if (batch[i]->err)
				fail(o->topic, rd_kafka_message_errstr(batch[i]));
			count_age(batch[i]);
			rd_kafka_message_destroy(batch[i]);
		}
		count += got;
	}
	printf("%.3f ", now_seconds() - begin);
	getrusage(RUSAGE_SELF, &use);
	printf("%.3f %d %d %d %d\n",
		   (double) (use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
			   (double) (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6,
		   age_percentile(50, count), age_percentile(95, count), age_percentile(99, count),
		   age_percentile(100, count));
	rd_kafka_queue_destroy(queue);
	rd_kafka_consumer_close(rk);
	rd_kafka_destroy(rk);
}

/* --- the command line --- */

static void
usage(void)
{
	fputs(
		"usage: bench_messages rows COUNT [FORM]\n"
		"       bench_messages produce SERVERS TOPIC PARTITIONS COUNT [--form FORM] [--poison "
		"PERCENT]"
		" [--refused PERCENT] [--rate N]\n"
		"       bench_messages produce SERVERS TOPIC PARTITIONS COUNT --transactions N [--rate N]\n"
		"       bench_messages drain SERVERS TOPIC PARTITIONS COUNT\n"
		"       bench_messages version\n",
		stderr);
	exit(2);
}

static Form
parse_form(const char *name)
{
	static const char *const names[] = {"json",        "csv",  "keyed_json", "keyed_csv",
										"schema_json", "avro", "protobuf"};

	for (int form = FORM_JSON; form <= FORM_PROTOBUF; form++)
		if (strcmp(name, names[form]) == 0)
			return (Form) form;
	usage();
	return FORM_JSON;
}

static void
print_rows(int64_t count, Form form)
{
	char line[MAX_MESSAGE];

	for (int64_t n = 0; n < count; n++)
	{
		Row row = make_row(n);

		int len = write_row(line, n, &row, form);

		line[len++] = '\n';
		fwrite(line, 1, (size_t) len, stdout);
	}
	if (fflush(stdout) != 0)
		fail("output", strerror(errno));
}

static Options
parse_options(int argc, char **argv)
{
	Options o = {.transactions = -1};

	if (argc < 6 || argc % 2 != 0)
		usage();
	o.servers = argv[2];
	o.topic = argv[3];
	o.partitions = atoi(argv[4]);
	o.count = atoll(argv[5]);
	for (int i = 6; i < argc; i += 2)
	{
		if (strcmp(argv[i], "--poison") == 0)
			o.poison = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--refused") == 0)
			o.refused = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--rate") == 0)
			o.rate = atoll(argv[i + 1]);
		else if (strcmp(argv[i], "--transactions") == 0)
			o.transactions = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--form") == 0)
			o.form = parse_form(argv[i + 1]);
		else
			usage();
	}
	if (o.transactions > 1000 ||
		(o.form != FORM_JSON && o.form != FORM_KEYED_JSON && o.poison > 0) ||
		(o.transactions >= 0 && o.poison > 0))
		usage();
	if (o.partitions < 1 || o.poison < 0 || o.refused < 0 || o.poison + o.refused > RUN)
		usage();
	return o;
}

int
main(int argc, char **argv)
{
	Options o;

	if ((argc == 3 || argc == 4) && strcmp(argv[1], "rows") == 0)
	{
		print_rows(atoll(argv[2]), argc == 4 ? parse_form(argv[3]) : FORM_CSV);
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "version") == 0)
	{
		puts(rd_kafka_version_str());
		return 0;
	}
	o = parse_options(argc, argv);
	if (strcmp(argv[1], "produce") == 0)
		produce(&o);
	else if (strcmp(argv[1], "drain") == 0)
		drain(&o);
	else
		usage();
	return 0;
}
