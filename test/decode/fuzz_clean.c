/*
 * fuzz_clean.c — libFuzzer entry: any bytes as a field's text, through every conversion and the types of dates. What
 * a conversion yields is a part of what it was given, stays as it is when it is converted again, and means the same.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#include "decode/clean.h"
#include "decode/numeric.h"
#include "decode/value.h"

#define MAX_TEXT 300

typedef struct Text
{
	const char *data; /* NULL: SQL NULL */
	size_t len;
} Text;

/* Berlin's clock of 2023, and one that is 15:59 ahead of the day. */
static const int64_t change_at[] = {1679792400, 1698541200};
static const int32_t change_to[] = {3600, 7200, 3600};
static const int32_t ahead[] = {57540};
static const TxdZone zones[] = {{0, NULL, ahead}, {2, change_at, change_to}};

static void
check_refusal(const TxdError *err)
{
	size_t len = strlen(err->message);

	MUST(err->code != NULL && len > 0 && txd_utf8_prefix(err->message, len) == len);
}

static bool
same(Text a, Text b)
{
	if (a.data == NULL || b.data == NULL)
		return a.data == b.data;
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static bool
convert(TxdConvert as, Text given, Text *result)
{
	TxdColumn column = {.name = "c", .type = TXD_STRING, .convert = as};
	TxdBuf scratch = {0};
	TxdError err = {0};
	bool ok;

	*result = given;
	ok = txd_clean(&column, &result->data, &result->len, &scratch, &err);
	MUST(scratch.data == NULL);
	if (!ok)
		check_refusal(&err);
	else if (result->data != NULL)
		MUST(result->data >= given.data && result->data + result->len <= given.data + given.len &&
			 txd_utf8_prefix(result->data, result->len) == result->len);
	return ok;
}

/* Converting what is clean changes nothing. */
static bool
convert_twice(TxdConvert as, Text given, Text *result)
{
	Text again;

	if (!convert(as, given, result))
		return false;
	if (result->data != NULL)
		MUST(convert(as, *result, &again) && same(*result, again));
	return true;
}

static int64_t
integer_of(Text text, bool *fits)
{
	TxdDecimal decimal;
	int64_t value = 0;
	bool exact = true;

	MUST(txd_scan_decimal(text.data, text.len, &decimal));
	*fits = txd_decimal_to_int64(&decimal, 0, 0, &value, &exact);
	MUST(exact);
	return value;
}

static void
try_whole(Text given)
{
	bool fits;
	bool fitted;
	Text trimmed;
	Text whole;

	if (!convert_twice(TXD_AS_WHOLE, given, &whole))
		return;
	MUST(whole.data != NULL && memchr(whole.data, '.', whole.len) == NULL);
	MUST(convert(TXD_AS_TRIM, given, &trimmed));
	MUST(integer_of(whole, &fits) == integer_of(trimmed, &fitted) && fits == fitted);
}

/* An address put together of its parts has the same parts. */
static void
try_address(Text given)
{
	char joined[MAX_TEXT + 4];
	size_t len = 0;
	Text part[4];
	bool ok = convert(TXD_AS_STREET, given, &part[0]);

	for (int i = 1; i < 4; i++)
	{
		MUST(convert((TxdConvert) (TXD_AS_STREET + i), given, &part[i]) == ok);
		MUST(!ok || part[i].data == NULL || memchr(part[i].data, '/', part[i].len) == NULL);
	}
	for (int i = 0; i < 4 && ok; i++)
	{
		if (i > 0)
			joined[len++] = '/';
		if (part[i].data != NULL)
			memcpy(joined + len, part[i].data, part[i].len);
		len += part[i].data != NULL ? part[i].len : 0;
	}
	for (int i = 0; i < 4 && ok; i++)
	{
		Text again;

		MUST(convert((TxdConvert) (TXD_AS_STREET + i), (Text){joined, len}, &again));
		MUST(same(again, part[i]));
	}
}

static bool
encode(const TxdColumn *column, TxdForm form, const TxdZone *zone, Text text, TxdBuf *out)
{
	TxdError err = {0};
	bool ok;

	out->len = 0;
	ok = txd_value(column, form, zone, TXD_KIND_TEXT, text.data, text.len, false, out, &err);
	if (!ok)
	{
		check_refusal(&err);
		MUST(out->len == 0);
	}
	return ok;
}

/* The text form, read under another zone than it was made with, is the same value. */
static void
try_time(TxdColumn *column, const TxdZone *zone, Text given)
{
	static TxdBuf binary, text, again;
	bool ok = encode(column, TXD_BINARY, zone, given, &binary);

	MUST(encode(column, TXD_TEXT, zone, given, &text) == ok);
	if (!ok || (text.len > 3 && memcmp(text.data + text.len - 3, " BC", 3) == 0))
		return; /* years before the first are written, but not read */
	column->convert = TXD_AS_IS;
	MUST(encode(column, TXD_BINARY, NULL, (Text){text.data, text.len}, &again));
	MUST(same((Text){binary.data, binary.len}, (Text){again.data, again.len}));
}

/* So many seconds are a thousand times as many milliseconds. */
static void
try_epoch(TxdColumn *column, const TxdZone *zone, Text given)
{
	static TxdBuf seconds, milliseconds;
	char thousand[MAX_TEXT + 3];
	bool ok;

	for (size_t i = 0; i < given.len; i++)
		if (given.data[i] < '0' || given.data[i] > '9')
			return;
	if (given.len == 0)
		return;
	memcpy(thousand, given.data, given.len);
	memcpy(thousand + given.len, "000", 3);
	column->convert = TXD_AS_EPOCH_S;
	ok = encode(column, TXD_BINARY, zone, given, &seconds);
	column->convert = TXD_AS_EPOCH_MS;
	MUST(ok == encode(column, TXD_BINARY, zone, (Text){thousand, given.len + 3}, &milliseconds));
	MUST(!ok ||
		 same((Text){seconds.data, seconds.len}, (Text){milliseconds.data, milliseconds.len}));
}

/* The first byte: type (2 bits), precision (3 bits, 7: none), zone (1 bit), way of reading (2 bits). */
static void
try_moment(uint8_t how, Text given)
{
	int precision = how >> 2 & 7;
	const TxdZone *zone = &zones[how >> 5 & 1];
	TxdColumn column = {.name = "c",
						.type = (TxdType) (TXD_DATE + (how & 3)),
						.precision = precision == 7 ? -1 : precision};

	if (how >> 6 != 0)
		column.convert = (TxdConvert) (TXD_AS_EPOCH_S + (how >> 6) - 1);
	try_time(&column, zone, given);
	try_epoch(&column, zone, given);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Text given = {NULL, size - 1};
	char *copy;
	Text result;

	if (size == 0 || size > MAX_TEXT)
		return 0;
	copy = malloc(size > 1 ? size - 1 : 1); /* of exactly this size for the sanitiser */
	memcpy(copy, data + 1, size - 1);
	given.data = copy;
	try_moment(data[0], given);
	if (txd_utf8_prefix(given.data, given.len) == given.len)
	{
		MUST(convert_twice(TXD_AS_TRIM, given, &result));
		MUST(convert_twice(TXD_AS_EMAIL, given, &result));
		try_whole(given);
		try_address(given);
	}
	free(copy);
	return 0;
}
