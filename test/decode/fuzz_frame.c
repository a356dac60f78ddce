/*
 * fuzz_frame.c — libFuzzer entry: any bytes as frames from the server to the child. Its main thread's code and that
 * of its channels run here as they are, taking turns in one thread: a channel that waits for mail lets the next frame
 * in. Brokers are fake_kafka.c's, any file's content is the input's.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

typedef void *(*ThreadMain)(void *);

static void give_up(int status) __attribute__((noreturn));
static int start_thread(ThreadMain run, void *arg);
static int wait_for_main(pthread_mutex_t *lock);

/* The child's own sources: their state must begin anew with each input. */
#define _exit give_up
#define main io_main
#define pthread_create(thread, attr, run, arg) (*(thread) = 0, start_thread(run, arg))
#define pthread_cond_timedwait(cond, lock, until) ((void) (until), wait_for_main(lock))
#include "io/channel.c"
#include "io/link.c"
#include "io/main.c"
#undef main

#include "io/below.h"
#include "io/show.h"

#include "fuzz.h"

/* Its clients get no answers, and make no statistics. */
void
txp_show_count(rd_kafka_conf_t *conf, atomic_uint *heard)
{
	(void) conf, (void) heard;
}

void
rd_kafka_conf_set_stats_cb(rd_kafka_conf_t *conf,
						   int (*stats_cb)(rd_kafka_t *, char *, size_t, void *))
{
	(void) conf, (void) stats_cb;
}

#define MAX_INPUT 4096

static jmp_buf gave_up;
static TxpMail *taken; /* by the main thread, not yet anybody's */
static bool at_end;
static struct
{
	ThreadMain run; /* NULL: none has been started */
	void *arg;
} started;

/* The content of every file. */
static const uint8_t *content;
static size_t content_len;

static void
give_up(int status)
{
	longjmp(gave_up, 1 + status);
}

static int
start_thread(ThreadMain run, void *arg)
{
	started.run = run;
	started.arg = arg;
	return 0;
}

static void
close_all(void)
{
	at_end = true;
	while (channels != NULL)
	{
		TxpChannel *channel = channels;

		channels = channel->next;
		if (txp_channel_is_closed(channel))
			txp_channel_forget(channel);
		else
			txp_channel_close(channel);
	}
}

/* The main thread's turn: one frame, and the thread it may start up to its next wait. */
static void
take_turn(void)
{
	ThreadMain run;
	jmp_buf outer;

	memcpy(&outer, &gave_up, sizeof(outer));
	taken = NULL;
	if (setjmp(gave_up) != 0)
	{
		txp_mail_free(taken);
		at_end = true;
	}
	else
	{
		taken = at_end ? NULL : txp_link_read(&at_end);
		if (taken != NULL)
			dispatch(taken);
		else
			at_end = true;
	}
	memcpy(&gave_up, &outer, sizeof(outer));
	run = started.run;
	started.run = NULL;
	if (run != NULL)
		run(started.arg);
	if (at_end)
		close_all();
}

static int
wait_for_main(pthread_mutex_t *lock)
{
	pthread_mutex_unlock(lock);
	take_turn();
	pthread_mutex_lock(lock);
	return 0;
}

static void
check_text(TxpSpan text, bool optional)
{
	MUST(text.data != NULL || optional);
	MUST(text.data == NULL || txd_utf8_prefix(text.data, text.len) == text.len);
}

/* A row's length in the block, or why there is none: with the column's name, which is as the frame had it. */
static size_t
check_decoded(TxpReader *r)
{
	uint32_t len = txp_read_u32(r);

	if (len != TXP_ABSENT)
		return len;
	check_text(txp_read_span(r), false);
	MUST(txp_read_span(r).data != NULL);
	(void) txp_read_span(r);
	return 0;
}

/* Answers that can be read to their end. */
static void
check_frame(const OutFrame *frame)
{
	const TxdBuf *payload = &frame->payload;
	TxpReader r = txp_reader(payload->data == NULL ? "" : payload->data, payload->len);
	size_t rows = 0;

	MUST(frame->header.size == payload->len);
	if (frame->header.type == TXP_ERROR)
	{
		(void) txp_read_u8(&r);
		MUST(txp_read_span(&r).len == 5);
		check_text(txp_read_span(&r), false);
		check_text(txp_read_span(&r), true);
		check_text(txp_read_span(&r), true);
		MUST(!r.bad && r.p == r.end);
	}
	else if (frame->header.type == TXP_DECODED)
	{
		for (uint32_t n = txp_read_u32(&r); n > 0 && !r.bad; n--)
			rows += check_decoded(&r);
		MUST(txp_read_span(&r).len == rows);
		MUST(!r.bad && r.p == r.end);
	}
	else
		MUST(frame->header.type >= TXP_PARTITIONS && frame->header.type <= TXP_FILE_REWRITTEN);
}

static void
forget_run(int fd)
{
	OutFrame *frame = link_state.first;

	while (frame != NULL)
	{
		check_frame(frame);
		frame = next_frame(frame);
	}
	txp_mail_free(incoming.mail);
	memset(&incoming, 0, sizeof(incoming));
	close(link_state.event_fd);
	close(link_state.fd);
	close(fd);
	greeted = at_end = false;
}

/* Most inputs have lengths and channels that make sense, so that what is inside the frames is reached. */
static void
mend_headers(char *p, size_t len)
{
	TxpFrameHeader header;

	while (len >= sizeof(header))
	{
		memcpy(&header, p, sizeof(header));
		len -= sizeof(header);
		header.size = header.size < len ? header.size : (uint32_t) len;
		header.channel %= 4;
		memcpy(p, &header, sizeof(header));
		p += sizeof(header) + header.size;
		len -= header.size;
	}
}

static void
greet(int fd)
{
	static const TxpFrameHeader header = {.size = sizeof(uint32_t), .type = TXP_HELLO};
	static const uint32_t version = TXP_PROTOCOL_VERSION;

	MUST(write(fd, &header, sizeof(header)) == sizeof(header));
	MUST(write(fd, &version, sizeof(version)) == sizeof(version));
}

/* Bit 0 of the first byte: frames as they are; bit 1: no HELLO before them. The second: a file's length. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char frames[MAX_INPUT];
	size_t len;
	int fd[2];

	if (size < 2 || size > MAX_INPUT)
		return 0;
	content = data + 2;
	content_len = data[1] < size - 2 ? data[1] : size - 2;
	len = size - 2 - content_len;
	memcpy(frames, content + content_len, len);
	if ((data[0] & 1) == 0)
		mend_headers(frames, len);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	txp_link_init(fd[0]);
	if ((data[0] & 2) == 0)
		greet(fd[1]);
	MUST(write(fd[1], frames, len) == (ssize_t) len);
	shutdown(fd[1], SHUT_WR);
	while (!at_end)
		take_turn();
	forget_run(fd[1]);
	return 0;
}

/* --- in the place of below.c: no input names a file of this machine --- */

int
txp_below_open(const char *top, const char *path, struct stat *st)
{
	int fd;

	if (top[0] != '/' || path[0] == '/')
	{
		errno = ENOENT;
		return -1;
	}
	fd = memfd_create("content", MFD_CLOEXEC);
	MUST(fd >= 0 && write(fd, content, content_len) == (ssize_t) content_len);
	MUST(lseek(fd, 0, SEEK_SET) == 0 && fstat(fd, st) == 0);
	return fd;
}

int
txp_below_make(const char *top, const char *path)
{
	errno = top[0] == '/' && path[0] != '\0' ? EROFS : EINVAL;
	return -1;
}

int
txp_below_sync(int dir, const char *name)
{
	(void) dir;
	(void) name;
	return 0;
}
