/*
 * kafka_tool.c — topics, transactions and messages with a timestamp of their own, for the tests with a real
 * Kafka: what kcat cannot do, without starting a Java program for each step.
 *
 *   kafka_tool SERVERS <COMMANDS
 *
 * One command a line, its fields separated by tabs; it stops at the first that fails, with status 1. TX names
 * a transactional producer, which lives until the end of the input; `-` is one without transactions.
 *   create TOPIC PARTITIONS [NAME=VALUE]...   a topic and its configuration
 *   drop TOPIC
 *   partitions TOPIC TOTAL                    add partitions
 *   config TOPIC NAME=VALUE...                replaces all of its configuration
 *   trim TOPIC PARTITION OFFSET               delete the records before the offset
 *   allow|deny USER TOPIC all|read            an access rule
 *   begin TX | commit TX | abort TX | flush TX
 *   send TX TOPIC PARTITION TIMESTAMP KEY VALUE
 *       Unix milliseconds, 0: now; KEY empty: none; VALUE \N: a tombstone
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

#define TIMEOUT_MS 30000
#define MAX_FIELDS 12
#define MAX_PRODUCERS 8

typedef struct Command
{
	int n;
	char *field[MAX_FIELDS];
} Command;

typedef struct Producer
{
	char name[64];
	rd_kafka_t *rk;
} Producer;

static const char *servers;
static const char *line_text; /* the line being carried out, for messages */
static Producer producers[MAX_PRODUCERS];
static int nproducers;
static long undelivered;

static void
fail(const char *reason)
{
	fprintf(stderr, "kafka_tool: %s: %s\n", line_text, reason);
	exit(1);
}

static void
check(rd_kafka_resp_err_t err, const char *reason)
{
	if (err)
		fail(reason != NULL ? reason : rd_kafka_err2str(err));
}

static void
check_error(rd_kafka_error_t *error)
{
	if (error != NULL)
		fail(rd_kafka_error_string(error));
}

static const char *
arg(const Command *c, int i)
{
	if (i >= c->n)
		fail("a field is missing");
	return c->field[i];
}

static int
int_arg(const Command *c, int i)
{
	return atoi(arg(c, i));
}

/* --- producers --- */

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	(void) rk;
	(void) opaque;
	/* Aborting purges what was not sent yet. */
	if (m->err && m->err != RD_KAFKA_RESP_ERR__PURGE_QUEUE &&
		m->err != RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
		undelivered++;
}

static void
set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char reason[300];

	if (rd_kafka_conf_set(conf, name, value, reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
		fail(reason);
}

/* The producer of this name, made when it is first named. */
static rd_kafka_t *
producer(const char *name)
{
	rd_kafka_conf_t *conf;
	char reason[300];
	Producer *p;

	for (int i = 0; i < nproducers; i++)
	{
		if (strcmp(producers[i].name, name) == 0)
			return producers[i].rk;
	}
	if (nproducers == MAX_PRODUCERS)
		fail("too many producers");
	p = &producers[nproducers++];
	snprintf(p->name, sizeof(p->name), "%s", name);
	conf = rd_kafka_conf_new();
	set(conf, "bootstrap.servers", servers);
	set(conf, "linger.ms", "1");
	/* A request that is sent again, as to a topic that has no leader yet, comes before those behind it. */
	set(conf, "max.in.flight.requests.per.connection", "1");
	set(conf, "queue.buffering.max.messages", "1000000");
	if (strcmp(name, "-") != 0)
		set(conf, "transactional.id", name);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	p->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	if (p->rk == NULL)
		fail(reason);
	if (strcmp(name, "-") != 0)
		check_error(rd_kafka_init_transactions(p->rk, TIMEOUT_MS));
	return p->rk;
}

static void
flush(rd_kafka_t *rk)
{
	check(rd_kafka_flush(rk, TIMEOUT_MS), NULL);
	if (undelivered > 0)
		fail("a message was not delivered");
}

static void
send_message(const Command *c)
{
	rd_kafka_t *rk = producer(arg(c, 1));
	char *key = (char *) arg(c, 5);
	char *value = (char *) arg(c, 6);
	size_t key_len = strlen(key);
	size_t value_len = strlen(value);

	if (key_len == 0)
		key = NULL;
	if (strcmp(value, "\\N") == 0)
	{
		value = NULL;
		value_len = 0;
	}
	check(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(arg(c, 2)), RD_KAFKA_V_PARTITION(int_arg(c, 3)),
							RD_KAFKA_V_TIMESTAMP(atoll(arg(c, 4))), RD_KAFKA_V_KEY(key, key_len),
							RD_KAFKA_V_VALUE(value, value_len),
							RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY | RD_KAFKA_MSG_F_BLOCK),
							RD_KAFKA_V_END),
		  NULL);
	rd_kafka_poll(rk, 0);
}

/* --- administration --- */

/* Waits for the answer to an administrative request; the reason it was refused for as a whole ends us. */
static rd_kafka_event_t *
answer(rd_kafka_queue_t *queue)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, TIMEOUT_MS);

	if (event == NULL)
		fail("no answer");
	check(rd_kafka_event_error(event), rd_kafka_event_error_string(event));
	return event;
}

static void
check_topics(const rd_kafka_topic_result_t **results, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check(rd_kafka_topic_result_error(results[i]),
			  rd_kafka_topic_result_error_string(results[i]));
}

/* Splits NAME=VALUE in place. */
static char *
split_setting(char *setting)
{
	char *equal = strchr(setting, '=');

	if (equal == NULL)
		fail("a setting has no =");
	*equal = '\0';
	return equal + 1;
}

static void
create_topic(const Command *c, rd_kafka_t *rk, rd_kafka_queue_t *queue)
{
	char reason[300];
	rd_kafka_NewTopic_t *topic =
		rd_kafka_NewTopic_new(arg(c, 1), int_arg(c, 2), 1, reason, sizeof(reason));
	const rd_kafka_topic_result_t **results;
	rd_kafka_event_t *event;
	size_t n;

	if (topic == NULL)
		fail(reason);
	for (int i = 3; i < c->n; i++)
	{
		char *value = split_setting(c->field[i]);

		check(rd_kafka_NewTopic_set_config(topic, c->field[i], value), NULL);
	}
	rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
	event = answer(queue);
	results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
	check_topics(results, n);
	rd_kafka_event_destroy(event);
	rd_kafka_NewTopic_destroy(topic);
}

static void
drop_topic(const Command *c, rd_kafka_t *rk, rd_kafka_queue_t *queue)
{
	rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(arg(c, 1));
	const rd_kafka_topic_result_t **results;
	rd_kafka_event_t *event;
	size_t n;

	rd_kafka_DeleteTopics(rk, &topic, 1, NULL, queue);
	event = answer(queue);
	results = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &n);
	check_topics(results, n);
	rd_kafka_event_destroy(event);
	rd_kafka_DeleteTopic_destroy(topic);
}

static void
add_partitions(const Command *c, rd_kafka_t *rk, rd_kafka_queue_t *queue)
{
	char reason[300];
	rd_kafka_NewPartitions_t *topic =
		rd_kafka_NewPartitions_new(arg(c, 1), (size_t) int_arg(c, 2), reason, sizeof(reason));
	const rd_kafka_topic_result_t **results;
	rd_kafka_event_t *event;
	size_t n;

	if (topic == NULL)
		fail(reason);
	rd_kafka_CreatePartitions(rk, &topic, 1, NULL, queue);
	event = answer(queue);
	results =
		rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event), &n);
	check_topics(results, n);
	rd_kafka_event_destroy(event);
	rd_kafka_NewPartitions_destroy(topic);
}

static void
configure_topic(const Command *c, rd_kafka_t *rk, rd_kafka_queue_t *queue)
{
	rd_kafka_ConfigResource_t *topic =
		rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, arg(c, 1));
	const rd_kafka_ConfigResource_t **results;
	rd_kafka_event_t *event;
	size_t n;

	for (int i = 2; i < c->n; i++)
	{
		char *value = split_setting(c->field[i]);

		check(rd_kafka_ConfigResource_set_config(topic, c->field[i], value), NULL);
	}
	rd_kafka_AlterConfigs(rk, &topic, 1, NULL, queue);
	event = answer(queue);
	results = rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(event), &n);
	for (size_t i = 0; i < n; i++)
		check(rd_kafka_ConfigResource_error(results[i]),
			  rd_kafka_ConfigResource_error_string(results[i]));
	rd_kafka_event_destroy(event);
	rd_kafka_ConfigResource_destroy(topic);
}

static void
trim_partition(const Command *c, rd_kafka_t *rk, rd_kafka_queue_t *queue)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	const rd_kafka_topic_partition_list_t *results;
	rd_kafka_DeleteRecords_t *records;
	rd_kafka_event_t *event;

	rd_kafka_topic_partition_list_add(list, arg(c, 1), int_arg(c, 2))->offset = atoll(arg(c, 3));
	records = rd_kafka_DeleteRecords_new(list);
	rd_kafka_DeleteRecords(rk, &records, 1, NULL, queue);
	event = answer(queue);
	results = rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event));
	for (int i = 0; i < results->cnt; i++)
		check(results->elems[i].err, NULL);
	rd_kafka_event_destroy(event);
	rd_kafka_DeleteRecords_destroy(records);
	rd_kafka_topic_partition_list_destroy(list);
}

static void
add_rule(const Command *c, rd_kafka_t *rk, rd_kafka_queue_t *queue)
{
	char user[100];
	char reason[300];
	rd_kafka_AclOperation_t operation =
		strcmp(arg(c, 3), "read") == 0 ? RD_KAFKA_ACL_OPERATION_READ : RD_KAFKA_ACL_OPERATION_ALL;
	rd_kafka_AclPermissionType_t permission = strcmp(arg(c, 0), "deny") == 0
												  ? RD_KAFKA_ACL_PERMISSION_TYPE_DENY
												  : RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW;
	const rd_kafka_acl_result_t **results;
	rd_kafka_AclBinding_t *rule;
	rd_kafka_event_t *event;
	size_t n;

	snprintf(user, sizeof(user), "User:%s", arg(c, 1));
	rule = rd_kafka_AclBinding_new(RD_KAFKA_RESOURCE_TOPIC, arg(c, 2),
								   RD_KAFKA_RESOURCE_PATTERN_LITERAL, user, "*", operation,
								   permission, reason, sizeof(reason));
	if (rule == NULL)
		fail(reason);
	rd_kafka_CreateAcls(rk, &rule, 1, NULL, queue);
	event = answer(queue);
	results = rd_kafka_CreateAcls_result_acls(rd_kafka_event_CreateAcls_result(event), &n);
	for (size_t i = 0; i < n; i++)
	{
		const rd_kafka_error_t *error = rd_kafka_acl_result_error(results[i]);

		if (error != NULL)
			fail(rd_kafka_error_string(error));
	}
	rd_kafka_event_destroy(event);
	rd_kafka_AclBinding_destroy(rule);
}

/* --- commands --- */

typedef void (*AdminRequest)(const Command *c, rd_kafka_t *rk, rd_kafka_queue_t *queue);

static const struct
{
	const char *name;
	AdminRequest request;
} admin_requests[] = {
	{"create", create_topic},    {"drop", drop_topic},     {"partitions", add_partitions},
	{"config", configure_topic}, {"trim", trim_partition}, {"deny", add_rule},
	{"allow", add_rule}};

static void
run_admin(const Command *c, AdminRequest request)
{
	rd_kafka_t *rk = producer("-");
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);

	request(c, rk, queue);
	rd_kafka_queue_destroy(queue);
}

static void
run(const Command *c)
{
	const char *name = arg(c, 0);

	for (size_t i = 0; i < sizeof(admin_requests) / sizeof(admin_requests[0]); i++)
	{
		if (strcmp(name, admin_requests[i].name) == 0)
		{
			run_admin(c, admin_requests[i].request);
			return;
		}
	}
	if (strcmp(name, "send") == 0)
		send_message(c);
	else if (strcmp(name, "flush") == 0)
		flush(producer(arg(c, 1)));
	else if (strcmp(name, "begin") == 0)
		check_error(rd_kafka_begin_transaction(producer(arg(c, 1))));
	else if (strcmp(name, "commit") == 0)
		check_error(rd_kafka_commit_transaction(producer(arg(c, 1)), TIMEOUT_MS));
	else if (strcmp(name, "abort") == 0)
		check_error(rd_kafka_abort_transaction(producer(arg(c, 1)), TIMEOUT_MS));
	else
		fail("this is not a command");
}

int
main(int argc, char **argv)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	if (argc != 2)
	{
		fputs("usage: kafka_tool SERVERS <COMMANDS\n", stderr);
		return 2;
	}
	servers = argv[1];
	while ((len = getline(&line, &size, stdin)) > 0)
	{
		Command c = {0};
		char *rest = line;
		char *text;

		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		line_text = text = strdup(line);
		while (rest != NULL && c.n < MAX_FIELDS)
			c.field[c.n++] = strsep(&rest, "\t");
		run(&c);
		free(text);
	}
	line_text = "end of input";
	for (int i = 0; i < nproducers; i++)
	{
		flush(producers[i].rk);
		rd_kafka_destroy(producers[i].rk);
	}
	free(line);
	return 0;
}
