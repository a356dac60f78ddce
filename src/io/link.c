/*
 * link.c — frames out of and into the socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>

#include "../decode/value.h"
#include "link.h"
#include "put.h"

typedef struct OutFrame
{
	struct OutFrame *next;
	TxpFrameHeader header;
	TxdBuf payload;
	size_t written; /* of header and payload together */
} OutFrame;

static struct
{
	int fd;
	int event_fd;
	pthread_mutex_t lock;
	OutFrame *first; /* under lock */
	OutFrame **last;
} link_state = {.lock = PTHREAD_MUTEX_INITIALIZER, .last = &link_state.first};

/* The frame being read; main thread only. */
static struct
{
	TxpMail *mail;
	TxpFrameHeader header;
	size_t got; /* of header and payload together */
} incoming;

void
txp_link_init(int socket_fd)
{
	link_state.fd = socket_fd;
	link_state.event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (link_state.event_fd < 0 || fcntl(socket_fd, F_SETFD, FD_CLOEXEC) < 0 ||
		fcntl(socket_fd, F_SETFL, fcntl(socket_fd, F_GETFL) | O_NONBLOCK) < 0)
		_exit(1);
}

int
txp_link_event_fd(void)
{
	return link_state.event_fd;
}

/* Queues a frame unless its channel is closed; `closes` closes it in the same step. */
static void
queue_frame(TxpChannel *channel, TxpFrameHeader header, TxdBuf *payload, bool closes)
{
	OutFrame *frame = NULL;
	bool was_empty = false;
	uint64_t one = 1;

	header.size = (uint32_t) payload->len;
	pthread_mutex_lock(&link_state.lock);
	if (channel == NULL || !channel->closed)
	{
		frame = txd_alloc(sizeof(*frame));
		*frame = (OutFrame){.header = header, .payload = *payload};
		was_empty = link_state.first == NULL;
		*link_state.last = frame;
		link_state.last = &frame->next;
		if (channel != NULL)
			channel->closed = closes;
	}
	pthread_mutex_unlock(&link_state.lock);
	if (frame == NULL)
		txd_buf_free(payload);
	*payload = (TxdBuf){0};
	if (was_empty && write(link_state.event_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		_exit(1);
}

void
txp_send(TxpChannel *channel, TxpFrameType type, uint32_t seq, TxdBuf *payload)
{
	queue_frame(channel, (TxpFrameHeader){.type = type, .channel = channel->id, .seq = seq},
				payload, false);
}

void
txp_answer(TxpChannel *channel, TxpFrameType type, TxdBuf *payload)
{
	queue_frame(channel, (TxpFrameHeader){.type = type, .channel = channel->id}, payload, true);
}

bool
txp_link_is_closed(TxpChannel *channel)
{
	bool closed;

	pthread_mutex_lock(&link_state.lock);
	closed = channel->closed;
	pthread_mutex_unlock(&link_state.lock);
	return closed;
}

void
txp_link_close(TxpChannel *channel)
{
	TxdBuf none = {0};

	pthread_mutex_lock(&link_state.lock);
	channel->closed = true;
	pthread_mutex_unlock(&link_state.lock);
	queue_frame(NULL, (TxpFrameHeader){.type = TXP_CLOSED, .channel = channel->id}, &none, false);
}

void
txp_link_closed_answer(uint32_t channel_id)
{
	TxdBuf none = {0};

	queue_frame(NULL, (TxpFrameHeader){.type = TXP_CLOSED, .channel = channel_id}, &none, false);
}

void
txp_link_pong(void)
{
	TxdBuf none = {0};

	queue_frame(NULL, (TxpFrameHeader){.type = TXP_PONG}, &none, false);
}

bool
txp_link_pending(void)
{
	bool pending;

	pthread_mutex_lock(&link_state.lock);
	pending = link_state.first != NULL;
	pthread_mutex_unlock(&link_state.lock);
	return pending;
}

/* Drops the written first frame. */
static OutFrame *
next_frame(OutFrame *done)
{
	OutFrame *next;

	pthread_mutex_lock(&link_state.lock);
	next = done->next;
	link_state.first = next;
	if (next == NULL)
		link_state.last = &link_state.first;
	pthread_mutex_unlock(&link_state.lock);
	txd_buf_free(&done->payload);
	free(done);
	return next;
}

bool
txp_link_write(void)
{
	OutFrame *frame;
	uint64_t count;

	if (read(link_state.event_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return false;
	pthread_mutex_lock(&link_state.lock);
	frame = link_state.first;
	pthread_mutex_unlock(&link_state.lock);
	while (frame != NULL)
	{
		const size_t head = sizeof(frame->header);
		const size_t total = head + frame->payload.len;
		struct iovec parts[2];
		struct msghdr message = {.msg_iov = parts};
		ssize_t sent;

		if (frame->written < head)
			parts[message.msg_iovlen++] =
				(struct iovec){(char *) &frame->header + frame->written, head - frame->written};
		if (frame->payload.len > 0)
		{
			size_t skip = frame->written > head ? frame->written - head : 0;

			parts[message.msg_iovlen++] =
				(struct iovec){frame->payload.data + skip, frame->payload.len - skip};
		}
		sent = sendmsg(link_state.fd, &message, MSG_NOSIGNAL);
		if (sent < 0)
			return errno == EAGAIN || errno == EINTR;
		frame->written += (size_t) sent;
		if (frame->written == total)
			frame = next_frame(frame);
	}
	return true;
}

/* One read() towards `want` bytes of the frame; false when there is nothing (yet). */
static bool
read_some(char *to, size_t want, bool *eof)
{
	ssize_t got = read(link_state.fd, to, want);

	if (got > 0)
		incoming.got += (size_t) got;
	else if (got == 0 || (errno != EAGAIN && errno != EINTR))
		*eof = true;
	return got > 0;
}

TxpMail *
txp_link_read(bool *eof)
{
	const size_t head = sizeof(incoming.header);
	TxpMail *mail;

	while (incoming.got < head)
	{
		if (!read_some((char *) &incoming.header + incoming.got, head - incoming.got, eof))
			return NULL;
	}
	if (incoming.mail == NULL)
	{
		if (incoming.header.size > TXP_FRAME_MAX)
			txp_give_up("frame of %u bytes is too large", incoming.header.size);
		incoming.mail = txd_alloc(sizeof(*mail));
		*incoming.mail = (TxpMail){.header = incoming.header};
		incoming.mail->data = txd_alloc(incoming.header.size + 1);
	}
	mail = incoming.mail;
	while (incoming.got < head + mail->header.size)
	{
		size_t have = incoming.got - head;

		if (!read_some(mail->data + have, mail->header.size - have, eof))
			return NULL;
	}
	incoming.got = 0;
	incoming.mail = NULL;
	return mail;
}

/* Makes it valid UTF-8, whatever a path, a broker or a library put into it: other bytes become '?'. */
static void
mend_text(char *text, size_t len)
{
	size_t good = 0;

	while ((good += txd_utf8_prefix(text + good, len - good)) < len)
		text[good] = '?';
}

static void
format_text(char *text, size_t size, const char *fmt, va_list args)
{
	vsnprintf(text, size, fmt, args);
	mend_text(text, strlen(text));
}

void
txp_log(TxpChannel *channel, int level, const char *fmt, ...)
{
	TxdBuf payload = {0};
	TxpFrameHeader header = {.type = TXP_LOG, .channel = channel == NULL ? 0 : channel->id};
	char text[1000];
	va_list args;

	va_start(args, fmt);
	format_text(text, sizeof(text), fmt, args);
	va_end(args);
	txp_put_i32(&payload, level);
	txp_put_str(&payload, text);
	queue_frame(channel, header, &payload, false);
}

void
txp_error(TxpChannel *channel, TxpError error, const char *fmt, ...)
{
	TxdBuf payload = {0};
	char text[1000];
	va_list args;

	va_start(args, fmt);
	format_text(text, sizeof(text), fmt, args);
	va_end(args);
	txp_put_u8(&payload, error.fatal);
	txp_put_str(&payload, error.sqlstate);
	txp_put_str(&payload, text);
	txp_put_str(&payload, error.detail);
	if (error.detail != NULL)
		mend_text(payload.data + payload.len - strlen(error.detail), strlen(error.detail));
	txp_put_str(&payload, error.hint);
	if (error.answer)
		txp_answer(channel, TXP_ERROR, &payload);
	else
		txp_send(channel, TXP_ERROR, 0, &payload);
}

void
txp_give_up(const char *fmt, ...)
{
	char text[900];
	va_list args;

	va_start(args, fmt);
	format_text(text, sizeof(text), fmt, args);
	va_end(args);
	txp_log(NULL, LOG_ERR, "txpipe_io ends: %s", text);
	txp_link_write();
	_exit(1);
}
