/*
 * scalar.c — integers, booleans, uuid and bytea: the types whose text is read character by character.
 */
#include "field.h"

bool
txd_is_word(const char *text, size_t len, const char *word)
{
	size_t i;

	for (i = 0; i < len && word[i] != '\0'; i++)
	{
		char c = text[i];

		if (c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		if (c != word[i])
			return false;
	}
	return i == len && word[i] == '\0';
}

/* Largest positive values of int2, int4, int8; the smallest is one further from zero. */
static const uint64_t integer_max[] = {INT16_MAX, INT32_MAX, INT64_MAX};
static const char *const integer_name[] = {"smallint", "integer", "bigint"};

static bool
refuse_integer(TxdError *err, const TxdColumn *column, bool range, const char *text, size_t len)
{
	char what[64];

	snprintf(what, sizeof(what), range ? "value out of range for %s" : "invalid input for %s",
			 integer_name[column->type - TXD_INT2]);
	return txd_refuse_value(err, range ? "out_of_range" : "bad_value", column, what, text, len);
}

/* Sign and decimal digits, as int4in takes them. */
bool
txd_put_integer(const TxdColumn *column, const char *text, size_t len, TxdBuf *out, TxdError *err)
{
	const char *p = text;
	const char *end = text + len;
	bool negative = false;
	bool overflow = false;
	uint64_t v = 0;

	if (p < end && (*p == '-' || *p == '+'))
		negative = *p++ == '-';
	if (p == end)
		return refuse_integer(err, column, false, text, len);
	for (; p < end; p++)
	{
		if (!txd_is_digit(*p))
			return refuse_integer(err, column, false, text, len);
		if (v > (UINT64_MAX - 9) / 10)
			overflow = true;
		else
			v = v * 10 + (uint64_t) (*p - '0');
	}
	if (overflow || v > integer_max[column->type - TXD_INT2] + negative)
		return refuse_integer(err, column, true, text, len);

	if (negative)
		v = -v;
	if (column->type == TXD_INT2)
		txd_field16(out, (uint16_t) v);
	else if (column->type == TXD_INT4)
		txd_field32(out, (uint32_t) v);
	else
		txd_field64(out, v);
	return true;
}

/* True when text is a prefix of word that is at least `least` long, in any case. */
static bool
is_prefix(const char *text, size_t len, const char *word, size_t least)
{
	char prefix[8];

	if (len < least || len > strlen(word))
		return false;
	memcpy(prefix, word, len);
	prefix[len] = '\0';
	return txd_is_word(text, len, prefix);
}

/* Every spelling and unambiguous abbreviation that boolin takes. */
bool
txd_put_bool(const TxdColumn *column, const char *text, size_t len, TxdBuf *out, TxdError *err)
{
	char *p;
	bool v;

	if (is_prefix(text, len, "true", 1) || is_prefix(text, len, "yes", 1) ||
		txd_is_word(text, len, "on") || txd_is_word(text, len, "1"))
		v = true;
	else if (is_prefix(text, len, "false", 1) || is_prefix(text, len, "no", 1) ||
			 is_prefix(text, len, "off", 2) || txd_is_word(text, len, "0"))
		v = false;
	else
		return txd_refuse_value(err, "bad_value", column, "invalid input for boolean", text, len);
	p = txd_put32(txd_buf_reserve(out, 5), 1);
	*p = (char) v;
	out->len += 5;
	return true;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* 32 hexadecimal digits, with a hyphen after any group of four and braces around if wished. */
bool
txd_put_uuid(const TxdColumn *column, const char *text, size_t len, TxdBuf *out, TxdError *err)
{
	const char *p = text;
	const char *end = text + len;
	bool braces = len > 0 && *p == '{';
	char bytes[16];
	int i;

	if (braces)
		p++;
	for (i = 0; i < 16 && end - p >= 2; i++)
	{
		int high = hex_value(p[0]);
		int low = hex_value(p[1]);

		if (high < 0 || low < 0)
			break;
		bytes[i] = (char) (high << 4 | low);
		p += 2;
		if (p < end && *p == '-' && i % 2 == 1 && i < 15)
			p++;
	}
	if (i == 16 && braces && p < end && *p == '}')
	{
		p++;
		braces = false;
	}
	if (i < 16 || braces || p != end)
		return txd_refuse_value(err, "bad_value", column, "invalid input for uuid", text, len);
	txd_field_bytes(out, bytes, sizeof(bytes));
	return true;
}

/* Hexadecimal digit pairs, white space allowed between them. NULL: not that. */
static char *
decode_hex(const char *p, const char *end, char *to)
{
	while (p < end)
	{
		int high;
		int low;

		if (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')
		{
			p++;
			continue;
		}
		high = hex_value(*p++);
		low = p < end ? hex_value(*p++) : -1;
		if (high < 0 || low < 0)
			return NULL;
		*to++ = (char) (high << 4 | low);
	}
	return to;
}

/* Bytes as they are but for `\\` and `\ooo`. NULL: a backslash before anything else. */
static char *
decode_escaped(const char *p, const char *end, char *to)
{
	while (p < end)
	{
		if (*p != '\\')
			*to++ = *p++;
		else if (end - p >= 2 && p[1] == '\\')
		{
			*to++ = '\\';
			p += 2;
		}
		else if (end - p >= 4 && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' &&
				 p[3] >= '0' && p[3] <= '7')
		{
			*to++ = (char) ((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
			p += 4;
		}
		else
			return NULL;
	}
	return to;
}

bool
txd_put_bytea(const TxdColumn *column, const char *text, size_t len, TxdBuf *out, TxdError *err)
{
	const char *end = text + len;
	char *field = txd_buf_reserve(out, 4 + len);
	char *last;

	if (len >= 2 && text[0] == '\\' && text[1] == 'x')
		last = decode_hex(text + 2, end, field + 4);
	else
		last = decode_escaped(text, end, field + 4);
	if (last == NULL)
		return txd_refuse_value(err, "bad_value", column, "invalid input for bytea", text, len);
	txd_put32(field, (uint32_t) (last - field - 4));
	out->len += (size_t) (last - field);
	return true;
}
