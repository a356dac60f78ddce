/*
 * manifest.c — the file that says which parts are the content of a data set.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "guc.h"
#include "io/below.h"
#include "manifest.h"
#include "outdir.h"

static void
append_part(StringInfo text, const TxpPart *part)
{
	appendStringInfoString(text, "{\"file\": ");
	escape_json(text, psprintf("%s%s", part->directory, part->file));
	appendStringInfo(
		text, ", \"rows\": " INT64_FORMAT ", \"bytes\": " INT64_FORMAT ", \"sha256\": \"%s\"",
		part->rows, part->bytes, part->sha256);
	if (part->state != NULL)
	{
		appendStringInfoString(text, ", \"state\": ");
		escape_json(text, part->state);
	}
	appendStringInfoChar(text, '}');
}

char *
txp_manifest_text(const char *dataset, const char *facts, const List *parts, int first,
				  const char *written_at)
{
	StringInfoData text;
	StringInfoData list;
	int64 rows = 0;
	int64 bytes = 0;

	initStringInfo(&text);
	initStringInfo(&list);
	for (int i = first; i < list_length(parts); i++)
	{
		TxpPart *part = list_nth(parts, i);

		rows += part->rows;
		bytes += part->bytes;
		appendStringInfoString(&list, i > first ? ",\n  " : "\n  ");
		append_part(&list, part);
	}
	appendStringInfoString(&text, "{\"dataset\": ");
	escape_json(&text, dataset);
	appendStringInfo(&text, ", %s, \"rows\": " INT64_FORMAT ", \"bytes\": " INT64_FORMAT, facts,
					 rows, bytes);
	appendStringInfo(&text, ", \"written_at\": \"%s\", \"parts\": [%s]}\n", written_at, list.data);
	return text.data;
}

/* --- reading --- */

static char *
read_all(int fd, off_t size, const char *path)
{
	char *text;
	size_t done = 0;

	if (size >= (off_t) MaxAllocSize)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("file \"%s/%s\" is too large", txp_export_directory, path),
						errhint("Is it a manifest of txpipe?")));
	text = palloc(size + 1);
	while (done < (size_t) size)
	{
		ssize_t n = read(fd, text + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			txp_outdir_fail("read", path);
		if (n == 0)
			ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
							errmsg("file \"%s/%s\" became shorter while it was read",
								   txp_export_directory, path),
							errhint("Try again when nobody writes to it.")));
		done += n;
	}
	text[done] = '\0';
	return text;
}

/* A database that has txpipe is in UTF-8, and so is what it writes. */
static void
check_text(const char *text, off_t size, const char *path)
{
	if (pg_verify_mbstr(PG_UTF8, text, (int) size, true))
		return;
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
					errmsg("file \"%s/%s\" is not text", txp_export_directory, path),
					strlen(text) < (size_t) size ? errdetail("It has a zero byte.")
												 : errdetail("It has bytes that are not UTF-8."),
					errhint("Find out who writes to the directory, remove the file, and export the "
							"data set again.")));
}

char *
txp_manifest_read(const char *path)
{
	char *name = psprintf("%s/" TXP_MANIFEST, path);
	char *volatile text = NULL;
	struct stat st;
	int fd;

	txp_outdir_check_path(path);
	fd = txp_below_open(txp_export_directory, name, &st);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return NULL;
	if (fd < 0)
		txp_outdir_fail("open", name);
	PG_TRY();
	{
		text = read_all(fd, st.st_size, name);
		check_text(text, st.st_size, name);
	}
	PG_FINALLY();
	{
		close(fd);
	}
	PG_END_TRY();
	return text;
}
