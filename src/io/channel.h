/*
 * channel.h — a channel of the protocol: its mailbox, and the frames it sends.
 *
 * The main thread owns the socket and the table of channels. Every channel has one thread, which takes
 * mail and sends frames; neither side ever waits for the other. A closed channel stays usable for its
 * thread (its frames are dropped) until both have let go of it.
 */
#ifndef TXP_CHANNEL_H
#define TXP_CHANNEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "../decode/buf.h"
#include "frame.h"

/* A frame from the server, owned by who took it. */
typedef struct TxpMail
{
	struct TxpMail *next;
	TxpFrameHeader header;
	char *data;
} TxpMail;

typedef struct TxpChannel
{
	struct TxpChannel *next; /* main thread's table */
	uint32_t id;
	bool closed; /* under the lock of the output queue */
	pthread_mutex_t lock;
	pthread_cond_t arrived;
	TxpMail *first; /* under lock, as all below */
	TxpMail **last;
	bool ended; /* closed, as the thread sees it */
	bool poked; /* the wait for mail is to end at once, or the next one */
	int users;
	void (*wake)(void *arg); /* interrupts the thread's wait elsewhere */
	void *wake_arg;
} TxpChannel;

typedef void (*TxpChannelMain)(TxpChannel *channel, TxpMail *opening);

/* --- main thread --- */

extern TxpChannel *txp_channel_start(TxpMail *opening, TxpChannelMain run);
/* True when the channel is closed: by its own answer, or by txp_channel_close. */
extern bool txp_channel_is_closed(TxpChannel *channel);
/* Answers CLOSED, drops what the thread still sends, and lets go of the channel. */
extern void txp_channel_close(TxpChannel *channel);
extern void txp_channel_forget(TxpChannel *channel);
extern void txp_channel_deliver(TxpChannel *channel, TxpMail *mail);
extern void txp_mail_free(TxpMail *mail);

/* --- the channel's thread --- */

/* Next mail, waiting at most so many milliseconds; NULL: none yet, poked, or the channel has ended. */
extern TxpMail *txp_channel_mail(TxpChannel *channel, int timeout_ms);
extern bool txp_channel_ended(TxpChannel *channel);
/* Any thread, while the channel's thread is known to live: interrupts its wait for mail or elsewhere. */
extern void txp_channel_poke(TxpChannel *channel);
extern void txp_channel_set_wake(TxpChannel *channel, void (*wake)(void *arg), void *arg);

/* Sends a frame and takes the payload over; `payload` is empty afterwards. */
extern void txp_send(TxpChannel *channel, TxpFrameType type, uint32_t seq, TxdBuf *payload);
/* The same for a request's only answer: the channel number is free again when the server reads it. */
extern void txp_answer(TxpChannel *channel, TxpFrameType type, TxdBuf *payload);

#endif
