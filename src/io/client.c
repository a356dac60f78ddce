/*
 * client.c — the table of shared clients, and their scouts.
 *
 * One lock covers the table, the uses and what is told to them. It is never held while brokers are asked, nor
 * by callbacks of librdkafka.
 */
#include <errno.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <time.h>

#include "client.h"
#include "link.h"
#include "nudge.h"

#define REFRESH_MS 5000    /* between looks at the topics, */
#define RECHECK_MS 1000    /* while one is missing or the brokers are away, */
#define RETRY_MS 100       /* and while a stream waits for its first answer */
#define FIRST_SLICE_MS 500 /* for an answer; growing: a refused password shows between two */
#define LAST_SLICE_MS 4000
#define SILENT_MS 15000  /* so long without an answer is a trouble, though connections are up */
#define HANDOVER_MS 1000 /* for a stream that is closing, before its topic takes another client */
#define DIGEST 32
/*
 * A connection answers in order: a stream that opens waits three times for the fetch under way. So fetches of the
 * first streams are short; with many, it is their cost that counts.
 */
#define QUICK_STREAMS 8
#define QUICK_WAIT "200"
#define SLOW_WAIT "800"
#define MAX_PROPERTIES 16 /* of a stream's own */

struct TxpClient
{
	TxpClient *next;
	unsigned char digest[DIGEST]; /* of the properties */
	TxpKafka kafka;               /* the scout's; its trouble is what the callbacks heard */
	rd_kafka_queue_t *callbacks;
	int64_t failing_since; /* no question has been answered; 0: the last one was */
	bool quick;
	TxpUse *uses; /* under lock, as all below */
	int nuses;
	bool listed; /* in the table: open to further streams */
	bool ending;
	int64_t next_ask;
	int slice_ms;
	rd_kafka_resp_err_t trouble; /* as told to the uses */
	char trouble_text[sizeof(((TxpKafka *) NULL)->trouble_text)];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t left; /* a use has gone */
static TxpClient *clients;  /* under lock */
static unsigned char digest_key[DIGEST];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
init_once(void)
{
	pthread_condattr_t clock;

	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&left, &clock);
	pthread_condattr_destroy(&clock);
	if (RAND_bytes(digest_key, sizeof(digest_key)) != 1)
		txp_give_up("no random numbers");
}

/* With the lock held. */
static void
tell(TxpUse *use)
{
	atomic_store(&use->news, true);
	txp_channel_poke(use->channel);
}

/* --- the scout --- */

/* Takes the client out of the table: no stream joins it any more. */
static void
unlist(TxpClient *c)
{
	for (TxpClient **at = &clients; *at != NULL && c->listed; at = &(*at)->next)
	{
		if (*at == c)
		{
			*at = c->next;
			c->listed = false;
			break;
		}
	}
}

/* Does anybody wait for the first answer; must all topics be listed; is a topic missing? */
static void
look_at_uses(const TxpClient *c, bool *waiting, bool *all, bool *missing)
{
	*waiting = *all = *missing = false;
	for (const TxpUse *use = c->uses; use != NULL; use = use->next)
	{
		*waiting |= !use->answered;
		*all |= !use->answered || use->is_pattern;
		for (int i = 0; i < use->nsights; i++)
			*missing |= use->sight[i].missed > 0 && !use->sight[i].gone;
	}
}

/* Passes on what callbacks heard. With a lasting trouble a stream that opens anew gets a new client. */
static void
pass_trouble_on(TxpClient *c)
{
	pthread_mutex_lock(&lock);
	if (c->trouble != c->kafka.trouble)
	{
		bool is_back = c->kafka.trouble == RD_KAFKA_RESP_ERR_NO_ERROR;

		c->trouble = c->kafka.trouble;
		memcpy(c->trouble_text, c->kafka.trouble_text, sizeof(c->trouble_text));
		if (txp_kafka_is_lasting(c->trouble))
			unlist(c);
		for (TxpUse *use = c->uses; use != NULL; use = use->next)
		{
			use->is_back |= is_back;
			tell(use);
		}
		if (!is_back)
			c->next_ask = txp_now_ms() + RECHECK_MS;
	}
	pthread_mutex_unlock(&lock);
}

/* Brokers whose connections are up and whose answers do not come, or make no sense, raise no error by themselves. */
static void
note_answer(TxpClient *c, rd_kafka_resp_err_t err)
{
	if (!err)
	{
		c->failing_since = 0;
		c->kafka.trouble = RD_KAFKA_RESP_ERR_NO_ERROR;
		return;
	}
	if (c->failing_since == 0)
		c->failing_since = txp_now_ms();
	if (c->kafka.trouble != RD_KAFKA_RESP_ERR_NO_ERROR ||
		txp_now_ms() < c->failing_since + SILENT_MS)
		return;
	c->kafka.trouble = RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
	snprintf(c->kafka.trouble_text, sizeof(c->kafka.trouble_text), "%s", rd_kafka_err2str(err));
}

/* Asks for the topics once, and tells what is new. */
static void
ask(TxpClient *c)
{
	const struct rd_kafka_metadata *md;
	rd_kafka_resp_err_t err;
	bool waiting;
	bool missing;
	bool all;

	pthread_mutex_lock(&lock);
	look_at_uses(c, &waiting, &all, &missing);
	for (TxpUse *use = c->uses; use != NULL; use = use->next)
		use->asked = true;
	pthread_mutex_unlock(&lock);
	err = rd_kafka_metadata(c->kafka.rk, all, NULL, &md, c->slice_ms);
	note_answer(c, err);
	pass_trouble_on(c);
	pthread_mutex_lock(&lock);
	for (TxpUse *use = c->uses; use != NULL && !err; use = use->next)
	{
		/* Who joined meanwhile may know of topics that were made meanwhile. */
		if (use->asked && txp_use_show(use, c->kafka.rk, md, all))
			tell(use);
	}
	look_at_uses(c, &waiting, &all, &missing);
	c->slice_ms = !err                           ? FIRST_SLICE_MS
				  : c->slice_ms >= LAST_SLICE_MS ? LAST_SLICE_MS
												 : 2 * c->slice_ms;
	c->next_ask = txp_now_ms() + (waiting                        ? RETRY_MS
								  : missing || c->trouble || err ? RECHECK_MS
																 : REFRESH_MS);
	pthread_mutex_unlock(&lock);
	if (!err)
		rd_kafka_metadata_destroy(md);
}

static void *
scout_main(void *arg)
{
	TxpClient *c = arg;
	bool ending;
	int64_t left_ms;

	for (;;)
	{
		pthread_mutex_lock(&lock);
		ending = c->ending;
		left_ms = c->next_ask - txp_now_ms();
		pthread_mutex_unlock(&lock);
		if (ending)
			break;
		if (left_ms <= 0)
			ask(c);
		else
			rd_kafka_poll(c->kafka.rk, (int) left_ms);
		pass_trouble_on(c);
	}
	rd_kafka_queue_destroy(c->callbacks);
	txp_kafka_close(&c->kafka);
	free(c);
	return NULL;
}

/* --- joining and leaving --- */

/* Does another stream of the client read one of the topics? *closing: those that do are about to leave. */
static bool
has_conflict(const TxpClient *c, const TxpUse *use, bool *closing)
{
	bool conflict = false;

	for (const TxpUse *other = c->uses; other != NULL; other = other->next)
	{
		bool same = other->is_pattern;

		for (int i = 0; i < use->nsights && !same; i++)
			same = txp_use_has(other, use->sight[i].name);
		if (!same)
			continue;
		conflict = true;
		if (!txp_channel_ended(other->channel))
			*closing = false;
	}
	return conflict;
}

static bool
is_quicker(const TxpClient *c, const TxpClient *than)
{
	if (c->quick && c->nuses >= QUICK_STREAMS)
		return false;
	return than == NULL || (c->quick && !than->quick);
}

static TxpClient *
find_client(const unsigned char *digest, const TxpUse *use)
{
	int64_t until = txp_now_ms() + HANDOVER_MS;
	struct timespec at = {.tv_sec = until / 1000, .tv_nsec = (long) (until % 1000) * 1000000};
	bool may_wait = true;

	while (!use->is_pattern)
	{
		bool closing = false;
		TxpClient *best = NULL;

		for (TxpClient *c = clients; c != NULL; c = c->next)
		{
			bool all_closing = true;

			if (memcmp(c->digest, digest, DIGEST) != 0)
				continue;
			if (!has_conflict(c, use, &all_closing))
			{
				if (is_quicker(c, best))
					best = c;
				continue;
			}
			closing |= all_closing;
		}
		if (best != NULL || !closing || !may_wait)
			return best;
		may_wait = pthread_cond_timedwait(&left, &lock, &at) != ETIMEDOUT;
	}
	return NULL;
}

/* One client of those with equal properties is quick. */
static bool
is_to_be_quick(const unsigned char *digest)
{
	for (const TxpClient *c = clients; c != NULL; c = c->next)
	{
		if (c->quick && memcmp(c->digest, digest, DIGEST) == 0)
			return false;
	}
	return true;
}

/* `own` and how long a fetch may take, unless the server's options tell. */
static bool
open_kafka(TxpClient *c, TxpChannel *channel, TxpReader *properties, const TxpProperty *own)
{
	TxpProperty all[MAX_PROPERTIES + 3] = {
		{true, "fetch.wait.max.ms", c->quick ? QUICK_WAIT : SLOW_WAIT}};
	int n = 1;

	if (txp_nudge_has_property())
		all[n++] = (TxpProperty){true, TXP_NUDGE_PROPERTY, TXP_NUDGE_MS};
	for (int i = 0; i < MAX_PROPERTIES && own[i].name != NULL; i++)
		all[n++] = own[i];
	return txp_kafka_open(&c->kafka, channel, RD_KAFKA_CONSUMER, properties, all);
}

static TxpClient *
make_client(TxpChannel *channel, TxpReader *properties, const TxpProperty *own,
			const unsigned char *digest)
{
	TxpClient *c = txd_alloc(sizeof(*c));
	pthread_attr_t attr;
	pthread_t thread;

	*c = (TxpClient){.kafka = {.shared = true},
					 .quick = is_to_be_quick(digest),
					 .slice_ms = FIRST_SLICE_MS,
					 .listed = true};
	memcpy(c->digest, digest, DIGEST);
	if (!open_kafka(c, channel, properties, own))
	{
		free(c);
		return NULL;
	}
	c->callbacks = rd_kafka_queue_get_main(c->kafka.rk);
	c->next = clients;
	clients = c;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attr, scout_main, c) != 0)
		txp_give_up("cannot create a thread");
	pthread_attr_destroy(&attr);
	return c;
}

TxpUse *
txp_client_join(TxpKafka *k, TxpChannel *channel, TxpReader *properties, const TxpProperty *own,
				const char *topics)
{
	unsigned char digest[DIGEST];
	const size_t len = (size_t) (properties->end - properties->p);
	char *bytes = (char *) properties->p;
	TxpUse *use = txp_use_make(channel, topics);
	TxpClient *c = NULL;

	pthread_once(&once, init_once);
	HMAC(EVP_sha256(), digest_key, sizeof(digest_key), (unsigned char *) bytes, len, digest, NULL);
	pthread_mutex_lock(&lock);
	if (use != NULL)
	{
		c = find_client(digest, use);
		if (c == NULL)
			c = make_client(channel, properties, own, digest);
	}
	explicit_bzero(bytes, len);
	if (c != NULL)
	{
		use->client = c;
		use->next = c->uses;
		c->uses = use;
		c->nuses++;
		c->next_ask = 0;
		k->rk = c->kafka.rk;
		memcpy(k->servers, c->kafka.servers, sizeof(k->servers));
		rd_kafka_queue_yield(c->callbacks);
	}
	pthread_mutex_unlock(&lock);
	if (c == NULL && use != NULL)
	{
		txp_use_free(use);
		use = NULL;
	}
	return use;
}

void
txp_client_leave(TxpUse *use)
{
	TxpClient *c = use->client;
	TxpUse **at = &c->uses;

	pthread_mutex_lock(&lock);
	while (*at != use)
		at = &(*at)->next;
	*at = use->next;
	c->nuses--;
	txp_use_free(use);
	if (c->uses == NULL)
	{
		unlist(c);
		c->ending = true;
		rd_kafka_queue_yield(c->callbacks);
	}
	pthread_cond_broadcast(&left);
	pthread_mutex_unlock(&lock);
}

bool
txp_use_news(TxpUse *use, TxpKafka *k, TxpNews *news)
{
	const TxpClient *c = use->client;

	if (!atomic_exchange(&use->news, false))
		return false;
	pthread_mutex_lock(&lock);
	k->trouble = c->trouble;
	memcpy(k->trouble_text, c->trouble_text, sizeof(k->trouble_text));
	news->answered = use->answered;
	news->is_back = use->is_back;
	use->is_back = false;
	news->nsights = use->nsights;
	news->sight = txd_realloc(news->sight, ((size_t) use->nsights + 1) * sizeof(TxpSight));
	for (int i = 0; i < use->nsights; i++)
		news->sight[i] = use->sight[i];
	pthread_mutex_unlock(&lock);
	return true;
}
