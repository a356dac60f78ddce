/*
 * members.c — single members of JSON objects.
 */
#include <string.h>

#include "shape.h"

int
txd_next_member(TxdJson *j, bool *first, TxdJsonValue *name, TxdJsonValue *value)
{
	txd_json_space(j);
	if (txd_json_peek(j) == '}')
	{
		j->p++;
		return 0;
	}
	if (!*first)
	{
		if (txd_json_peek(j) != ',')
		{
			(void) txd_json_syntax(j, "expected \",\" or \"}\"");
			return -1;
		}
		j->p++;
		txd_json_space(j);
	}
	*first = false;
	return txd_json_name(j, name) && txd_json_value(j, 1, value) ? 1 : -1;
}

static bool
is_named(TxdDecoder *d, const TxdJsonValue *name, const TxdMember *member)
{
	const char *text = name->text;
	size_t len = name->len;

	if (name->escaped)
	{
		d->name.len = 0;
		if (!txd_json_unescape(text, len, &d->name))
			return false;
		text = d->name.data;
		len = d->name.len;
	}
	return len == member->len && memcmp(text, member->name, len) == 0;
}

static bool
fill_member(TxdDecoder *d, TxdJson *j, TxdMember *members, int n, const TxdJsonValue *name,
			const TxdJsonValue *value)
{
	int i = 0;

	while (i < n && !is_named(d, name, &members[i]))
		i++;
	if (i == n)
		return true;
	if (members[i].value.text != NULL)
	{
		j->p = name->text - 1;
		return txd_json_fail(j, "duplicate_field", "field is given twice, again");
	}
	members[i].value = *value;
	return true;
}

bool
txd_read_members(TxdDecoder *d, TxdPiece text, TxdMember *members, int n, int *count,
				 TxdJsonValue *whole, TxdError *err)
{
	TxdJson j = {text.text, text.text, text.text + text.len, err, false};
	TxdJsonValue name;
	TxdJsonValue value;
	bool first = true;
	const char *begin;
	int got;

	for (int i = 0; i < n; i++)
		members[i].value = (TxdJsonValue){0};
	*count = 0;
	txd_json_space(&j);
	begin = j.p;
	if (txd_json_peek(&j) != '{')
		return txd_json_value(&j, 0, whole) && txd_json_end(&j);
	j.p++;
	while ((got = txd_next_member(&j, &first, &name, &value)) > 0)
	{
		++*count;
		if (!fill_member(d, &j, members, n, &name, &value))
			return false;
	}
	*whole = (TxdJsonValue){begin, j.p - begin, TXD_KIND_JSON, false, false};
	return got == 0 && txd_json_end(&j);
}
