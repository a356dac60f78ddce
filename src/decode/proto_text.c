/*
 * proto_text.c — the grammar of .proto files down to messages and enums.
 *
 * One pass: what is read is appended to the descriptor at once, in the order in which it is written, which the wire format
 * allows. Nothing is looked up, so it makes no difference what else there is.
 */
#include <string.h>

#include "proto_parse.h"
#include "value.h"

/* Skips `FIRST to LAST, …` or names, or adds them: as ranges whose end is `beyond` the last, as names. */
static bool
read_ranges(ProtoParser *p, int field, int beyond)
{
	do
	{
		int32_t first;
		int32_t last;
		size_t begun;

		if (!txd_proto_int32(p, &first))
			return false;
		last = first;
		if (txd_proto_take(p, "to"))
		{
			if (txd_proto_take(p, "max"))
				last = beyond == 0 ? INT32_MAX : PROTO_MAX_NUMBER;
			else if (!txd_proto_int32(p, &last))
				return false;
		}
		if (last < first || (beyond > 0 && (first < 1 || last == INT32_MAX)))
			return txd_proto_fail(p, "a range that there is not ends before");
		begun = txd_proto_begin(p->out, field);
		txd_proto_put_integer(p->out, 1, first);
		txd_proto_put_integer(p->out, 2, last + beyond);
		txd_proto_end(p->out, begun);
	} while (txd_proto_take(p, ","));
	return !p->failed;
}

/* Of editions words, of others strings. */
static bool
reserved_name(ProtoParser *p)
{
	ProtoToken word;

	if (!p->edition)
		return txd_proto_utf8_string(p);
	p->text.len = 0;
	if (!txd_proto_word(p, &word))
		return false;
	txd_buf_append(&p->text, word.text, word.len);
	return true;
}

static bool
read_reserved(ProtoParser *p, int range, int name, int beyond)
{
	txd_proto_advance(p);
	if (p->token.kind != (p->edition ? PROTO_WORD : PROTO_STRING))
		return read_ranges(p, range, beyond) && txd_proto_expect(p, ";");
	do
	{
		if (!reserved_name(p))
			return false;
		txd_proto_put_text(p->out, name, p->text.data, p->text.len);
	} while (txd_proto_take(p, ","));
	return txd_proto_expect(p, ";");
}

/* --- enums --- */

static bool
read_enum_value(ProtoParser *p, bool first)
{
	ProtoToken name;
	ProtoToken at;
	int32_t number;
	size_t begun = txd_proto_begin(p->out, 2);

	if (!txd_proto_word(p, &name) || !txd_proto_expect(p, "="))
		return false;
	at = p->token;
	if (!txd_proto_int32(p, &number))
		return false;
	if (first && p->proto3 && number != 0)
		return txd_proto_fail_at(p, &at, "the first value of an enum of proto3 is 0, not");
	txd_proto_declare(p, name.text, name.len, name.line);
	txd_proto_number(p, number, at.line);
	txd_proto_put_text(p->out, 1, name.text, name.len);
	txd_proto_put_integer(p->out, 2, number);
	txd_proto_end(p->out, begun);
	return txd_proto_skip_options(p) && txd_proto_expect(p, ";");
}

static bool
read_enum_body(ProtoParser *p, ProtoFlag *allow_alias)
{
	bool first = true;
	bool ok = txd_proto_expect(p, "{");

	while (ok && !txd_proto_is(p, "}"))
	{
		if (txd_proto_take(p, ";"))
			continue;
		if (txd_proto_is(p, "option"))
			ok = txd_proto_option(p, "allow_alias", allow_alias);
		else if (txd_proto_is(p, "reserved"))
			ok = read_reserved(p, 4, 5, 0);
		else
		{
			ok = read_enum_value(p, first);
			first = false;
		}
	}
	if (ok && first)
		return txd_proto_fail(p, "an enum has no value before");
	return ok && txd_proto_expect(p, "}");
}

/* From its name on. */
static bool
read_enum(ProtoParser *p, int field)
{
	size_t begun = txd_proto_begin(p->out, field);
	size_t numbers = p->numbers.len;
	ProtoFlag allow_alias = PROTO_UNSET;
	ProtoToken name;

	if (!txd_proto_word(p, &name))
		return false;
	txd_proto_declare(p, name.text, name.len, name.line);
	txd_proto_put_text(p->out, 1, name.text, name.len);
	if (!read_enum_body(p, &allow_alias) ||
		(allow_alias != PROTO_TRUE &&
		 !txd_proto_unique_numbers(p, numbers, "two values without allow_alias have this number")))
		return false;
	p->numbers.len = numbers;
	if (allow_alias != PROTO_UNSET)
	{
		size_t options = txd_proto_begin(p->out, 3);

		txd_proto_put_integer(p->out, 2, allow_alias == PROTO_TRUE);
		txd_proto_end(p->out, options);
	}
	txd_proto_end(p->out, begun);
	return true;
}

/* --- messages --- */

static bool
read_extend(ProtoParser *p, ProtoScope *scope)
{
	TxdBuf extendee = {0};
	ProtoPlace place = {.field = scope->extension, .oneof = -1, .extendee = &extendee};
	bool ok = txd_proto_full_name(p, true, &extendee) && txd_proto_expect(p, "{");

	while (ok && !txd_proto_is(p, "}"))
		ok = txd_proto_take(p, ";") || txd_proto_field(p, scope, &place);
	txd_buf_free(&extendee);
	return ok && txd_proto_expect(p, "}");
}

static bool
read_oneof(ProtoParser *p, ProtoScope *scope)
{
	ProtoPlace place = {.field = 2, .oneof = scope->noneofs++};
	size_t begun = txd_proto_begin(p->out, 8);
	bool empty = true;
	bool ok;
	ProtoToken name;

	if (!txd_proto_word(p, &name))
		return false;
	txd_proto_declare(p, name.text, name.len, name.line);
	txd_proto_put_text(p->out, 1, name.text, name.len);
	txd_proto_end(p->out, begun);
	ok = txd_proto_expect(p, "{");
	while (ok && !txd_proto_is(p, "}"))
	{
		if (txd_proto_take(p, ";"))
			continue;
		if (txd_proto_is(p, "option"))
			ok = txd_proto_option(p, NULL, NULL);
		else
		{
			ok = txd_proto_field(p, scope, &place);
			empty = false;
		}
	}
	if (ok && empty)
		return txd_proto_fail(p, "a oneof has no field before");
	return ok && txd_proto_expect(p, "}");
}

/* From its name on. */
static bool
read_message(ProtoParser *p, int field)
{
	size_t begun = txd_proto_begin(p->out, field);
	ProtoToken name;

	if (!txd_proto_word(p, &name))
		return false;
	txd_proto_declare(p, name.text, name.len, name.line);
	txd_proto_put_text(p->out, 1, name.text, name.len);
	if (!txd_proto_message_body(p))
		return false;
	txd_proto_end(p->out, begun);
	return true;
}

/* `export` or `local` before a message or an enum says who may name it; before anything else it is the name of a type. */
static void
skip_visibility(ProtoParser *p)
{
	ProtoParser after = *p;
	TxdError ignored = {0};

	if (!p->has_visibility || !(txd_proto_is(p, "export") || txd_proto_is(p, "local")))
		return;
	after.err = &ignored;
	txd_proto_advance(&after);
	if (txd_proto_is(&after, "message") || txd_proto_is(&after, "enum"))
		txd_proto_advance(p);
}

static bool
read_extensions(ProtoParser *p)
{
	if (p->proto3)
		return txd_proto_fail(p, "proto3 has no such numbers");
	txd_proto_advance(p);
	return read_ranges(p, 5, 1) && txd_proto_skip_options(p) && txd_proto_expect(p, ";");
}

static bool
read_member(ProtoParser *p, ProtoScope *scope)
{
	static const ProtoPlace field = {.field = 2, .oneof = -1};

	if (txd_proto_take(p, ";"))
		return !p->failed;
	skip_visibility(p);
	if (txd_proto_take(p, "message"))
		return read_message(p, scope->message);
	if (txd_proto_take(p, "enum"))
		return read_enum(p, scope->enumeration);
	if (txd_proto_is(p, "extensions"))
		return read_extensions(p);
	if (txd_proto_is(p, "reserved"))
		return read_reserved(p, 9, 10, 1);
	if (txd_proto_take(p, "extend"))
		return read_extend(p, scope);
	if (txd_proto_is(p, "option"))
		return txd_proto_feature_option(p, 7, 12);
	if (txd_proto_take(p, "oneof"))
		return read_oneof(p, scope);
	return txd_proto_field(p, scope, &field);
}

bool
txd_proto_message_body(ProtoParser *p)
{
	ProtoScope scope = txd_proto_open(p, 3, 4, 6);
	bool ok;

	if (p->depth == TXD_PROTO_MAX_NESTED)
		return txd_proto_fail(p, "more than 64 nested messages from here on");
	p->depth++;
	ok = txd_proto_expect(p, "{");
	while (ok && !txd_proto_is(p, "}"))
		ok = read_member(p, &scope);
	p->depth--;
	return ok && txd_proto_expect(p, "}") && txd_proto_close(p, &scope);
}

/* --- services: nothing of them is kept but their names' place --- */

static bool
skip_method_type(ProtoParser *p)
{
	p->text.len = 0;
	if (!txd_proto_expect(p, "("))
		return false;
	(void) txd_proto_take(p, "stream");
	return txd_proto_full_name(p, true, &p->text) && txd_proto_expect(p, ")");
}

static bool
skip_method(ProtoParser *p)
{
	ProtoToken name;
	bool ok = txd_proto_expect(p, "rpc") && txd_proto_word(p, &name) && skip_method_type(p) &&
			  txd_proto_expect(p, "returns") && skip_method_type(p);

	if (!ok || !txd_proto_take(p, "{"))
		return ok && txd_proto_expect(p, ";");
	while (ok && !txd_proto_is(p, "}"))
		ok = txd_proto_take(p, ";") || txd_proto_option(p, NULL, NULL);
	return ok && txd_proto_expect(p, "}");
}

static bool
skip_service(ProtoParser *p)
{
	ProtoToken name;
	bool ok = txd_proto_word(p, &name);

	if (ok)
		txd_proto_declare(p, name.text, name.len, name.line);
	ok = ok && txd_proto_expect(p, "{");
	while (ok && !txd_proto_is(p, "}"))
		ok = txd_proto_take(p, ";") ||
			 (txd_proto_is(p, "option") ? txd_proto_option(p, NULL, NULL) : skip_method(p));
	return ok && txd_proto_expect(p, "}");
}

/* --- files --- */

/* Is this the string that was read? */
static bool
was_read(const ProtoParser *p, const char *string)
{
	return p->text.len == strlen(string) && memcmp(p->text.data, string, p->text.len) == 0;
}

static bool
read_edition(ProtoParser *p)
{
	ProtoToken string;

	if (!txd_proto_expect(p, "="))
		return false;
	string = p->token;
	if (!txd_proto_utf8_string(p))
		return false;
	p->edition = true;
	p->has_visibility = was_read(p, "2024");
	if (!p->has_visibility && !was_read(p, "2023"))
		return txd_proto_fail_at(p, &string, "only the editions 2023 and 2024 are read, not");
	txd_proto_put_text(p->out, 12, "editions", strlen("editions"));
	txd_proto_put_integer(p->out, 14,
						  p->has_visibility ? TXD_PROTO_EDITION_2024 : TXD_PROTO_EDITION_2023);
	return txd_proto_expect(p, ";");
}

static bool
read_syntax(ProtoParser *p)
{
	ProtoToken string;

	if (txd_proto_take(p, "edition"))
		return read_edition(p);
	if (!txd_proto_take(p, "syntax"))
		return !p->failed;
	if (!txd_proto_expect(p, "="))
		return false;
	string = p->token;
	if (!txd_proto_utf8_string(p))
		return false;
	p->proto3 = was_read(p, "proto3");
	if (!p->proto3 && !was_read(p, "proto2"))
		return txd_proto_fail_at(p, &string, "only proto2 and proto3 are read, not");
	if (p->proto3)
		txd_proto_put_text(p->out, 12, "proto3", 6);
	return txd_proto_expect(p, ";");
}

static bool
read_import(ProtoParser *p, int *n)
{
	bool is_public = txd_proto_take(p, "public");

	/* One of options is for them alone. */
	if (p->edition && txd_proto_take(p, "option"))
		return txd_proto_utf8_string(p) && txd_proto_expect(p, ";");
	if (!is_public)
		(void) txd_proto_take(p, "weak");
	if (!txd_proto_utf8_string(p))
		return false;
	txd_proto_put_text(p->out, 3, p->text.data, p->text.len);
	if (is_public)
		txd_proto_put_integer(p->out, 10, *n);
	++*n;
	return txd_proto_expect(p, ";");
}

static bool
read_package(ProtoParser *p, bool *has_package)
{
	if (*has_package)
		return txd_proto_fail(p, "a second package is");
	*has_package = true;
	p->text.len = 0;
	if (!txd_proto_full_name(p, false, &p->text))
		return false;
	txd_proto_put_text(p->out, 2, p->text.data, p->text.len);
	return txd_proto_expect(p, ";");
}

static bool
read_file(ProtoParser *p)
{
	ProtoScope scope = txd_proto_open(p, 4, 5, 7);
	int nimports = 0;
	bool has_package = false;
	bool ok;

	txd_proto_put_text(p->out, 1, p->file, strlen(p->file));
	txd_proto_advance(p);
	ok = read_syntax(p);
	while (ok && p->token.kind != PROTO_END)
	{
		if (txd_proto_take(p, ";"))
			continue;
		skip_visibility(p);
		if (txd_proto_take(p, "message"))
			ok = read_message(p, scope.message);
		else if (txd_proto_take(p, "enum"))
			ok = read_enum(p, scope.enumeration);
		else if (txd_proto_take(p, "service"))
			ok = skip_service(p);
		else if (txd_proto_take(p, "extend"))
			ok = read_extend(p, &scope);
		else if (txd_proto_take(p, "import"))
			ok = read_import(p, &nimports);
		else if (txd_proto_take(p, "package"))
			ok = read_package(p, &has_package);
		else if (txd_proto_is(p, "option"))
			ok = txd_proto_feature_option(p, 8, 50);
		else
			ok = txd_proto_fail(p, "no statement of a file begins with");
	}
	return ok && !p->failed && txd_proto_close(p, &scope);
}

bool
txd_proto_compile(const char *name, const char *text, size_t len, TxdBuf *descriptor, TxdError *err)
{
	ProtoParser p = {
		.file = name, .next = text, .end = text + len, .line = 1, .err = err, .out = descriptor};
	size_t before = descriptor->len;
	bool ok;

	if (len > TXD_PROTO_MAX_TEXT)
		return txd_refuse(err, "bad_schema", NULL, "a .proto file of more than 4 MB");
	/* A byte-order mark. */
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		p.next += 3;
	ok = read_file(&p);
	if (!ok)
		descriptor->len = before;
	txd_buf_free(&p.names);
	txd_buf_free(&p.declared);
	txd_buf_free(&p.numbers);
	txd_buf_free(&p.optionals);
	txd_buf_free(&p.text);
	return ok;
}
