/*
 * kafka.c — clients, and what their errors mean to a user of SQL.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "kafka.h"
#include "link.h"
#include "unseen.h"

#define FREES_ONCE 0x020d00ff /* of librdkafka */
#define FIRST_TRY_MS 500
#define RETRY_MS 100
#define LOG_KINDS 16
#define LOG_MOST 20
#define LOG_WHILE_MS 60000

/* What is logged of one facility of librdkafka. */
typedef struct LogKind
{
	char fac[20];
	int64_t since;
	int logged; /* since then */
	int left_out;
} LogKind;

/*
 * Brokers that answer with noise make it say the same thousands of times: of each facility a few are logged in a while,
 * and the next one tells how many were not. Any thread.
 */
static bool
may_log(const char *fac, int *left_out)
{
	static LogKind kinds[LOG_KINDS];
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	int64_t now = txp_now_ms();
	LogKind *kind;
	bool may;

	pthread_mutex_lock(&lock);
	/* The last one is for all that have no room. */
	for (kind = kinds; kind < kinds + LOG_KINDS - 1; kind++)
	{
		if (kind->fac[0] == '\0')
			snprintf(kind->fac, sizeof(kind->fac), "%s", fac);
		if (strncmp(kind->fac, fac, sizeof(kind->fac) - 1) == 0)
			break;
	}
	*left_out = 0;
	if (now >= kind->since + LOG_WHILE_MS)
	{
		*left_out = kind->left_out;
		kind->since = now;
		kind->logged = kind->left_out = 0;
	}
	may = kind->logged < LOG_MOST;
	kind->logged += may;
	kind->left_out += !may;
	pthread_mutex_unlock(&lock);
	return may;
}

/* Any thread of librdkafka. */
static void
on_log(const rd_kafka_t *rk, int level, const char *fac, const char *text)
{
	TxpKafka *k = rd_kafka_opaque(rk);
	int left_out;

	/* One server's options serve readers and writers. */
	if (strstr(text, "will be ignored by") != NULL || level > LOG_WARNING)
		return;
	if (!may_log(fac, &left_out))
		return;
	if (left_out > 0)
		txp_log(NULL, level, "librdkafka %s: %d more were left out", fac, left_out);
	txp_log(k->shared ? NULL : k->channel, level, "librdkafka %s: %s", fac, text);
}

/* The thread that polls: a request's own, or a shared client's scout. */
static void
on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
	TxpKafka *k = opaque;
	rd_kafka_resp_err_t err = (rd_kafka_resp_err_t) code;

	/* What does not pass stays the reason, whatever follows from it. */
	if (txp_kafka_is_lasting(k->trouble))
		return;
	if (err == RD_KAFKA_RESP_ERR__FATAL)
		(void) rd_kafka_fatal_error(rk, k->trouble_text, sizeof(k->trouble_text));
	else if (err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || k->trouble_text[0] == '\0')
		snprintf(k->trouble_text, sizeof(k->trouble_text), "%s", reason);
	/* One broker's trouble is none yet, but says why there is none left when it was the last. */
	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || txp_kafka_is_lasting(err))
		k->trouble = err;
}

/* The scout. What the statistics say is of no interest, but that they come. */
static int
on_statistics(rd_kafka_t *rk, char *json, size_t len, void *opaque)
{
	TxpKafka *k = opaque;

	(void) rk, (void) json, (void) len;
	txp_life_sign(&k->life);
	return 0;
}

static bool
is_secret(const char *name)
{
	static const char *const words[] = {"password", "secret", "pem",   "token",
										"jaas",     "config", ".key.", NULL};

	for (int i = 0; words[i] != NULL; i++)
	{
		if (strstr(name, words[i]) != NULL)
			return true;
	}
	return false;
}

/* librdkafka's reason quotes the value: not to be repeated for a secret. */
static bool
set_property(TxpKafka *k, rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char reason[400];
	rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, reason, sizeof(reason));

	if (result == RD_KAFKA_CONF_OK)
		return true;
	txp_error(k->channel,
			  (TxpError){.fatal = true,
						 .answer = k->answers,
						 .sqlstate = result == RD_KAFKA_CONF_UNKNOWN ? "HV00D" : "22023",
						 .detail = is_secret(name) ? NULL : reason,
						 .hint = "Correct it with ALTER SERVER or ALTER USER MAPPING; the view "
								 "txpipe.option lists the options."},
			  "Kafka option \"%s\" %s", name,
			  result == RD_KAFKA_CONF_UNKNOWN ? "is not known to librdkafka"
											  : "has an invalid value");
	return false;
}

/* One property of the frame: copied out to be terminated, set unless conf is NULL, and wiped. */
static bool
take_property(TxpKafka *k, rd_kafka_conf_t *conf, TxpReader *r)
{
	TxpSpan name = txp_read_span(r);
	TxpSpan value = txp_read_span(r);
	char name_text[100];
	char *text;
	bool ok;

	if (r->bad || name.data == NULL || value.data == NULL || name.len >= sizeof(name_text))
	{
		r->bad = true;
		return true;
	}
	memcpy(name_text, name.data, name.len);
	name_text[name.len] = '\0';
	text = txd_alloc(value.len + 1);
	memcpy(text, value.data, value.len);
	text[value.len] = '\0';
	if (strcmp(name_text, "bootstrap.servers") == 0)
		snprintf(k->servers, sizeof(k->servers), "%s", text);
	ok = conf == NULL || set_property(k, conf, name_text, text);
	explicit_bzero(text, value.len);
	explicit_bzero((char *) value.data, value.len);
	free(text);
	return ok;
}

TxpReader
txp_kafka_properties(TxpReader *r)
{
	TxpReader properties = *r;
	uint32_t n = txp_read_count(r, 2 * sizeof(uint32_t));

	for (uint32_t i = 0; i < 2 * n && !r->bad; i++)
		(void) txp_read_span(r);
	properties.end = r->p;
	return properties;
}

static bool
set_own(TxpKafka *k, rd_kafka_conf_t *conf, const TxpProperty *own, bool weak)
{
	for (; own->name != NULL; own++)
	{
		if (own->weak == weak && !set_property(k, conf, own->name, own->value))
			return false;
	}
	return true;
}

static rd_kafka_conf_t *
make_conf(TxpKafka *k, TxpReader *r, const TxpProperty *own)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	uint32_t n = txp_read_count(r, 2 * sizeof(uint32_t));
	bool ok = set_property(k, conf, "client.id", "txpipe") &&
			  set_property(k, conf, "log.connection.close", "false") && set_own(k, conf, own, true);

	/* To the end even after a failure: every value is to be wiped. */
	for (uint32_t i = 0; i < n && !r->bad; i++)
		ok = take_property(k, ok ? conf : NULL, r) && ok;
	ok = ok && !r->bad && set_own(k, conf, own, false);
	if (!ok)
	{
		rd_kafka_conf_destroy(conf);
		return NULL;
	}
	rd_kafka_conf_set_opaque(conf, k);
	rd_kafka_conf_set_log_cb(conf, on_log);
	rd_kafka_conf_set_error_cb(conf, on_error);
	if (k->on_delivery != NULL)
		rd_kafka_conf_set_dr_msg_cb(conf, k->on_delivery);
	if (k->shared)
		rd_kafka_conf_set_stats_cb(conf, on_statistics);
	return conf;
}

static void *
end_client(void *rk)
{
	rd_kafka_destroy(rk);
	return NULL;
}

/*
 * Until 2.13 librdkafka frees what counts answers twice where it refuses what it is configured with: that is found out by a client
 * without it, which has no brokers to connect to. To end that one takes a second, which nobody waits for.
 */
static bool
is_accepted(const rd_kafka_conf_t *conf, rd_kafka_type_t type, char *reason, size_t size)
{
	rd_kafka_conf_t *copy = rd_kafka_conf_dup(conf);
	rd_kafka_t *rk;
	pthread_t thread;

	(void) rd_kafka_conf_set(copy, "bootstrap.servers", NULL, NULL, 0);
	rd_kafka_conf_set_log_cb(copy, NULL);
	rk = rd_kafka_new(type, copy, reason, size);
	if (rk == NULL)
	{
		rd_kafka_conf_destroy(copy);
		return false;
	}
	if (pthread_create(&thread, NULL, end_client, rk) != 0)
		rd_kafka_destroy(rk);
	else
		pthread_detach(thread);
	return true;
}

/* NULL, without conf, and with the reason, when it is refused. */
static rd_kafka_t *
make_kafka(TxpKafka *k, rd_kafka_type_t type, rd_kafka_conf_t *conf, char *reason, size_t size)
{
	bool safe = !k->shared || !txp_show_has_ids() || rd_kafka_version() >= FREES_ONCE;
	rd_kafka_t *rk = NULL;

	if (safe || is_accepted(conf, type, reason, size))
	{
		if (k->shared)
			txp_show_count(conf, &k->heard);
		rk = rd_kafka_new(type, conf, reason, size);
		/* Lost where there was no memory, or thread, for a client that was accepted. */
		if (rk == NULL && !safe)
			return NULL;
	}
	if (rk == NULL)
		rd_kafka_conf_destroy(conf);
	return rk;
}

bool
txp_kafka_open(TxpKafka *k, TxpChannel *channel, rd_kafka_type_t type, TxpReader *r,
			   const TxpProperty *own)
{
	char reason[400];
	rd_kafka_conf_t *conf;

	k->channel = channel;
	conf = make_conf(k, r, own);
	if (conf == NULL)
	{
		if (r->bad)
			txp_error(channel, (TxpError){.fatal = true, .answer = k->answers, .sqlstate = "08P01"},
					  "a frame's properties are broken");
		return false;
	}
	k->rk = make_kafka(k, type, conf, reason, sizeof(reason));
	if (k->rk != NULL)
		return true;
	txp_error(channel,
			  (TxpError){.fatal = true,
						 .answer = k->answers,
						 .sqlstate = "22023",
						 .detail = reason,
						 .hint = "Correct the options with ALTER SERVER or ALTER USER MAPPING."},
			  "librdkafka does not accept the options of the Kafka server together");
	return false;
}

void
txp_kafka_close(TxpKafka *k)
{
	if (k->rk != NULL)
		rd_kafka_destroy_flags(k->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	k->rk = NULL;
}

bool
txp_kafka_is_lasting(rd_kafka_resp_err_t err)
{
	switch (err)
	{
		case RD_KAFKA_RESP_ERR__FATAL:
		case RD_KAFKA_RESP_ERR__AUTHENTICATION:
		case RD_KAFKA_RESP_ERR__SSL:
		case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
		case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
		case RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE:
		case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
		case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
		case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
		case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
		case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
			return true;
		default:
			return false;
	}
}

/* Message and hint in a user's terms; the detail is librdkafka's. */
static const char *
describe(const TxpKafka *k, rd_kafka_resp_err_t err, const char *topic, TxpError *error, char *text,
		 size_t size)
{
	switch (err)
	{
		case RD_KAFKA_RESP_ERR__TRANSPORT:
		case RD_KAFKA_RESP_ERR__TIMED_OUT:
		case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
		case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
		case RD_KAFKA_RESP_ERR__RESOLVE:
			error->sqlstate = "08001";
			error->hint =
				"Check the server's options bootstrap_servers and security_protocol, and that the "
				"brokers run and can be reached from this host.";
			snprintf(text, size, "could not reach the Kafka brokers at \"%s\"", k->servers);
			break;
		case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
		case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
		case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
		case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
			error->sqlstate = "42704";
			error->hint = "txpipe.topics(server) lists the topics this Kafka user can see.";
			snprintf(text, size, "topic \"%s\" does not exist", topic);
			break;
		case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
			error->sqlstate = "42501";
			error->hint = "Grant the Kafka user the right to read, describe or write the topic.";
			snprintf(text, size, "the Kafka brokers do not permit access to topic \"%s\"", topic);
			break;
		case RD_KAFKA_RESP_ERR__AUTHENTICATION:
		case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
		case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
		case RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE:
			error->sqlstate = "28000";
			error->hint = "Check the server's sasl_mechanisms and security_protocol, and the user "
						  "mapping's user name and password.";
			snprintf(text, size, "authentication with the Kafka brokers at \"%s\" failed",
					 k->servers);
			break;
		case RD_KAFKA_RESP_ERR__SSL:
			error->sqlstate = "08001";
			error->hint = "Check the server's security_protocol, ssl_ca_pem, and "
						  "ssl_endpoint_identification_algorithm (https: the brokers' certificate "
						  "must carry their host name), and the user mapping's certificate.";
			snprintf(text, size, "no secure connection to the Kafka brokers at \"%s\"", k->servers);
			break;
		case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
			error->sqlstate = "54000";
			error->hint = "Raise the server's option message_max_bytes, and max.message.bytes of "
						  "the topic.";
			snprintf(text, size, "the message is too large for topic \"%s\"", topic);
			break;
		default:
			error->sqlstate = "08006";
			error->hint = "The log of the Kafka brokers may tell more.";
			snprintf(text, size, "the Kafka brokers at \"%s\" refused a request", k->servers);
	}
	return text;
}

void
txp_kafka_fail(TxpKafka *k, rd_kafka_resp_err_t err, const char *topic)
{
	TxpError error = {.fatal = true, .answer = k->answers};
	char text[400];

	/* What the connection said explains a request that only timed out. */
	error.detail = rd_kafka_err2str(err);
	if (k->trouble != RD_KAFKA_RESP_ERR_NO_ERROR &&
		(err == RD_KAFKA_RESP_ERR__TRANSPORT || err == RD_KAFKA_RESP_ERR__TIMED_OUT ||
		 err == k->trouble))
	{
		err = k->trouble;
		error.detail = k->trouble_text;
	}
	describe(k, err, topic == NULL ? "" : topic, &error, text, sizeof(text));
	txp_error(k->channel, error, "%s", text);
}

/* Finds a topic in the metadata of all; an error when it is not there or not ready. */
static rd_kafka_resp_err_t
find_topic(const struct rd_kafka_metadata *md, const char *topic,
		   const struct rd_kafka_metadata_topic **found)
{
	if (topic == NULL)
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	for (int i = 0; i < md->topic_cnt; i++)
	{
		*found = &md->topics[i];
		if (strcmp((*found)->topic, topic) != 0)
			continue;
		if ((*found)->err == RD_KAFKA_RESP_ERR_NO_ERROR && (*found)->partition_cnt == 0)
			return RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
		return (*found)->err;
	}
	return RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

const struct rd_kafka_metadata *
txp_kafka_metadata(TxpKafka *k, const char *topic, int64_t deadline,
				   const struct rd_kafka_metadata_topic **found)
{
	const struct rd_kafka_metadata *md = NULL;
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__TIMED_OUT;
	int64_t left;

	/* Growing slices: a refused password shows between two of them, a slow broker is waited for. */
	for (int64_t slice = FIRST_TRY_MS; (left = deadline - txp_now_ms()) > 0; slice *= 2)
	{
		err = rd_kafka_metadata(k->rk, 1, NULL, &md, (int) (slice < left ? slice : left));
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		{
			err = find_topic(md, topic, found);
			if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
			{
				k->trouble = RD_KAFKA_RESP_ERR_NO_ERROR;
				return md;
			}
			rd_kafka_metadata_destroy(md);
			if (err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
				err = txp_unseen_reason(k->rk, topic, (int) slice);
		}
		/* Errors of the connection arrive here; after a quick failure it is also the pause. */
		rd_kafka_poll(k->rk, RETRY_MS);
		if (txp_channel_ended(k->channel))
			return NULL;
		if (txp_kafka_is_lasting(err) || txp_kafka_is_lasting(k->trouble))
			break;
	}
	txp_kafka_fail(k, txp_kafka_is_lasting(k->trouble) ? RD_KAFKA_RESP_ERR__TRANSPORT : err, topic);
	return NULL;
}

rd_kafka_resp_err_t
txp_kafka_positions(TxpKafka *k, rd_kafka_topic_partition_list_t *list, int64_t at,
					int64_t deadline)
{
	int64_t left = deadline - txp_now_ms();
	rd_kafka_resp_err_t err;

	for (int i = 0; i < list->cnt; i++)
		list->elems[i].offset = at;
	/* The broker reads the special values as librdkafka's constants: -2 first, -1 last. */
	err = rd_kafka_offsets_for_times(k->rk, list, left > 0 ? (int) left : 1);
	for (int i = 0; i < list->cnt && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
		err = list->elems[i].err;
	return err;
}
