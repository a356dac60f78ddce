/*
 * io_process.c — the process of a txpipe_io child: from fork to the program's first line.
 */
#include "postgres.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"

#include "io/frame.h"
#include "io_process.h"

/*
 * Between fork and exec only async-signal-safe calls: everything but the socket is closed, since a child
 * that held a data file or the logger's pipe would keep it open for as long as it lives.
 */
static void
become_io(const char *program, int sock, const char *parent)
{
	sigset_t none;
	int null;

	setpgid(0, 0);
	for (int sig = 1; sig < 32; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);

	null = open("/dev/null", O_RDWR);
	/* Out of the way first: either may be one of the numbers to be filled. */
	null = fcntl(null, F_DUPFD, 10);
	sock = fcntl(sock, F_DUPFD, 10);
	if (null < 0 || sock < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 ||
		dup2(sock, TXP_IO_SOCKET) < 0)
		_exit(127);
	closefrom(TXP_IO_SOCKET + 1);
	{
		char *argv[] = {TXP_IO_PROGRAM, (char *) parent, NULL};
		char *envp[] = {"LC_ALL=C", "PATH=/usr/bin:/bin", NULL};

		execve(program, argv, envp);
	}
	_exit(127);
}

/* It lies beside the library, of whose build it is, wherever that was found. */
static void
find_program(char *program, Size size)
{
	char directory[MAXPGPATH];
	Dl_info library;

	if (dladdr((void *) become_io, &library) == 0)
		elog(ERROR, "the place of the library is not known");
	strlcpy(directory, library.dli_fname, sizeof(directory));
	get_parent_directory(directory);
	snprintf(program, size, "%s/%s", directory, TXP_IO_PROGRAM);
}

pid_t
txp_io_spawn(pgsocket *fd)
{
	char program[MAXPGPATH];
	char parent[16];
	int pair[2];
	pid_t pid;
	sigset_t all;
	sigset_t before;

	find_program(program, sizeof(program));
	snprintf(parent, sizeof(parent), "%d", (int) getpid());
	if (access(program, X_OK) != 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FILE),
						errmsg("could not find the program \"%s\": %m", program),
						errhint("Install txpipe completely: \"make install\" puts it there.")));
	if (!AcquireExternalFD())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("no file descriptor is left for %s", TXP_IO_PROGRAM)));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
	{
		ReleaseExternalFD();
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not create a socket pair for %s: %m", TXP_IO_PROGRAM)));
	}

	/* A handler of ours must not run in the child before exec. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		become_io(program, pair[1], parent);
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(pair[1]);
	if (pid < 0)
	{
		int save_errno = errno;

		close(pair[0]);
		ReleaseExternalFD();
		errno = save_errno;
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not start %s: %m", TXP_IO_PROGRAM)));
	}
	*fd = pair[0];
	pg_set_noblock(*fd);
	return pid;
}
