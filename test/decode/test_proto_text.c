/*
 * test_proto_text.c — .proto files to descriptors: what comes of each part of the grammar, and what is refused, with the line.
 *
 * That protoc makes the same of whole files is 038_proto_text's to show.
 */
#include <stdlib.h>

#include "check.h"
#include "decode/proto_text.h"

/* What the fields of a descriptor are, by the letter of what has them: of these, which are messages. */
static char
kind_of(char within, unsigned field)
{
	static const char messages[][4] = {"F4M", "F5E", "F7D", "M2D", "M3M", "M4E", "M5R", "M6D",
									   "M7O", "M8U", "M9R", "E2V", "E3O", "E4R", "D8O"};

	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		if (messages[i][0] == within && (unsigned) (messages[i][1] - '0') == field)
			return messages[i][2];
	return '\0';
}

static uint64_t
read_varint(const unsigned char **p, const unsigned char *end)
{
	uint64_t v = 0;
	int shift = 0;

	do
		v |= (uint64_t) (**p & 0x7f) << shift;
	while (*(*p)++ >= 0x80 && *p < end && (shift += 7) < 64);
	return v;
}

/* As `1=name 4{…}`: numbers of fields, with texts and numbers as they are. */
static void
show(char kind, const unsigned char *p, const unsigned char *end, TxdBuf *shown)
{
	const char *gap = "";

	while (p < end)
	{
		uint64_t tag = read_varint(&p, end);
		uint64_t v = read_varint(&p, end);
		char within = kind_of(kind, (unsigned) (tag >> 3));
		char text[40];

		txd_buf_append(shown, text,
					   (size_t) snprintf(text, sizeof(text), "%s%llu%s", gap,
										 (unsigned long long) tag >> 3, within != 0 ? "{" : "="));
		if (within != 0)
		{
			show(within, p, p + v, shown);
			txd_buf_byte(shown, '}');
		}
		else if ((tag & 7) == 2)
			txd_buf_append(shown, p, (size_t) v);
		else
			txd_buf_append(shown, text,
						   (size_t) snprintf(text, sizeof(text), "%lld", (long long) v));
		p += (tag & 7) == 2 ? v : 0;
		gap = " ";
	}
}

/* Compiles a copy of exactly that size, so that a sanitiser sees reads beyond it. */
static bool
compile(const char *text, size_t len, TxdBuf *descriptor, TxdError *err)
{
	char *copy = malloc(len > 0 ? len : 1);
	bool ok;

	memcpy(copy, text, len);
	descriptor->len = 0;
	txd_buf_byte(descriptor, '+');
	ok = txd_proto_compile("f", copy, len, descriptor, err);
	CHECK(ok || descriptor->len == 1);
	free(copy);
	return ok;
}

/* The descriptor, or what it is refused with. */
static void
check_text(const char *text, const char *want)
{
	TxdBuf descriptor = {0};
	TxdBuf shown = {0};
	TxdError err = {0};

	if (compile(text, strlen(text), &descriptor, &err))
	{
		const unsigned char *p = (const unsigned char *) descriptor.data + 1;

		show('F', p, p + descriptor.len - 1, &shown);
		txd_buf_byte(&shown, '\0');
		/* Behind the file's name, which is the same in all. */
		CHECK_STR(shown.data, want);
	}
	else
	{
		CHECK_STR(err.code, "bad_schema");
		CHECK_STR(err.message, want);
	}
	/* Whatever is cut off: no read beyond it, and nothing left behind. */
	for (size_t n = 0; n < strlen(text); n++)
		(void) compile(text, n, &descriptor, &err);
	txd_buf_free(&descriptor);
	txd_buf_free(&shown);
}

#define P2(text) "message M { " text " }"
#define P3(text) "syntax = \"proto3\"; message M { " text " }"
#define M2(parts) "1=f 4{1=M " parts "}"
#define M3(parts) "1=f 12=proto3 4{1=M " parts "}"

static void
test_files(void)
{
	check_text("", "1=f");
	check_text("; // nothing", "1=f");
	check_text("\xef\xbb\xbfsyntax='pro' \"to3\" ;", "1=f 12=proto3");
	check_text("syntax = \"proto2\"; package a . /* b */ b.c;", "1=f 2=a.b.c");
	check_text("import \"a\"; import public \"b\"; import weak \"c/d.proto\"; import public 'e';",
			   "1=f 3=a 3=b 10=1 3=c/d.proto 3=e 10=3");
	check_text("option a = 1; option (b.c).d.(.e) = -1.5e3; option x = -inf; option y = \"a\" 'b';"
			   "option z = { a: 1 b { c: [ <d: \"}\"> ] } e: -2 };",
			   "1=f");
	check_text("service S { option a = b; ; rpc A (stream .b.C) returns (stream D); rpc rpc (A) "
			   "returns (B) { option c = d; ; } }",
			   "1=f");
	check_text("extend .a.B { optional int32 c = 536870912; repeated group D = 7 { } }",
			   "1=f 7{1=c 2=.a.B 3=536870912 4=1 5=5 10=c} 7{1=d 2=.a.B 3=7 4=3 5=10 6=D 10=d} "
			   "4{1=D}");
}

static void
test_fields(void)
{
	check_text(P2("optional double a = 1; required float b = 2; repeated .x.Y c = 0x3;"),
			   M2("2{1=a 3=1 4=1 5=1 10=a} 2{1=b 3=2 4=2 5=2 10=b} 2{1=c 3=3 4=3 6=.x.Y 10=c}"));
	check_text(P3("sint64 some_name_2x = 010; message message = 1; }"),
			   "f line 1: { is expected, not: \"=\"");
	check_text(P3("map.y syntax = 1; optionally _Package = 536870911; repeated import to = 3;"),
			   M3("2{1=syntax 3=1 4=1 6=map.y 10=syntax} 2{1=_Package 3=536870911 4=1 6=optionally "
				  "10=Package} 2{1=to 3=3 4=3 6=import 10=to}"));
	check_text(P3("map<string, X> a_map = 4 [deprecated = true];"),
			   M3("2{1=a_map 3=4 4=3 5=11 6=AMapEntry 10=aMap 8{3=1}} 3{1=AMapEntry 2{1=key 3=1 "
				  "4=1 5=9 10=key} 2{1=value 3=2 4=1 6=X 10=value} 7{7=1}}"));
	check_text(P2("optional group A_b = 2 { optional int32 c = 1; }"),
			   M2("2{1=a_b 3=2 4=1 5=10 6=A_b 10=aB} 3{1=A_b 2{1=c 3=1 4=1 5=5 10=c}}"));
	check_text(P2("oneof o { option x = 1; int32 a = 1; group B = 2 { } ; }"),
			   M2("8{1=o} 2{1=a 3=1 4=1 5=5 10=a 9=0} 2{1=b 3=2 4=1 5=10 6=B 10=b 9=0} 3{1=B}"));
	/* Synthetic oneofs stand behind all others, and give way to names that there are. */
	check_text(P3("optional int32 a = 1; int32 _a = 2; optional int32 X_a = 3; oneof o { bool p = "
				  "4; }"),
			   M3("2{1=a 3=1 4=1 5=5 10=a 17=1 9=1} 2{1=_a 3=2 4=1 5=5 10=A} 2{1=X_a 3=3 4=1 5=5 "
				  "10=XA 17=1 9=2} 8{1=o} 2{1=p 3=4 4=1 5=8 10=p 9=0} 8{1=XX_a} 8{1=_X_a}"));
	check_text(P2("extensions 4, 5 to 9, 1000 to max [(a) = 1]; reserved 1, 20 to 30; reserved "
				  "\"x\", 'y';"),
			   M2("5{1=4 2=5} 5{1=5 2=10} 5{1=1000 2=536870912} 9{1=1 2=2} 9{1=20 2=31} 10=x "
				  "10=y"));
	check_text(P2("message N { enum E { X = 0; } } extend N { optional bool x = 1; } ; option a = "
				  "b;"),
			   M2("3{1=N 4{1=E 2{1=X 2=0}}} 6{1=x 2=N 3=1 4=1 5=8 10=x}"));
}

static void
test_options(void)
{
	check_text(P2("optional int32 a = 1 [default = -0x80000000, (x.y).z = {}, packed=false];"),
			   M2("2{1=a 3=1 4=1 5=5 7=-2147483648 10=a 8{2=0}}"));
	check_text(P2("optional uint64 a = 1 [json_name = \"\\u00e4\\U0001f600\\ud83d\\ude00\", "
				  "default = 18446744073709551615];"),
			   M2("2{1=a 3=1 4=1 5=4 10=\xc3\xa4\xf0\x9f\x98\x80\xf0\x9f\x98\x80 "
				  "7=18446744073709551615}"));
	check_text(P2("optional double a = 1 [default = -inf]; optional float b = 2 [default = .5e-1];"
				  "optional float c = 3 [default = 0x10]; optional float d = 4 [default = nan];"),
			   M2("2{1=a 3=1 4=1 5=1 7=-inf 10=a} 2{1=b 3=2 4=1 5=2 7=.5e-1 10=b} 2{1=c 3=3 4=1 "
				  "5=2 7=16 10=c} 2{1=d 3=4 4=1 5=2 7=nan 10=d}"));
	check_text(P2("optional string a = 1 [default = 'x' \"\\x41\\102\\n'\\\"\"]; optional bytes b ="
				  " 2 [default = \"\\377\\0\\x7fa'\\n\\\\\"]; optional E c = 3 [default = true];"
				  "optional bool d = 4 [default = true];"),
			   M2("2{1=a 3=1 4=1 5=9 7=xAB\n'\" 10=a} 2{1=b 3=2 4=1 5=12 7=\\377\\000\\177a\\'\\n"
				  "\\\\ 10=b} 2{1=c 3=3 4=1 6=E 7=true 10=c} 2{1=d 3=4 4=1 5=8 7=true 10=d}"));
	check_text("enum E { option allow_alias = true; A = 5; B = -2147483648 [deprecated = true]; "
			   "C = 5; reserved -3 to -1, 7 to max; reserved 'D'; ; option x = y; }",
			   "1=f 5{1=E 2{1=A 2=5} 2{1=B 2=-2147483648} 2{1=C 2=5} 4{1=-3 2=-1} 4{1=7 "
			   "2=2147483647} 5=D 3{2=1}}");
}

#define E23(text) "edition = '2023'; message M { " text " }"

static void
test_editions(void)
{
	check_text("edition = '20' \"23\";", "1=f 12=editions 14=1000");
	check_text(E23("int32 a = 1 [default = 2]; reserved b, c; extensions 4; oneof o { A d = 3; }"),
			   "1=f 12=editions 14=1000 4{1=M 2{1=a 3=1 4=1 5=5 7=2 10=a} 10=b 10=c 5{1=4 2=5} "
			   "8{1=o} 2{1=d 3=3 4=1 6=A 10=d 9=0}}");
	/* Of features there are those that say how messages are read. */
	check_text(E23("int32 a = 1 [features.field_presence = IMPLICIT, packed = true, "
				   "features.message_encoding = DELIMITED, features.enum_type = OPEN];"),
			   "1=f 12=editions 14=1000 4{1=M 2{1=a 3=1 4=1 5=5 8{21=\x08\x02} 8{21=(\x02} 10=a "
			   "8{2=1}}}");
	check_text(E23("int32 a = 1 [features = { [p.x]: { field_presence: OPEN b < c: 1 > } "
				   "field_presence: LEGACY_REQUIRED; json_format: ALLOW, message_encoding:"
				   "LENGTH_PREFIXED }, features.(p.x).field_presence = 1, (x).features = 2];"),
			   "1=f 12=editions 14=1000 4{1=M 2{1=a 3=1 4=1 5=5 8{21=\x08\x03} 8{21=(\x01} 10=a}}");
	check_text(E23("option features.field_presence = EXPLICIT; option deprecated = true;"),
			   "1=f 12=editions 14=1000 4{1=M 7{12=\x08\x01}}");
	check_text(
		"edition = '2024'; import option 'a'; import 'b'; import public 'c'; local message "
		"export { local local = 1; export enum E { A = 0; } local message L { } } export "
		"enum E { A = 0; } option features = { message_encoding: DELIMITED };",
		"1=f 12=editions 14=1001 3=b 3=c 10=1 4{1=export 2{1=local 3=1 4=1 6=local 10=local} "
		"4{1=E 2{1=A 2=0}} 3{1=L}} 5{1=E 2{1=A 2=0}} 8=\x92\x03\x02(\x02");
	/* Which other files say nothing by. */
	check_text(P3("int32 a = 1 [features.field_presence = IMPLICIT]; option features = { };"),
			   M3("2{1=a 3=1 4=1 5=5 10=a}"));
}

static void
test_lexer(void)
{
	check_text("\n\nmessage /* a\nb */ M\n// c\n{ # }", "f line 6: a name is expected, not: \"#\"");
	check_text("/* /* */", "f line 1: a comment has no end, or another one in it: \"\"");
	check_text("/* *", "f line 1: a comment has no end, or another one in it: \"\"");
	check_text("option a = 'b\n';", "f line 1: a string does not end in its line: \"\"");
	check_text("option a = 'b\\", "f line 1: a string does not end in its line: \"\"");
	check_text("option a = '\\8';", "f line 1: an escape that there is not, in: \"'\\8'\"");
	check_text("option a = '\\xg';", "f line 1: an escape that there is not, in: \"'\\xg'\"");
	check_text("option a = '\\ud800';", "f line 1: an escape that there is not, in: \"'\\ud800'\"");
	check_text("option a = '\\U00110000';",
			   "f line 1: an escape that there is not, in: \"'\\U00110000'\"");
	check_text("option a = 1b;", "f line 1: this is no number: \"1b\"");
	check_text("option a = 0x;", "f line 1: this is no number: \"0\"");
	check_text("option a = 1e+;", "f line 1: this is no number: \"1\"");
	check_text("option a = 1.2.3;", "f line 1: this is no number: \"1.2.\"");
	check_text("message \xc3\xa4", "f line 1: a character that is none of a .proto file: \"?\"");
	check_text("import \"\\377\";",
			   "f line 1: this is no UTF-8 text, or has a NUL in it: \"\"\\377\"\"");
	check_text(P3("int32 a = 08;"), "f line 1: this is no octal number: \"08\"");
	check_text(P3("int32 a = 4294967297;"),
			   "f line 1: this number is out of range: \"4294967297\"");
}

static void
test_refused(void)
{
	check_text("syntax = \"proto4\";",
			   "f line 1: only proto2 and proto3 are read, not: \"\"proto4\"\"");
	check_text("edition = \"2026\";",
			   "f line 1: only the editions 2023 and 2024 are read, not: \"\"2026\"\"");
	check_text(E23("optional int32 a = 1;"), "f line 1: editions have no such label: \"optional\"");
	check_text(E23("required int32 a = 1;"), "f line 1: editions have no such label: \"required\"");
	check_text(E23("group A = 1 {}"), "f line 1: editions have no such type: \"group\"");
	check_text(E23("A a = 1 [features.field_presence = DELIMITED];"),
			   "f line 1: this feature has no such value: \"DELIMITED\"");
	check_text(E23("A a = 1 [features = { message_encoding: 1 }];"),
			   "f line 1: this feature has no such value: \"1\"");
	check_text(E23("export message N { }"), "f line 1: = is expected, not: \"N\"");
	check_text("edition = '2024'; export service S { }",
			   "f line 1: no statement of a file begins with: \"export\"");
	check_text("package a; syntax = \"proto3\";",
			   "f line 1: no statement of a file begins with: \"syntax\"");
	check_text("package a; package b;", "f line 1: a second package is: \"b\"");
	check_text(P2("int32 a = 1;"),
			   "f line 1: proto2 wants optional, required or repeated before: \"int32\"");
	check_text(P3("required int32 a = 1;"), "f line 1: proto3 has no such label: \"required\"");
	check_text(P3("group A = 1 {}"), "f line 1: proto3 has no such type: \"group\"");
	check_text(P3("extensions 1;"), "f line 1: proto3 has no such numbers: \"extensions\"");
	check_text(P3("int32 a = 1 [default = 2];"),
			   "f line 1: proto3 has no such option: \"default\"");
	check_text(P3("map<float, int32> a = 1;"), "f line 1: no map has keys of this type: \"float\"");
	check_text(P3("map<X, int32> a = 1;"), "f line 1: no map has keys of this type: \"X\"");
	check_text(P3("repeated map<int32, int32> a = 1;"),
			   "f line 1: a map has no label, and is no part of a oneof or extension: \"<\"");
	check_text(P3("oneof o { repeated int32 a = 1; }"),
			   "f line 1: fields of a oneof have no label, but here is: \"repeated\"");
	check_text(P3("oneof o { }"), "f line 1: a oneof has no field before: \"}\"");
	check_text(P3("enum E { }"), "f line 1: an enum has no value before: \"}\"");
	check_text(P3("enum E { A = 1; }"),
			   "f line 1: the first value of an enum of proto3 is 0, not: \"1\"");
	check_text(P2("enum E { A = 1;\nB = 0x1; }"),
			   "f line 2: two values without allow_alias have this number: \"1\"");
	check_text(P3("int32 a = 0;"), "f line 1: no field has this number: \"0\"");
	check_text(P3("int32 a = 19999;"), "f line 1: no field has this number: \"19999\"");
	check_text(P3("int32 a = 536870912;"), "f line 1: no field has this number: \"536870912\"");
	check_text(P3("int32 a = 1;\nint32 b = 1;"), "f line 2: two fields have this number: \"1\"");
	check_text(P3("int32 a = 1;\nint32 a = 2;"), "f line 2: this name is declared twice: \"a\"");
	check_text(P3("map<int32, int32> a = 1; message AEntry {}"),
			   "f line 1: this name is declared twice: \"AEntry\"");
	/* Values of an enum are named beside it. */
	check_text("enum E { A = 0; } message A {}", "f line 1: this name is declared twice: \"A\"");
	check_text(P2("optional group a = 1 {}"),
			   "f line 1: a group's name begins with a capital, not: \"a\"");
	check_text(P2("optional int32 a = 1 [default = 1, default = 2];"),
			   "f line 1: this option is given twice: \"default\"");
	check_text(P2("optional int32 a = 1 [default = 2147483648];"),
			   "f line 1: this number is out of range: \"2147483648\"");
	check_text(P2("optional uint32 a = 1 [default = -1];"),
			   "f line 1: a whole number is expected, not: \"-\"");
	check_text(P2("optional bool a = 1 [default = 1];"),
			   "f line 1: this is no default of the field's type: \"1\"");
	check_text(P2("extensions 5 to 4;"), "f line 1: a range that there is not ends before: \";\"");
	check_text("option a = { b { };", "f line 1: an option's value does not end: \"\"");
	check_text("message M {", "f line 1: a name is expected, not: \"\"");
	check_text("foo", "f line 1: no statement of a file begins with: \"foo\"");
}

/* `n` times `part`, and then as often `end`. */
static bool
compiles(const char *head, const char *part, const char *end, int n)
{
	TxdBuf text = {0};
	TxdBuf descriptor = {0};
	TxdError err = {0};
	bool ok;

	txd_buf_append(&text, head, strlen(head));
	for (int i = 0; i < n; i++)
		txd_buf_append(&text, part, strlen(part));
	for (int i = 0; i < n; i++)
		txd_buf_append(&text, end, strlen(end));
	ok = txd_proto_compile("f", text.data, text.len, &descriptor, &err);
	txd_buf_free(&text);
	txd_buf_free(&descriptor);
	return ok;
}

static void
test_limits(void)
{
	CHECK(compiles("", "message M{", "}", TXD_PROTO_MAX_NESTED));
	CHECK(!compiles("", "message M{", "}", TXD_PROTO_MAX_NESTED + 1));
	CHECK(compiles("message M{", "optional group G=1{", "}", TXD_PROTO_MAX_NESTED - 1) == false);
	CHECK(!compiles("message ", "a.", "", 1000000));
	CHECK(compiles("option a = ", "{", "}", 1000000) == false);
	CHECK(compiles("option a = {} ;", "/**/", "", (1 << 20) - 4));
	CHECK(!compiles("option a = {} ;", "/**/", "", 1 << 20));
}

int
main(void)
{
	test_files();
	test_fields();
	test_options();
	test_editions();
	test_lexer();
	test_refused();
	test_limits();
	return check_done("test_proto_text");
}
