/*
 * subreaper.c — runs a command as the reaper of its orphaned descendants, as PID 1 of a container is.
 *
 *   subreaper COMMAND [ARGUMENT]...
 *
 * The attribute survives exec, so the command itself (a postmaster) becomes the reaper.
 */
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	if (argc < 2)
	{
		fputs("usage: subreaper COMMAND [ARGUMENT]...\n", stderr);
		return 2;
	}
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
	{
		perror("subreaper: prctl");
		return 1;
	}
	execvp(argv[1], argv + 1);
	perror(argv[1]);
	return 127;
}
