/*
 * connect_json.c — Connect's schemas in JSON. The same few come with each message: they are read once and known again by
 * their text.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "connect_json.h"
#include "connect_value.h"
#include "json.h"

/* Schemas that are kept, the bytes of one and of all; larger ones are read for each message. */
#define MAX_KNOWN 32
#define MAX_SIZE ((size_t) 1 << 20)
#define MAX_BYTES (16 * MAX_SIZE)

#define MAX_TEXT (16 << 20) /* that is read at all: it takes many times its memory */
#define MAX_DEPTH 32        /* types within types */

typedef struct Known
{
	char *text;
	size_t len;
	TxdArena memory;
	const ConnectNode *node; /* NULL: values are as they are written */
} Known;

struct TxdConnectJson
{
	Known known[MAX_KNOWN];
	int n;
	int last;
	size_t bytes;
	ConnectScratch scratch;
};

TxdConnectJson *
txd_connect_json_new(void)
{
	TxdConnectJson *c = txd_alloc(sizeof(*c));

	memset(c, 0, sizeof(*c));
	return c;
}

static void
forget(Known *known)
{
	txd_arena_free(&known->memory);
	free(known->text);
	*known = (Known){0};
}

static void
forget_all(TxdConnectJson *c)
{
	for (int i = 0; i < c->n; i++)
		forget(&c->known[i]);
	c->n = c->last = 0;
	c->bytes = 0;
}

void
txd_connect_json_free(TxdConnectJson *c)
{
	if (c == NULL)
		return;
	forget_all(c);
	txd_buf_free(&c->scratch.text);
	txd_buf_free(&c->scratch.bytes);
	free(c);
}

static const char *
text_member(const json_t *j, const char *name)
{
	const char *text = json_string_value(json_object_get(j, name));

	return text != NULL ? text : "";
}

static ConnectNode *
new_node(TxdArena *memory, ConnectKind kind)
{
	ConnectNode *node = txd_arena_alloc(memory, sizeof(*node));

	node->kind = kind;
	return node;
}

static const ConnectNode *read_node(TxdArena *memory, const json_t *schema, int depth);

/* The fields that are not as they are written; NULL where none is so. */
static const ConnectNode *
read_struct(TxdArena *memory, const json_t *schema, int depth)
{
	const json_t *fields = json_object_get(schema, "fields");
	ConnectNode *node = new_node(memory, CONNECT_STRUCT);

	node->field = txd_arena_alloc(memory, (json_array_size(fields) + 1) * sizeof(*node->field));
	for (size_t i = 0; i < json_array_size(fields); i++)
	{
		const json_t *field = json_array_get(fields, i);
		const char *name = text_member(field, "field");
		const ConnectNode *of = read_node(memory, field, depth + 1);

		if (of == NULL)
			continue;
		node->field[node->n].name = txd_arena_copy(memory, name, strlen(name));
		node->field[node->n].len = strlen(name);
		node->field[node->n++].node = of;
	}
	return node->n > 0 ? node : NULL;
}

/* Of arrays and maps. */
static const ConnectNode *
read_many(TxdArena *memory, const json_t *of, ConnectKind kind, int depth)
{
	ConnectNode *node = new_node(memory, kind);

	node->of = read_node(memory, of, depth + 1);
	return node->of != NULL ? node : NULL;
}

static const ConnectNode *
read_named(TxdArena *memory, const json_t *schema, TxdConnectBase base)
{
	const TxdConnectType *type = txd_connect_type(text_member(schema, "name"), base);
	const char *scale = text_member(json_object_get(schema, "parameters"), "scale");
	ConnectNode *node;
	char *end;
	long digits = strtol(scale, &end, 10);

	if (type == NULL)
		return NULL;
	/* Without its scale a decimal means nothing. */
	if (type->meaning == TXD_MEANS_DECIMAL &&
		(end == scale || *end != '\0' || digits < TXD_MIN_SCALE || digits > TXD_MAX_SCALE))
		return NULL;
	node = new_node(memory, CONNECT_VALUE);
	node->meaning = type->meaning;
	node->digits = type->meaning == TXD_MEANS_DECIMAL ? (int) digits : type->digits;
	return node;
}

static const ConnectNode *
read_node(TxdArena *memory, const json_t *schema, int depth)
{
	const char *type = text_member(schema, "type");
	const ConnectNode *node;

	if (depth == MAX_DEPTH)
		return NULL;
	if (strcmp(type, "struct") == 0)
	{
		node = read_named(memory, schema, TXD_CONNECT_STRUCT);
		return node != NULL ? node : read_struct(memory, schema, depth);
	}
	if (strcmp(type, "array") == 0)
		return read_many(memory, json_object_get(schema, "items"), CONNECT_ARRAY, depth);
	if (strcmp(type, "map") == 0)
		return read_many(memory, json_object_get(schema, "values"), CONNECT_MAP, depth);
	if (strcmp(type, "int32") == 0)
		return read_named(memory, schema, TXD_CONNECT_INT32);
	if (strcmp(type, "int64") == 0)
		return read_named(memory, schema, TXD_CONNECT_INT64);
	if (strcmp(type, "string") == 0)
		return read_named(memory, schema, TXD_CONNECT_STRING);
	if (strcmp(type, "bytes") != 0)
		return NULL;
	if (txd_connect_type(text_member(schema, "name"), TXD_CONNECT_BYTES) != NULL)
		return read_named(memory, schema, TXD_CONNECT_BYTES);
	return new_node(memory, CONNECT_BYTES);
}

static Known *
find(TxdConnectJson *c, const char *text, size_t len)
{
	for (int i = 0; i < c->n; i++)
	{
		int at = (c->last + i) % c->n;
		Known *known = &c->known[at];

		if (known->len == len && memcmp(known->text, text, len) == 0)
		{
			c->last = at;
			return known;
		}
	}
	return NULL;
}

/* One that is not to be kept is *once, for the caller to forget. */
static const ConnectNode *
know(TxdConnectJson *c, const char *text, size_t len, Known *once)
{
	const Known *known = find(c, text, len);
	json_t *schema;
	size_t size;

	if (known != NULL)
		return known->node;
	schema = json_loadb(text, len, 0, NULL);
	once->node = read_node(&once->memory, schema, 0);
	json_decref(schema);
	size = len + once->memory.size;
	if (size > MAX_SIZE)
		return once->node;
	if (c->n == MAX_KNOWN || c->bytes + size > MAX_BYTES)
		forget_all(c);
	c->bytes += size;
	c->last = c->n;
	once->text = txd_alloc(len + 1);
	memcpy(once->text, text, len);
	once->len = len;
	c->known[c->n++] = *once;
	*once = (Known){0};
	return c->known[c->last].node;
}

bool
txd_connect_json(TxdConnectJson *c, const char *schema, size_t schema_len, const char **value,
				 size_t *len, TxdBuf *out, TxdError *err)
{
	Known once = {0};
	const ConnectNode *node;
	bool ok = true;

	txd_buf_clear(out);
	if (schema_len > MAX_TEXT)
		return txd_refuse(err, "too_long", NULL, "a schema of more than %d bytes", MAX_TEXT);
	node = know(c, schema, schema_len, &once);
	if (node != NULL)
	{
		txd_buf_clear(&c->scratch.text);
		txd_buf_clear(&c->scratch.bytes);
		ok = txd_connect_put(&c->scratch, node, *value, *len, out, err);
		*value = out->data;
		*len = out->len;
	}
	forget(&once);
	return ok;
}
