/*
 * io_client.c — the server's end of a txpipe_io child: frames, whether it lives, and its end.
 */
#include "postgres.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "guc.h"
#include "io/clock.h"
#include "io_client.h"
#include "io_process.h"

#define READ_CHUNK (256 * 1024)
#define KEEP_BYTES (32 * 1024 * 1024)

struct TxpIo
{
	pid_t pid;   /* 0 once reaped */
	pgsocket fd; /* PGINVALID_SOCKET once closed */
	bool gone;
	bool hung;       /* it was ended because it did not answer */
	int64 heard_us;  /* CLOCK_MONOTONIC: when something came from it */
	int64 asked_us;  /* when it was asked since then whether it lives; 0: it was not */
	int exit_status; /* of waitpid, valid once pid is 0 */
	uint32 last_channel;
	MemoryContext context; /* holds this struct; its end is the child's */
	StringInfoData in;     /* bytes received and not yet returned */
	int in_start;
	MemoryContextCallback on_reset;
	struct TxpIo *next; /* all children of this process */
};

static TxpIo *children = NULL;
static bool exit_hook_set = false;

/* Kills and reaps; safe to call again. SIGKILL: the child has nothing of value to finish. */
static void
end_child(TxpIo *io)
{
	if (io->fd != PGINVALID_SOCKET)
	{
		closesocket(io->fd);
		io->fd = PGINVALID_SOCKET;
		ReleaseExternalFD();
	}
	if (io->pid > 0)
	{
		kill(io->pid, SIGKILL);
		while (waitpid(io->pid, &io->exit_status, 0) < 0 && errno == EINTR)
			;
		io->pid = 0;
	}
	io->gone = true;
}

static void
forget(TxpIo *io)
{
	for (TxpIo **p = &children; *p != NULL; p = &(*p)->next)
	{
		if (*p == io)
		{
			*p = io->next;
			return;
		}
	}
}

static void
end_all_children(int code, Datum arg)
{
	for (TxpIo *io = children; io != NULL; io = io->next)
		end_child(io);
	children = NULL;
}

static void
end_on_reset(void *arg)
{
	TxpIo *io = arg;

	forget(io);
	end_child(io);
}

TxpIo *
txp_io_start(MemoryContext lifetime)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "txpipe child", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	TxpIo *io = palloc0(sizeof(TxpIo));
	StringInfoData hello;

	if (!exit_hook_set)
	{
		on_proc_exit(end_all_children, 0);
		exit_hook_set = true;
	}
	io->context = context;
	io->fd = PGINVALID_SOCKET;
	initStringInfo(&io->in);
	io->on_reset.func = end_on_reset;
	io->on_reset.arg = io;
	HOLD_INTERRUPTS();
	io->pid = txp_io_spawn(&io->fd);
	io->heard_us = txp_now_us();
	io->next = children;
	children = io;
	MemoryContextRegisterResetCallback(context, &io->on_reset);
	MemoryContextSetParent(context, lifetime);
	RESUME_INTERRUPTS();

	initStringInfo(&hello);
	txp_put_u32(&hello, TXP_PROTOCOL_VERSION);
	txp_io_send(io, TXP_HELLO, 0, 0, &hello);
	MemoryContextSwitchTo(old);
	return io;
}

void
txp_io_stop(TxpIo *io)
{
	if (io != NULL)
		MemoryContextDelete(io->context);
}

pgsocket
txp_io_socket(const TxpIo *io)
{
	return io->fd;
}

bool
txp_io_gone(const TxpIo *io)
{
	return io->gone;
}

bool
txp_io_hung(const TxpIo *io)
{
	return io->hung;
}

uint32
txp_io_new_channel(TxpIo *io)
{
	return ++io->last_channel;
}

/* Waits for the socket or a signal; an interrupt may raise an error. Returns false when timeout_ms have passed. */
static bool
wait_for_socket(TxpIo *io, int socket_event, long timeout_ms)
{
	int events = socket_event | WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;
	int rc;

	if (timeout_ms >= 0)
		events |= WL_TIMEOUT;
	rc = WaitLatchOrSocket(MyLatch, events, io->fd, timeout_ms, PG_WAIT_EXTENSION);
	if (rc & WL_LATCH_SET)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return (rc & WL_TIMEOUT) == 0;
}

/* How long since a time of txp_now_us() a child may do nothing; -1: for ever. */
static long
patience_ms(int64 since_us)
{
	if (txp_child_timeout == 0)
		return -1;
	return Max(txp_child_timeout - (txp_now_us() - since_us) / 1000, 0);
}

static void
end_hung(TxpIo *io)
{
	io->hung = true;
	end_child(io);
}

/* Waits until more can be sent. An error in the middle of a frame leaves the child without its place. */
static void
wait_to_send(TxpIo *io, int64 since_us)
{
	PG_TRY();
	{
		if (!wait_for_socket(io, WL_SOCKET_WRITEABLE, patience_ms(since_us)))
			end_hung(io);
	}
	PG_CATCH();
	{
		end_child(io);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

static bool
send_all(TxpIo *io, const char *data, size_t len)
{
	int64 since_us = txp_now_us();

	while (len > 0 && !io->gone)
	{
		ssize_t n = send(io->fd, data, len, MSG_NOSIGNAL);

		if (n >= 0)
		{
			data += n;
			len -= n;
			since_us = txp_now_us();
		}
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			wait_to_send(io, since_us);
		else if (errno != EINTR)
			end_child(io);
	}
	return !io->gone;
}

bool
txp_io_send(TxpIo *io, TxpFrameType type, uint32 channel, uint32 seq, const StringInfo payload)
{
	TxpFrameHeader header = {payload ? payload->len : 0, type, channel, seq};

	return send_all(io, (char *) &header, sizeof(header)) &&
		   (payload == NULL || send_all(io, payload->data, payload->len));
}

/* Takes what the socket has, up to one chunk, or enough for the frame begun. */
static bool
read_some(TxpIo *io)
{
	ssize_t n;

	if (io->in_start > 0 && io->in_start == io->in.len)
	{
		/* One large frame must not cost its memory for ever. */
		if (io->in.maxlen > KEEP_BYTES)
		{
			io->in.data = repalloc(io->in.data, READ_CHUNK);
			io->in.maxlen = READ_CHUNK;
		}
		resetStringInfo(&io->in);
		io->in_start = 0;
	}
	else if (io->in_start > READ_CHUNK)
	{
		memmove(io->in.data, io->in.data + io->in_start, io->in.len - io->in_start);
		io->in.len -= io->in_start;
		io->in_start = 0;
	}
	enlargeStringInfo(&io->in, READ_CHUNK);
	n = recv(io->fd, io->in.data + io->in.len, io->in.maxlen - io->in.len - 1, 0);
	if (n > 0)
	{
		io->in.len += n;
		io->heard_us = txp_now_us();
		io->asked_us = 0;
		return true;
	}
	if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		end_child(io);
	return false;
}

/* The frame at the head of the buffer, if all of it is there. */
static bool
take_frame(TxpIo *io, TxpFrame *frame)
{
	TxpFrameHeader header;
	int available = io->in.len - io->in_start;

	if (available < (int) sizeof(header))
		return false;
	memcpy(&header, io->in.data + io->in_start, sizeof(header));
	if (header.size > TXP_FRAME_MAX)
	{
		end_child(io);
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("%s sent a frame of %u bytes", TXP_IO_PROGRAM, header.size)));
	}
	if ((uint32) available < sizeof(header) + header.size)
	{
		enlargeStringInfo(&io->in, sizeof(header) + header.size - available);
		return false;
	}
	frame->type = header.type;
	frame->channel = header.channel;
	frame->seq = header.seq;
	frame->size = header.size;
	frame->data = MemoryContextAllocHuge(CurrentMemoryContext, (Size) header.size + 1);
	memcpy(frame->data, io->in.data + io->in_start + sizeof(header), header.size);
	frame->data[header.size] = '\0';
	io->in_start += sizeof(header) + header.size;
	return true;
}

/* librdkafka's syslog levels: warnings and worse deserve a line in the server log. */
static void
write_log(TxpFrame *frame)
{
	TxpReader r = txp_reader(frame->data, frame->size);
	int level = txp_read_i32(&r);
	char *text = txp_span_text(txp_read_span(&r));

	if (!r.bad)
	{
		int severity = level <= 4 ? LOG : DEBUG1;

		ereport(severity, (errmsg_internal("%s: %s", TXP_IO_PROGRAM, text), errhidestmt(true)));
	}
}

/*
 * Nothing is there to be read. A child that was silent for half its time is asked whether it lives; its main thread waits
 * for nothing but frames and answers at once. Returns in how many milliseconds to look again, -1: never.
 */
static long
check_alive(TxpIo *io)
{
	const int64 half_us = (int64) txp_child_timeout * 1000 / 2;
	int64 now_us = txp_now_us();

	if (half_us == 0)
		return -1;
	if (io->asked_us == 0 && now_us - io->heard_us >= half_us)
	{
		(void) txp_io_send(io, TXP_PING, 0, 0, NULL);
		io->asked_us = now_us;
	}
	else if (io->asked_us != 0 && now_us - io->asked_us >= half_us)
		end_hung(io);
	return half_us / 4000 + 1;
}

/* What concerns nobody but this module. */
static bool
is_internal(TxpFrame *frame)
{
	if (frame->type == TXP_LOG)
		write_log(frame);
	else if (frame->type != TXP_PONG)
		return false;
	pfree(frame->data);
	return true;
}

bool
txp_io_receive(TxpIo *io, int timeout_ms, TxpFrame *frame)
{
	int64 deadline_us = txp_now_us() + (int64) timeout_ms * 1000;

	for (;;)
	{
		long wait_ms;

		while (take_frame(io, frame))
		{
			if (!is_internal(frame))
				return true;
		}
		if (io->gone)
			return false;
		if (read_some(io))
			continue;
		wait_ms = check_alive(io);
		if (timeout_ms == 0 || io->gone)
			return false;
		if (timeout_ms > 0)
		{
			long left = (long) ((deadline_us - txp_now_us() + 999) / 1000);

			if (left <= 0)
				return false;
			wait_ms = wait_ms < 0 ? left : Min(left, wait_ms);
		}
		(void) wait_for_socket(io, WL_SOCKET_READABLE, wait_ms);
	}
}

char *
txp_io_end(const TxpIo *io)
{
	if (io->hung)
		return psprintf("%s did not answer within txpipe.child_timeout (%d ms) and was ended",
						TXP_IO_PROGRAM, txp_child_timeout);
	if (WIFSIGNALED(io->exit_status))
	{
		int signo = WTERMSIG(io->exit_status);

		/* Nobody else ends it so; it aborts itself when it gets no memory. */
		return psprintf("%s was ended by signal %d: %s%s", TXP_IO_PROGRAM, signo,
						pg_strsignal(signo),
						signo == SIGKILL || signo == SIGABRT ? ", as when memory runs out" : "");
	}
	return psprintf("%s has ended with status %d", TXP_IO_PROGRAM, WEXITSTATUS(io->exit_status));
}

void
txp_io_raise_gone(const TxpIo *io)
{
	ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE), errmsg("%s", txp_io_end(io)),
					errhint("Nothing was lost; the call can be repeated. The server log may say "
							"more.")));
}

void
txp_io_expect(TxpIo *io, uint32 channel, TxpFrameType type, int timeout_ms, TxpFrame *frame)
{
	for (;;)
	{
		if (!txp_io_receive(io, timeout_ms, frame))
		{
			if (io->gone)
				txp_io_raise_gone(io);
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("no answer from the brokers within %d ms", timeout_ms),
					 errhint("Check bootstrap_servers of the server, schema_registry_url where "
							 "schemas are asked for, and that both are up.")));
		}
		if (frame->channel == channel && frame->type == type)
			return;
		if (frame->channel == channel && frame->type == TXP_ERROR)
		{
			TxpIoError error;

			txp_io_read_error(frame, &error);
			if (error.fatal)
				txp_io_raise(&error);
		}
		pfree(frame->data);
	}
}

void
txp_io_read_error(const TxpFrame *frame, TxpIoError *error)
{
	TxpReader r = txp_reader(frame->data, frame->size);
	char *state;

	error->fatal = txp_read_u8(&r) != 0;
	state = txp_span_text(txp_read_span(&r));
	error->message = txp_span_text(txp_read_span(&r));
	error->detail = txp_span_text(txp_read_span(&r));
	error->hint = txp_span_text(txp_read_span(&r));
	txp_reader_check(&r);
	error->sqlstate = (state && strlen(state) == 5)
						  ? MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4])
						  : ERRCODE_INTERNAL_ERROR;
}

void
txp_io_raise(const TxpIoError *error)
{
	ereport(ERROR, (errcode(error->sqlstate), errmsg("%s", error->message),
					error->detail ? errdetail("%s", error->detail) : 0,
					error->hint ? errhint("%s", error->hint) : 0));
}
