/*
 * test_json.c — the JSON grammar (RFC 8259) and what jsonb cannot hold.
 */
#include <stdlib.h>

#include "check.h"

#include "decode/json.h"

typedef struct Case
{
	const char *text;
	size_t len;
	const char *code; /* NULL: accepted */
} Case;

#define OK(s)                                                                                      \
	{                                                                                              \
		s, sizeof(s) - 1, NULL                                                                     \
	}
#define NO(s)                                                                                      \
	{                                                                                              \
		s, sizeof(s) - 1, "bad_json"                                                               \
	}
#define ENC(s)                                                                                     \
	{                                                                                              \
		s, sizeof(s) - 1, "bad_encoding"                                                           \
	}

static const Case grammar[] = {
	/* values and white space */
	OK("[]"),
	OK("{}"),
	OK("0"),
	OK("-0"),
	OK("\"\""),
	OK("true"),
	OK("false"),
	OK("null"),
	OK(" \t\r\n[ 1 , 2 ] \n"),
	OK("[[[]],{}]"),
	OK("{\"\":0}"),
	OK("{\"a\":[{}]}"),
	OK("{\"a\":1,\"a\":2}"),
	OK("[true,false,null]"),
	NO(""),
	NO(" "),
	NO("\n"),
	NO("["),
	NO("]"),
	NO("{"),
	NO("}"),
	NO("[,]"),
	NO("[1,]"),
	NO("[,1]"),
	NO("[1,,2]"),
	NO("[1 2]"),
	NO("[1}"),
	NO("{\"a\":1]"),
	NO("{\"a\"}"),
	NO("{\"a\":}"),
	NO("{\"a\" 1}"),
	NO("{\"a\":1,}"),
	NO("{,\"a\":1}"),
	NO("{a:1}"),
	NO("{'a':1}"),
	NO("{1:1}"),
	NO("{\"a\"::1}"),
	NO("{\"a\":1 \"b\":2}"),
	NO("{\"a\":1}}"),
	NO("[]]"),
	NO("[] []"),
	NO("{} x"),
	NO("1 2"),
	NO("\f[]"),
	NO("[\v1]"),
	NO("\xc2\xa0[]"),
	NO("[1]/**/"),
	NO("//\n1"),
	NO("[1]\0"),
	NO("\0"),
	NO("\xef\xbb\xbf{}"),
	NO("{\"a\":[1}"),
	NO("[\"a\",{\"b\":1]"),
	/* words */
	NO("True"),
	NO("tru"),
	NO("truee"),
	NO("nul"),
	NO("NULL"),
	NO("undefined"),
	NO("NaN"),
	NO("Infinity"),
	NO("-Infinity"),
	NO("[nulll]"),
	/* numbers */
	OK("1.5"),
	OK("-1.5e10"),
	OK("1E+2"),
	OK("1e-2"),
	OK("0.0"),
	OK("0e1"),
	OK("123456789012345678901"),
	OK("1e400"),
	NO("01"),
	NO("-01"),
	NO("+1"),
	NO("-"),
	NO("--1"),
	NO(".5"),
	NO("1."),
	NO("-.5"),
	NO("1.e2"),
	NO("1e"),
	NO("1e+"),
	NO("1e1.5"),
	NO("0x10"),
	NO("1_000"),
	NO("1a"),
	NO("[1.]"),
	NO("[- 1]"),
	NO("1 e5"),
	NO("\xef\xbc\x91"),
	/* strings */
	OK("\"a\\\"b\\\\c\\/d\\b\\f\\n\\r\\t\""),
	OK("\"\\u0041\\uABcd\\u0000\""),
	OK("\"\\ud83d\\ude00\""),
	OK("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""),
	OK("\"\x7f\""),
	OK("\"a string of more than sixteen bytes, \xc3\xa9 in it\""),
	NO("\""),
	NO("\"abc"),
	NO("\"\\\""),
	NO("\"\\x41\""),
	NO("\"\\'\""),
	NO("\"\\U0041\""),
	NO("\"\\u\""),
	NO("\"\\u00\""),
	NO("\"\\u004\""),
	NO("\"\\u00g0\""),
	NO("\"\\\0\""),
	NO("\"a\nb\""),
	NO("\"a\tb\""),
	NO("\"\0\""),
	NO("\"\x1f\""),
	NO("'a'"),
	NO("\"a\\"),
	NO("\"\\u123"),
	NO("\"\\ud83d\""),
	NO("\"\\ude00\""),
	NO("\"\\ud83dx\""),
	NO("\"\\ud83d\\n\""),
	NO("\"\\ud83d\\u0041\""),
	NO("\"\\ud83d\\ud83d\""),
	NO("\"\\ude00\\ud83d\""),
	NO("\"\\ud83d\\ude0\""),
	/* encoding: continuation alone, overlong, surrogate, cut short, beyond U+10FFFF, Latin-1 */
	ENC("\"\x80\""),
	ENC("\"\xc0\x80\""),
	ENC("\"\xc1\xbf\""),
	ENC("\"\xe0\x80\x80\""),
	ENC("\"\xed\xa0\x80\""),
	ENC("\"\xe2\x82\""),
	ENC("\"\xf0\x9f\x98\""),
	ENC("\"\xf4\x90\x80\x80\""),
	ENC("\"\xf8\x88\x80\x80\x80\""),
	ENC("\"\xff\""),
	ENC("\"caf\xe9\""),
	ENC("{\"\xe9\":1}"),
	ENC("{\"a\":[\"ok\",\"\xc3\"]}"),
};

static void
check_case(const Case *c, bool jsonb)
{
	char *copy = malloc(c->len > 0 ? c->len : 1);
	TxdError err = {0};
	bool ok;

	memcpy(copy, c->text, c->len);
	ok = txd_json_valid(copy, c->len, jsonb, &err);
	if (!CHECK(ok == (c->code == NULL)))
		fprintf(stderr, "    %.*s: %s\n", (int) c->len, c->text, err.message);
	if (!ok)
		CHECK_STR(err.code, c->code);
	free(copy);
}

static void
test_grammar(void)
{
	for (size_t i = 0; i < sizeof(grammar) / sizeof(grammar[0]); i++)
		check_case(&grammar[i], false);
}

static void
test_jsonb_limits(void)
{
	static const Case cases[] = {
		OK("1e131071"),
		OK("-9.99e131071"),
		OK("1e-16383"),
		OK("0e999999"),
		OK("0.00e131073"),
		OK("[1.5,{\"a\":2e10}]"),
		{"1e131072", 8, "out_of_range"},
		{"10e131071", 9, "out_of_range"},
		{"1e-16384", 8, "out_of_range"},
		{"1.5e-16383", 10, "out_of_range"},
		{"1e99999999999999999999", 22, "out_of_range"},
		{"[0.001e131075]", 14, "out_of_range"},
		OK("0.001e131074"),
		{"{\"a\":\"\\u0000\"}", 14, "nul_byte"},
		{"{\"\\u0000\":1}", 12, "nul_byte"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_case(&cases[i], true);
}

static void
test_depth(void)
{
	char text[200];
	TxdError err = {0};

	memset(text, '[', 64);
	memset(text + 64, ']', 64);
	CHECK(txd_json_valid(text, 128, false, &err));
	memset(text, '[', 65);
	memset(text + 65, ']', 65);
	CHECK(!txd_json_valid(text, 130, false, &err));
	CHECK_STR(err.code, "too_deep");
	CHECK(strstr(err.message, "at byte 65") != NULL);
}

int
main(void)
{
	test_grammar();
	test_jsonb_limits();
	test_depth();
	return check_done("json");
}
