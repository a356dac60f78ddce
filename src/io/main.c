/*
 * main.c — txpipe_io, the child of a PostgreSQL process that talks to Kafka and reads files.
 *
 * Owns the start and end of the process, the poll loop that moves frames, and the table of channels.
 * Started as `txpipe_io PARENT_PID` with the socket as descriptor 3 and nothing else worth having open.
 * It ends with status 0 when the socket ends or SIGTERM comes, 1 when the protocol is broken.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "handlers.h"
#include "life.h"
#include "link.h"
#include "wire.h"

/*
 * What is fetched comes in blocks of megabytes. The kernel would clear their pages anew for each fetch, which costs
 * more than all that librdkafka does, if they were given back in between.
 */
#define KEEP_BLOCKS (32 << 20) /* larger ones are given back at once; there is no higher limit */
#define KEEP_FREE (128 << 20)

#define OOM_SCORE_ADJ 500

static TxpChannel *channels;
static bool greeted;

/* At once: threads of librdkafka may hang, and nothing here is worth an orderly end. */
static void
on_sigterm(int signo)
{
	(void) signo;
	_exit(0);
}

/* The parent's process id, from the command line. */
static pid_t
started_by(int argc, char **argv)
{
	struct stat st;
	char *end;
	long parent = 0;

	if (argc == 2)
		parent = strtol(argv[1], &end, 10);
	if (parent <= 0 || *end != '\0' || fstat(TXP_IO_SOCKET, &st) != 0 || !S_ISSOCK(st.st_mode))
	{
		fputs("txpipe_io is started by the txpipe extension of PostgreSQL, not by hand.\n", stderr);
		_exit(2);
	}
	return (pid_t) parent;
}

/*
 * When memory runs out the kernel shall end this process and no process of the server, whose end by SIGKILL restarts all of
 * them. Its score is that of the process that started it (PG_OOM_ADJUST_VALUE), so it is raised, which needs no privilege;
 * whatever else takes half of the memory still goes first.
 */
static void
offer_to_the_oom_killer(void)
{
	int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	char text[16] = "";

	if (fd < 0)
		return;
	if (read(fd, text, sizeof(text) - 1) > 0 && atoi(text) < OOM_SCORE_ADJ)
		dprintf(fd, "%d", OOM_SCORE_ADJ);
	close(fd);
}

static void
set_up_process(pid_t parent)
{
	struct rlimit no_core = {0, 0};
	struct rlimit files;
	struct sigaction action = {.sa_handler = on_sigterm};
	sigset_t none;

	sigaction(SIGTERM, &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);

	/* In this order: a parent that died before the prctl is noticed by the check. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(0);

	/* Before the process is closed to its own user, too. */
	offer_to_the_oom_killer();

	/* Passwords are in this memory: no core file, no reading by other processes of the same user. */
	setrlimit(RLIMIT_CORE, &no_core);
	prctl(PR_SET_DUMPABLE, 0);

	mallopt(M_MMAP_THRESHOLD, KEEP_BLOCKS);
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_TRIM_THRESHOLD, KEEP_FREE);

	/* Each client has several descriptors for each broker: many streams exceed the usual soft limit. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
	{
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static TxpChannelMain
handler_of(uint32_t type)
{
	switch (type)
	{
		case TXP_STREAM_OPEN:
			return txp_stream_main;
		case TXP_FILE_OPEN:
			return txp_file_main;
		case TXP_TOPICS:
			return txp_topics_main;
		case TXP_PRODUCE:
			return txp_produce_main;
		case TXP_PRODUCE_ALL:
			return txp_produce_all_main;
		case TXP_FILE_HASH:
			return txp_hash_main;
		case TXP_DECODE:
			return txp_decode_main;
		case TXP_FILE_COPY:
			return txp_copy_main;
		case TXP_FILE_REWRITE:
			return txp_rewrite_main;
		case TXP_OBJECT_PUT:
			return txp_object_put_main;
		case TXP_OBJECT_DELETE:
			return txp_object_delete_main;
		default:
			return NULL;
	}
}

/* The table's entry for a channel that is open; those closed by their own answer leave the table. */
static TxpChannel **
find_channel(uint32_t id)
{
	TxpChannel **at = &channels;

	while (*at != NULL)
	{
		TxpChannel *channel = *at;

		if (txp_channel_is_closed(channel))
		{
			*at = channel->next;
			txp_channel_forget(channel);
		}
		else if (channel->id == id)
			return at;
		else
			at = &channel->next;
	}
	return NULL;
}

static void
take_hello(TxpMail *mail)
{
	TxpReader r = txp_reader(mail->data, mail->header.size);
	uint32_t version = txp_read_u32(&r);

	if (mail->header.type != TXP_HELLO || mail->header.channel != 0 || r.bad || greeted)
		txp_give_up("unexpected frame of type %u", mail->header.type);
	if (version != TXP_PROTOCOL_VERSION)
		txp_give_up(
			"it speaks protocol version %d, the server %u; restart the server after an upgrade",
			TXP_PROTOCOL_VERSION, version);
	greeted = true;
	txp_mail_free(mail);
}

/* A frame for the process itself. */
static void
take_own(TxpMail *mail)
{
	if (!greeted || mail->header.type != TXP_PING)
	{
		take_hello(mail);
		return;
	}
	txp_link_pong();
	txp_mail_free(mail);
}

static void
close_channel(TxpMail *mail, TxpChannel **at)
{
	if (at == NULL)
		txp_link_closed_answer(mail->header.channel);
	else
	{
		TxpChannel *channel = *at;

		*at = channel->next;
		txp_channel_close(channel);
	}
	txp_mail_free(mail);
}

static void
dispatch(TxpMail *mail)
{
	uint32_t type = mail->header.type;
	TxpChannelMain handler = handler_of(type);
	TxpChannel **at;
	TxpChannel *channel;

	if (!greeted || mail->header.channel == 0)
	{
		take_own(mail);
		return;
	}
	at = find_channel(mail->header.channel);
	if (type == TXP_CLOSE)
		close_channel(mail, at);
	else if (handler != NULL && at == NULL)
	{
		channel = txp_channel_start(mail, handler);
		channel->next = channels;
		channels = channel;
	}
	else if (handler == NULL && at != NULL &&
			 (type == TXP_STREAM_START || type == TXP_BATCH_DONE || type == TXP_BATCH_REPEAT))
		txp_channel_deliver(*at, mail);
	else
		txp_give_up("unexpected frame of type %u on channel %u", type, mail->header.channel);
}

int
main(int argc, char **argv)
{
	struct pollfd fds[2] = {{.fd = TXP_IO_SOCKET}, {.events = POLLIN}};
	bool eof = false;
	TxpMail *mail;

	set_up_process(started_by(argc, argv));
	txp_link_init(TXP_IO_SOCKET);
	fds[1].fd = txp_link_event_fd();
	while (!eof)
	{
		fds[0].events = (short) (POLLIN | (txp_link_pending() ? POLLOUT : 0));
		if (poll(fds, 2, txp_life_look()) < 0 && errno != EINTR)
			txp_give_up("poll failed: errno %d", errno);
		if (!txp_link_write())
			break;
		while ((mail = txp_link_read(&eof)) != NULL)
			dispatch(mail);
	}
	_exit(0);
}
