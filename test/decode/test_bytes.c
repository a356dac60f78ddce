/*
 * test_bytes.c — whatever the bytes: what counts as UTF-8, messages that stay readable, no read beyond
 * the input and no output from a refused value.
 */
#include "decode/value.h"

#include <stdlib.h>

#include "check.h"

static TxdBuf out;
static TxdError err;

static const int64_t change_at[] = {1679792400};
static const int32_t change_offset[] = {3600, 7200};
static const TxdZone zone = {1, change_at, change_offset};

static void
test_messages(void)
{
	TxdColumn column = {.name = "c", .type = TXD_INT4};
	char value[200];
	char longest[1000];

	memset(value, 'a', sizeof(value));
	value[1] = '\n';
	value[2] = '\xff';
	memcpy(value + 59, "\xc3\xa4", 2);
	CHECK(!txd_value(&column, TXD_BINARY, NULL, TXD_KIND_TEXT, value, sizeof(value), false, &out,
					 &err));
	CHECK_STR(err.message, "invalid input for integer: "
						   "\"a??aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\"");

	for (size_t i = 0; i + 1 < sizeof(longest); i++)
		longest[i] = i % 2 == 0 ? '\xc3' : '\xa4';
	longest[sizeof(longest) - 2] = longest[sizeof(longest) - 1] = '\0';
	CHECK(!txd_refuse(&err, "bad_value", NULL, "x%s", longest));
	CHECK_INT(strlen(err.message), 399);
	CHECK(!txd_refuse(&err, "bad_value", NULL, "%s", longest));
	CHECK_INT(strlen(err.message), 398);
	CHECK(err.column == NULL);

	CHECK_INT(txd_convert_by_name("epoch_ms"), TXD_AS_EPOCH_MS);
	CHECK_INT(txd_convert_by_name("address_city"), TXD_AS_CITY);
	CHECK_INT(txd_convert_by_name("nonsense"), -1);
}

static void
test_utf8_prefix(void)
{
	static const struct
	{
		const char *text;
		size_t len;
		size_t good;
	} cases[] = {
		{"", 0, 0},
		{"plain ASCII of some length", 26, 26},
		{"1234567\0", 8, 7},
		{"\0"
		 "1234567",
		 8, 0},
		{"12345678\x80", 9, 8},
		{"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 21,
		 21},
		{"a\xc1\xbf", 3, 1},
		{"a\xe0\x9f\xbf", 4, 1},
		{"a\xed\xa0\x80", 4, 1},
		{"a\xf0\x8f\xbf\xbf", 5, 1},
		{"a\xf4\x90\x80\x80", 5, 1},
		{"a\xf5\x80\x80\x80", 5, 1},
		{"a\xe2\x82", 3, 1},
		{"a\xe2\x82\x41", 4, 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK_INT(txd_utf8_prefix(cases[i].text, cases[i].len), cases[i].good);
}

/* Random strings in blocks of exactly their size: the sanitizers see a read beyond the end. */
static void
test_random_bytes(void)
{
	static const char letters[] = "0123456789+-.:eETZ{}[]\"\\/x tfnuailyos\xc3\xa4";
	bool sound = true;
	uint32_t seed = 1;

	for (int round = 0; round < 200000; round++)
	{
		TxdColumn column = {.name = "c", .type = (TxdType) (round % (TXD_OTHER + 1))};
		size_t len = (seed >> 8) % 24;
		char *text = malloc(len > 0 ? len : 1);
		bool ok[2];

		column.length = round % 3;
		column.scale = round % 4;
		column.precision = round % 7 - (column.type != TXD_NUMERIC);
		for (size_t i = 0; i < len; i++)
		{
			seed = seed * 1103515245 + 12345;
			text[i] = letters[(seed >> 16) % (sizeof(letters) - 1)];
		}
		seed = seed * 1103515245 + 12345;
		for (int form = 0; form < 2; form++)
		{
			out.len = 0;
			err.message[0] = '\0';
			ok[form] = txd_value(&column, (TxdForm) form, &zone, TXD_KIND_TEXT, text, len, false,
								 &out, &err);
			sound &= ok[form] ||
					 (out.len == 0 && err.message[0] != '\0' &&
					  txd_utf8_prefix(err.message, strlen(err.message)) == strlen(err.message));
		}
		sound &= ok[0] == ok[1] || column.type == TXD_OTHER;
		free(text);
	}
	CHECK(sound);
}

int
main(void)
{
	test_messages();
	test_utf8_prefix();
	test_random_bytes();
	txd_buf_free(&out);
	return check_done("test_bytes");
}
