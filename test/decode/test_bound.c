/*
 * test_bound.c — random messages whose values go straight to the columns, beside the way by JSON.
 *
 *   test_bound [MESSAGES [SEED]]
 */
#include "both_ways.h"
#include "check.h"
#include "decode/buf.h"

static const char protobuf_schema[] =
	"syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\";"
	"enum Colour { RED = 0; GREEN = 1; BLUE = -2; }"
	"message Part { string text = 1; int32 number = 2; Part part = 3;"
	"google.protobuf.Timestamp at = 4; }"
	"message M { int32 a = 1; int64 b = 2; uint32 c = 3; uint64 d = 4; sint32 e = 5; sint64 f = 6;"
	"fixed32 g = 7; fixed64 h = 8; sfixed32 i = 9; sfixed64 j = 10; double k = 11; float l = 12;"
	"bool m = 13; string n = 14; Colour o = 15; google.protobuf.Timestamp p = 16;"
	"optional int32 q = 17; oneof one { string r = 18; int32 s = 19; } Part t = 20;"
	"bytes u = 21; optional Colour v = 22; }";

/* How the fields are written: v(arint), 4 and 8 bytes, s(tring), t(imestamp), p(art). */
static const char protobuf_kinds[] = "vvvvvv4848"
									 "84vsvtvsvpsv";
static const char part_kinds[] = "svpt";

static const char avro_schema[] =
	"{\"type\":\"record\",\"name\":\"m\",\"fields\":["
	"{\"name\":\"a\",\"type\":\"int\"},{\"name\":\"b\",\"type\":[\"null\",\"long\"]},"
	"{\"name\":\"c\",\"type\":\"double\"},{\"name\":\"d\",\"type\":[\"float\",\"null\"]},"
	"{\"name\":\"e\",\"type\":[\"null\",\"string\"]},{\"name\":\"f\",\"type\":\"boolean\"},"
	"{\"name\":\"g\",\"type\":{\"type\":\"int\",\"logicalType\":\"date\"}},"
	"{\"name\":\"h\",\"type\":[\"null\",{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}]},"
	"{\"name\":\"i\",\"type\":{\"type\":\"long\",\"logicalType\":\"local-timestamp-micros\"}},"
	"{\"name\":\"j\",\"type\":[\"null\",{\"type\":\"bytes\",\"logicalType\":\"decimal\","
	"\"precision\":12,\"scale\":3}]},"
	"{\"name\":\"k\",\"type\":{\"type\":\"enum\",\"name\":\"kind\",\"symbols\":[\"x\",\"y\"]}},"
	"{\"name\":\"l\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"part\",\"fields\":["
	"{\"name\":\"text\",\"type\":\"string\"},{\"name\":\"part\",\"type\":[\"null\",\"part\"]},"
	"{\"name\":\"n\",\"type\":[\"null\",\"long\"]}]}]},"
	"{\"name\":\"z\",\"type\":{\"type\":\"array\",\"items\":\"string\"}}]}";

/* How the fields are written; in capitals those that may be null. */
static const char avro_kinds[] = "iI8FSbdIiDkPa";
static const char avro_part_kinds[] = "sPI";

static unsigned state;

static unsigned
below(unsigned n)
{
	state = mixed(state + 0x9e3779b9u);
	return state % n;
}

static uint64_t
some_number(void)
{
	static const uint64_t numbers[] = {0,
									   1,
									   2,
									   127,
									   128,
									   32767,
									   32768,
									   65536,
									   19782,
									   2147483647,
									   2147483648,
									   4294967295,
									   1709999999123,
									   253402300799999,
									   1709999999123456,
									   INT64_MAX,
									   UINT64_C(1) << 63,
									   UINT64_MAX,
									   UINT64_MAX - 41};

	return below(4) == 0 ? below(100000) : numbers[below(sizeof(numbers) / sizeof(numbers[0]))];
}

static double
some_real(void)
{
	static const double reals[] = {0, -0.0, 1, -1.5, 241.97, 0.1, 1e-5, 1e300, 3e38, 1e15, 1e16};

	if (below(20) == 0)
		return below(2) == 0 ? __builtin_nan("") : -__builtin_inf();
	return reals[below(sizeof(reals) / sizeof(reals[0]))];
}

static const char *
some_text(void)
{
	static const char *const texts[] = {"",
										"x",
										" trimmed\t",
										"241.97",
										"true",
										"2024-03-09 17:04",
										"say \"so\"\\",
										"caf\xc3\xa9",
										"bad \xff",
										"{\"a\":1}",
										"17"};

	return texts[below(sizeof(texts) / sizeof(texts[0]))];
}

static void
put_varint(TxdBuf *out, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		txd_buf_byte(out, (char) (v | 0x80));
	txd_buf_byte(out, (char) v);
}

static void
put_little(TxdBuf *out, uint64_t v, int size)
{
	for (int i = 0; i < size; i++)
		txd_buf_byte(out, (char) (v >> (8 * i)));
}

static void
put_bits(TxdBuf *out, int size)
{
	double d = some_real();
	float f = (float) d;
	uint64_t bits = some_number();
	uint32_t low = (uint32_t) bits;

	if (below(2) == 0)
	{
		memcpy(&bits, &d, sizeof(bits));
		memcpy(&low, &f, sizeof(low));
	}
	put_little(out, size == 8 ? bits : low, size);
}

static void
put_piece(TxdBuf *out, const char *text, size_t len, bool zigzag)
{
	put_varint(out, zigzag ? 2 * (uint64_t) len : len);
	txd_buf_append(out, text, len);
}

static void
put_part(TxdBuf *out, TxdBuf *part, bool zigzag)
{
	put_piece(out, part->data != NULL ? part->data : "", part->len, zigzag);
	txd_buf_free(part);
}

static void put_message(TxdBuf *out, const char *kinds, int depth);

static void
put_timestamp(TxdBuf *out)
{
	static const uint64_t nanos[] = {0, 1000, 500000000, 999999000, 123456789, 1000000000};
	TxdBuf part = {0};

	if (below(8) > 0)
	{
		txd_buf_byte(&part, 0x08);
		put_varint(&part, below(3) > 0 ? below(2000000000) : some_number());
	}
	if (below(2) == 0)
	{
		txd_buf_byte(&part, 0x10);
		put_varint(&part, nanos[below(6)]);
	}
	put_part(out, &part, false);
}

static void
put_field(TxdBuf *out, char kind, unsigned number, int depth)
{
	unsigned wire = kind == 'v' ? 0 : kind == '8' ? 1 : kind == '4' ? 5 : 2;
	const char *text = some_text();
	TxdBuf part = {0};

	put_varint(out, number << 3 | wire);
	if (kind == 'v')
		put_varint(out, some_number());
	else if (kind == '8' || kind == '4')
		put_bits(out, kind - '0');
	else if (kind == 's')
		put_piece(out, text, strlen(text), false);
	else if (kind == 't')
		put_timestamp(out);
	else
	{
		put_message(&part, part_kinds, depth + 1);
		put_part(out, &part, false);
	}
}

/* Mostly with each field at most once and in the order of their numbers, as it has to be for this way. */
static void
put_message(TxdBuf *out, const char *kinds, int depth)
{
	for (unsigned i = 0; kinds[i] != '\0'; i++)
		if (below(2) == 0 && (kinds[i] != 'p' || depth < 12))
			put_field(out, kinds[i], i + 1, depth);
	if (below(10) == 0)
		put_field(out, kinds[0], below(2) == 0 ? 1 : 1000, depth);
}

static void put_record(TxdBuf *out, const char *kinds, int depth);

static void
put_zigzag(TxdBuf *out, uint64_t v)
{
	put_varint(out, v << 1 ^ -(v >> 63));
}

static void
put_value(TxdBuf *out, char kind, int depth)
{
	const char *text = some_text();

	switch (kind)
	{
		case 'i':
			put_zigzag(out, below(3) == 0 ? some_number() : below(40000));
			break;
		case 'd':
			put_zigzag(out, (uint64_t) below(40000) - 10000);
			break;
		case '8':
			put_bits(out, 8);
			break;
		case 'f':
			put_bits(out, 4);
			break;
		case 's':
			put_piece(out, text, strlen(text), true);
			break;
		case 'b':
		case 'k':
			txd_buf_byte(out, (char) (kind == 'b' ? below(2) : 2 * below(2)));
			break;
		case 'a':
			for (unsigned n = below(3); n > 0; n--)
			{
				put_zigzag(out, 1);
				put_value(out, 's', depth);
			}
			txd_buf_byte(out, 0);
			break;
		default:
			put_record(out, avro_part_kinds, depth + 1);
	}
}

static void
put_record(TxdBuf *out, const char *kinds, int depth)
{
	static const char decimals[][3] = {"\x01\xff", "\x80\x01", "\x7f\x00"};

	for (; *kinds != '\0'; kinds++)
	{
		bool first = *kinds != 'F'; /* null is the union's first branch */
		bool null = below(3) == 0 || (*kinds == 'P' && depth > 12);

		if (*kinds < 'A' || *kinds > 'Z')
		{
			put_value(out, *kinds, depth);
			continue;
		}
		put_zigzag(out, null == first ? 0 : 1);
		if (!null && *kinds == 'D')
			put_piece(out, decimals[below(3)], below(3), true);
		else if (!null)
			put_value(out, (char) (*kinds + 'a' - 'A'), depth);
	}
}

static void
run(TxdFormat format, unsigned n, unsigned seed)
{
	TxdSchema schema = {.format = format,
						.csv = {',', '"', false, false, ""},
						.avro_schema = avro_schema,
						.protobuf_schema = protobuf_schema,
						.protobuf_message = "M"};
	TxdBuf message = {0};

	for (unsigned i = 0; i < n; i++)
	{
		int failed = check_failed;

		state = seed + i;
		message.len = 0;
		txd_buf_reserve(&message, 1);
		if (format == TXD_AVRO)
			put_record(&message, avro_kinds, 0);
		else
			put_message(&message, protobuf_kinds, 0);
		CHECK_STR(both_ways(&schema, message.data, message.len, i), NULL);
		if (check_failed > failed)
			fprintf(stderr, "    format %d, seed %u\n", format, seed + i);
	}
	txd_buf_free(&message);
}

/* Decodes n messages by one decoder each way, into one column, and compares what it has seen. */
static void
check_sequence(TxdSchema schema, const char *const *messages, const size_t *lens, int n)
{
	const char *path = "x";
	TxdColumn columns[] = {{.name = "whole", .type = TXD_JSONTEXT, .source = TXD_FROM_VALUE},
						   {.name = "x", .type = TXD_INT4, .npaths = 1, .paths = &path}};
	Side sides[2] = {{0}};

	schema.csv = (TxdCsvOptions){',', '"', false, false, ""};
	schema.track_fields = true;
	for (int i = 0; i < 2; i++)
	{
		schema.columns = columns + 1 - i;
		schema.ncolumns = 1 + i;
		sides[i].d = txd_new(&schema, &sides[i].err);
		for (int k = 0; CHECK(sides[i].d != NULL) && k < n; k++)
		{
			TxdMessage m = {.payload = messages[k], .payload_len = lens[k], .timestamp_ms = -1};

			sides[i].rows.len = 0;
			sides[i].ok = txd_decode(sides[i].d, &m, &sides[i].rows, &sides[i].err);
		}
	}
	CHECK_STR(compare_sides(&sides[0], &sides[1], TXD_BINARY), NULL);
	side_end(&sides[0]);
	side_end(&sides[1]);
}

/* Fields that no message has take no room in the list of those that were seen. */
static void
test_many_fields(void)
{
	char message[4 + 45] = "\x08\x01\x1a\x2d";
	const char *messages[] = {message};
	size_t lens[] = {sizeof(message)};
	char *schema = malloc(100000);
	int len = sprintf(schema, "syntax = \"proto3\"; message P {");

	for (int i = 1; i <= 990; i++)
		len += sprintf(schema + len, "string f%d = %d;", i, i);
	len += sprintf(schema + len, "} message Q {");
	for (int i = 1; i <= 100; i++)
		len += sprintf(schema + len, "optional string g%d = %d;", i, i);
	sprintf(schema + len, "} message M { int32 x = 1; P p = 2; Q q = 3; }");
	for (int i = 1; i <= 15; i++)
		memcpy(message + 1 + 3 * i, (char[]){(char) (i << 3 | 2), 1, 'y'}, 3);
	check_sequence(
		(TxdSchema){.format = TXD_PROTOBUF, .protobuf_schema = schema, .protobuf_message = "M"},
		messages, lens, 1);
	free(schema);
}

/* What is wrong, or too deep, is refused as by JSON. */
static void
test_refusals(void)
{
	static const char deep[] =
		"{\"type\":\"record\",\"name\":\"m\",\"fields\":["
		"{\"name\":\"g\",\"type\":{\"type\":\"record\",\"name\":\"R\",\"fields\":"
		"[{\"name\":\"n\",\"type\":[\"null\",\"R\"]}]}},"
		"{\"name\":\"x\",\"type\":\"int\"}]}";
	static const char flat[] = "{\"type\":\"record\",\"name\":\"m\",\"fields\":["
							   "{\"name\":\"x\",\"type\":\"int\"}]}";
	static const TxdRegistry registry = {.url = "http://r"};
	const char *path = "x";
	char message[80] = {0};

	CHECK_STR(both_ways(&(TxdSchema){.format = TXD_PROTOBUF,
									 .csv = {',', '"', false, false, ""},
									 .protobuf_schema =
										 "syntax = \"proto2\"; message M { optional string s = 1 "
										 "[default = \"\\377\"]; optional int32 x = 2; }"},
						"\x10\x01", 2, 1),
			  NULL);
	/* 62 to 64 records within each other, which the reader's schema leaves out. */
	for (size_t levels = 60; levels < 67; levels++)
	{
		TxdColumn column = {.name = "x", .type = TXD_INT4, .npaths = 1, .paths = &path};
		TxdSchema schema = {.format = TXD_AVRO,
							.ncolumns = 1,
							.columns = &column,
							.avro_schema = flat,
							.csv = {',', '"', false, false, ""},
							.registry = &registry};
		TxdError err = {0};
		TxdDecoder *d = txd_new(&schema, &err);
		const char *texts[] = {deep};
		TxdBuf rows = {0};
		TxdMessage m = {.payload = message, .payload_len = 5 + levels + 2, .timestamp_ms = -1};

		memset(message + 5, 2, levels);
		message[5 + levels] = 0;
		message[5 + levels + 1] = 2;
		txd_add_schema(d, &(TxdWanted){.format = TXD_AVRO, .id = 0}, texts, texts, 1);
		CHECK(txd_decode(d, &m, &rows, &err) == (levels <= 62));
		txd_free(d);
		txd_buf_free(&rows);
	}
}

int
main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned) atoi(argv[1]) : 2000;
	unsigned seed = argc > 2 ? (unsigned) atoi(argv[2]) : 1;

	run(TXD_AVRO, n, seed);
	run(TXD_PROTOBUF, n, seed);
	test_many_fields();
	test_refusals();
	return check_done("test_bound");
}
