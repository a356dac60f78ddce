/*
 * protobuf_import.c — which files know each other's types.
 *
 * A name that is not full means the innermost type of that name in the file or what it imports: one that another file brings
 * along is not meant, however near its package.
 */
#include <stdlib.h>
#include <string.h>

#include "protobuf_schema.h"

static int
by_source_name(const void *a, const void *b)
{
	return strcmp((*(PbSource *const *) a)->name, (*(PbSource *const *) b)->name);
}

void
txd_pb_sort_sources(PbSchema *schema)
{
	if (schema->nsources > 1)
		qsort(schema->sources, (size_t) schema->nsources, sizeof(PbSource *), by_source_name);
}

static PbSource *
find_source(const PbSchema *s, const char *name)
{
	PbSource key = {.name = name};
	PbSource *wanted = &key;
	PbSource **found =
		bsearch(&wanted, s->sources, (size_t) s->nsources, sizeof(PbSource *), by_source_name);

	return found != NULL ? *found : NULL;
}

/* Files whose types are known to everybody need not be there. */
static bool
is_known_file(const char *name)
{
	return strncmp(name, "google/", 7) == 0 || strncmp(name, "confluent/", 10) == 0;
}

/* The file's imports, those of an imported file if they are public. */
static void
look_into(const PbSchema *s, const PbSource *file, bool all, bool *sees)
{
	for (int i = 0; i < file->nimports; i++)
	{
		const PbImport *import = &file->import[i];
		PbSource *source = all || import->is_public ? find_source(s, import->name) : NULL;

		if (source != NULL && !sees[source->place])
		{
			sees[source->place] = true;
			look_into(s, source, false, sees);
		}
	}
}

/* Is there an import that has come along under another name, or not at all? */
static bool
lacks_import(const PbSchema *s, const PbSource *file)
{
	for (int i = 0; i < file->nimports; i++)
		if (!is_known_file(file->import[i].name) && find_source(s, file->import[i].name) == NULL)
			return true;
	return false;
}

bool
txd_pb_sees(PbSchema *schema, PbSource *from, const PbSource *to)
{
	size_t n = (size_t) schema->nsources;

	if (to == NULL || from == to)
		return true;
	if (from->sees == NULL)
	{
		from->sees = txd_arena_alloc(&schema->memory, n);
		if (lacks_import(schema, from))
			memset(from->sees, true, n);
		else
			look_into(schema, from, true, from->sees);
	}
	return from->sees[to->place];
}
