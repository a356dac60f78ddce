/*
 * avro_cases.h — values as avro's own writers encoded them, and the JSON they are. The encodings were written by fastavro 1.13.
 */
#ifndef AVRO_CASES_H
#define AVRO_CASES_H

#include <stddef.h>

typedef struct Case
{
	const char *writer;
	const char *reader; /* NULL: none */
	const char *hex;
	const char *want; /* JSON, or "!" and the code it is refused with */
} Case;

static const Case cases[] = {
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"int\"},{\"name\":"
	 "\"name\",\"type\":\"string\"},{\"name\":\"old\",\"type\":\"string\"}]}",
	 "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"x\",\"type\":[\"string\","
	 "\"null\"],\"default\":null}]}",
	 "0e026e026f", "{\"x\":null}"},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"int\"},{\"name\":"
	 "\"name\",\"type\":\"string\"},{\"name\":\"old\",\"type\":\"string\"}]}",
	 "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"name\",\"type\":\"string\","
	 "\"aliases\":[\"old\"]}]}",
	 "0e026e026f", "{\"name\":\"n\"}"},
	{"\"int\"", NULL, "00", "0"},
	{"\"int\"", NULL, "01", "-1"},
	{"\"int\"", NULL, "02", "1"},
	{"\"int\"", NULL, "7e", "63"},
	{"\"int\"", NULL, "8001", "64"},
	{"\"int\"", NULL, "7f", "-64"},
	{"\"int\"", NULL, "8101", "-65"},
	{"\"int\"", NULL, "feffffff0f", "2147483647"},
	{"\"int\"", NULL, "ffffffff0f", "-2147483648"},
	{"\"long\"", NULL, "feffffffffffffffff01", "9223372036854775807"},
	{"\"long\"", NULL, "ffffffffffffffffff01", "-9223372036854775808"},
	{"\"long\"", NULL, "808080808040", "1099511627776"},
	{"\"null\"", NULL, "", "null"},
	{"\"boolean\"", NULL, "01", "true"},
	{"\"boolean\"", NULL, "00", "false"},
	{"\"double\"", NULL, "9a9999999999b93f", "0.1"},
	{"\"double\"", NULL, "000000000000f83f", "1.5"},
	{"\"double\"", NULL, "9c7500883ce4377e", "1e+300"},
	{"\"double\"", NULL, "0000000000000840", "3"},
	{"\"double\"", NULL, "0000000000000080", "-0"},
	{"\"double\"", NULL, "555555555555d53f", "0.3333333333333333"},
	{"\"double\"", NULL, "0100000000000000", "4.94065645841247e-324"},
	{"\"double\"", NULL, "000000000000f87f", "\"NaN\""},
	{"\"double\"", NULL, "000000000000f07f", "\"Infinity\""},
	{"\"double\"", NULL, "000000000000f0ff", "\"-Infinity\""},
	{"\"float\"", NULL, "cdcccc3d", "0.1"},
	{"\"float\"", NULL, "0000804b", "16777216"},
	{"\"float\"", NULL, "9ec97f7f", "3.4e+38"},
	{"\"string\"", NULL, "1a6122625c630ac3bcf09f988000",
	 "\"a\\\"b\\\\c\\u000a\303\274\360\237\230\200\\u0000\""},
	{"\"bytes\"", NULL, "0600ff41", "\"\\\\x00ff41\""},
	{"\"bytes\"", NULL, "00", "\"\\\\x\""},
	{"{\"type\":\"fixed\",\"name\":\"f4\",\"size\":4}", NULL, "01020304", "\"\\\\x01020304\""},
	{"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\",\"B\",\"C\"]}", NULL, "04", "\"C\""},
	{"{\"type\":\"array\",\"items\":\"long\"}", NULL, "0602040600", "[1,2,3]"},
	{"{\"type\":\"array\",\"items\":\"long\"}", NULL, "00", "[]"},
	{"{\"type\":\"map\",\"values\":\"boolean\"}", NULL, "02067820790100", "{\"x y\":true}"},
	{"[\"null\",\"string\"]", NULL, "00", "null"},
	{"[\"null\",\"string\"]", NULL, "020278", "\"x\""},
	{"[\"null\",\"long\",\"string\"]", NULL, "020e", "7"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":60,\"scale\":0}", NULL, "0200",
	 "0"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":60,\"scale\":2}", NULL, "0200",
	 "0.00"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":60,\"scale\":2}", NULL,
	 "04ff6a", "-1.50"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":60,\"scale\":2}", NULL, "0207",
	 "0.07"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":60,\"scale\":2}", NULL, "02f9",
	 "-0.07"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":60,\"scale\":9}", NULL,
	 "200949b0f6f0023313c4499050e4d85f15", "12345678901234567890123456789.123456789"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":60,\"scale\":0}", NULL,
	 "2af78d809c965507c35eafd98b8507380e6931c0f52e",
	 "-12345678901234567890123456789012345678901234567890"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":60,\"scale\":0}", NULL,
	 "0400ff", "255"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":60,\"scale\":0}", NULL,
	 "04ff80", "-128"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":60,\"scale\":0}", NULL,
	 "04ff7f", "-129"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":60,\"scale\":0}", NULL,
	 "0a0100000000", "4294967296"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":60,\"scale\":0}", NULL,
	 "083b9aca00", "1000000000"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":60,\"scale\":1}", NULL,
	 "12f5fffffffffffffffb", "-18446744073709551616.5"},
	{"{\"type\":\"fixed\",\"name\":\"d\",\"size\":12,\"logicalType\":\"decimal\",\"precision\":20,"
	 "\"scale\":3}",
	 NULL, "ffffffffffffffffffffbd1b", "-17.125"},
	{"{\"type\":\"int\",\"logicalType\":\"date\"}", NULL, "8cb502", "\"2024-02-29\""},
	{"{\"type\":\"int\",\"logicalType\":\"date\"}", NULL, "f3e457", "\"0001-01-01\""},
	{"{\"type\":\"int\",\"logicalType\":\"date\"}", NULL, "01", "\"1969-12-31\""},
	{"{\"type\":\"int\",\"logicalType\":\"time-millis\"}", NULL, "feefb252", "\"23:59:59.999\""},
	{"{\"type\":\"long\",\"logicalType\":\"time-micros\"}", NULL, "02", "\"00:00:00.000001\""},
	{"{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}", NULL, "dcec86829963",
	 "\"2024-01-02 03:04:05.678+00\""},
	{"{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}", NULL, "01",
	 "\"1969-12-31 23:59:59.999999+00\""},
	{"{\"type\":\"long\",\"logicalType\":\"timestamp-nanos\"}", NULL, "02",
	 "\"1970-01-01 00:00:00.000000001+00\""},
	{"{\"type\":\"long\",\"logicalType\":\"local-timestamp-millis\"}", NULL, "80c0c2f79863",
	 "\"2024-01-02 00:00:00\""},
	{"{\"type\":\"string\",\"logicalType\":\"uuid\"}", NULL,
	 "4830303030303030302d303030302d303030302d303030302d303030303030303030303035",
	 "\"00000000-0000-0000-0000-000000000005\""},
	{"{\"type\":\"fixed\",\"name\":\"u\",\"size\":16,\"logicalType\":\"uuid\"}", NULL,
	 "000102030405060708090a0b0c0d0e0f", "\"00010203-0405-0607-0809-0a0b0c0d0e0f\""},
	{"{\"type\":\"fixed\",\"name\":\"du\",\"size\":12,\"logicalType\":\"duration\"}", NULL,
	 "0100000002000000bc0b0000", "\"P1M2DT3.004S\""},
	{"{\"type\":\"int\",\"logicalType\":\"timestamp-micros\"}", NULL, "0a", "5"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"scale\":2}", NULL, "0201", "\"\\\\x01\""},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"long\"},{"
	 "\"name\":\"n\",\"type\":[\"null\",\"string\"],\"default\":null},{\"name\":\"t\",\"type\":{"
	 "\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"in\",\"fields\":[{\"name\":"
	 "\"a\",\"type\":\"int\"}]}}}]}",
	 NULL, "0202027804020400", "{\"id\":1,\"n\":\"x\",\"t\":[{\"a\":1},{\"a\":2}]}"},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"v\",\"type\":\"int\"},{\"name\":"
	 "\"next\",\"type\":[\"null\",\"r\"]}]}",
	 NULL, "02020400", "{\"v\":1,\"next\":{\"v\":2,\"next\":null}}"},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":"
	 "\"record\",\"name\":\"s.t\",\"fields\":[{\"name\":\"x\",\"type\":\"int\"}]}},{\"name\":\"b\","
	 "\"type\":\"s.t\"}],\"namespace\":\"q\"}",
	 NULL, "0204", "{\"a\":{\"x\":1},\"b\":{\"x\":2}}"},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[]}", NULL, "", "{}"},
	{"{\"type\":\"array\",\"items\":\"int\"}", NULL, "03040204020600", "[1,2,3]"},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"int\"},{\"name\":"
	 "\"name\",\"type\":\"string\"},{\"name\":\"old\",\"type\":\"string\"}]}",
	 "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"int\"},{\"name\":"
	 "\"name\",\"type\":\"string\"},{\"name\":\"old\",\"type\":\"string\"}]}",
	 "0e026e026f", "{\"id\":7,\"name\":\"n\",\"old\":\"o\"}"},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"int\"},{\"name\":"
	 "\"name\",\"type\":\"string\"},{\"name\":\"old\",\"type\":\"string\"}]}",
	 "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"int\"},{\"name\":"
	 "\"name\",\"type\":\"string\"}]}",
	 "0e026e026f", "{\"id\":7,\"name\":\"n\"}"},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"int\"},{\"name\":"
	 "\"name\",\"type\":\"string\"},{\"name\":\"old\",\"type\":\"string\"}]}",
	 "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"name\",\"type\":\"string\"},{"
	 "\"name\":\"id\",\"type\":\"long\"}]}",
	 "0e026e026f", "{\"id\":7,\"name\":\"n\"}"},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"int\"},{\"name\":"
	 "\"name\",\"type\":\"string\"},{\"name\":\"old\",\"type\":\"string\"}]}",
	 "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"int\"},{\"name\":"
	 "\"name\",\"type\":\"string\"},{\"name\":\"new\",\"type\":\"string\",\"default\":\"d\\u00e9\"}"
	 "]}",
	 "0e026e026f", "{\"id\":7,\"name\":\"n\",\"new\":\"d\303\251\"}"},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"int\"},{\"name\":"
	 "\"name\",\"type\":\"string\"},{\"name\":\"old\",\"type\":\"string\"}]}",
	 "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"int\"},{\"name\":"
	 "\"title\",\"type\":\"string\",\"aliases\":[\"name\"]}]}",
	 "0e026e026f", "{\"id\":7,\"title\":\"n\"}"},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"int\"},{\"name\":"
	 "\"name\",\"type\":\"string\"},{\"name\":\"old\",\"type\":\"string\"}]}",
	 "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"double\"},{"
	 "\"name\":\"name\",\"type\":\"bytes\"}]}",
	 "0e026e026f", "{\"id\":7,\"name\":\"\\\\x6e\"}"},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"int\"},{\"name\":"
	 "\"name\",\"type\":\"string\"},{\"name\":\"old\",\"type\":\"string\"}]}",
	 "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":[\"null\",\"long\"]"
	 "},{\"name\":\"name\",\"type\":[\"null\",\"string\"]}]}",
	 "0e026e026f", "{\"id\":7,\"name\":\"n\"}"},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"int\"},{\"name\":"
	 "\"name\",\"type\":\"string\"},{\"name\":\"old\",\"type\":\"string\"}]}",
	 "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"new\",\"type\":\"long\"}]}",
	 "0e026e026f", "!bad_avro"},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"int\"},{\"name\":"
	 "\"name\",\"type\":\"string\"},{\"name\":\"old\",\"type\":\"string\"}]}",
	 "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"}]}",
	 "0e026e026f", "!bad_avro"},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"int\"},{\"name\":"
	 "\"name\",\"type\":\"string\"},{\"name\":\"old\",\"type\":\"string\"}]}",
	 "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"n1\",\"type\":[\"null\",\"int\"],"
	 "\"default\":null},{\"name\":\"n2\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\","
	 "\"precision\":5,\"scale\":2},\"default\":\"\\u0000\\u00ff\"},{\"name\":\"n3\",\"type\":{"
	 "\"type\":\"array\",\"items\":\"int\"},\"default\":[1,2]},{\"name\":\"n4\",\"type\":{\"type\":"
	 "\"map\",\"values\":\"string\"},\"default\":{\"k\":\"v\"}},{\"name\":\"n5\",\"type\":{"
	 "\"type\":\"record\",\"name\":\"z\",\"fields\":[{\"name\":\"x\",\"type\":{\"type\":\"int\","
	 "\"logicalType\":\"date\"}}]},\"default\":{\"x\":1}},{\"name\":\"n6\",\"type\":\"double\","
	 "\"default\":1.5},{\"name\":\"n7\",\"type\":\"boolean\",\"default\":false},{\"name\":\"n8\","
	 "\"type\":{\"type\":\"enum\",\"name\":\"en\",\"symbols\":[\"Q\"]},\"default\":\"Q\"}]}",
	 "0e026e026f",
	 "{\"n1\":null,\"n2\":2.55,\"n3\":[1,2],\"n4\":{\"k\":\"v\"},\"n5\":{\"x\":\"1970-01-02\"},"
	 "\"n6\":1.5,\"n7\":false,\"n8\":\"Q\"}"},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"int\"},{\"name\":"
	 "\"name\",\"type\":\"string\"},{\"name\":\"old\",\"type\":\"string\"}]}",
	 "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"rec\",\"type\":{\"type\":"
	 "\"record\",\"name\":\"rr\",\"fields\":[{\"name\":\"rec\",\"type\":\"rr\",\"default\":{}}]},"
	 "\"default\":{}}]}",
	 "0e026e026f", "!bad_avro"},
	{"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\",\"B\"]}",
	 "{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\"],\"default\":\"A\"}", "02", "\"A\""},
	{"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\",\"B\"]}",
	 "{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\"]}", "02", "!bad_avro"},
	{"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\",\"B\"]}",
	 "{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\"]}", "00", "\"A\""},
	{"[\"null\",\"int\",\"string\"]", "[\"null\",\"long\"]", "020a", "5"},
	{"[\"null\",\"int\",\"string\"]", "[\"null\",\"long\"]", "040273", "!bad_avro"},
	{"[\"null\",\"int\"]", "\"long\"", "020a", "5"},
	{"[\"null\",\"int\"]", "\"long\"", "00", "!bad_avro"},
	{"{\"type\":\"array\",\"items\":\"int\"}", "{\"type\":\"array\",\"items\":\"double\"}",
	 "020200", "[1]"},
	{"{\"type\":\"fixed\",\"name\":\"f\",\"size\":1}",
	 "{\"type\":\"fixed\",\"name\":\"f\",\"size\":2}", "61", "!bad_avro"},
	{"\"bytes\"", "\"string\"", "046162", "\"ab\""},
	{"\"int\"", NULL, "", "!bad_avro"},
	{"\"int\"", NULL, "80", "!bad_avro"},
	{"\"int\"", NULL, "ffffffffffffffffffff", "!bad_avro"},
	{"\"long\"", NULL, "ffffffffffffffffff02", "!bad_avro"},
	{"\"int\"", NULL, "ffffffff7f", "!bad_avro"},
	{"\"int\"", NULL, "0200", "!bad_avro"},
	{"\"string\"", NULL, "0461", "!bad_avro"},
	{"\"string\"", NULL, "01", "!bad_avro"},
	{"\"boolean\"", NULL, "02", "!bad_avro"},
	{"\"double\"", NULL, "31323334353637", "!bad_avro"},
	{"{\"type\":\"fixed\",\"name\":\"f\",\"size\":3}", NULL, "6162", "!bad_avro"},
	{"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\"]}", NULL, "02", "!bad_avro"},
	{"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\"]}", NULL, "01", "!bad_avro"},
	{"[\"null\",\"int\"]", NULL, "04", "!bad_avro"},
	{"{\"type\":\"array\",\"items\":\"null\"}", NULL, "808080801000", "!bad_avro"},
	{"{\"type\":\"array\",\"items\":\"int\"}", NULL, "0202", "!bad_avro"},
	{"{\"type\":\"array\",\"items\":\"int\"}", NULL, "ffffffffffffffffff01", "!bad_avro"},
	{"{\"type\":\"map\",\"values\":\"int\"}", NULL, "021061", "!bad_avro"},
	{"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"v\",\"type\":\"int\"},{\"name\":"
	 "\"next\",\"type\":[\"null\",\"r\"]}]}",
	 NULL,
	 "000200020002000200020002000200020002000200020002000200020002000200020002000200020002000200020"
	 "002000200020002000200020002000200020002000200020002000200020002000200020002000200020002000200"
	 "020002000200020002000200020002000200020002000200020002000200020002000200020002000200020002000"
	 "20002000200020002000200020002000200020002",
	 "!too_deep"},
	{"{\"type\":\"record\",\"name\":\"n39\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":"
	 "\"record\",\"name\":\"n38\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"record\","
	 "\"name\":\"n37\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"record\",\"name\":\"n36\","
	 "\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"record\",\"name\":\"n35\",\"fields\":[{"
	 "\"name\":\"a\",\"type\":{\"type\":\"record\",\"name\":\"n34\",\"fields\":[{\"name\":\"a\","
	 "\"type\":{\"type\":\"record\",\"name\":\"n33\",\"fields\":[{\"name\":\"a\",\"type\":{"
	 "\"type\":\"record\",\"name\":\"n32\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":"
	 "\"record\",\"name\":\"n31\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"record\","
	 "\"name\":\"n30\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"record\",\"name\":\"n29\","
	 "\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"record\",\"name\":\"n28\",\"fields\":[{"
	 "\"name\":\"a\",\"type\":{\"type\":\"record\",\"name\":\"n27\",\"fields\":[{\"name\":\"a\","
	 "\"type\":{\"type\":\"record\",\"name\":\"n26\",\"fields\":[{\"name\":\"a\",\"type\":{"
	 "\"type\":\"record\",\"name\":\"n25\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":"
	 "\"record\",\"name\":\"n24\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"record\","
	 "\"name\":\"n23\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"record\",\"name\":\"n22\","
	 "\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"record\",\"name\":\"n21\",\"fields\":[{"
	 "\"name\":\"a\",\"type\":{\"type\":\"record\",\"name\":\"n20\",\"fields\":[{\"name\":\"a\","
	 "\"type\":{\"type\":\"record\",\"name\":\"n19\",\"fields\":[{\"name\":\"a\",\"type\":{"
	 "\"type\":\"record\",\"name\":\"n18\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":"
	 "\"record\",\"name\":\"n17\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"record\","
	 "\"name\":\"n16\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"record\",\"name\":\"n15\","
	 "\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"record\",\"name\":\"n14\",\"fields\":[{"
	 "\"name\":\"a\",\"type\":{\"type\":\"record\",\"name\":\"n13\",\"fields\":[{\"name\":\"a\","
	 "\"type\":{\"type\":\"record\",\"name\":\"n12\",\"fields\":[{\"name\":\"a\",\"type\":{"
	 "\"type\":\"record\",\"name\":\"n11\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":"
	 "\"record\",\"name\":\"n10\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"record\","
	 "\"name\":\"n9\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"record\",\"name\":\"n8\","
	 "\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"record\",\"name\":\"n7\",\"fields\":[{"
	 "\"name\":\"a\",\"type\":{\"type\":\"record\",\"name\":\"n6\",\"fields\":[{\"name\":\"a\","
	 "\"type\":{\"type\":\"record\",\"name\":\"n5\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":"
	 "\"record\",\"name\":\"n4\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"record\","
	 "\"name\":\"n3\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"record\",\"name\":\"n2\","
	 "\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"record\",\"name\":\"n1\",\"fields\":[{"
	 "\"name\":\"a\",\"type\":{\"type\":\"record\",\"name\":\"n0\",\"fields\":[{\"name\":\"a\","
	 "\"type\":\"null\"},{\"name\":\"b\",\"type\":\"null\"}]}},{\"name\":\"b\",\"type\":\"n0\"}]}},"
	 "{\"name\":\"b\",\"type\":\"n1\"}]}},{\"name\":\"b\",\"type\":\"n2\"}]}},{\"name\":\"b\","
	 "\"type\":\"n3\"}]}},{\"name\":\"b\",\"type\":\"n4\"}]}},{\"name\":\"b\",\"type\":\"n5\"}]}},{"
	 "\"name\":\"b\",\"type\":\"n6\"}]}},{\"name\":\"b\",\"type\":\"n7\"}]}},{\"name\":\"b\","
	 "\"type\":\"n8\"}]}},{\"name\":\"b\",\"type\":\"n9\"}]}},{\"name\":\"b\",\"type\":\"n10\"}]}},"
	 "{\"name\":\"b\",\"type\":\"n11\"}]}},{\"name\":\"b\",\"type\":\"n12\"}]}},{\"name\":\"b\","
	 "\"type\":\"n13\"}]}},{\"name\":\"b\",\"type\":\"n14\"}]}},{\"name\":\"b\",\"type\":\"n15\"}]}"
	 "},{\"name\":\"b\",\"type\":\"n16\"}]}},{\"name\":\"b\",\"type\":\"n17\"}]}},{\"name\":\"b\","
	 "\"type\":\"n18\"}]}},{\"name\":\"b\",\"type\":\"n19\"}]}},{\"name\":\"b\",\"type\":\"n20\"}]}"
	 "},{\"name\":\"b\",\"type\":\"n21\"}]}},{\"name\":\"b\",\"type\":\"n22\"}]}},{\"name\":\"b\","
	 "\"type\":\"n23\"}]}},{\"name\":\"b\",\"type\":\"n24\"}]}},{\"name\":\"b\",\"type\":\"n25\"}]}"
	 "},{\"name\":\"b\",\"type\":\"n26\"}]}},{\"name\":\"b\",\"type\":\"n27\"}]}},{\"name\":\"b\","
	 "\"type\":\"n28\"}]}},{\"name\":\"b\",\"type\":\"n29\"}]}},{\"name\":\"b\",\"type\":\"n30\"}]}"
	 "},{\"name\":\"b\",\"type\":\"n31\"}]}},{\"name\":\"b\",\"type\":\"n32\"}]}},{\"name\":\"b\","
	 "\"type\":\"n33\"}]}},{\"name\":\"b\",\"type\":\"n34\"}]}},{\"name\":\"b\",\"type\":\"n35\"}]}"
	 "},{\"name\":\"b\",\"type\":\"n36\"}]}},{\"name\":\"b\",\"type\":\"n37\"}]}},{\"name\":\"b\","
	 "\"type\":\"n38\"}]}",
	 NULL, "", "!bad_avro"},
};

#endif
