/*
 * avro_write_cases.h — values as JSON, and what fastavro 1.13 makes of the same; or the code they are refused with, and what is said then.
 */
#ifndef AVRO_WRITE_CASES_H
#define AVRO_WRITE_CASES_H

typedef struct WriteCase
{
	const char *schema;
	const char *json;
	const char *want; /* bytes in hexadecimal, or "!", the code, and how the message begins */
} WriteCase;

static const WriteCase write_cases[] = {
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"},{\"name\":"
	 "\"b\",\"type\":\"string\",\"default\":\"d\\u00e9\"},{\"name\":\"c\",\"type\":[\"null\","
	 "\"long\"],\"default\":null},{\"name\":\"d\",\"type\":{\"type\":\"bytes\",\"logicalType\":"
	 "\"decimal\",\"precision\":5,\"scale\":2},\"default\":\"\\u0000\\u00ff\"},{\"name\":\"e\","
	 "\"type\":{\"type\":\"map\",\"values\":\"int\"},\"default\":{\"k\":1}},{\"name\":\"g\","
	 "\"type\":{\"type\":\"array\",\"items\":\"double\"},\"default\":[1.5]}]}",
	 "{\"a\": 1}", "020664c3a9000400ff02026b020002000000000000f83f00"},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"b\",\"type\":\"int\"},{\"name\":"
	 "\"a\",\"type\":\"string\"}]}",
	 " {\"a\": \"x\\u00fc\\ud83d\\ude00\", \"b\" : -5} ", "090e78c3bcf09f9880"},
	{"{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}",
	 "\"2024-03-01T12:30:00.123456+02:00\"", "80f1ddbadba58906"},
	{"{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}",
	 "\"2024-03-01T12:30:00.123+00:00\"", "f6a6f19fbf63"},
	{"{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}", "1709296200123", "f6a6f19fbf63"},
	{"{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}", "\"1969-12-31 23:59:59.999+00\"",
	 "01"},
	{"{\"type\":\"long\",\"logicalType\":\"local-timestamp-micros\"}", "\"2024-03-01T12:30:00\"",
	 "8088898d91a68906"},
	{"{\"type\":\"int\",\"logicalType\":\"date\"}", "\"2024-03-01\"", "8eb502"},
	{"{\"type\":\"int\",\"logicalType\":\"date\"}", "19783", "8eb502"},
	{"{\"type\":\"int\",\"logicalType\":\"time-millis\"}", "\"12:30:00.5\"", "e89cf52a"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":12,\"scale\":2}", "\"12.5\"",
	 "0404e2"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":12,\"scale\":2}", "1.25e3",
	 "0601e848"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":12,\"scale\":2}", "0.10000",
	 "020a"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":12,\"scale\":2}", "-0.00",
	 "0200"},
	{"{\"type\":\"fixed\",\"name\":\"f\",\"size\":3,\"logicalType\":\"decimal\",\"precision\":6,"
	 "\"scale\":0}",
	 "-32769", "ff7fff"},
	{"[\"null\",\"int\",\"string\"]", "\"5\"", "040235"},
	{"[\"null\",\"int\",\"long\"]", "5000000000", "0480c8afa025"},
	{"[\"null\",{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}"
	 ",{\"type\":\"record\",\"name\":\"s\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"},{\"name\":"
	 "\"b\",\"type\":\"int\"}]}]",
	 "{\"a\":1,\"b\":2}", "040204"},
	{"\"float\"", "\"NaN\"", "0000c07f"},
	{"\"float\"", "3.4e38", "9ec97f7f"},
	{"\"double\"", "-1e-300", "59f3f8c21f6ea581"},
	{"{\"type\":\"fixed\",\"name\":\"u\",\"size\":16,\"logicalType\":\"uuid\"}",
	 "\"00010203-0405-0607-0809-0A0B0C0D0E0F\"", "000102030405060708090a0b0c0d0e0f"},
	{"\"bytes\"", "\"\\\\x00FF\"", "0400ff"},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}", "{}",
	 "!missing_field field \"a\": it is missing, and the schema has no default for it"},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}",
	 "{\"a\": 1, \"b\": 2}", "!extra_field the schema has no field: \"b\""},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}",
	 "{\"a\": 1, \"a\": 2}", "!duplicate_field there is twice: \"a\""},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}",
	 "{\"a\": null}", "!missing_value field \"a\": it is null, which the schema does not allow"},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"array\","
	 "\"items\":{\"type\":\"record\",\"name\":\"i\",\"fields\":[{\"name\":\"x\",\"type\":[\"null\","
	 "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":5,\"scale\":2}]}]}}}]}",
	 "{\"a\": [{\"x\": 1.25}, {\"x\": 1.255}]}",
	 "!excess_scale field \"a[1].x\": more than the schema's 2 digits behind the point: \"1.255\""},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":5,\"scale\":2}", "1000",
	 "!out_of_range more than the schema's 5 digits: \"1000\""},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":5,\"scale\":2}", "\"x\"",
	 "!wrong_type not a decimal number: \"x\""},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":5,\"scale\":2}", "1e1000000000",
	 "!out_of_range more than the schema's 5 digits: \"1e1000000000\""},
	{"{\"type\":\"fixed\",\"name\":\"f\",\"size\":1,\"logicalType\":\"decimal\",\"precision\":5,"
	 "\"scale\":0}",
	 "128", "!out_of_range more than the schema's 5 digits: \"128\""},
	{"\"int\"", "2147483648", "!out_of_range"},
	{"\"int\"", "1.5", "!bad_value"},
	{"\"int\"", "\"1\"", "!wrong_type not a number: \"1\""},
	{"\"long\"", "true", "!wrong_type not a number: \"true\""},
	{"\"boolean\"", "1", "!wrong_type not a boolean: \"1\""},
	{"\"string\"", "1", "!wrong_type not a string: \"1\""},
	{"\"null\"", "1", "!wrong_type not null: \"1\""},
	{"\"string\"", "{}", "!wrong_type not a single value: \"{}\""},
	{"{\"type\":\"map\",\"values\":\"int\"}", "[]", "!wrong_type not an object: \"[]\""},
	{"{\"type\":\"array\",\"items\":\"int\"}", "{}", "!wrong_type not an array: \"{}\""},
	{"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\"],\"default\":\"A\"}", "\"B\"",
	 "!bad_value the enum has no such symbol: \"B\""},
	{"[\"null\",\"int\",\"string\"]", "true",
	 "!bad_value no branch of the union takes it: \"true\""},
	{"[\"int\",\"string\"]", "null", "!missing_value no branch of the union takes it: \"null\""},
	{"[\"null\",\"int\"]", "\"x\"", "!wrong_type not a number: \"x\""},
	{"\"float\"", "1e39", "!out_of_range"},
	{"\"double\"", "\"x\"", "!wrong_type not a number: \"x\""},
	{"\"bytes\"", "\"abc\"", "!bad_value bytes do not begin with \\x: \"abc\""},
	{"\"bytes\"", "\"\\\\x0\"", "!bad_value"},
	{"{\"type\":\"fixed\",\"name\":\"f\",\"size\":2}", "\"\\\\x01\"",
	 "!bad_value 1 bytes, not the schema's 2"},
	{"{\"type\":\"int\",\"logicalType\":\"date\"}", "\"2024-02-30\"", "!out_of_range"},
	{"{\"type\":\"int\",\"logicalType\":\"date\"}", "\"infinity\"",
	 "!out_of_range Avro has no such date: \"infinity\""},
	{"{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}",
	 "\"2024-03-01T12:30:00.123456+00\"", "!excess_scale"},
	{"{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}", "\"-infinity\"",
	 "!out_of_range Avro has no such time: \"-infinity\""},
	{"{\"type\":\"long\",\"logicalType\":\"timestamp-nanos\"}", "\"2400-01-01\"",
	 "!out_of_range Avro has no such time: \"2400-01-01\""},
	{"{\"type\":\"long\",\"logicalType\":\"time-micros\"}", "\"24:00\"",
	 "!out_of_range Avro has no such time: \"24:00\""},
	{"{\"type\":\"fixed\",\"name\":\"f\",\"size\":12,\"logicalType\":\"duration\"}", "\"1 day\"",
	 "!bad_value"},
	{"{\"type\":\"fixed\",\"name\":\"f\",\"size\":12,\"logicalType\":\"duration\"}",
	 "\"PT99999999999S\"", "!bad_value"},
	{"\"int\"", "1 2", "!bad_json"},
	{"\"int\"", "", "!bad_json"},
	{"\"int\"", "{", "!bad_json"},
	{"\"int\"",
	 "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]"
	 "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
	 "!too_deep"},
	{"{\"type\":\"fixed\",\"name\":\"f\",\"size\":12,\"logicalType\":\"duration\"}",
	 "\"P1Y2M3W4DT5H6M7.5S\"", "0e000000190000000c441801"},
	{"{\"type\":\"fixed\",\"name\":\"f\",\"size\":12,\"logicalType\":\"duration\"}", "\"PT0.001S\"",
	 "000000000000000001000000"},
	{"{\"type\":\"fixed\",\"name\":\"f\",\"size\":12,\"logicalType\":\"duration\"}", "\"P1M1M\"",
	 "!bad_value no duration"},
	{"{\"type\":\"fixed\",\"name\":\"f\",\"size\":12,\"logicalType\":\"duration\"}", "\"P1D1M\"",
	 "!bad_value no duration"},
	{"{\"type\":\"fixed\",\"name\":\"f\",\"size\":12,\"logicalType\":\"duration\"}", "\"PT1S1H\"",
	 "!bad_value no duration"},
	{"{\"type\":\"fixed\",\"name\":\"f\",\"size\":12,\"logicalType\":\"duration\"}", "\"P1MT\"",
	 "!bad_value no duration"},
	{"{\"type\":\"fixed\",\"name\":\"f\",\"size\":12,\"logicalType\":\"duration\"}",
	 "\"P1M2DT3ST4S\"", "!bad_value no duration"},
	{"{\"type\":\"fixed\",\"name\":\"f\",\"size\":12,\"logicalType\":\"duration\"}",
	 "\"P400000000Y\"", "!bad_value no duration"},
	{"{\"type\":\"fixed\",\"name\":\"f\",\"size\":12,\"logicalType\":\"duration\"}",
	 "\"PT1193H2M47.296S\"", "!bad_value no duration"},
};

#endif
