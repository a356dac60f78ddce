/*
 * test_track.c — the list of fields seen: paths, types, counts, places, limits.
 */
#include "rig.h"

static const char *mapped[] = {"m.a", "m"};
static const char *inner[] = {"d.e.f"};

static TxdColumn columns[] = {
	{.name = "id", .type = TXD_INT4},
	{.name = "m", .type = TXD_STRING, .npaths = 2, .paths = mapped},
	{.name = "f", .type = TXD_STRING, .npaths = 1, .paths = inner},
	{.name = "rest", .type = TXD_JSONB, .source = TXD_FROM_REST},
};

static void
open_tracked(Rig *rig)
{
	TxdSchema schema = {.format = TXD_JSON, .track_fields = true};

	COLUMNS(schema, columns);
	rig_open(rig, &schema);
}

/* What was seen since the last reset, as "path types count; …" with one letter a type. */
static const char *
seen(Rig *rig)
{
	static char text[2000];
	const TxdFieldSeen *fields;
	uint64_t unlisted;
	size_t n = txd_fields_seen(rig->d, &fields, &unlisted);
	char *p = text;

	*p = '\0';
	for (size_t i = 0; i < n; i++)
	{
		p += sprintf(p, "%s%s ", i > 0 ? "; " : "", fields[i].path);
		for (int t = TXD_FIELD_STRING; t <= TXD_FIELD_ARRAY; t++)
			if ((fields[i].types & 1u << t) != 0)
				*p++ = "snbzoa"[t];
		p += sprintf(p, " %llu", (unsigned long long) fields[i].count);
	}
	if (unlisted > 0)
		sprintf(p, "; unlisted %llu", (unsigned long long) unlisted);
	return text;
}

#define CHECK_SEEN(rig, want) CHECK_STR(seen(rig), want)

static void
test_paths(void)
{
	Rig rig;

	open_tracked(&rig);
	CHECK_SEEN(&rig, "");
	CHECK_ROW(&rig,
			  "{\"id\":1,\"s\":\"x\",\"t\":true,\"z\":null,\"l\":[{\"no\":1}],"
			  "\"o\":{\"p\":{\"q\":2.5},\"e\":{}}}",
			  "1\t\\N\t\\N\t{\"s\":\"x\",\"t\":true,\"z\":null,\"l\":[{\"no\":1}],"
			  "\"o\":{\"p\":{\"q\":2.5},\"e\":{}}}");
	CHECK_SEEN(&rig, "id n 1; s s 1; t b 1; z z 1; l a 1; o o 1; o.p o 1; o.p.q n 1; o.e o 1");
	/* again, in another order, with other types, some of it mapped */
	CHECK_ROW(&rig, "{\"o\":{\"p\":7},\"id\":\"2\",\"m\":{\"a\":\"x\",\"b\":1},\"l\":{\"no\":1}}",
			  "2\tx\t\\N\t{\"o\":{\"p\":7},\"l\":{\"no\":1}}");
	CHECK_SEEN(&rig, "id sn 2; s s 1; t b 1; z z 1; l oa 2; o o 2; o.p no 2; o.p.q n 1; o.e o 1; "
					 "m o 1; m.a s 1; m.b n 1; l.no n 1");
	CHECK_INT(txd_fields_news(rig.d), true);
	txd_fields_reset(rig.d);
	CHECK_SEEN(&rig, "");
	/* what was listed before is no news, another type of it is */
	DECODE(&rig, "{\"id\":4,\"s\":\"y\"}");
	CHECK_INT(txd_fields_news(rig.d), false);
	DECODE(&rig, "{\"s\":5}");
	CHECK_INT(txd_fields_news(rig.d), true);
	txd_fields_reset(rig.d);
	CHECK_ROW(&rig, "{\"d\":{\"e\":{\"f\":\"f\",\"g\":1}},\"id\":3}",
			  "3\t\\N\tf\t{\"d\":{\"e\":{\"g\":1}}}");
	CHECK_ROW(&rig, "{}", "\\N\t\\N\t\\N\t{}");
	CHECK_SEEN(&rig, "id n 1; d o 1; d.e o 1; d.e.f s 1; d.e.g n 1");
	rig_close(&rig);
}

static void
test_names(void)
{
	Rig rig;

	open_tracked(&rig);
	/* written as in a mapping, escapes of JSON resolved */
	DECODE(&rig,
		   "{\"a.b\":{\"c\\\\d\":1,\"$x\":1},\"$y\":2,\"\\u0061\":3,\"a\":4,\"q\\\"\":5,\"\":6}");
	CHECK_SEEN(&rig, "a\\.b o 1; a\\.b.c\\\\d n 1; a\\.b.$x n 1; \\$y n 1; a n 2; q\" n 1;  n 1");
	/* a name given twice counts twice where no column is concerned */
	txd_fields_reset(rig.d);
	CHECK_ROW(&rig, "{\"u\":1,\"u\":\"2\",\"ID\":3}", "3\t\\N\t\\N\t{\"u\":1,\"u\":\"2\"}");
	CHECK_SEEN(&rig, "u sn 2; ID n 1");
	rig_close(&rig);
}

/* Only messages that are valid JSON to their end count. */
static void
test_refused(void)
{
	Rig rig;

	open_tracked(&rig);
	CHECK_ROW(&rig, "{\"id\":1,\"bad\":1,\"o\":{\"p\":1}", "bad_json -");
	CHECK_ROW(&rig, "{\"id\":1,\"bad\":1} x", "bad_json -");
	CHECK_ROW(&rig, "{\"id\":1,\"bad\":1,\"id\":2}", "duplicate_field id");
	CHECK_ROW(&rig, "[{\"a\":1}]", "wrong_type -");
	CHECK_ROW(&rig, "7", "wrong_type -");
	CHECK_SEEN(&rig, "");
	CHECK_ROW(&rig, "{\"id\":\"x\",\"v\":1}", "bad_value id");
	CHECK_ROW(&rig, "{\"id\":1,\"v\":\"\\u0000\"}", "nul_byte rest");
	CHECK_ROW(&rig, "{\"Id\":1,\"ID\":2}", "ambiguous_field id");
	CHECK_SEEN(&rig, "id sn 2; v sn 2; Id n 1; ID n 1");
	rig_close(&rig);
}

static void
test_places(void)
{
	const TxdFieldSeen *fields;
	uint64_t unlisted;
	Rig rig;

	open_tracked(&rig);
	for (int i = 0; i < 5; i++)
	{
		rig.message.topic_index = i % 2;
		rig.message.partition = 10 + i;
		rig.message.offset = INT64_C(1) << (32 + i);
		DECODE(&rig, i == 1 ? "{\"b\":1,\"a\":1}" : i < 4 ? "{\"a\":1}" : "{\"c\":1}");
	}
	CHECK_INT(txd_fields_seen(rig.d, &fields, &unlisted), 3);
	CHECK_STR(fields[0].path, "a");
	CHECK_INT(fields[0].count, 4);
	CHECK_INT(fields[0].first.topic_index, 0);
	CHECK_INT(fields[0].first.partition, 10);
	CHECK_INT(fields[0].first.offset, INT64_C(1) << 32);
	CHECK_INT(fields[0].last.topic_index, 1);
	CHECK_INT(fields[0].last.partition, 13);
	CHECK_INT(fields[0].last.offset, INT64_C(1) << 35);
	CHECK_INT(fields[1].first.partition, 11);
	CHECK_INT(fields[1].last.partition, 11);
	txd_fields_reset(rig.d);
	DECODE(&rig, "{\"a\":1}");
	CHECK_INT(txd_fields_seen(rig.d, &fields, &unlisted), 1);
	CHECK_INT(fields[0].count, 1);
	CHECK_INT(fields[0].first.partition, 14);
	rig_close(&rig);
}

static void
test_limits(void)
{
	const TxdFieldSeen *fields;
	uint64_t unlisted;
	char text[3000];
	Rig rig;

	open_tracked(&rig);
	/* a name too long, a name with NUL, what is in them */
	memset(text, 'n', sizeof(text));
	memcpy(text, "{\"", 2);
	strcpy(text + 2 + TXD_MAX_PATH, "n\":{\"x\":1},\"\\u0000\":{\"y\":1},\"id\":1}");
	CHECK(strncmp(DECODE(&rig, text), "nul_byte rest", 13) == 0);
	CHECK_SEEN(&rig, "id n 1; unlisted 2");
	memset(text, 'n', sizeof(text));
	memcpy(text, "{\"", 2);
	strcpy(text + 2 + TXD_MAX_PATH, "\":1}");
	DECODE(&rig, text);
	CHECK_INT(txd_fields_seen(rig.d, &fields, &unlisted), 2);
	CHECK_INT(strlen(fields[1].path), TXD_MAX_PATH);
	/* more names than are listed: known ones go on counting */
	for (int i = 0; i < 2 * TXD_MAX_FIELDS; i++)
	{
		snprintf(text, sizeof(text), "{\"f%d\":{\"g\":0},\"id\":%d}", i, i);
		DECODE(&rig, text);
	}
	CHECK_INT(txd_fields_seen(rig.d, &fields, &unlisted), TXD_MAX_FIELDS);
	CHECK_STR(fields[0].path, "id");
	CHECK_INT(fields[0].count, 1 + 2 * TXD_MAX_FIELDS);
	/* 998 fields are f0, f0.g … f498.g */
	CHECK_STR(fields[TXD_MAX_FIELDS - 1].path, "f498.g");
	CHECK_INT(unlisted, 2 + 2 * TXD_MAX_FIELDS - 499);
	txd_fields_reset(rig.d);
	DECODE(&rig, "{\"f7\":1,\"f1999\":1}");
	CHECK_SEEN(&rig, "f7 n 1; unlisted 1");
	rig_close(&rig);
}

/* Without a column that wants an object, and in formats without fields. */
static void
test_other_schemas(void)
{
	TxdColumn cols[] = {{.name = "v", .type = TXD_STRING, .source = TXD_FROM_VALUE}};
	TxdSchema schema = {.format = TXD_JSON, .track_fields = true};
	Rig rig;

	COLUMNS(schema, cols);
	rig_open(&rig, &schema);
	CHECK_ROW(&rig, " {\"a\":{\"b\":1}}", " {\"a\":{\"b\":1}}");
	CHECK_ROW(&rig, "[1]", "[1]");
	CHECK_SEEN(&rig, "a o 1; a.b n 1");
	rig_close(&rig);

	schema.format = TXD_PLAIN_TEXT;
	rig_open(&rig, &schema);
	CHECK_ROW(&rig, "{\"a\":1}", "{\"a\":1}");
	CHECK_SEEN(&rig, "");
	txd_fields_reset(rig.d);
	rig_close(&rig);

	schema.format = TXD_JSON;
	schema.track_fields = false;
	rig_open(&rig, &schema);
	CHECK_ROW(&rig, "{\"a\":1}", "{\"a\":1}");
	CHECK_SEEN(&rig, "");
	rig_close(&rig);
}

/* An object with `levels` levels, each the only field of the one around it. */
static size_t
nest(char *to, int levels)
{
	char *p = to;

	for (int i = 0; i < levels - 1; i++)
		p += sprintf(p, "{\"a\":");
	p += sprintf(p, "{}");
	memset(p, '}', levels - 1);
	return (size_t) (p - to) + levels - 1;
}

static void
test_depth(void)
{
	TxdColumn cols[] = {{.name = "id", .type = TXD_INT4}};
	char text[1000];

	for (int track = 0; track < 2; track++)
	{
		TxdSchema schema = {.format = TXD_JSON, .track_fields = track > 0};
		Rig rig;

		COLUMNS(schema, cols);
		rig_open(&rig, &schema);
		CHECK_STR(rig_decode(&rig, text, nest(text, 64)), "\\N");
		CHECK_STR(rig_decode(&rig, text, nest(text, 65)), "too_deep -");
		CHECK_STR(rig_decode(&rig, text, nest(text, 100)), "too_deep -");
		rig_close(&rig);
	}
}

static void
test_type_names(void)
{
	CHECK_STR(txd_field_type_name(TXD_FIELD_STRING), "string");
	CHECK_STR(txd_field_type_name(TXD_FIELD_NULL), "null");
	CHECK_STR(txd_field_type_name(TXD_FIELD_ARRAY), "array");
}

int
main(void)
{
	test_paths();
	test_names();
	test_refused();
	test_places();
	test_limits();
	test_other_schemas();
	test_depth();
	test_type_names();
	return check_done("track");
}
