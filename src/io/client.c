/*
 * client.c — the table of shared clients: joining and leaving them.
 */
#include <errno.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <syslog.h>
#include <time.h>

#include "link.h"
#include "nudge.h"
#include "scout.h"

#define NEW_MS 30000     /* so long a client is new */
#define HANDOVER_MS 1000 /* for a stream that is closing, before its topic takes another client */
/*
 * A connection answers in order: a stream that opens waits three times for the fetch under way. So fetches of the
 * first streams are short; with many, it is their cost that counts.
 */
#define QUICK_STREAMS 8
#define QUICK_WAIT "200"
#define SLOW_WAIT "800"
#define MAX_PROPERTIES 16 /* of a stream's own */

pthread_mutex_t txp_clients_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t left; /* a use has gone */
static TxpClient *clients;  /* under lock */
static unsigned char digest_key[TXP_CLIENT_DIGEST];
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

void
txp_client_unlist(TxpClient *c)
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

bool
txp_client_is_sure(const TxpClient *c)
{
	return !txp_show_has_ids() || atomic_load(&c->kafka.heard) == atomic_load(&c->sure);
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

			if (memcmp(c->digest, digest, TXP_CLIENT_DIGEST) != 0)
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
		may_wait = pthread_cond_timedwait(&left, &txp_clients_lock, &at) != ETIMEDOUT;
	}
	return NULL;
}

/* One client of those with equal properties is quick. */
static bool
is_to_be_quick(const unsigned char *digest)
{
	for (const TxpClient *c = clients; c != NULL; c = c->next)
	{
		if (c->quick && memcmp(c->digest, digest, TXP_CLIENT_DIGEST) == 0)
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
					 .broker = -1,
					 .made = txp_now_ms(),
					 .listed = true};
	memcpy(c->digest, digest, TXP_CLIENT_DIGEST);
	if (!open_kafka(c, channel, properties, own))
	{
		free(c);
		return NULL;
	}
	c->callbacks = rd_kafka_queue_get_main(c->kafka.rk);
	txp_life_begin(&c->kafka.life, c->kafka.servers);
	c->next = clients;
	clients = c;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attr, txp_scout_main, c) != 0)
		txp_give_up("cannot create a thread");
	pthread_attr_destroy(&attr);
	return c;
}

TxpUse *
txp_client_join(TxpKafka *k, TxpChannel *channel, TxpReader *properties, const TxpProperty *own,
				const char *topics)
{
	unsigned char digest[TXP_CLIENT_DIGEST];
	const size_t len = (size_t) (properties->end - properties->p);
	char *bytes = (char *) properties->p;
	TxpUse *use = txp_use_make(channel, topics);
	TxpClient *c = NULL;

	pthread_once(&once, init_once);
	HMAC(EVP_sha256(), digest_key, sizeof(digest_key), (unsigned char *) bytes, len, digest, NULL);
	pthread_mutex_lock(&txp_clients_lock);
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
		use->joined = txp_now_ms();
		use->next = c->uses;
		c->uses = use;
		c->nuses++;
		c->next_ask = 0;
		k->rk = c->kafka.rk;
		memcpy(k->servers, c->kafka.servers, sizeof(k->servers));
		rd_kafka_queue_yield(c->callbacks);
	}
	pthread_mutex_unlock(&txp_clients_lock);
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

	pthread_mutex_lock(&txp_clients_lock);
	while (*at != use)
		at = &(*at)->next;
	*at = use->next;
	c->nuses--;
	txp_use_free(use);
	if (c->uses == NULL)
	{
		txp_client_unlist(c);
		c->ending = true;
		rd_kafka_queue_yield(c->callbacks);
	}
	pthread_cond_broadcast(&left);
	pthread_mutex_unlock(&txp_clients_lock);
}

void
txp_client_distrust(TxpUse *use)
{
	TxpClient *c = use->client;
	bool listed;

	pthread_mutex_lock(&txp_clients_lock);
	listed = c->listed && use->joined >= c->made + NEW_MS;
	if (listed)
		txp_client_unlist(c);
	pthread_mutex_unlock(&txp_clients_lock);
	if (listed)
		txp_log(NULL, LOG_WARNING,
				"a client of librdkafka for \"%s\" does not answer about partitions: no further "
				"stream gets it",
				c->kafka.servers);
}

bool
txp_use_is_sure(TxpUse *use)
{
	TxpClient *c = use->client;

	/* In this order: what is told by news is told before the client is sure. */
	if (txp_client_is_sure(c))
		return !atomic_load(&use->news);
	pthread_mutex_lock(&txp_clients_lock);
	if (!use->unsure)
	{
		use->unsure = true;
		txp_scout_hurry(c);
	}
	pthread_mutex_unlock(&txp_clients_lock);
	return false;
}

bool
txp_use_news(TxpUse *use, TxpKafka *k, TxpNews *news)
{
	const TxpClient *c = use->client;

	if (!atomic_exchange(&use->news, false))
		return false;
	pthread_mutex_lock(&txp_clients_lock);
	k->trouble = c->trouble;
	memcpy(k->trouble_text, c->trouble_text, sizeof(k->trouble_text));
	news->answered = use->answered;
	news->is_back = use->is_back;
	use->is_back = false;
	news->nsights = use->nsights;
	news->sight = txd_realloc(news->sight, ((size_t) use->nsights + 1) * sizeof(TxpSight));
	for (int i = 0; i < use->nsights; i++)
		news->sight[i] = use->sight[i];
	pthread_mutex_unlock(&txp_clients_lock);
	return true;
}
