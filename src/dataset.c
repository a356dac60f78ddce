/*
 * dataset.c — a directory of parts below txpipe.export_directory, of which a manifest says which are its content.
 *
 * Parts are moved under a lock on the data set's directory.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/sha2.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "dataset.h"
#include "guc.h"
#include "manifest.h"
#include "outdir.h"
#include "outfile.h"
#include "stage.h"

#define PART "part-"
#define TOKEN_LENGTH 16 /* hexadecimal digits */

struct TxpDataset
{
	MemoryContext context;
	MemoryContext part_context; /* of the file being written */
	char *name;
	const char *suffix;
	char token[TOKEN_LENGTH + 1];
	TxpStage stage;
	bool is_begun;
	const char *base; /* of the parts to come */
	List *bases;      /* directories of data sets that are entered */
	List *parts;      /* of TxpPart */
	List *spared;     /* names of files that are no content, and stay */
	int numbered;     /* parts that have a name */
	List *manifests;  /* of the data sets of a set, as TxpPart; what is staged is the text */
	TxpOutFile *file; /* the part being written; NULL: none */
	bool is_published;
};

static void
set_token(TxpDataset *dataset)
{
	char random[TOKEN_LENGTH / 2];

	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate a random name"),
						errhint("Try again.")));
	hex_encode(random, sizeof(random), dataset->token);
}

static TxpDataset *
begin(const char *name, const char *suffix, const char *token, bool alone)
{
	TxpDataset *dataset = palloc0(sizeof(TxpDataset));

	dataset->context = CurrentMemoryContext;
	dataset->part_context =
		AllocSetContextCreate(CurrentMemoryContext, "txpipe part", ALLOCSET_DEFAULT_SIZES);
	dataset->name = pstrdup(name);
	dataset->suffix = suffix;
	dataset->base = "";
	if (token == NULL)
		set_token(dataset);
	else
		strlcpy(dataset->token, token, sizeof(dataset->token));
	dataset->is_begun = txp_stage_begin(&dataset->stage, name, dataset->token, alone);
	return dataset->is_begun ? dataset : NULL;
}

TxpDataset *
txp_dataset_begin(const char *name, const char *suffix)
{
	txp_outfile_prepare(name);
	return begin(name, suffix, NULL, false);
}

TxpDataset *
txp_dataset_begin_alone(const char *name, const char *suffix)
{
	txp_outfile_prepare(name);
	return begin(name, suffix, NULL, true);
}

TxpDataset *
txp_dataset_begin_below(const char *path, const char *suffix, const char *token)
{
	txp_outfile_prepare_below(path);
	return begin(path, suffix, token, true);
}

/* --- parts --- */

void
txp_dataset_enter(TxpDataset *dataset, const char *name)
{
	MemoryContext old = MemoryContextSwitchTo(dataset->context);

	dataset->bases = lappend(dataset->bases, pstrdup(name));
	dataset->base = psprintf("%s/", name);
	MemoryContextSwitchTo(old);
}

const List *
txp_dataset_parts(const TxpDataset *dataset)
{
	return dataset->parts;
}

void
txp_dataset_keep_part(TxpDataset *dataset, const TxpPart *part)
{
	MemoryContext old = MemoryContextSwitchTo(dataset->context);
	TxpPart *kept = palloc(sizeof(TxpPart));

	*kept = *part;
	kept->staged = NULL;
	kept->base = dataset->base;
	dataset->parts = lappend(dataset->parts, kept);
	MemoryContextSwitchTo(old);
}

void
txp_dataset_spare(TxpDataset *dataset, const char *file)
{
	MemoryContext old = MemoryContextSwitchTo(dataset->context);

	dataset->spared = lappend(dataset->spared, pstrdup(file));
	MemoryContextSwitchTo(old);
}

void
txp_dataset_take_back(TxpDataset *dataset, int first)
{
	int dir = txp_outdir_open(dataset->stage.path);

	for (int i = first; dir >= 0 && i < list_length(dataset->parts); i++)
		(void) unlinkat(dir, ((TxpPart *) list_nth(dataset->parts, i))->staged, 0);
	if (dir >= 0)
		close(dir);
	dataset->parts = list_truncate(dataset->parts, first);
}

void
txp_dataset_begin_part(TxpDataset *dataset, const char *directory)
{
	MemoryContext old = MemoryContextSwitchTo(dataset->context);
	TxpPart *part = palloc0(sizeof(TxpPart));
	int number = dataset->numbered++;

	part->base = dataset->base;
	part->directory = psprintf("%s%s", directory, directory[0] ? "/" : "");
	part->staged = psprintf("%05d", number);
	part->file = psprintf(PART "%05d-%s%s", number, dataset->token, dataset->suffix);
	dataset->parts = lappend(dataset->parts, part);
	MemoryContextReset(dataset->part_context);
	MemoryContextSwitchTo(dataset->part_context);
	dataset->file = txp_outfile_open_below(psprintf("%s/%s", dataset->stage.path, part->staged));
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

/* --- manifests --- */

static void
stage_text(TxpDataset *dataset, const char *staged, const char *text)
{
	dataset->file = txp_outfile_open_below(psprintf("%s/%s", dataset->stage.path, staged));
	txp_outfile_write(dataset->file, text, strlen(text));
	(void) txp_outfile_publish(dataset->file, NULL);
	dataset->file = NULL;
}

void
txp_dataset_add_manifest(TxpDataset *dataset, const char *text)
{
	MemoryContext old = MemoryContextSwitchTo(dataset->context);
	TxpPart *manifest = palloc0(sizeof(TxpPart));

	manifest->staged = psprintf("manifest-%d", list_length(dataset->manifests));
	manifest->base = dataset->base;
	manifest->directory = "";
	manifest->file = TXP_MANIFEST;
	stage_text(dataset, manifest->staged, text);
	dataset->manifests = lappend(dataset->manifests, manifest);
	MemoryContextSwitchTo(old);
}

/* --- publishing --- */

/* Opens the directory that is to have a file, and makes it where it is not. */
static int
open_target(const TxpDataset *dataset, const TxpPart *part)
{
	char *path = psprintf("%s/%s%s", dataset->name, part->base, part->directory);
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
move_file(const TxpDataset *dataset, int stage, const TxpPart *part, bool *moved)
{
	int dir = open_target(dataset, part);
	bool is_durable;
	int save_errno;

	*moved = renameat(stage, part->staged, dir, part->file) == 0;
	is_durable = *moved && pg_fsync(dir) == 0;
	save_errno = errno;
	close(dir);
	errno = save_errno;
	return is_durable;
}

static void
move_files(const TxpDataset *dataset, int stage, const List *files)
{
	ListCell *cell;
	bool moved;

	foreach (cell, files)
	{
		TxpPart *part = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (part->staged != NULL && !move_file(dataset, stage, part, &moved))
			txp_outdir_fail("move to its place", part->file);
	}
}

/* Once readers find the new parts these stay, whatever follows. */
static void
move_manifest(TxpDataset *dataset, int stage)
{
	TxpPart manifest = {.staged = TXP_MANIFEST, .base = "", .directory = "", .file = TXP_MANIFEST};

	if (!move_file(dataset, stage, &manifest, &dataset->is_published))
		txp_outdir_fail("move to its place", TXP_MANIFEST);
}

/* Which parts are removed: those of this export, or all that are not among its content and not spared. */
typedef struct Sweep
{
	const TxpDataset *dataset;
	HTAB *content; /* names; NULL: those of this export go */
} Sweep;

static HTAB *
names_of_content(const TxpDataset *dataset)
{
	HASHCTL form = {.keysize = NAMEDATALEN, .entrysize = NAMEDATALEN, .hcxt = CurrentMemoryContext};
	HTAB *names = hash_create("txpipe parts", 256, &form, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	ListCell *cell;

	foreach (cell, dataset->parts)
		(void) hash_search(names, ((TxpPart *) lfirst(cell))->file, HASH_ENTER, NULL);
	foreach (cell, dataset->spared)
		(void) hash_search(names, lfirst(cell), HASH_ENTER, NULL);
	return names;
}

static bool
is_entered(const TxpDataset *dataset, const char *name)
{
	ListCell *cell;

	foreach (cell, dataset->bases)
	{
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	}
	return false;
}

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
	if (sweep->content == NULL)
		return strncmp(token, sweep->dataset->token, TOKEN_LENGTH) == 0;
	return hash_search(sweep->content, name, HASH_FIND, NULL) == NULL;
}

/* Directories of partitions are looked into, and go when they are empty. */
static void
sweep_entry(int dir, const char *name, const void *arg)
{
	const Sweep *sweep = arg;

	if (is_swept(sweep, name))
		(void) unlinkat(dir, name, 0);
	else if (name[0] != '.' && (strchr(name, '=') != NULL || is_entered(sweep->dataset, name)))
	{
		int below = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (below < 0)
			return;
		txp_outdir_each(below, sweep_entry, arg);
		close(below);
		(void) unlinkat(dir, name, AT_REMOVEDIR);
	}
}

/* Puts the new parts in the place of the old ones; without a new manifest it only removes what is not content. */
static void
replace_parts(TxpDataset *dataset, int stage, bool is_new)
{
	Sweep others = {dataset, names_of_content(dataset)};
	Sweep own = {dataset, NULL};
	int dir = txp_stage_lock(dataset->name);

	PG_TRY();
	{
		move_files(dataset, stage, dataset->parts);
		if (is_new)
			move_manifest(dataset, stage);
		move_files(dataset, stage, dataset->manifests);
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

static void
end(TxpDataset *dataset)
{
	txp_stage_end(&dataset->stage);
	dataset->is_begun = false;
}

char *
txp_dataset_publish(TxpDataset *dataset, const char *text)
{
	int stage;

	if (text != NULL)
		stage_text(dataset, TXP_MANIFEST, text);
	stage = txp_outdir_open(dataset->stage.path);
	if (stage < 0)
		txp_outdir_fail("open the directory", dataset->stage.path);
	PG_TRY();
	{
		replace_parts(dataset, stage, text != NULL);
	}
	PG_FINALLY();
	{
		close(stage);
	}
	PG_END_TRY();
	end(dataset);
	return psprintf("%s/%s/" TXP_MANIFEST, txp_export_directory, dataset->name);
}

void
txp_dataset_abandon(TxpDataset *dataset)
{
	if (dataset->file != NULL)
		txp_outfile_abandon(dataset->file);
	dataset->file = NULL;
	if (dataset->is_begun)
		end(dataset);
}
