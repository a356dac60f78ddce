/*
 * test_rfc8259.c — what RFC 8259 says a parser must accept and must refuse, section by section. Each text is tried
 * alone and as a field of a message, mapped to a column and not.
 */
#include <regex.h>
#include <stdlib.h>

#include "rig.h"

#include "decode/json.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static TxdColumn column = {.name = "v", .type = TXD_JSONTEXT};
static Rig mapped;
static Rig unmapped; /* and its fields are counted */

static void
open_rigs(void)
{
	static TxdColumn other = {.name = "other", .type = TXD_INT4};
	TxdSchema schema = {.format = TXD_JSON, .ncolumns = 1, .columns = &column};

	rig_open(&mapped, &schema);
	schema.columns = &other;
	schema.track_fields = true;
	rig_open(&unmapped, &schema);
}

static bool
decodes(Rig *rig, const char *text, size_t len)
{
	char *message = malloc(len + 6);
	TxdError err;
	bool ok;

	memcpy(message, "{\"v\":", 5);
	memcpy(message + 5, text, len);
	message[len + 5] = '}';
	rig->message.payload = message;
	rig->message.payload_len = len + 6;
	rig->rows.len = 0;
	ok = txd_decode(rig->d, &rig->message, &rig->rows, &err);
	free(message);
	return ok;
}

/* One check for a text: most tests have thousands. */
static bool
is_accepted(const char *text, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);
	TxdError err;
	bool ok;

	memcpy(copy, text, len);
	ok = txd_json_valid(copy, len, false, &err);
	free(copy);
	if (ok != decodes(&mapped, text, len) || ok != decodes(&unmapped, text, len))
	{
		fprintf(stderr, "    alone it is %s, in a message not: %.*s\n", ok ? "accepted" : "refused",
				(int) len, text);
		CHECK(false);
	}
	return ok;
}

static bool
check_text(const char *text, size_t len, bool want)
{
	if (CHECK(is_accepted(text, len) == want))
		return true;
	fprintf(stderr, "    must be %s: %.*s\n", want ? "accepted" : "refused", (int) len, text);
	return false;
}

#define MUST_ACCEPT(text) check_text((text), sizeof(text) - 1, true)
#define MUST_REFUSE(text) check_text((text), sizeof(text) - 1, false)

/* Section 2: white space is four bytes, around structural characters and values alike. */
static void
test_white_space(void)
{
	for (int c = 0; c < 256; c++)
	{
		bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
		char byte = (char) c;
		char text[] = {byte, '{', byte, '"', 'a',  '"', byte, ':', byte, '[',
					   byte, '1', byte, ',', byte, '2', byte, ']', byte, ',',
					   byte, '"', 'b',  '"', ':',  '0', byte, '}', byte};

		check_text(text, sizeof(text), space);
	}
	MUST_REFUSE("\xc2\xa0[]");     /* no-break space */
	MUST_REFUSE("\xe2\x80\xa8[]"); /* line separator */
	MUST_REFUSE("1 2");
	MUST_REFUSE("t rue");
	MUST_REFUSE("- 1");
	MUST_REFUSE("1 .5");
}

/* Sections 2 and 3: one value of six kinds, three of them lower-case words. */
static void
test_values(void)
{
	static const char *const refused[] = {
		"",     " ",         "TRUE", "True",   "tru",        "truee",     "fals", "nul", "nulll",
		"None", "undefined", "NaN",  "nan",    "Infinity",   "-Infinity", "inf",  "'a'", "a",
		"`a`",  "()",        "<a/>", "/**/",   "1//",        "1/**/",     "#1",   "1;",  "[]]",
		"{}}",  "[][]",      "{}{}", "1 true", "\"a\"\"b\"", "\"a\" 1",   "[1]x", "=1",  ",",
		":",    "]",         "}",    ",1",     "true]",      "true,",     "1:1"};

	MUST_ACCEPT("true");
	MUST_ACCEPT("false");
	MUST_ACCEPT("null");
	MUST_ACCEPT("0");
	MUST_ACCEPT("\"\"");
	MUST_ACCEPT("[]");
	MUST_ACCEPT("{}");
	for (size_t i = 0; i < COUNT(refused); i++)
		check_text(refused[i], strlen(refused[i]), false);
	MUST_REFUSE("1\0");
	MUST_REFUSE("\0");
	MUST_REFUSE("[1\0]");
}

/* Sections 4 and 5. Names need not be unique. */
static void
test_containers(void)
{
	static const char *const accepted[] = {
		"{\"\":0}",       "{\"a\":1,\"a\":2}", "{\"a\":{\"b\":[]}}",       "[[],{},[[]]]",
		"[1,\"a\",null]", "{\"\\u0061\":1}",   "{\"\xf0\x9f\x98\x80\":1}", "[0,-0,0]"};
	static const char *const refused[] = {"{",
										  "{\"a\"",
										  "{\"a\":",
										  "{\"a\":1",
										  "{\"a\":1,",
										  "{\"a\":1,}",
										  "{,}",
										  "{\"a\"}",
										  "{\"a\":}",
										  "{\"a\"1}",
										  "{\"a\",1}",
										  "{\"a\"=1}",
										  "{a:1}",
										  "{1:1}",
										  "{null:1}",
										  "{'a':1}",
										  "{[]:1}",
										  "{\"a\"::1}",
										  "{\"a\":1:2}",
										  "{\"a\":1,,\"b\":2}",
										  "{\"a\":1;\"b\":2}",
										  "{\"a\":1 \"b\":2}",
										  "{:1}",
										  "{\"a\":1]",
										  "[",
										  "[1",
										  "[1,",
										  "[1,]",
										  "[,]",
										  "[,1]",
										  "[1,,2]",
										  "[1 2]",
										  "[1;2]",
										  "[1}",
										  "[\"a\":1]",
										  "[[]",
										  "[{]}",
										  "{\"a\":[}]",
										  "[1]]",
										  "{\"a\":...}"};
	static const char whole[] =
		"{\"a\":[1.5e+3,\"\\ud83d\\ude00\\n\xe2\x82\xac\",{\"b\":null},true],\"c\":-0}";

	for (size_t i = 0; i < COUNT(accepted); i++)
		check_text(accepted[i], strlen(accepted[i]), true);
	for (size_t i = 0; i < COUNT(refused); i++)
		check_text(refused[i], strlen(refused[i]), false);
	/* Whatever is cut off at an end, less is no document. */
	for (size_t i = 0; i < sizeof(whole) - 1; i++)
	{
		check_text(whole, i, false);
		check_text(whole + i, sizeof(whole) - 1 - i, i == 0);
	}
}

/* Section 6: every text of up to six of a number's characters, against the RFC's grammar as a regular expression. */
static void
test_numbers(void)
{
	static const char letters[] = "-+019.eE";
	const size_t n = sizeof(letters) - 1;
	regex_t number;
	int accepted = 0;

	CHECK_INT(regcomp(&number, "^-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][-+]?[0-9]+)?$",
					  REG_EXTENDED | REG_NOSUB),
			  0);
	for (size_t len = 1, texts = n; len <= 6; len++, texts *= n)
	{
		for (size_t i = 0; i < texts; i++)
		{
			char text[8] = "";
			size_t rest = i;
			bool want;

			for (size_t k = 0; k < len; k++, rest /= n)
				text[k] = letters[rest % n];
			want = regexec(&number, text, 0, NULL, 0) == 0;
			accepted += want;
			if (is_accepted(text, len) != want)
				check_text(text, len, want);
		}
	}
	CHECK_INT(accepted, 6453);
	regfree(&number);
	MUST_REFUSE("0x1");
	MUST_REFUSE("1_0");
	MUST_REFUSE("1,5");
	MUST_REFUSE("1f");
	MUST_REFUSE("\xef\xbc\x91"); /* a full-width digit */
	MUST_ACCEPT("123456789012345678901234567890.123456789012345678901234567890e-400");
}

/* Section 7: what may stand in a string as it is, and which escapes there are. */
static void
test_strings(void)
{
	for (int c = 0; c < 256; c++)
	{
		char plain[] = {'"', 'x', (char) c, 'y', '"'};
		char escape[] = {'"', '\\', (char) c, '"'};
		bool ascii = c >= 0x20 && c < 0x80;

		check_text(plain, sizeof(plain), ascii && c != '"' && c != '\\');
		check_text(escape, sizeof(escape), c != 0 && strchr("\"\\/bfnrt", c) != NULL);
		for (int at = 0; at < 4; at++)
		{
			char unicode[] = "\"\\u0041\"";

			unicode[3 + at] = (char) c;
			check_text(unicode, 8, c != 0 && strchr("0123456789abcdefABCDEF", c) != NULL);
		}
	}
	MUST_REFUSE("\"");
	MUST_REFUSE("\"\\\"");
	MUST_REFUSE("\"\\u\"");
	MUST_REFUSE("\"\\u004\"");
	MUST_REFUSE("\"\\U0041\"");
	MUST_REFUSE("\"\\u+041\"");
	MUST_REFUSE("\"\\x41\"");
	MUST_REFUSE("\"\\u{41}\"");
}

/* Sections 7 and 8.2: a pair of halves is a character; half a pair is refused, which the RFC permits. */
static void
test_surrogates(void)
{
	char text[32];
	int wrong = 0;

	for (unsigned high = 0xd800; high <= 0xdfff; high++)
	{
		size_t len = (size_t) sprintf(text, "\"\\u%04x\"", high);

		wrong += is_accepted(text, len);
		for (unsigned low = 0xd7f0; low <= 0xe010; low += low == 0xdc0f ? 0x3e0 : 1)
		{
			len = (size_t) sprintf(text, "\"\\u%04X\\u%04x\"", high, low);
			wrong += is_accepted(text, len) != (high < 0xdc00 && low >= 0xdc00 && low <= 0xdfff);
			if (low == 0xd810)
				low = 0xdbef;
		}
	}
	CHECK_INT(wrong, 0);
	MUST_REFUSE("\"\\ud83d\xf0\x9f\x98\x80\"");
	MUST_REFUSE("\"\\ud83d\\\\ude00\"");
	MUST_REFUSE("{\"\\ud83d\":1}");
}

static size_t
utf8_of(unsigned c, char *to)
{
	if (c < 0x800)
		return (size_t) sprintf(to, "%c%c", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
	if (c < 0x10000)
		return (size_t) sprintf(to, "%c%c%c", 0xe0 | c >> 12, 0x80 | (c >> 6 & 0x3f),
								0x80 | (c & 0x3f));
	return (size_t) sprintf(to, "%c%c%c%c", 0xf0 | c >> 18, 0x80 | (c >> 12 & 0x3f),
							0x80 | (c >> 6 & 0x3f), 0x80 | (c & 0x3f));
}

/* Section 8.1: UTF-8 and no byte-order mark. Sequences of three or four bytes are tried at all their limits. */
static void
test_encoding(void)
{
	static const char *const broken[] = {"\xe0\x9f\xbf",
										 "\xe0\x80\x80",
										 "\xed\xa0\x80",
										 "\xed\xbf\xbf",
										 "\xf0\x8f\xbf\xbf",
										 "\xf0\x80\x80\x80",
										 "\xf4\x90\x80\x80",
										 "\xf5\x80\x80\x80",
										 "\xf8\x88\x80\x80\x80",
										 "\xfc\x84\x80\x80\x80\x80",
										 "\xfe",
										 "\xff",
										 "\xe2\x82",
										 "\xe2\x28\xa1",
										 "\xe2\x82\x28",
										 "\xf0\x9f\x98",
										 "\xf0\x28\x8c\xbc",
										 "\xf0\x9f\x28\xbc",
										 "\xf0\x9f\x98\x28",
										 "\xc3\xa9\xa9"};
	char text[16] = "\"";
	int wrong = 0;

	for (unsigned c = 0x80; c <= 0x10ffff; c += c < 0x3000 || c >= 0x10fff0 ? 1 : 7)
	{
		size_t len = 1 + utf8_of(c, text + 1);

		text[len] = '"';
		wrong += is_accepted(text, len + 1) != (c < 0xd800 || c > 0xdfff);
	}
	for (unsigned pair = 0x8000; pair <= 0xffff; pair++)
	{
		unsigned first = pair >> 8;
		unsigned second = pair & 0xff;
		char two[] = {'"', (char) first, (char) second, '"'};

		wrong += is_accepted(two, 4) !=
				 (first >= 0xc2 && first <= 0xdf && second >= 0x80 && second <= 0xbf);
	}
	CHECK_INT(wrong, 0);
	for (size_t i = 0; i < COUNT(broken); i++)
	{
		size_t len = (size_t) snprintf(text, sizeof(text), "\"%s\"", broken[i]);

		check_text(text, len, false);
	}
	MUST_REFUSE("\xef\xbb\xbf{}");
	MUST_REFUSE("\xff\xfe{\0}\0");
	MUST_REFUSE("\0{\0}");
	MUST_REFUSE("\xc3\xa9");
}

/* Section 9 permits a limit of depth: 64 levels, with the message's own. */
static void
test_depth(void)
{
	char text[4096];
	TxdError err;

	for (int levels = 1; levels <= 200; levels++)
	{
		size_t len = 0;

		for (int i = 0; i < levels; i++)
			len += (size_t) sprintf(text + len, "%s", i % 3 == 2 ? "{\"a\":" : "[");
		text[len++] = '0';
		for (int i = levels - 1; i >= 0; i--)
			text[len++] = i % 3 == 2 ? '}' : ']';
		CHECK(txd_json_valid(text, len, false, &err) == (levels <= 64));
		CHECK(decodes(&mapped, text, len) == (levels <= 63));
		CHECK(decodes(&unmapped, text, len) == (levels <= 63));
	}
}

int
main(void)
{
	open_rigs();
	test_white_space();
	test_values();
	test_containers();
	test_numbers();
	test_strings();
	test_surrogates();
	test_encoding();
	test_depth();
	rig_close(&mapped);
	rig_close(&unmapped);
	return check_done("rfc8259");
}
