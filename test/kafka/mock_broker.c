/*
 * mock_broker.c — a Kafka cluster for tests and the demo: librdkafka's mock cluster on a local port.
 *
 *   mock_broker [--brokers N] [--topic NAME:PARTITIONS]... [--port-file FILE] [--control FIFO]
 *
 * When it is ready it prints `bootstrap.servers=HOST:PORT[,...]`, and writes the same line to --port-file
 * (complete when it appears). It runs until SIGTERM or SIGINT and then exits 0; its messages die with it.
 *
 * Lines written to the --control FIFO (made where missing) change the cluster; broker ids count from 1:
 *   down BROKER | up BROKER           refuse, or take again, this broker's connections
 *   rtt BROKER MS                     delay this broker's answers
 *   topic NAME PARTITIONS             create a topic
 *   topic-error NAME CODE             answer requests for the topic with this error code (0: none)
 *   leader NAME PARTITION BROKER      move a partition
 *   error APIKEY CODE COUNT           fail the next COUNT requests of this kind with this error code
 * Every line is answered on stdout by `ok LINE` or `failed LINE: reason`.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#define MAX_TOPICS 256
#define MAX_ERRORS 100

typedef struct Options
{
	int brokers;
	int ntopics;
	char *topics[MAX_TOPICS]; /* NAME:PARTITIONS */
	const char *port_file;
	const char *control;
} Options;

static void
die(const char *what)
{
	fprintf(stderr, "mock_broker: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
usage(void)
{
	fputs("usage: mock_broker [--brokers N] [--topic NAME:PARTITIONS]... [--port-file FILE]"
		  " [--control FIFO]\n",
		  stderr);
	exit(2);
}

static Options
parse_options(int argc, char **argv)
{
	Options o = {.brokers = 1};

	for (int i = 1; i < argc; i += 2)
	{
		char *value = argv[i + 1];

		if (value == NULL)
			usage();
		if (strcmp(argv[i], "--brokers") == 0)
			o.brokers = atoi(value);
		else if (strcmp(argv[i], "--topic") == 0 && o.ntopics < MAX_TOPICS)
			o.topics[o.ntopics++] = value;
		else if (strcmp(argv[i], "--port-file") == 0)
			o.port_file = value;
		else if (strcmp(argv[i], "--control") == 0)
			o.control = value;
		else
			usage();
	}
	if (o.brokers < 1)
		usage();
	return o;
}

/* One replica: a topic's partitions are spread over the brokers, one leader each. */
static rd_kafka_resp_err_t
create_topic(rd_kafka_mock_cluster_t *cluster, const char *name, int partitions)
{
	if (partitions < 1)
		return RD_KAFKA_RESP_ERR__INVALID_ARG;
	return rd_kafka_mock_topic_create(cluster, name, partitions, 1);
}

static rd_kafka_resp_err_t
push_errors(rd_kafka_mock_cluster_t *cluster, int api, int code, int count)
{
	rd_kafka_resp_err_t errors[MAX_ERRORS];

	if (count < 1 || count > MAX_ERRORS)
		return RD_KAFKA_RESP_ERR__INVALID_ARG;
	for (int i = 0; i < count; i++)
		errors[i] = (rd_kafka_resp_err_t) code;
	rd_kafka_mock_push_request_errors_array(cluster, (int16_t) api, (size_t) count, errors);
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* Carries out one line; false when it is not a command at all. */
static bool
run_command(rd_kafka_mock_cluster_t *cluster, const char *line, rd_kafka_resp_err_t *err)
{
	char name[250];
	int a;
	int b;
	int c;

	*err = RD_KAFKA_RESP_ERR_NO_ERROR;
	if (sscanf(line, "down %d", &a) == 1)
		*err = rd_kafka_mock_broker_set_down(cluster, a);
	else if (sscanf(line, "up %d", &a) == 1)
		*err = rd_kafka_mock_broker_set_up(cluster, a);
	else if (sscanf(line, "rtt %d %d", &a, &b) == 2)
		*err = rd_kafka_mock_broker_set_rtt(cluster, a, b);
	else if (sscanf(line, "topic %249s %d", name, &a) == 2)
		*err = create_topic(cluster, name, a);
	else if (sscanf(line, "topic-error %249s %d", name, &a) == 2)
		rd_kafka_mock_topic_set_error(cluster, name, (rd_kafka_resp_err_t) a);
	else if (sscanf(line, "leader %249s %d %d", name, &a, &b) == 3)
		*err = rd_kafka_mock_partition_set_leader(cluster, name, a, b);
	else if (sscanf(line, "error %d %d %d", &a, &b, &c) == 3)
		*err = push_errors(cluster, a, b, c);
	else
		return false;
	return true;
}

static void
answer_command(rd_kafka_mock_cluster_t *cluster, const char *line)
{
	rd_kafka_resp_err_t err;

	if (!run_command(cluster, line, &err))
		printf("failed %s: unknown command\n", line);
	else if (err)
		printf("failed %s: %s\n", line, rd_kafka_err2str(err));
	else
		printf("ok %s\n", line);
	fflush(stdout);
}

/* Reads what the FIFO holds and runs the complete lines. */
static void
read_control(rd_kafka_mock_cluster_t *cluster, int fd)
{
	static char buf[4096];
	static size_t len;
	ssize_t got = read(fd, buf + len, sizeof(buf) - 1 - len);
	char *line = buf;
	char *end;

	if (got <= 0)
		return;
	len += (size_t) got;
	buf[len] = '\0';
	while ((end = strchr(line, '\n')) != NULL)
	{
		*end = '\0';
		answer_command(cluster, line);
		line = end + 1;
	}
	len -= (size_t) (line - buf);
	memmove(buf, line, len);
	if (len == sizeof(buf) - 1)
		len = 0; /* no command is that long */
}

static void
announce(const char *bootstraps, const char *port_file)
{
	char temp[PATH_MAX];
	FILE *f;

	if (port_file != NULL)
	{
		snprintf(temp, sizeof(temp), "%s.tmp-%d", port_file, (int) getpid());
		f = fopen(temp, "w");
		if (f == NULL || fprintf(f, "bootstrap.servers=%s\n", bootstraps) < 0 || fclose(f) != 0 ||
			rename(temp, port_file) != 0)
			die(port_file);
	}
	printf("bootstrap.servers=%s\n", bootstraps);
	fflush(stdout);
}

/* Opened for reading and writing, so that the FIFO never reaches its end. */
static int
open_control(const char *path)
{
	int fd;

	if (mkfifo(path, 0600) != 0 && errno != EEXIST)
		die(path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die(path);
	return fd;
}

static rd_kafka_mock_cluster_t *
start_cluster(const Options *o, rd_kafka_t **handle)
{
	char reason[512];
	rd_kafka_mock_cluster_t *cluster = NULL;
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	/* The handle is only the cluster's home: that it has no brokers to connect to is no news. */
	rd_kafka_conf_set(conf, "log_level", "3", NULL, 0);
	*handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	if (*handle != NULL)
		cluster = rd_kafka_mock_cluster_new(*handle, o->brokers);
	if (cluster == NULL)
	{
		fputs("mock_broker: cannot start the mock cluster\n", stderr);
		exit(1);
	}
	for (int i = 0; i < o->ntopics; i++)
	{
		char *colon = strrchr(o->topics[i], ':');

		if (colon == NULL)
			usage();
		*colon = '\0';
		if (create_topic(cluster, o->topics[i], atoi(colon + 1)))
		{
			fprintf(stderr, "mock_broker: cannot create topic %s\n", o->topics[i]);
			exit(1);
		}
	}
	return cluster;
}

int
main(int argc, char **argv)
{
	Options o = parse_options(argc, argv);
	struct pollfd fds[2] = {{.fd = -1, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
	rd_kafka_mock_cluster_t *cluster;
	rd_kafka_t *handle;
	sigset_t stop;

	/* Blocked before librdkafka starts its threads, which inherit the mask. */
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	fds[0].fd = signalfd(-1, &stop, SFD_CLOEXEC);
	if (fds[0].fd < 0)
		die("signalfd");
	if (o.control != NULL)
		fds[1].fd = open_control(o.control);

	cluster = start_cluster(&o, &handle);
	announce(rd_kafka_mock_cluster_bootstraps(cluster), o.port_file);
	while ((fds[0].revents & POLLIN) == 0)
	{
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			die("poll");
		if (fds[1].revents & POLLIN)
			read_control(cluster, fds[1].fd);
	}
	_exit(0); /* the cluster has nothing worth an orderly end */
}
