/*
 * track.c — the tree of the fields met, their counts and places.
 */
#include <stdlib.h>

#include "name_hash.h"
#include "track.h"

#define TABLE_SIZE 4096 /* a power of two, more than twice TXD_MAX_FIELDS */

static int
add_field(TxdTrack *t, TxdTracked field)
{
	if (t->nfields == t->max_fields)
	{
		t->max_fields = t->max_fields == 0 ? 32 : t->max_fields * 2;
		t->fields = txd_realloc(t->fields, t->max_fields * sizeof(TxdTracked));
	}
	t->fields[t->nfields] = field;
	return t->nfields++;
}

TxdTrack *
txd_track_new(bool counts)
{
	TxdTrack *t = txd_alloc(sizeof(TxdTrack));

	*t = (TxdTrack){.table = txd_alloc(TABLE_SIZE * sizeof(int)), .counts = counts};
	memset(t->table, 0, TABLE_SIZE * sizeof(int));
	add_field(t, (TxdTracked){.parent = -1, .first = -1, .next = -1});
	return t;
}

void
txd_track_free(TxdTrack *t)
{
	if (t == NULL)
		return;
	for (int i = 0; i < t->nfields; i++)
	{
		free((char *) t->fields[i].name);
		free((char *) t->fields[i].seen.path);
	}
	free(t->fields);
	free(t->table);
	free(t->noted);
	free(t->listed);
	txd_buf_free(&t->path);
	free(t);
}

static char *
copy_text(const char *text, size_t len)
{
	char *copy = txd_alloc(len + 1);

	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

/* The parent's path and the name, escaped as in a mapping; NULL: too long. */
static char *
make_path(TxdTrack *t, int parent, const char *name, size_t len)
{
	TxdBuf *path = &t->path;

	path->len = 0;
	txd_buf_reserve(path, len + 1); /* an empty name has a text, too */
	if (parent > 0)
	{
		txd_buf_append(path, t->fields[parent].seen.path, strlen(t->fields[parent].seen.path));
		txd_buf_byte(path, '.');
	}
	for (size_t i = 0; i < len && path->len <= TXD_MAX_PATH; i++)
	{
		if (name[i] == '.' || name[i] == '[' || name[i] == '\\' ||
			(name[i] == '$' && path->len == 0))
			txd_buf_byte(path, '\\');
		txd_buf_byte(path, name[i]);
	}
	return path->len <= TXD_MAX_PATH ? copy_text(path->data, path->len) : NULL;
}

static bool
is_plain(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (name[i] == '"' || name[i] == '\\' || (unsigned char) name[i] < 0x20)
			return false;
	return true;
}

/* Makes the field and enters it at `place` of the table; -1: not to be listed. */
static int
new_field(TxdTrack *t, int *place, int parent, const char *name, size_t len, uint32_t hash)
{
	char *path = NULL;

	if (t->nfields <= TXD_MAX_FIELDS && len <= TXD_MAX_PATH && memchr(name, '\0', len) == NULL)
		path = make_path(t, parent, name, len);
	if (path == NULL)
		return -1;
	*place = add_field(t, (TxdTracked){.name = copy_text(name, len),
									   .len = (uint32_t) len,
									   .hash = hash,
									   .parent = parent,
									   .first = -1,
									   .next = -1,
									   .plain = is_plain(name, len),
									   .seen = {.path = path}});
	return *place;
}

int
txd_track_find(TxdTrack *t, int parent, int last, const char *name, size_t len)
{
	uint32_t hash = txd_name_hash(parent, name, len);
	uint32_t i = hash;
	int field;

	while ((field = t->table[i % TABLE_SIZE]) != 0)
	{
		const TxdTracked *f = &t->fields[field];

		if (f->hash == hash && f->parent == parent && f->len == len &&
			memcmp(f->name, name, len) == 0)
			break;
		i++;
	}
	if (field == 0)
		field = new_field(t, &t->table[i % TABLE_SIZE], parent, name, len, hash);
	if (field < 0)
		t->dropped++;
	else if (last < 0)
		t->fields[parent].first = field;
	else
		t->fields[last].next = field;
	return field;
}

void
txd_track_grow(TxdTrack *t)
{
	t->max_noted = t->max_noted == 0 ? 64 : t->max_noted * 2;
	t->noted = txd_realloc(t->noted, t->max_noted * sizeof(uint32_t));
}

void
txd_track_begin(TxdTrack *t)
{
	t->nnoted = 0;
	t->dropped = 0;
}

void
txd_track_commit(TxdTrack *t, const TxdMessage *m)
{
	TxdFieldPlace place = {m->topic_index, m->partition, m->offset};

	for (size_t i = 0; i < t->nnoted; i++)
	{
		TxdFieldSeen *seen = &t->fields[t->noted[i] >> 3].seen;

		if (seen->count++ == 0)
			seen->first = place;
		seen->last = place;
		seen->types |= 1u << (t->noted[i] & 7);
	}
	t->unlisted += t->dropped;
}

size_t
txd_track_list(TxdTrack *t, const TxdFieldSeen **fields)
{
	size_t n = 0;

	t->listed = txd_realloc(t->listed, t->nfields * sizeof(TxdFieldSeen));
	for (int i = 1; i < t->nfields; i++)
		if (t->fields[i].seen.count > 0)
			t->listed[n++] = t->fields[i].seen;
	*fields = t->listed;
	return n;
}

bool
txd_track_has_news(const TxdTrack *t)
{
	for (int i = 1; i < t->nfields; i++)
		if ((t->fields[i].seen.types & ~t->fields[i].told) != 0)
			return true;
	return false;
}

void
txd_track_reset(TxdTrack *t)
{
	for (int i = 1; i < t->nfields; i++)
	{
		TxdTracked *f = &t->fields[i];

		f->told |= f->seen.types;
		f->seen = (TxdFieldSeen){.path = f->seen.path};
	}
	t->unlisted = 0;
}
