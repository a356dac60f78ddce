/*
 * proto_scope.c — what a .proto file declares where, and the parts of the descriptor that is written.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto_parse.h"

#define ROOM 3 /* bytes of an index that is known later: more oneofs than fit a text */

typedef struct ProtoDeclared
{
	size_t at; /* in the parser's names */
	size_t len;
	int line;
} ProtoDeclared;

typedef struct ProtoNumber
{
	int32_t number;
	int line;
} ProtoNumber;

typedef struct ProtoOptional
{
	size_t room; /* where in the descriptor its oneof's index goes */
	const char *name;
	size_t len;
} ProtoOptional;

static void
put_varint(TxdBuf *out, uint64_t v)
{
	for (; v > 0x7f; v >>= 7)
		txd_buf_byte(out, (char) (v | 0x80));
	txd_buf_byte(out, (char) v);
}

void
txd_proto_put_integer(TxdBuf *out, int field, int64_t v)
{
	put_varint(out, (uint64_t) field << 3);
	put_varint(out, (uint64_t) v);
}

void
txd_proto_put_text(TxdBuf *out, int field, const char *text, size_t len)
{
	put_varint(out, (uint64_t) field << 3 | 2);
	put_varint(out, len);
	txd_buf_append(out, text, len);
}

size_t
txd_proto_begin(TxdBuf *out, int field)
{
	put_varint(out, (uint64_t) field << 3 | 2);
	txd_buf_byte(out, 0);
	return out->len;
}

/* One byte was left for the length: what needs more is moved. */
void
txd_proto_end(TxdBuf *out, size_t begun)
{
	size_t len = out->len - begun;
	size_t more = 0;

	for (size_t rest = len >> 7; rest > 0; rest >>= 7)
		more++;
	(void) txd_buf_reserve(out, more);
	memmove(out->data + begun + more, out->data + begun, len);
	out->len = begun - 1;
	put_varint(out, len);
	out->len += len;
}

static void
fill_room(char *room, size_t v)
{
	for (int i = 0; i < ROOM; i++, v >>= 7)
		room[i] = (char) ((v & 0x7f) | (i < ROOM - 1 ? 0x80 : 0));
}

void
txd_proto_put_room(TxdBuf *out, int field)
{
	put_varint(out, (uint64_t) field << 3);
	memset(txd_buf_reserve(out, ROOM), 0, ROOM);
	out->len += ROOM;
}

ProtoScope
txd_proto_open(const ProtoParser *p, int message, int enumeration, int extension)
{
	return (ProtoScope){.message = message,
						.enumeration = enumeration,
						.extension = extension,
						.names = p->names.len,
						.declared = p->declared.len,
						.numbers = p->numbers.len,
						.optionals = p->optionals.len};
}

void
txd_proto_declare(ProtoParser *p, const char *name, size_t len, int line)
{
	ProtoDeclared declared = {.at = p->names.len, .len = len, .line = line};

	txd_buf_append(&p->names, name, len);
	txd_buf_append(&p->declared, &declared, sizeof(declared));
}

void
txd_proto_number(ProtoParser *p, int32_t number, int line)
{
	ProtoNumber entry = {.number = number, .line = line};

	txd_buf_append(&p->numbers, &entry, sizeof(entry));
}

void
txd_proto_optional(ProtoParser *p, const char *name, size_t len)
{
	ProtoOptional entry = {.room = p->out->len - ROOM, .name = name, .len = len};

	txd_buf_append(&p->optionals, &entry, sizeof(entry));
}

static int
compare_texts(const char *a, size_t alen, const char *b, size_t blen)
{
	int order = memcmp(a, b, alen < blen ? alen : blen);

	return order != 0 ? order : alen < blen ? -1 : alen > blen;
}

static int
compare_names(const void *a, const void *b, void *names)
{
	const ProtoDeclared *x = a;
	const ProtoDeclared *y = b;
	int order = compare_texts((char *) names + x->at, x->len, (char *) names + y->at, y->len);

	return order != 0 ? order : x->line - y->line;
}

/* A list from there on; `n` is how many there are. */
static void *
list_from(TxdBuf *list, size_t from, size_t size, size_t *n)
{
	*n = (list->len - from) / size;
	return *n > 0 ? list->data + from : NULL;
}

static bool
unique_names(ProtoParser *p, size_t from)
{
	size_t n;
	ProtoDeclared *declared = list_from(&p->declared, from, sizeof(*declared), &n);

	if (n > 1)
		qsort_r(declared, n, sizeof(*declared), compare_names, p->names.data);
	for (size_t i = 1; i < n; i++)
	{
		const ProtoDeclared *d = &declared[i];
		ProtoToken again = {.text = p->names.data + d->at, .len = d->len, .line = d->line};

		if (compare_texts(again.text, d->len, p->names.data + d[-1].at, d[-1].len) == 0)
			return txd_proto_fail_at(p, &again, "this name is declared twice");
	}
	return true;
}

static int
compare_numbers(const void *a, const void *b)
{
	const ProtoNumber *x = a;
	const ProtoNumber *y = b;

	return x->number != y->number ? (x->number < y->number ? -1 : 1) : x->line - y->line;
}

bool
txd_proto_unique_numbers(ProtoParser *p, size_t from, const char *what)
{
	size_t n;
	ProtoNumber *numbers = list_from(&p->numbers, from, sizeof(*numbers), &n);

	if (n > 1)
		qsort(numbers, n, sizeof(*numbers), compare_numbers);
	for (size_t i = 1; i < n; i++)
		if (numbers[i].number == numbers[i - 1].number)
		{
			char text[20];
			ProtoToken again = {.text = text, .line = numbers[i].line};

			again.len = (size_t) snprintf(text, sizeof(text), "%d", (int) numbers[i].number);
			return txd_proto_fail_at(p, &again, what);
		}
	return true;
}

/* Is the name among those that are sorted? */
static bool
is_declared(const ProtoParser *p, size_t from, const char *name, size_t len)
{
	size_t low = from / sizeof(ProtoDeclared);
	size_t high = p->declared.len / sizeof(ProtoDeclared);

	while (low < high)
	{
		size_t middle = low + (high - low) / 2;
		const ProtoDeclared *d = (const ProtoDeclared *) p->declared.data + middle;
		int order = compare_texts(name, len, p->names.data + d->at, d->len);

		if (order == 0)
			return true;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

/* A field that says `optional` in proto3 is in a oneof of its own, behind those that are declared: _name, or X_name… */
static void
put_synthetic_oneofs(ProtoParser *p, const ProtoScope *scope)
{
	size_t n;
	const ProtoOptional *optional =
		list_from(&p->optionals, scope->optionals, sizeof(*optional), &n);
	TxdBuf name = {0};

	for (size_t i = 0; i < n; i++)
	{
		size_t begun;

		name.len = 0;
		txd_buf_byte(&name, '_');
		txd_buf_append(&name, optional[i].name, optional[i].len);
		while (is_declared(p, scope->declared, name.data, name.len))
		{
			txd_buf_byte(&name, 'X');
			memmove(name.data + 1, name.data, name.len - 1);
			name.data[0] = 'X';
		}
		fill_room(p->out->data + optional[i].room, (size_t) scope->noneofs + i);
		begun = txd_proto_begin(p->out, 8);
		txd_proto_put_text(p->out, 1, name.data, name.len);
		txd_proto_end(p->out, begun);
	}
	txd_buf_free(&name);
}

bool
txd_proto_close(ProtoParser *p, const ProtoScope *scope)
{
	bool ok = unique_names(p, scope->declared) &&
			  txd_proto_unique_numbers(p, scope->numbers, "two fields have this number");

	if (ok)
		put_synthetic_oneofs(p, scope);
	p->names.len = scope->names;
	p->declared.len = scope->declared;
	p->numbers.len = scope->numbers;
	p->optionals.len = scope->optionals;
	return ok;
}
