/*
 * dataset.c — a directory of parts below txpipe.export_directory, of which a manifest says which are its content.
 *
 * The hidden directory of an export has a file that its process keeps locked: one whose file nobody holds was left
 * by a crash. Such directories are made and removed, and parts moved, under a lock on the data set's directory.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/sha2.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "dataset.h"
#include "guc.h"
#include "io/below.h"
#include "manifest.h"
#include "outdir.h"
#include "outfile.h"

#define STAGE ".stage-"
#define OWNER "owner"
#define PART "part-"
#define TOKEN_LENGTH 16 /* hexadecimal digits */

struct TxpDataset
{
	MemoryContext context;
	MemoryContext part_context; /* of the file being written */
	char *name;
	const char *suffix;
	char token[TOKEN_LENGTH + 1];
	char *stage;      /* its path below the export directory */
	int owner;        /* the locked file's descriptor; -1: there is no stage */
	List *parts;      /* of TxpPart */
	TxpOutFile *file; /* the part being written; NULL: none */
	bool is_published;
};

/* --- directories --- */

/* The data set's directory, locked: no other export moves parts or begins meanwhile. */
static int
lock_dataset(const char *name)
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

/* --- hidden directories --- */

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
make_stage(TxpDataset *dataset)
{
	int dir = txp_below_make(txp_export_directory, dataset->stage);

	if (dir < 0)
		txp_outdir_fail("make the directory", dataset->stage);
	dataset->owner = openat(dir, OWNER, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0600);
	close(dir);
	if (dataset->owner < 0 || flock(dataset->owner, LOCK_EX | LOCK_NB) != 0)
		txp_outdir_fail("make and lock a file in", dataset->stage);
}

static void
begin_stage(TxpDataset *dataset)
{
	int dir;

	txp_outdir_make(psprintf("%s/", dataset->name));
	dir = lock_dataset(dataset->name);
	PG_TRY();
	{
		txp_outdir_each(dir, remove_left_over, NULL);
		make_stage(dataset);
	}
	PG_FINALLY();
	{
		close(dir);
	}
	PG_END_TRY();
}

static void
end_stage(TxpDataset *dataset)
{
	int dir = txp_outdir_open(dataset->name);

	if (dir >= 0)
	{
		remove_stage(dir, strrchr(dataset->stage, '/') + 1);
		close(dir);
	}
	if (dataset->owner >= 0)
		close(dataset->owner);
	dataset->owner = -1;
	ReleaseExternalFD();
}

static void
set_token(TxpDataset *dataset)
{
	char random[TOKEN_LENGTH / 2];

	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate a random name"),
						errhint("Try again.")));
	hex_encode(random, sizeof(random), dataset->token);
	dataset->stage = psprintf("%s/" STAGE "%s", dataset->name, dataset->token);
}

TxpDataset *
txp_dataset_begin(const char *name, const char *suffix)
{
	TxpDataset *dataset = palloc0(sizeof(TxpDataset));

	txp_outfile_prepare(name);
	dataset->context = CurrentMemoryContext;
	dataset->part_context =
		AllocSetContextCreate(CurrentMemoryContext, "txpipe part", ALLOCSET_DEFAULT_SIZES);
	dataset->name = pstrdup(name);
	dataset->suffix = suffix;
	dataset->owner = -1;
	set_token(dataset);
	if (!AcquireExternalFD())
		txp_outdir_fail("open one more", name);
	PG_TRY();
	{
		begin_stage(dataset);
	}
	PG_CATCH();
	{
		end_stage(dataset);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return dataset;
}

/* --- parts --- */

void
txp_dataset_begin_part(TxpDataset *dataset, const char *directory)
{
	MemoryContext old = MemoryContextSwitchTo(dataset->context);
	TxpPart *part = palloc0(sizeof(TxpPart));
	int number = list_length(dataset->parts);

	part->directory = psprintf("%s%s", directory, directory[0] ? "/" : "");
	part->staged = psprintf("%05d", number);
	part->file = psprintf(PART "%05d-%s%s", number, dataset->token, dataset->suffix);
	dataset->parts = lappend(dataset->parts, part);
	MemoryContextReset(dataset->part_context);
	MemoryContextSwitchTo(dataset->part_context);
	dataset->file = txp_outfile_open_below(psprintf("%s/%s", dataset->stage, part->staged));
	MemoryContextSwitchTo(old);
}

void
txp_dataset_write(TxpDataset *dataset, const char *bytes, size_t len)
{
	txp_outfile_write(dataset->file, bytes, len);
}

void
txp_dataset_end_part(TxpDataset *dataset, int64 rows)
{
	TxpPart *part = llast(dataset->parts);

	(void) txp_outfile_publish(dataset->file, NULL);
	part->rows = rows;
	part->bytes = txp_outfile_size(dataset->file);
	hex_encode((const char *) txp_outfile_sha256(dataset->file), PG_SHA256_DIGEST_LENGTH,
			   part->sha256);
	dataset->file = NULL;
}

/* --- the manifest --- */

static void
write_manifest(TxpDataset *dataset, const char *facts)
{
	char *text = txp_manifest_text(dataset->name, facts, dataset->parts);

	dataset->file = txp_outfile_open_below(psprintf("%s/" TXP_MANIFEST, dataset->stage));
	txp_outfile_write(dataset->file, text, strlen(text));
	(void) txp_outfile_publish(dataset->file, NULL);
	dataset->file = NULL;
}

/* --- publishing --- */

/* Opens the directory of the data set ("": itself) that is to have a file, and makes it where it is not. */
static int
open_target(const TxpDataset *dataset, const char *directory)
{
	char *path = psprintf("%s/%s", dataset->name, directory);
	int dir;

	txp_outdir_make(path);
	path[strlen(path) - 1] = '\0';
	dir = txp_outdir_open(path);
	if (dir < 0)
		txp_outdir_fail("open the directory", path);
	pfree(path);
	return dir;
}

/* Moves a file out of the hidden directory; false when it is not there for good, but *moved says whether it is at all. */
static bool
move_file(const TxpDataset *dataset, int stage, const char *staged, const char *directory,
		  const char *file, bool *moved)
{
	int dir = open_target(dataset, directory);
	bool is_durable;
	int save_errno;

	*moved = renameat(stage, staged, dir, file) == 0;
	is_durable = *moved && pg_fsync(dir) == 0;
	save_errno = errno;
	close(dir);
	errno = save_errno;
	return is_durable;
}

static void
move_files(TxpDataset *dataset, int stage)
{
	ListCell *cell;
	bool moved;

	foreach (cell, dataset->parts)
	{
		TxpPart *part = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (!move_file(dataset, stage, part->staged, part->directory, part->file, &moved))
			txp_outdir_fail("move to its place", part->file);
	}
	/* Once readers find the new parts these stay, whatever follows. */
	if (!move_file(dataset, stage, TXP_MANIFEST, "", TXP_MANIFEST, &dataset->is_published))
		txp_outdir_fail("move to its place", TXP_MANIFEST);
}

/* Which parts are removed: those of this export, or all others. */
typedef struct Sweep
{
	const TxpDataset *dataset;
	bool own;
} Sweep;

/* part-NUMBER-TOKEN and the suffix: a name nobody else gives. */
static bool
is_swept(const Sweep *sweep, const char *name)
{
	size_t digits;
	const char *token;

	if (strncmp(name, PART, strlen(PART)) != 0)
		return false;
	digits = strspn(name + strlen(PART), "0123456789");
	token = name + strlen(PART) + digits + 1;
	if (digits < 5 || token[-1] != '-' || strspn(token, "0123456789abcdef") != TOKEN_LENGTH ||
		strcmp(token + TOKEN_LENGTH, sweep->dataset->suffix) != 0)
		return false;
	return (strncmp(token, sweep->dataset->token, TOKEN_LENGTH) == 0) == sweep->own;
}

/* Directories of partitions are looked into, and go when they are empty. */
static void
sweep_entry(int dir, const char *name, const void *arg)
{
	if (is_swept(arg, name))
		(void) unlinkat(dir, name, 0);
	else if (name[0] != '.' && strchr(name, '=') != NULL)
	{
		int below = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (below < 0)
			return;
		txp_outdir_each(below, sweep_entry, arg);
		close(below);
		(void) unlinkat(dir, name, AT_REMOVEDIR);
	}
}

/* Puts the new parts in the place of the old ones. */
static void
replace_parts(TxpDataset *dataset, int stage)
{
	Sweep others = {dataset, false};
	Sweep own = {dataset, true};
	int dir = lock_dataset(dataset->name);

	PG_TRY();
	{
		move_files(dataset, stage);
		txp_outdir_each(dir, sweep_entry, &others);
	}
	PG_CATCH();
	{
		if (!dataset->is_published)
			txp_outdir_each(dir, sweep_entry, &own);
		close(dir);
		PG_RE_THROW();
	}
	PG_END_TRY();
	close(dir);
}

char *
txp_dataset_publish(TxpDataset *dataset, const char *facts)
{
	int stage;

	write_manifest(dataset, facts);
	stage = txp_outdir_open(dataset->stage);
	if (stage < 0)
		txp_outdir_fail("open the directory", dataset->stage);
	PG_TRY();
	{
		replace_parts(dataset, stage);
	}
	PG_FINALLY();
	{
		close(stage);
	}
	PG_END_TRY();
	end_stage(dataset);
	return psprintf("%s/%s/" TXP_MANIFEST, txp_export_directory, dataset->name);
}

void
txp_dataset_abandon(TxpDataset *dataset)
{
	if (dataset->file != NULL)
		txp_outfile_abandon(dataset->file);
	dataset->file = NULL;
	if (dataset->owner >= 0)
		end_stage(dataset);
}
