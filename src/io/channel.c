/*
 * channel.c — mailboxes and life of the channels.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "channel.h"
#include "link.h"

typedef struct Start
{
	TxpChannel *channel;
	TxpMail *opening;
	TxpChannelMain run;
} Start;

void
txp_mail_free(TxpMail *mail)
{
	if (mail == NULL)
		return;
	free(mail->data);
	free(mail);
}

/* One of the two users (main thread, channel's thread) lets go; the last frees. */
static void
release(TxpChannel *channel)
{
	bool last;

	pthread_mutex_lock(&channel->lock);
	last = --channel->users == 0;
	pthread_mutex_unlock(&channel->lock);
	if (!last)
		return;
	while (channel->first != NULL)
	{
		TxpMail *mail = channel->first;

		channel->first = mail->next;
		txp_mail_free(mail);
	}
	pthread_cond_destroy(&channel->arrived);
	pthread_mutex_destroy(&channel->lock);
	free(channel);
}

static void *
thread_main(void *arg)
{
	Start start = *(Start *) arg;

	free(arg);
	start.run(start.channel, start.opening);
	/* It may have had passwords and keys, whoever has wiped them already. */
	explicit_bzero(start.opening->data, start.opening->header.size);
	txp_mail_free(start.opening);
	release(start.channel);
	return NULL;
}

TxpChannel *
txp_channel_start(TxpMail *opening, TxpChannelMain run)
{
	TxpChannel *channel = txd_alloc(sizeof(*channel));
	Start *start = txd_alloc(sizeof(*start));
	pthread_condattr_t clock;
	pthread_attr_t attr;
	pthread_t thread;

	*channel = (TxpChannel){.id = opening->header.channel, .users = 2};
	channel->last = &channel->first;
	pthread_mutex_init(&channel->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&channel->arrived, &clock);
	pthread_condattr_destroy(&clock);

	*start = (Start){channel, opening, run};
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attr, thread_main, start) != 0)
		txp_give_up("cannot create a thread");
	pthread_attr_destroy(&attr);
	return channel;
}

/* Wakes the thread from either wait. Called with the lock held. */
static void
wake(TxpChannel *channel)
{
	pthread_cond_signal(&channel->arrived);
	if (channel->wake != NULL)
		channel->wake(channel->wake_arg);
}

void
txp_channel_poke(TxpChannel *channel)
{
	pthread_mutex_lock(&channel->lock);
	channel->poked = true;
	wake(channel);
	pthread_mutex_unlock(&channel->lock);
}

void
txp_channel_deliver(TxpChannel *channel, TxpMail *mail)
{
	pthread_mutex_lock(&channel->lock);
	mail->next = NULL;
	*channel->last = mail;
	channel->last = &mail->next;
	wake(channel);
	pthread_mutex_unlock(&channel->lock);
}

bool
txp_channel_is_closed(TxpChannel *channel)
{
	return txp_link_is_closed(channel);
}

void
txp_channel_forget(TxpChannel *channel)
{
	release(channel);
}

void
txp_channel_close(TxpChannel *channel)
{
	txp_link_close(channel);
	pthread_mutex_lock(&channel->lock);
	channel->ended = true;
	wake(channel);
	pthread_mutex_unlock(&channel->lock);
	release(channel);
}

TxpMail *
txp_channel_mail(TxpChannel *channel, int timeout_ms)
{
	TxpMail *mail = NULL;
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long) (timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000)
	{
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&channel->lock);
	while (channel->first == NULL && !channel->ended && !channel->poked && timeout_ms > 0)
	{
		if (pthread_cond_timedwait(&channel->arrived, &channel->lock, &until) == ETIMEDOUT)
			break;
	}
	if (timeout_ms > 0)
		channel->poked = false;
	if (channel->first != NULL && !channel->ended)
	{
		mail = channel->first;
		channel->first = mail->next;
		if (channel->first == NULL)
			channel->last = &channel->first;
	}
	pthread_mutex_unlock(&channel->lock);
	return mail;
}

bool
txp_channel_ended(TxpChannel *channel)
{
	bool ended;

	pthread_mutex_lock(&channel->lock);
	ended = channel->ended;
	pthread_mutex_unlock(&channel->lock);
	return ended;
}

void
txp_channel_set_wake(TxpChannel *channel, void (*waker)(void *arg), void *arg)
{
	pthread_mutex_lock(&channel->lock);
	channel->wake = waker;
	channel->wake_arg = arg;
	pthread_mutex_unlock(&channel->lock);
}
