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

int
main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned) atoi(argv[1]) : 2000;
	unsigned seed = argc > 2 ? (unsigned) atoi(argv[2]) : 1;

	run(TXD_AVRO, n, seed);
	run(TXD_PROTOBUF, n, seed);
	return check_done("test_bound");
}
