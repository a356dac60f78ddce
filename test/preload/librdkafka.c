/*
 * librdkafka.c — for LD_PRELOAD: faults of librdkafka, each once for each time that a file is made, which it removes.
 *
 * TXPIPE_HANG names the file with which the main thread of a client hangs. Such threads look at the clock several times a second.
 * TXPIPE_LOSE names the one with which a client is asked about partitions, and from then on never answers that.
 */
#include <dlfcn.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool
is_told(const char *variable)
{
	const char *name = getenv(variable);

	return name != NULL && unlink(name) == 0;
}

int
clock_gettime(clockid_t clock, struct timespec *t)
{
	static int (*next)(clockid_t, struct timespec *);
	char thread[16] = "";

	if (next == NULL)
		next = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
	if (pthread_getname_np(pthread_self(), thread, sizeof(thread)) == 0 &&
		strcmp(thread, "rdk:main") == 0 && is_told("TXPIPE_HANG"))
	{
		for (;;)
			pause();
	}
	return next(clock, t);
}

rd_kafka_resp_err_t
rd_kafka_offsets_for_times(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *offsets, int timeout_ms)
{
	static rd_kafka_resp_err_t (*next)(rd_kafka_t *, rd_kafka_topic_partition_list_t *, int);
	static rd_kafka_t *_Atomic lost;

	if (next == NULL)
		next = (rd_kafka_resp_err_t(*)(rd_kafka_t *, rd_kafka_topic_partition_list_t *, int)) dlsym(
			RTLD_NEXT, "rd_kafka_offsets_for_times");
	if (is_told("TXPIPE_LOSE"))
		lost = rk;
	if (lost != rk)
		return next(rk, offsets, timeout_ms);
	usleep((useconds_t) timeout_ms * 1000);
	return RD_KAFKA_RESP_ERR__TIMED_OUT;
}
