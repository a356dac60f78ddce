/*
 * test_values.c — what each kind of value becomes, and how it is refused.
 *
 * That accepted values have PostgreSQL's bytes is proven by diff_pg; here are samples of every type, and
 * what a server cannot tell: kinds, conversions, codes, the text form, untouched output.
 */
#include "decode/value.h"

#include "check.h"

static TxdBuf out;
static TxdError err;

/* Europe/Berlin in 2023: 26 March 01:00 UTC and 29 October 01:00 UTC. */
static const int64_t berlin_at[] = {1679792400, 1698541200};
static const int32_t berlin_offset[] = {3600, 7200, 3600};
static const TxdZone berlin = {2, berlin_at, berlin_offset};

static TxdColumn
column_of(TxdType type)
{
	TxdColumn column = {.name = "c", .type = type};

	if (type >= TXD_DATE && type <= TXD_TIMESTAMPTZ)
		column.precision = -1;
	return column;
}

/* Encodes a string; returns the field in hexadecimal, or the code it was refused with. */
static const char *
encode_as(const TxdColumn *column, TxdKind kind, const TxdZone *zone, const char *text)
{
	static char hex[2048];

	out.len = 0;
	memset(&err, 0, sizeof(err));
	if (!txd_value(column, TXD_BINARY, zone, kind, text, strlen(text), false, &out, &err))
	{
		CHECK_INT(out.len, 0);
		CHECK_STR(err.column, "c");
		CHECK(err.message[0] != '\0');
		return err.code;
	}
	CHECK(out.len >= 4 && out.len < sizeof(hex) / 2);
	CHECK_INT((unsigned char) out.data[3] | (unsigned char) out.data[2] << 8, out.len - 4);
	for (size_t i = 4; i < out.len; i++)
		snprintf(hex + 2 * (i - 4), 3, "%02x", (unsigned char) out.data[i]);
	hex[2 * (out.len - 4)] = '\0';
	return hex;
}

static const char *
encode(TxdType type, const char *text)
{
	TxdColumn column = column_of(type);

	return encode_as(&column, TXD_KIND_TEXT, NULL, text);
}

static const char *
encode_kind(TxdType type, TxdKind kind, const char *text)
{
	TxdColumn column = column_of(type);

	return encode_as(&column, kind, NULL, text);
}

/* The text form of a value, or the code it was refused with. */
static const char *
text_form(const TxdColumn *column, TxdKind kind, const TxdZone *zone, const char *text)
{
	out.len = 0;
	if (!txd_value(column, TXD_TEXT, zone, kind, text, strlen(text), false, &out, &err))
		return err.code;
	txd_buf_byte(&out, '\0');
	return out.data;
}

static void
test_numbers(void)
{
	TxdColumn money = column_of(TXD_NUMERIC);

	CHECK_STR(encode(TXD_INT2, "-32768"), "8000");
	CHECK_STR(encode(TXD_INT2, "32768"), "out_of_range");
	CHECK_STR(encode(TXD_INT4, " 42\n"), "0000002a");
	CHECK_STR(encode(TXD_INT4, "2.0"), "bad_value");
	CHECK_STR(encode(TXD_INT4, "abc"), "bad_value");
	CHECK_STR(err.message, "invalid input for integer: \"abc\"");
	CHECK_STR(encode(TXD_INT8, "-9223372036854775808"), "8000000000000000");
	CHECK_STR(encode(TXD_INT8, "18446744073709551617"), "out_of_range");
	CHECK_STR(encode(TXD_INT4, ""), "bad_value");

	CHECK_STR(encode(TXD_FLOAT8, "0.1"), "3fb999999999999a");
	CHECK_STR(encode(TXD_FLOAT8, "-0"), "8000000000000000");
	CHECK_STR(encode(TXD_FLOAT8, "9007199254740993"), "4340000000000000");
	CHECK_STR(encode(TXD_FLOAT8, "1e309"), "out_of_range");
	CHECK_STR(encode(TXD_FLOAT4, "0.1"), "3dcccccd");
	CHECK_STR(encode(TXD_FLOAT4, "1e-50"), "out_of_range");
	CHECK_STR(encode(TXD_FLOAT4, "-inf"), "ff800000");
	CHECK_STR(encode(TXD_FLOAT8, "1,5"), "bad_value");

	CHECK_STR(encode(TXD_NUMERIC, "0.00"), "0000000000000002");
	CHECK_STR(encode(TXD_NUMERIC, "-12345.678"), "0003000140000003000109291a7c");
	CHECK_STR(encode(TXD_NUMERIC, "1.5e3"), "000100000000000005dc");
	CHECK_STR(encode(TXD_NUMERIC, "NaN"), "00000000c0000000");
	CHECK_STR(encode(TXD_NUMERIC, "."), "bad_value");
	money.precision = 10;
	money.scale = 2;
	CHECK_STR(encode_as(&money, TXD_KIND_NUMBER, NULL, "1.5"), "000200000000000200011388");
	CHECK_STR(encode_as(&money, TXD_KIND_NUMBER, NULL, "1.500"), "000200000000000200011388");
	CHECK_STR(encode_as(&money, TXD_KIND_NUMBER, NULL, "1.005"), "excess_scale");
	CHECK_STR(encode_as(&money, TXD_KIND_NUMBER, NULL, "100000000"), "out_of_range");
	CHECK_STR(encode_as(&money, TXD_KIND_TEXT, NULL, "Infinity"), "out_of_range");
}

static void
test_text(void)
{
	TxdColumn three = column_of(TXD_VARCHAR);

	three.length = 3;
	CHECK_STR(encode(TXD_STRING, ""), "");
	CHECK_STR(encode(TXD_STRING, "h\xc3\xa9"), "68c3a9");
	CHECK_STR(encode(TXD_STRING, "h\xc3"), "bad_encoding");
	CHECK_STR(encode_as(&three, TXD_KIND_TEXT, NULL, "\xc3\xa4\xc3\xb6\xc3\xbc"), "c3a4c3b6c3bc");
	CHECK_STR(encode_as(&three, TXD_KIND_TEXT, NULL, "abc  "), "616263");
	CHECK_STR(encode_as(&three, TXD_KIND_TEXT, NULL, "abc d"), "too_long");
	CHECK_STR(encode_kind(TXD_STRING, TXD_KIND_NUMBER, "1.50"), "312e3530");
	CHECK_STR(encode_kind(TXD_STRING, TXD_KIND_BOOL, "true"), "74727565");
	CHECK_STR(encode_kind(TXD_STRING, TXD_KIND_JSON, "{ }"), "7b207d");
	CHECK_STR(encode_kind(TXD_STRING, TXD_KIND_BYTES, "\xff"), "bad_encoding");

	out.len = 0;
	three = column_of(TXD_STRING);
	CHECK(!txd_value(&three, TXD_BINARY, NULL, TXD_KIND_TEXT, "a\0b", 3, false, &out, &err));
	CHECK_STR(err.code, "nul_byte");
}

static void
test_other_scalars(void)
{
	CHECK_STR(encode(TXD_BOOL, "True"), "01");
	CHECK_STR(encode(TXD_BOOL, " of "), "00");
	CHECK_STR(encode(TXD_BOOL, "o"), "bad_value");
	CHECK_STR(encode(TXD_UUID, "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"),
			  "a0eebc999c0b4ef8bb6d6bb9bd380a11");
	CHECK_STR(encode(TXD_UUID, "a0eebc99"), "bad_value");
	CHECK_STR(encode(TXD_BYTEA, "\\x00fF"), "00ff");
	CHECK_STR(encode(TXD_BYTEA, "a\\\\\\001"), "615c01");
	CHECK_STR(encode(TXD_BYTEA, "a\\b"), "bad_value");
	CHECK_STR(encode_kind(TXD_BYTEA, TXD_KIND_BYTES, "\\x00"), "5c783030");
	CHECK_STR(encode(TXD_JSONB, "[1]"), "015b315d");
	CHECK_STR(encode(TXD_JSONTEXT, " [1]"), "205b315d");
	CHECK_STR(encode(TXD_JSONTEXT, "x"), "bad_json");
	CHECK_STR(encode_kind(TXD_JSONTEXT, TXD_KIND_JSON, "\"x\""), "227822");
	CHECK_STR(encode_kind(TXD_JSONB, TXD_KIND_NUMBER, "1e200000"), "out_of_range");
	CHECK_STR(encode_kind(TXD_JSONB, TXD_KIND_JSON, "\"\\u0000\""), "nul_byte");
	CHECK_STR(encode(TXD_OTHER, "x"), "wrong_type");
}

static void
test_dates(void)
{
	TxdColumn ms = column_of(TXD_TIMESTAMP);
	TxdColumn tz = column_of(TXD_TIMESTAMPTZ);
	char winter[17];

	CHECK_STR(encode(TXD_DATE, "2000-01-02"), "00000001");
	CHECK_STR(encode(TXD_DATE, "2023-5-20"), "0000215c");
	CHECK_STR(encode(TXD_DATE, "20230520"), "0000215c");
	CHECK_STR(encode(TXD_DATE, "2023-02-29"), "out_of_range");
	CHECK_STR(encode(TXD_DATE, "2023-05-20T10:00"), "excess_scale");
	CHECK_STR(encode(TXD_DATE, "20.5.2023"), "bad_value");
	CHECK_STR(encode(TXD_DATE, "-infinity"), "80000000");
	CHECK_STR(encode(TXD_TIME, "24:00"), "000000141dd76000");
	CHECK_STR(encode(TXD_TIME, "24:00:01"), "out_of_range");
	CHECK_STR(encode(TXD_TIMESTAMP, "2000-01-01T00:00:00.0000015Z"), "0000000000000002");
	CHECK_STR(encode(TXD_TIMESTAMP, "2000-01-01T00:00:00.0000000001"), "excess_scale");
	CHECK_STR(encode(TXD_TIMESTAMPTZ, "2000-01-01 01:00 +0100"), "0000000000000000");
	ms.precision = 3;
	CHECK_STR(encode_as(&ms, TXD_KIND_TEXT, NULL, "2000-01-01 00:00:00.001000"),
			  "00000000000003e8");
	CHECK_STR(encode_as(&ms, TXD_KIND_TEXT, NULL, "2000-01-01 00:00:00.0001"), "excess_scale");

	/* A reading that the clock skipped is read with the offset before, one shown twice with the after. */
	strcpy(winter, encode(TXD_TIMESTAMPTZ, "2023-03-26 02:30+01"));
	CHECK_STR(encode_as(&tz, TXD_KIND_TEXT, &berlin, "2023-03-26 02:30"), winter);
	strcpy(winter, encode(TXD_TIMESTAMPTZ, "2023-10-29 02:30+01"));
	CHECK_STR(encode_as(&tz, TXD_KIND_TEXT, &berlin, "2023-10-29 02:30"), winter);
	strcpy(winter, encode(TXD_TIMESTAMPTZ, "2023-07-01 12:00+02"));
	CHECK_STR(encode_as(&tz, TXD_KIND_TEXT, &berlin, "2023-07-01 12:00"), winter);
}

static void
test_epochs(void)
{
	static const TxdConvert converts[] = {TXD_AS_EPOCH_S, TXD_AS_EPOCH_MS, TXD_AS_EPOCH_US};
	static const char *const numbers[] = {"1684577471.5", "1684577471500", "1684577471500000"};
	TxdColumn tz = column_of(TXD_TIMESTAMPTZ);
	TxdColumn day = column_of(TXD_DATE);
	TxdColumn plain = column_of(TXD_TIMESTAMP);
	TxdColumn clock = column_of(TXD_TIME);

	for (int i = 0; i < 3; i++)
	{
		tz.convert = plain.convert = day.convert = clock.convert = converts[i];
		CHECK_STR(text_form(&tz, TXD_KIND_NUMBER, &berlin, numbers[i]),
				  "2023-05-20 10:11:11.500000+00");
		CHECK_STR(text_form(&plain, TXD_KIND_TEXT, &berlin, numbers[i]),
				  "2023-05-20 12:11:11.500000");
		CHECK_STR(encode_as(&day, TXD_KIND_NUMBER, NULL, numbers[i]), "0000215c");
		CHECK_STR(encode_as(&clock, TXD_KIND_NUMBER, NULL, numbers[i]), "wrong_type");
	}
	tz.convert = TXD_AS_EPOCH_S;
	CHECK_STR(text_form(&tz, TXD_KIND_NUMBER, NULL, "-0.5"), "1969-12-31 23:59:59.500000+00");
	CHECK_STR(text_form(&tz, TXD_KIND_NUMBER, NULL, "1.684577471E9"), "2023-05-20 10:11:11+00");
	CHECK_STR(text_form(&tz, TXD_KIND_NUMBER, NULL, "0.0000015"), "1970-01-01 00:00:00.000002+00");
	CHECK_STR(text_form(&tz, TXD_KIND_NUMBER, NULL, "-99999999999"), "1200-02-15 14:13:21+00 BC");
	CHECK_STR(text_form(&tz, TXD_KIND_NUMBER, NULL, "0.0000000001"), "excess_scale");
	CHECK_STR(text_form(&tz, TXD_KIND_NUMBER, NULL, "1e30"), "out_of_range");
	CHECK_STR(text_form(&tz, TXD_KIND_NUMBER, NULL, "-1e12"), "out_of_range");
	CHECK_STR(text_form(&tz, TXD_KIND_TEXT, NULL, "2023-05-20"), "bad_value");
	CHECK_STR(text_form(&tz, TXD_KIND_TEXT, NULL, "2023-05-20 10:11:11"), "bad_value");
	CHECK_STR(text_form(&tz, TXD_KIND_BOOL, NULL, "true"), "wrong_type");
}

static void
test_kinds(void)
{
	for (TxdType type = TXD_INT2; type <= TXD_UUID; type++)
	{
		if (type >= TXD_STRING && type <= TXD_CHAR)
			continue;
		CHECK_STR(encode_kind(type, TXD_KIND_JSON, "[1]"), "wrong_type");
		if (type != TXD_BOOL)
			CHECK_STR(encode_kind(type, TXD_KIND_BOOL, "true"), "wrong_type");
		if (type > TXD_NUMERIC)
			CHECK_STR(encode_kind(type, TXD_KIND_NUMBER, "1"), "wrong_type");
	}
	CHECK_STR(encode_kind(TXD_BYTEA, TXD_KIND_NUMBER, "1"), "wrong_type");
	CHECK_STR(encode_kind(TXD_DATE, TXD_KIND_NUMBER, "1684577471"), "wrong_type");
	CHECK_STR(err.message, "a number cannot become date: \"1684577471\"");
}

static void
test_text_form(void)
{
	TxdColumn column = column_of(TXD_OTHER);

	CHECK_STR(text_form(&column, TXD_KIND_TEXT, NULL, "a\tb\\c\nd\re"), "a\\tb\\\\c\\nd\\re");
	column = column_of(TXD_BYTEA);
	CHECK_STR(text_form(&column, TXD_KIND_BYTES, NULL, "a\xff"), "\\\\x61ff");
	CHECK_STR(text_form(&column, TXD_KIND_TEXT, NULL, "\\x61"), "\\\\x61");
	column = column_of(TXD_NUMERIC);
	CHECK_STR(text_form(&column, TXD_KIND_NUMBER, NULL, "1.50"), "1.50");
	CHECK_STR(text_form(&column, TXD_KIND_TEXT, NULL, "x"), "bad_value");
	column = column_of(TXD_TIMESTAMPTZ);
	CHECK_STR(text_form(&column, TXD_KIND_TEXT, &berlin, "2023-5-20T12:11:12.5"),
			  "2023-05-20 10:11:12.500000+00");
	CHECK_STR(text_form(&column, TXD_KIND_TEXT, NULL, "infinity"), "infinity");
	column = column_of(TXD_TIME);
	CHECK_STR(text_form(&column, TXD_KIND_TEXT, NULL, "23:59:60"), "24:00:00");
}

static void
test_given_values(void)
{
	TxdColumn column = column_of(TXD_INT2);

	out.len = 0;
	CHECK(txd_null(&column, TXD_BINARY, &out, &err));
	CHECK_HEX(out.data, out.len, "ffffffff");
	out.len = 0;
	CHECK(txd_null(&column, TXD_TEXT, &out, &err));
	CHECK_HEX(out.data, out.len, "5c4e");
	column.not_null = true;
	CHECK(!txd_null(&column, TXD_BINARY, &out, &err));
	CHECK_STR(err.code, "missing_value");

	out.len = 0;
	CHECK(txd_integer(&column, TXD_BINARY, 7, &out, &err));
	CHECK_HEX(out.data, out.len, "000000020007");
	CHECK(!txd_integer(&column, TXD_BINARY, INT64_MIN, &out, &err));
	CHECK_STR(err.code, "out_of_range");
	column = column_of(TXD_STRING);
	out.len = 0;
	CHECK(txd_integer(&column, TXD_BINARY, INT64_MIN, &out, &err));
	CHECK_HEX(out.data + 4, out.len - 4, "2d39323233333732303336383534373735383038");
	out.len = 0;
	CHECK(txd_unix_us(&column, TXD_TEXT, NULL, INT64_C(1684577471500000), &out, &err));
	CHECK_HEX(out.data, out.len, "323032332d30352d32302031303a31313a31312e3530303030302b3030");
	CHECK(txd_unix_us(&column, TXD_TEXT, NULL, INT64_MIN, &out, &err));
	column = column_of(TXD_TIMESTAMPTZ);
	out.len = 0;
	CHECK(txd_unix_us(&column, TXD_BINARY, &berlin, INT64_C(946684800000001), &out, &err));
	CHECK_HEX(out.data, out.len, "000000080000000000000001");
	CHECK(!txd_unix_us(&column, TXD_BINARY, &berlin, INT64_MAX, &out, &err));
	CHECK_STR(err.code, "out_of_range");
	column = column_of(TXD_INT8);
	CHECK(!txd_unix_us(&column, TXD_BINARY, NULL, 0, &out, &err));
	CHECK_STR(err.code, "wrong_type");
}

int
main(void)
{
	test_numbers();
	test_text();
	test_other_scalars();
	test_dates();
	test_epochs();
	test_kinds();
	test_text_form();
	test_given_values();
	txd_buf_free(&out);
	return check_done("test_values");
}
