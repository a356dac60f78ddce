/*
 * stage.c — the hidden directory of an export that writes a data set.
 *
 * It has a file that its process keeps locked: one whose file nobody holds was left by a crash. Such directories are made
 * and removed under a lock on the data set's directory.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "storage/fd.h"

#include "guc.h"
#include "io/below.h"
#include "outdir.h"
#include "stage.h"

#define STAGE ".stage-"
#define OWNER "owner"

int
txp_stage_lock(const char *name)
{
	int dir = txp_outdir_open(name);
	volatile int locked = -1;

	if (dir < 0)
		txp_outdir_fail("open the directory of", name);
	PG_TRY();
	{
		locked = txp_outdir_lock(dir, name);
	}
	PG_FINALLY();
	{
		close(dir);
	}
	PG_END_TRY();
	return locked;
}

static void
unlink_entry(int dir, const char *name, const void *arg)
{
	(void) unlinkat(dir, name, 0);
}

static void
remove_stage(int dataset, const char *name)
{
	int dir = openat(dataset, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dir < 0)
		return;
	txp_outdir_each(dir, unlink_entry, NULL);
	close(dir);
	(void) unlinkat(dataset, name, AT_REMOVEDIR);
}

/* Does a process work in it? */
static bool
is_owned(int dataset, const char *name)
{
	char *path = psprintf("%s/" OWNER, name);
	int fd = openat(dataset, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	bool owned;

	pfree(path);
	if (fd < 0)
		return false;
	owned = flock(fd, LOCK_EX | LOCK_NB) != 0;
	close(fd);
	return owned;
}

static void
remove_left_over(int dataset, const char *name, const void *arg)
{
	if (strncmp(name, STAGE, strlen(STAGE)) == 0 && !is_owned(dataset, name))
		remove_stage(dataset, name);
}

/* The directory and its locked file; the data set is locked. */
static void
make_stage(TxpStage *stage)
{
	int dir = txp_below_make(txp_export_directory, stage->path);

	if (dir < 0)
		txp_outdir_fail("make the directory", stage->path);
	stage->owner = openat(dir, OWNER, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0600);
	close(dir);
	if (stage->owner < 0 || flock(stage->owner, LOCK_EX | LOCK_NB) != 0)
		txp_outdir_fail("make and lock a file in", stage->path);
}

static void
find_other(int dataset, const char *name, const void *arg)
{
	bool *is_there = *(bool *const *) arg;

	*is_there |= strncmp(name, STAGE, strlen(STAGE)) == 0 && is_owned(dataset, name);
}

/* False: it is to be alone, and another export is at work. */
static bool
begin_locked(TxpStage *stage, bool alone)
{
	bool is_busy = false;
	bool *others = &is_busy;
	int dir;

	txp_outdir_make(psprintf("%s/", stage->dataset));
	dir = txp_stage_lock(stage->dataset);
	PG_TRY();
	{
		txp_outdir_each(dir, remove_left_over, NULL);
		if (alone)
			txp_outdir_each(dir, find_other, &others);
		if (!is_busy)
			make_stage(stage);
	}
	PG_FINALLY();
	{
		close(dir);
	}
	PG_END_TRY();
	return !is_busy;
}

bool
txp_stage_begin(TxpStage *stage, const char *dataset, const char *token, bool alone)
{
	volatile bool is_begun = false;

	stage->dataset = pstrdup(dataset);
	stage->path = psprintf("%s/" STAGE "%s", dataset, token);
	stage->owner = -1;
	if (!AcquireExternalFD())
		txp_outdir_fail("open one more", dataset);
	PG_TRY();
	{
		is_begun = begin_locked(stage, alone);
	}
	PG_CATCH();
	{
		txp_stage_end(stage);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (!is_begun)
		txp_stage_end(stage);
	return is_begun;
}

void
txp_stage_end(TxpStage *stage)
{
	int dir = txp_outdir_open(stage->dataset);

	if (dir >= 0)
	{
		remove_stage(dir, strrchr(stage->path, '/') + 1);
		close(dir);
	}
	if (stage->owner >= 0)
		close(stage->owner);
	stage->owner = -1;
	ReleaseExternalFD();
}
