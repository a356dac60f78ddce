/*
 * link.h — the socket to the server process: output queue, frames of the process itself.
 *
 * Any thread may queue a frame; only the main thread writes and reads. Its lock is the innermost one, so
 * that callbacks of librdkafka may log whatever they hold.
 */
#ifndef TXP_LINK_H
#define TXP_LINK_H

#include "channel.h"

/* Takes over the socket (made non-blocking). */
extern void txp_link_init(int socket_fd);
/* Becomes readable when a frame was queued; the main thread polls it. */
extern int txp_link_event_fd(void);
/* True while frames are left to write. */
extern bool txp_link_pending(void);
/* Writes what the socket takes; false when the other side is gone. */
extern bool txp_link_write(void);
/* A complete frame if one has been read, else NULL; *eof at the end of the stream. */
extern TxpMail *txp_link_read(bool *eof);

extern bool txp_link_is_closed(TxpChannel *channel);
extern void txp_link_close(TxpChannel *channel);
extern void txp_link_closed_answer(uint32_t channel_id);

/* PONG. */
extern void txp_link_pong(void);

/* Text for the server log, level as syslog's. channel NULL: of the process itself. */
extern void txp_log(TxpChannel *channel, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ERROR frame; detail and hint may be NULL. A fatal one is a request's answer. */
typedef struct TxpError
{
	bool fatal;
	bool answer; /* the channel is a request: free its number */
	const char *sqlstate;
	const char *detail;
	const char *hint;
} TxpError;

extern void txp_error(TxpChannel *channel, TxpError error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Main thread: the protocol is broken or the process cannot go on. A last log frame, and exit(1). */
extern void txp_give_up(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
