/*
 * scout.c — the thread of a shared client that asks brokers for topics, and tells the streams what is new.
 */
#include <stdlib.h>

#include "scout.h"

#define REFRESH_MS 5000    /* between looks at the topics, */
#define RECHECK_MS 1000    /* while one is missing or the brokers are away, */
#define RETRY_MS 100       /* and while a stream waits for its first answer */
#define FIRST_SLICE_MS 500 /* for an answer; growing: a refused password shows between two */
#define LAST_SLICE_MS 4000
#define SILENT_MS 15000 /* so long without an answer is a trouble, though connections are up */

/* With the lock held. */
static void
tell(TxpUse *use)
{
	atomic_store(&use->news, true);
	txp_channel_poke(use->channel);
}

/* Does anybody wait for the first answer, or to be sure; must all topics be listed; is a topic missing? */
static void
look_at_uses(const TxpClient *c, bool *waiting, bool *unsure, bool *all, bool *missing)
{
	*waiting = *unsure = *all = *missing = false;
	for (const TxpUse *use = c->uses; use != NULL; use = use->next)
	{
		*waiting |= !use->answered;
		*unsure |= use->unsure;
		*all |= !use->answered || use->is_pattern;
		for (int i = 0; i < use->nsights; i++)
			*missing |= use->sight[i].missed > 0 && !use->sight[i].gone;
	}
}

/* Passes on what callbacks heard. With a lasting trouble a stream that opens anew gets a new client. */
static void
pass_trouble_on(TxpClient *c)
{
	pthread_mutex_lock(&txp_clients_lock);
	if (c->trouble != c->kafka.trouble)
	{
		bool is_back = c->kafka.trouble == RD_KAFKA_RESP_ERR_NO_ERROR;

		c->trouble = c->kafka.trouble;
		memcpy(c->trouble_text, c->kafka.trouble_text, sizeof(c->trouble_text));
		if (txp_kafka_is_lasting(c->trouble))
			txp_client_unlist(c);
		for (TxpUse *use = c->uses; use != NULL; use = use->next)
		{
			use->is_back |= is_back;
			tell(use);
		}
		if (!is_back)
			c->next_ask = txp_now_ms() + RECHECK_MS;
	}
	pthread_mutex_unlock(&txp_clients_lock);
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

/* Passes on what brokers show. With the lock held. */
static void
show_uses(TxpClient *c, const TxpShow *show)
{
	for (TxpUse *use = c->uses; use != NULL; use = use->next)
	{
		/* Who joined meanwhile may know of topics that were made meanwhile. */
		if (use->asked && txp_use_show(use, c->kafka.rk, show))
			tell(use);
	}
}

static rd_kafka_resp_err_t
ask_list(TxpClient *c, bool all)
{
	TxpShow show;
	rd_kafka_resp_err_t err = txp_show_list(c->kafka.rk, all, c->slice_ms, &show);

	if (err)
		return err;
	c->broker = show.broker;
	pthread_mutex_lock(&txp_clients_lock);
	show_uses(c, &show);
	pthread_mutex_unlock(&txp_clients_lock);
	txp_show_free(&show);
	return err;
}

/* The topics of all streams that were there; the names are copies. */
static const char **
list_names(const TxpClient *c, size_t *n)
{
	const char **names = NULL;

	*n = 0;
	for (const TxpUse *use = c->uses; use != NULL; use = use->next)
	{
		for (int i = 0; use->asked && i < use->nsights; i++)
		{
			if (use->sight[i].partitions == 0)
				continue;
			names = txd_realloc(names, (*n + 1) * sizeof(*names));
			names[*n] = txd_alloc(strlen(use->sight[i].name) + 1);
			strcpy((char *) names[(*n)++], use->sight[i].name);
		}
	}
	return names;
}

static rd_kafka_resp_err_t
ask_named(TxpClient *c)
{
	unsigned heard = atomic_load(&c->kafka.heard);
	TxpShow show = {.with_ids = true};
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
	const char **names;
	size_t n;

	pthread_mutex_lock(&txp_clients_lock);
	names = list_names(c, &n);
	pthread_mutex_unlock(&txp_clients_lock);
	if (n > 0)
		err = txp_show_named(c->kafka.rk, c->broker, names, n, c->slice_ms, &show);
	if (err)
		c->broker = -1;
	pthread_mutex_lock(&txp_clients_lock);
	if (!err)
	{
		show_uses(c, &show);
		/* One answer more than before is the one with these ids. Of more nobody knows which came first. */
		if (atomic_load(&c->kafka.heard) == heard + (n > 0))
			atomic_store(&c->sure, heard + (n > 0));
	}
	pthread_mutex_unlock(&txp_clients_lock);
	txp_show_free(&show);
	for (size_t i = 0; i < n; i++)
		free((char *) names[i]);
	free(names);
	return err;
}

/* When to ask again. With the lock held. */
static void
plan_next(TxpClient *c, bool failed)
{
	bool waiting;
	bool unsure;
	bool missing;
	bool all;

	for (TxpUse *use = c->uses; use != NULL && txp_client_is_sure(c); use = use->next)
	{
		if (use->unsure)
			tell(use);
		use->unsure = false;
	}
	look_at_uses(c, &waiting, &unsure, &all, &missing);
	c->slice_ms = !failed                        ? FIRST_SLICE_MS
				  : c->slice_ms >= LAST_SLICE_MS ? LAST_SLICE_MS
												 : 2 * c->slice_ms;
	c->next_ask = txp_now_ms() + (waiting                           ? RETRY_MS
								  : missing || c->trouble || failed ? RECHECK_MS
								  : unsure                          ? 0
																	: REFRESH_MS);
}

/* Asks for the topics once, and tells what is new. */
static void
ask(TxpClient *c)
{
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
	bool waiting;
	bool unsure;
	bool missing;
	bool all;

	pthread_mutex_lock(&txp_clients_lock);
	look_at_uses(c, &waiting, &unsure, &all, &missing);
	for (TxpUse *use = c->uses; use != NULL; use = use->next)
		use->asked = true;
	pthread_mutex_unlock(&txp_clients_lock);
	if (all || c->broker < 0 || !txp_show_has_ids())
		err = ask_list(c, all);
	if (!err && txp_show_has_ids())
		err = ask_named(c);
	note_answer(c, err);
	pass_trouble_on(c);
	pthread_mutex_lock(&txp_clients_lock);
	plan_next(c, err);
	pthread_mutex_unlock(&txp_clients_lock);
}

void *
txp_scout_main(void *arg)
{
	TxpClient *c = arg;
	bool ending;
	int64_t left_ms;

	c->slice_ms = FIRST_SLICE_MS;
	for (;;)
	{
		pthread_mutex_lock(&txp_clients_lock);
		ending = c->ending;
		left_ms = c->next_ask - txp_now_ms();
		pthread_mutex_unlock(&txp_clients_lock);
		if (ending)
			break;
		if (left_ms <= 0)
			ask(c);
		/* Whatever there is to be asked: what callbacks are for waits no longer than one question. */
		rd_kafka_poll(c->kafka.rk, left_ms <= 0 ? 0 : (int) left_ms);
		pass_trouble_on(c);
	}
	rd_kafka_queue_destroy(c->callbacks);
	txp_life_closing(&c->kafka.life);
	txp_kafka_close(&c->kafka);
	txp_life_end(&c->kafka.life);
	free(c);
	return NULL;
}

void
txp_scout_hurry(TxpClient *c)
{
	c->next_ask = 0;
	rd_kafka_queue_yield(c->callbacks);
}
