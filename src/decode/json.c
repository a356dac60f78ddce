/*
 * json.c — strict RFC 8259 lexer and validator, the inner loop of JSON decoding.
 *
 * One pass, no recursion: the kinds of the open containers are bits of one word, which is why the
 * nesting limit is 64.
 */
#include <string.h>

#include "json.h"
#include "json_plain.h"

/* Limits of PostgreSQL's numeric, which jsonb stores numbers as. */
#define NUMERIC_MAX_SCALE 16383
#define NUMERIC_MAX_WEIGHT 131071
#define NUMERIC_MAX_EXPONENT 1000000000

/* Numbers up to this length without exponent fit numeric without a closer look. */
#define PLAIN_NUMBER 1000

bool
txd_json_fail(TxdJson *j, const char *code, const char *what)
{
	return txd_refuse(j->err, code, NULL, "%s at byte %zu", what, (size_t) (j->p - j->start) + 1);
}

bool
txd_json_syntax(TxdJson *j, const char *what)
{
	return txd_json_fail(j, "bad_json", j->p < j->end ? what : "message ends too early");
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four hex digits at p, or -1. */
static int
hex4(const char *p, const char *end)
{
	int v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++)
	{
		int d = hex_digit(p[i]);

		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

/* Checks the escape at j->p and steps over it. */
static bool
check_escape(TxdJson *j)
{
	const char *p = j->p + 1;
	int unit;

	if (p < j->end && *p != 'u')
	{
		if (*p == '\0' || strchr("\"\\/bfnrt", *p) == NULL)
			return txd_json_fail(j, "bad_json", "unknown escape");
		j->p += 2;
		return true;
	}
	unit = p < j->end ? hex4(p + 1, j->end) : -1;
	if (unit < 0)
		return txd_json_fail(j, "bad_json", "incomplete escape");
	if (unit == 0 && j->jsonb)
		return txd_json_fail(j, "nul_byte", "jsonb cannot hold the \\u0000");
	p += 5;
	if (unit >= 0xd800 && unit <= 0xdfff)
	{
		int low = j->end - p >= 6 && p[0] == '\\' && p[1] == 'u' ? hex4(p + 2, j->end) : -1;

		if (unit >= 0xdc00 || low < 0xdc00 || low > 0xdfff)
			return txd_json_fail(j, "bad_json", "half a surrogate pair");
		p += 6;
	}
	j->p = p;
	return true;
}

/* Reads the string whose opening quote is at j->p. */
static inline bool
read_string(TxdJson *j, TxdJsonValue *v)
{
	const char *s = j->p + 1;
	bool high = false;

	v->escaped = false;
	j->p = s;
	for (;;)
	{
		j->p = txd_json_plain_end(j->p, j->end);
		if (j->p == j->end)
			return txd_json_syntax(j, "");
		if (*j->p == '"')
			break;
		if (*j->p == '\\')
		{
			v->escaped = true;
			if (!check_escape(j))
				return false;
		}
		else if ((unsigned char) *j->p >= 0x80)
		{
			high = true;
			while (j->p < j->end && (unsigned char) *j->p >= 0x80)
				j->p++;
		}
		else
			return txd_json_fail(j, "bad_json", "control character in a string");
	}
	v->text = s;
	v->len = j->p - s;
	v->kind = TXD_KIND_TEXT;
	v->null = false;
	if (high)
	{
		size_t good = txd_utf8_prefix(s, v->len);

		if (good != v->len)
		{
			j->p = s + good;
			return txd_json_fail(j, "bad_encoding", "invalid UTF-8");
		}
	}
	j->p++;
	return true;
}

/* Whether numeric can hold the JSON number s: its scale and the weight of its first digit. */
static bool
number_fits(const char *s, size_t len)
{
	const char *end = s + len;
	long weight = -1; /* power of ten of the first digit that is not zero */
	long scale = 0;
	long exponent = 0;
	bool zero = true;
	bool negative;

	s += *s == '-';
	for (; s < end && *s >= '0' && *s <= '9'; s++)
	{
		weight += !zero || *s != '0';
		zero = zero && *s == '0';
	}
	if (s < end && *s == '.')
		for (s++; s < end && *s >= '0' && *s <= '9'; s++)
		{
			scale++;
			weight -= zero && *s == '0';
			zero = zero && *s == '0';
		}
	if (s < end)
	{
		s++;
		negative = *s == '-';
		s += *s == '-' || *s == '+';
		for (; s < end && exponent < NUMERIC_MAX_EXPONENT; s++)
			exponent = exponent * 10 + (*s - '0');
		if (exponent >= NUMERIC_MAX_EXPONENT)
			return false;
		exponent = negative ? -exponent : exponent;
	}
	return scale - exponent <= NUMERIC_MAX_SCALE &&
		   (zero || weight + exponent <= NUMERIC_MAX_WEIGHT);
}

static inline bool
read_digits(TxdJson *j)
{
	const char *from = j->p;

	while (j->p < j->end && *j->p >= '0' && *j->p <= '9')
		j->p++;
	return j->p > from;
}

static bool
read_number(TxdJson *j, TxdJsonValue *v)
{
	const char *s = j->p;
	bool plain = true;

	if (txd_json_peek(j) == '-')
		j->p++;
	if (txd_json_peek(j) == '0')
		j->p++;
	else if (!read_digits(j))
		return txd_json_syntax(j, j->p == s ? "expected a value" : "expected a digit");
	if (txd_json_peek(j) == '.')
	{
		j->p++;
		if (!read_digits(j))
			return txd_json_syntax(j, "expected a digit");
	}
	if ((txd_json_peek(j) | 0x20) == 'e')
	{
		plain = false;
		j->p++;
		if (txd_json_peek(j) == '+' || txd_json_peek(j) == '-')
			j->p++;
		if (!read_digits(j))
			return txd_json_syntax(j, "expected a digit");
	}
	*v = (TxdJsonValue){s, j->p - s, TXD_KIND_NUMBER, false, false};
	if (j->jsonb && (!plain || v->len > PLAIN_NUMBER) && !number_fits(s, v->len))
	{
		j->p = s;
		return txd_json_fail(j, "out_of_range", "number too large for jsonb");
	}
	return true;
}

static bool
read_word(TxdJson *j, const char *word, size_t len, TxdJsonValue *v)
{
	if ((size_t) (j->end - j->p) < len || memcmp(j->p, word, len) != 0)
		return txd_json_fail(j, "bad_json", "unknown word");
	*v = (TxdJsonValue){j->p, len, TXD_KIND_BOOL, *word == 'n', false};
	j->p += len;
	return true;
}

static inline bool
read_scalar(TxdJson *j, TxdJsonValue *v)
{
	switch (txd_json_peek(j))
	{
		case '"':
			return read_string(j, v);
		case 't':
			return read_word(j, "true", 4, v);
		case 'f':
			return read_word(j, "false", 5, v);
		case 'n':
			return read_word(j, "null", 4, v);
		default:
			return read_number(j, v);
	}
}

bool
txd_json_name(TxdJson *j, TxdJsonValue *name)
{
	if (txd_json_peek(j) != '"')
		return txd_json_syntax(j, "expected a field name");
	return read_string(j, name) && txd_json_colon(j);
}

/* Steps from the end of a value to the next value of the open containers, or closes them all. */
static bool
next_value(TxdJson *j, uint64_t *objects, int *level)
{
	TxdJsonValue name;

	while (*level > 0)
	{
		bool object = *objects & 1;

		txd_json_space(j);
		if (txd_json_peek(j) == ',')
		{
			j->p++;
			txd_json_space(j);
			return !object || txd_json_name(j, &name);
		}
		if (txd_json_peek(j) != (object ? '}' : ']'))
			return txd_json_syntax(j,
								   object ? "expected \",\" or \"}\"" : "expected \",\" or \"]\"");
		j->p++;
		*objects >>= 1;
		--*level;
	}
	return true;
}

/* Reads the object or array at j->p. */
static bool
read_container(TxdJson *j, int depth, TxdJsonValue *v)
{
	const char *s = j->p;
	uint64_t objects = 0;
	int level = 0;
	TxdJsonValue inner;

	do
	{
		char c = txd_json_peek(j);

		if (c == '{' || c == '[')
		{
			if (depth + level == TXD_JSON_DEPTH)
				return txd_json_fail(j, "too_deep", "more than 64 nested levels");
			objects = objects << 1 | (c == '{');
			level++;
			j->p++;
			txd_json_space(j);
			if (txd_json_peek(j) != (c == '{' ? '}' : ']'))
			{
				if (c == '{' && !txd_json_name(j, &inner))
					return false;
				continue;
			}
			j->p++;
			objects >>= 1;
			level--;
		}
		else if (!read_scalar(j, &inner))
			return false;
		if (!next_value(j, &objects, &level))
			return false;
	} while (level > 0);
	*v = (TxdJsonValue){s, j->p - s, TXD_KIND_JSON, false, false};
	return true;
}

bool
txd_json_value(TxdJson *j, int depth, TxdJsonValue *value)
{
	char c = txd_json_peek(j);

	if (c == '{' || c == '[')
		return read_container(j, depth, value);
	return read_scalar(j, value);
}

bool
txd_json_end(TxdJson *j)
{
	txd_json_space(j);
	if (j->p < j->end)
		return txd_json_fail(j, "bad_json", "text after the value");
	return true;
}

bool
txd_json_valid(const char *s, size_t len, bool jsonb, TxdError *err)
{
	TxdJson j = {s, s, s + len, err, jsonb};
	TxdJsonValue v;

	txd_json_space(&j);
	return txd_json_value(&j, 0, &v) && txd_json_end(&j);
}
