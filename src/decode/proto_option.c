/*
 * proto_option.c — options of a .proto file: the few that mean something here, and all others, which are read and left out.
 */
#include <stdio.h>
#include <string.h>

#include "proto_parse.h"

/* Of features those that say how messages are read; their numbers in google.protobuf.FeatureSet, and values by theirs. */
static const struct
{
	const char *name;
	int number;
	const char *values[4];
} feature_list[] = {
	{"field_presence", 1, {"", "EXPLICIT", "IMPLICIT", "LEGACY_REQUIRED"}},
	{"message_encoding", 5, {"", "LENGTH_PREFIXED", "DELIMITED", ""}},
};

static bool
is_word(const ProtoToken *token, const char *word)
{
	return token->len == strlen(word) && memcmp(token->text, word, token->len) == 0;
}

static const ProtoToken no_word = {.kind = PROTO_END, .text = ""};

/*
 * NAME, (name.of.extension) or several of these with dots between them; `word` is the name where it is one word, else empty, and
 * so is `feature` with the second of `features.NAME`.
 */
static bool
option_name(ProtoParser *p, ProtoToken *word, ProtoToken *feature)
{
	*word = *feature = no_word;
	for (int n = 0;; n++)
	{
		ProtoToken part = no_word;

		p->text.len = 0;
		if (txd_proto_take(p, "("))
		{
			if (!txd_proto_full_name(p, true, &p->text) || !txd_proto_expect(p, ")"))
				return false;
		}
		else if (!txd_proto_word(p, &part))
			return false;
		*feature = n == 1 && is_word(word, "features") ? part : no_word;
		*word = n == 0 ? part : no_word;
		if (!txd_proto_take(p, "."))
			return !p->failed;
	}
}

/* Where features go in a descriptor: a field of its options. */
typedef struct FeaturePlace
{
	int options;
	int features;
} FeaturePlace;

/* The value of a feature, which is appended, or passed by where it is none that is kept. */
static bool
read_feature(ProtoParser *p, const ProtoToken *name, const FeaturePlace *place)
{
	for (size_t i = 0; i < sizeof(feature_list) / sizeof(feature_list[0]); i++)
		for (int v = 1; is_word(name, feature_list[i].name); v++)
		{
			size_t options;
			size_t features;

			if (v == 4)
				return txd_proto_fail(p, "this feature has no such value");
			if (!txd_proto_is(p, feature_list[i].values[v]))
				continue;
			options = txd_proto_begin(p->out, place->options);
			features = txd_proto_begin(p->out, place->features);
			txd_proto_put_integer(p->out, feature_list[i].number, v);
			txd_proto_end(p->out, features);
			txd_proto_end(p->out, options);
			break;
		}
	txd_proto_advance(p);
	return !p->failed;
}

/* `{ … }`, of which nothing is read but where it ends, and features where they have a place. */
static bool
skip_block(ProtoParser *p, const FeaturePlace *place)
{
	size_t open = 0;

	do
	{
		ProtoToken word = p->token;

		if (txd_proto_is(p, "{"))
			open++;
		else if (txd_proto_is(p, "}"))
			open--;
		else if (p->token.kind == PROTO_END)
			return txd_proto_fail(p, "an option's value does not end");
		txd_proto_advance(p);
		if (place != NULL && open == 1 && word.kind == PROTO_WORD && txd_proto_take(p, ":") &&
			p->token.kind != PROTO_SIGN && !read_feature(p, &word, place))
			return false;
	} while (open > 0);
	return !p->failed;
}

static bool
skip_value(ProtoParser *p)
{
	bool negative;

	if (txd_proto_is(p, "{"))
		return skip_block(p, NULL);
	if (p->token.kind == PROTO_STRING)
	{
		p->text.len = 0;
		return txd_proto_string(p, &p->text);
	}
	negative = txd_proto_take(p, "-");
	if (p->token.kind != PROTO_INTEGER && p->token.kind != PROTO_REAL &&
		(p->token.kind != PROTO_WORD ||
		 (negative && !txd_proto_is(p, "inf") && !txd_proto_is(p, "nan"))))
		return txd_proto_fail(p, "an option's value is expected, not");
	txd_proto_advance(p);
	return !p->failed;
}

static bool
read_flag(ProtoParser *p, ProtoFlag *flag)
{
	if (*flag != PROTO_UNSET)
		return txd_proto_fail(p, "this option is given twice, now");
	if (!txd_proto_is(p, "true") && !txd_proto_is(p, "false"))
		return txd_proto_fail(p, "true or false is expected, not");
	*flag = txd_proto_is(p, "true") ? PROTO_TRUE : PROTO_FALSE;
	txd_proto_advance(p);
	return !p->failed;
}

/* What stands behind `=`: features of a file with an edition, or what means nothing here. */
static bool
other_value(ProtoParser *p, const ProtoToken *name, const ProtoToken *feature,
			const FeaturePlace *place)
{
	if (p->edition && feature->kind == PROTO_WORD)
		return read_feature(p, feature, place);
	if (p->edition && is_word(name, "features") && txd_proto_is(p, "{"))
		return skip_block(p, place);
	return skip_value(p);
}

bool
txd_proto_option(ProtoParser *p, const char *asked, ProtoFlag *flag)
{
	ProtoToken name;
	ProtoToken feature;

	return txd_proto_expect(p, "option") && option_name(p, &name, &feature) &&
		   txd_proto_expect(p, "=") &&
		   (asked != NULL && is_word(&name, asked) ? read_flag(p, flag) : skip_value(p)) &&
		   txd_proto_expect(p, ";");
}

bool
txd_proto_feature_option(ProtoParser *p, int options, int features)
{
	FeaturePlace place = {.options = options, .features = features};
	ProtoToken name;
	ProtoToken feature;

	return txd_proto_expect(p, "option") && option_name(p, &name, &feature) &&
		   txd_proto_expect(p, "=") && other_value(p, &name, &feature, &place) &&
		   txd_proto_expect(p, ";");
}

bool
txd_proto_skip_options(ProtoParser *p)
{
	ProtoToken name;
	ProtoToken feature;

	if (!txd_proto_take(p, "["))
		return !p->failed;
	do
	{
		if (!option_name(p, &name, &feature) || !txd_proto_expect(p, "=") || !skip_value(p))
			return false;
	} while (txd_proto_take(p, ","));
	return txd_proto_expect(p, "]");
}

/* Digits as they are written, with a sign. */
static bool
integer_default(ProtoParser *p, uint64_t most, bool is_signed)
{
	char digits[30];
	bool negative = is_signed && txd_proto_take(p, "-");
	uint64_t v;

	if (!txd_proto_unsigned(p, most + negative, &v))
		return false;
	txd_proto_put_text(p->out, 7, digits,
					   (size_t) snprintf(digits, sizeof(digits), "%s%llu", negative ? "-" : "",
										 (unsigned long long) v));
	return true;
}

static bool
real_default(ProtoParser *p)
{
	char digits[30];
	bool negative = txd_proto_take(p, "-");
	uint64_t v;

	p->text.len = 0;
	if (negative)
		txd_buf_byte(&p->text, '-');
	if (p->token.kind == PROTO_REAL || txd_proto_is(p, "inf") || txd_proto_is(p, "nan"))
	{
		txd_buf_append(&p->text, p->token.text, p->token.len);
		txd_proto_advance(p);
	}
	else if (txd_proto_unsigned(p, UINT64_MAX, &v))
		txd_buf_append(&p->text, digits,
					   (size_t) snprintf(digits, sizeof(digits), "%llu", (unsigned long long) v));
	txd_proto_put_text(p->out, 7, p->text.data, p->text.len);
	return !p->failed;
}

/* Bytes are escaped as in C, since a descriptor has them as text. */
static bool
bytes_default(ProtoParser *p)
{
	size_t begun;

	p->text.len = 0;
	if (!txd_proto_string(p, &p->text))
		return false;
	begun = txd_proto_begin(p->out, 7);
	for (size_t i = 0; i < p->text.len; i++)
	{
		static const char special[] = "\n\r\t\"'\\";
		static const char letter[] = "nrt\"'\\";
		unsigned char c = (unsigned char) p->text.data[i];
		const char *at = c != '\0' ? strchr(special, c) : NULL;
		char octal[5];

		if (at != NULL)
		{
			txd_buf_byte(p->out, '\\');
			txd_buf_byte(p->out, letter[at - special]);
		}
		else if (c >= 0x20 && c < 0x7f)
			txd_buf_byte(p->out, (char) c);
		else
			txd_buf_append(p->out, octal, (size_t) snprintf(octal, sizeof(octal), "\\%03o", c));
	}
	txd_proto_end(p->out, begun);
	return true;
}

static bool
text_default(ProtoParser *p)
{
	p->text.len = 0;
	if (!txd_proto_string(p, &p->text))
		return false;
	txd_proto_put_text(p->out, 7, p->text.data, p->text.len);
	return true;
}

/* Of an enum, or what will turn out to be one. */
static bool
word_default(ProtoParser *p, bool boolean)
{
	if (p->token.kind != PROTO_WORD ||
		(boolean && !txd_proto_is(p, "true") && !txd_proto_is(p, "false")))
		return txd_proto_fail(p, "this is no default of the field's type");
	txd_proto_put_text(p->out, 7, p->token.text, p->token.len);
	txd_proto_advance(p);
	return !p->failed;
}

static bool
read_default(ProtoParser *p, ProtoType type)
{
	switch (type)
	{
		case PROTO_INT32:
		case PROTO_SINT32:
		case PROTO_SFIXED32:
			return integer_default(p, INT32_MAX, true);
		case PROTO_INT64:
		case PROTO_SINT64:
		case PROTO_SFIXED64:
			return integer_default(p, INT64_MAX, true);
		case PROTO_UINT32:
		case PROTO_FIXED32:
			return integer_default(p, UINT32_MAX, false);
		case PROTO_UINT64:
		case PROTO_FIXED64:
			return integer_default(p, UINT64_MAX, false);
		case PROTO_FLOAT:
		case PROTO_DOUBLE:
			return real_default(p);
		case PROTO_TEXT:
			return text_default(p);
		case PROTO_BYTES:
			return bytes_default(p);
		case PROTO_BOOL:
		case PROTO_NAMED:
			return word_default(p, type == PROTO_BOOL);
		default:
			return txd_proto_fail(p, "messages have no default");
	}
}

void
txd_proto_put_json_name(TxdBuf *out, const char *name, size_t len)
{
	size_t begun = txd_proto_begin(out, 10);
	bool raise = false;

	for (size_t i = 0; i < len; i++)
		if (name[i] == '_')
			raise = true;
		else
		{
			bool lower = name[i] >= 'a' && name[i] <= 'z';

			txd_buf_byte(out, (char) (raise && lower ? name[i] - 0x20 : name[i]));
			raise = false;
		}
	txd_proto_end(out, begun);
}

static bool
json_name(ProtoParser *p)
{
	if (!txd_proto_utf8_string(p))
		return false;
	txd_proto_put_text(p->out, 10, p->text.data, p->text.len);
	return true;
}

/* What a field's options have said so far. */
typedef struct FieldOptions
{
	bool has_default;
	bool has_json_name;
	ProtoFlag packed;
	ProtoFlag deprecated;
} FieldOptions;

static bool
field_option(ProtoParser *p, ProtoType type, FieldOptions *options)
{
	static const FeaturePlace place = {.options = 8, .features = 21};
	ProtoToken word;
	ProtoToken feature;
	bool *once;

	if (!option_name(p, &word, &feature) || !txd_proto_expect(p, "="))
		return false;
	if (is_word(&word, "packed"))
		return read_flag(p, &options->packed);
	if (is_word(&word, "deprecated"))
		return read_flag(p, &options->deprecated);
	if (!is_word(&word, "default") && !is_word(&word, "json_name"))
		return other_value(p, &word, &feature, &place);
	once = is_word(&word, "default") ? &options->has_default : &options->has_json_name;
	if (*once)
		return txd_proto_fail_at(p, &word, "this option is given twice");
	*once = true;
	if (once == &options->has_json_name)
		return json_name(p);
	return p->proto3 ? txd_proto_fail_at(p, &word, "proto3 has no such option")
					 : read_default(p, type);
}

static void
put_flags(TxdBuf *out, const FieldOptions *options)
{
	size_t begun = txd_proto_begin(out, 8);

	if (options->packed != PROTO_UNSET)
		txd_proto_put_integer(out, 2, options->packed == PROTO_TRUE);
	if (options->deprecated != PROTO_UNSET)
		txd_proto_put_integer(out, 3, options->deprecated == PROTO_TRUE);
	txd_proto_end(out, begun);
}

bool
txd_proto_field_options(ProtoParser *p, ProtoType type, const char *name, size_t len)
{
	FieldOptions options = {0};

	if (txd_proto_take(p, "["))
	{
		do
		{
			if (!field_option(p, type, &options))
				return false;
		} while (txd_proto_take(p, ","));
		if (!txd_proto_expect(p, "]"))
			return false;
	}
	if (!options.has_json_name)
		txd_proto_put_json_name(p->out, name, len);
	if (options.packed != PROTO_UNSET || options.deprecated != PROTO_UNSET)
		put_flags(p->out, &options);
	return !p->failed;
}
