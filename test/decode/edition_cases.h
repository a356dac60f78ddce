/*
 * edition_cases.h — messages of files with editions as Google's protobuf 7.36.2 writes them, the descriptors that
 * its protoc 35.1 makes of the files, and the JSON they are. Written by protobuf/make-editions.
 */
#ifndef EDITION_CASES_H
#define EDITION_CASES_H

typedef struct Source
{
	const char *message;
	const char *text;
	const char *set; /* of descriptors, in base64 */
} Source;

typedef struct Case
{
	int source;
	const char *hex;
	const char *want; /* JSON, or "!" and the code it is refused with */
} Case;

static const Source sources[] = {
	{"shop.explicit.Order",
	 "// What an edition says of fields, and how fields, types and the file say otherwise."
	 "\012edition = \"2023\";\012\012package shop.explicit;\012\012option java_package = \"sh"
	 "op.explicit\";\012\012message Order {\012  reserved old_name, older;\012  reserved 90 t"
	 "o 99;\012  extensions 100 to 199;\012\012  int32 id = 1 [features.field_presence = LEGA"
	 "CY_REQUIRED];\012  string note = 2;\012  string text = 3 [features.field_presence = IMP"
	 "LICIT, (wanted) = true];\012  int32 preset = 4 [default = -7];\012  Colour colour = 5;"
	 "\012  Hue hue = 6 [features = { field_presence: IMPLICIT }];\012  repeated int32 packed"
	 " = 7;\012  repeated int32 loose = 8 [features.repeated_field_encoding = EXPANDED];\012 "
	 " Item item = 9 [features.message_encoding = DELIMITED];\012  repeated Item items = 10 ["
	 "features = { message_encoding: DELIMITED }];\012  map<string, Item> by_name = 11;\012  "
	 "Item plain = 12;\012  oneof choice {\012    string word = 13;\012    Item chosen = 14 ["
	 "features.message_encoding = DELIMITED];\012  }\012  Tree tree = 15;\012\012  message It"
	 "em {\012    int32 units = 1;\012    bool gift = 2 [features.field_presence = IMPLICIT];"
	 "\012  }\012}\012\012message Tree {\012  Tree left = 1 [features.message_encoding = DELI"
	 "MITED];\012  string leaf = 2 [features.utf8_validation = NONE];\012}\012\012enum Colour"
	 " {\012  option features.enum_type = CLOSED;\012  RED = 3;\012  BLUE = 4;\012}\012\012en"
	 "um Hue {\012  DARK = 0;\012  LIGHT = 1;\012}\012\012import \"google/protobuf/descriptor"
	 ".proto\";\012\012extend google.protobuf.FieldOptions {\012  bool wanted = 50000;\012}"
	 "\012",
	 "CrcICg5leHBsaWNpdC5wcm90bxINc2hvcC5leHBsaWNpdBogZ29vZ2xlL3Byb3RvYnVmL2Rlc2NyaXB0b3IucHJ"
	 "vdG8iigYKBU9yZGVyEhUKAmlkGAEgASgFQgWqAQIIA1ICaWQSEgoEbm90ZRgCIAEoCVIEbm90ZRIdCgR0ZXh0GA"
	 "MgASgJQgmqAQIIAoC1GAFSBHRleHQSGgoGcHJlc2V0GAQgASgFOgItN1IGcHJlc2V0Ei0KBmNvbG91chgFIAEoD"
	 "jIVLnNob3AuZXhwbGljaXQuQ29sb3VyUgZjb2xvdXISKwoDaHVlGAYgASgOMhIuc2hvcC5leHBsaWNpdC5IdWVC"
	 "BaoBAggCUgNodWUSFgoGcGFja2VkGAcgAygFUgZwYWNrZWQSGwoFbG9vc2UYCCADKAVCBaoBAhgCUgVsb29zZRI"
	 "0CgRpdGVtGAkgASgLMhkuc2hvcC5leHBsaWNpdC5PcmRlci5JdGVtQgWqAQIoAlIEaXRlbRI2CgVpdGVtcxgKIA"
	 "MoCzIZLnNob3AuZXhwbGljaXQuT3JkZXIuSXRlbUIFqgECKAJSBWl0ZW1zEjkKB2J5X25hbWUYCyADKAsyIC5za"
	 "G9wLmV4cGxpY2l0Lk9yZGVyLkJ5TmFtZUVudHJ5UgZieU5hbWUSLwoFcGxhaW4YDCABKAsyGS5zaG9wLmV4cGxp"
	 "Y2l0Lk9yZGVyLkl0ZW1SBXBsYWluEhQKBHdvcmQYDSABKAlIAFIEd29yZBI6CgZjaG9zZW4YDiABKAsyGS5zaG9"
	 "wLmV4cGxpY2l0Lk9yZGVyLkl0ZW1CBaoBAigCSABSBmNob3NlbhInCgR0cmVlGA8gASgLMhMuc2hvcC5leHBsaW"
	 "NpdC5UcmVlUgR0cmVlGlQKC0J5TmFtZUVudHJ5EhAKA2tleRgBIAEoCVIDa2V5Ei8KBXZhbHVlGAIgASgLMhkuc"
	 "2hvcC5leHBsaWNpdC5PcmRlci5JdGVtUgV2YWx1ZToCOAEaNwoESXRlbRIUCgV1bml0cxgBIAEoBVIFdW5pdHMS"
	 "GQoEZ2lmdBgCIAEoCEIFqgECCAJSBGdpZnQqBQhkEMgBQggKBmNob2ljZUoECFoQZFIIb2xkX25hbWVSBW9sZGV"
	 "yIlEKBFRyZWUSLgoEbGVmdBgBIAEoCzITLnNob3AuZXhwbGljaXQuVHJlZUIFqgECKAJSBGxlZnQSGQoEbGVhZh"
	 "gCIAEoCUIFqgECIANSBGxlYWYqIQoGQ29sb3VyEgcKA1JFRBADEggKBEJMVUUQBBoEOgIQAioaCgNIdWUSCAoER"
	 "EFSSxAAEgkKBUxJR0hUEAE6NwoGd2FudGVkEh0uZ29vZ2xlLnByb3RvYnVmLkZpZWxkT3B0aW9ucxjQhgMgASgI"
	 "UgZ3YW50ZWRCDwoNc2hvcC5leHBsaWNpdGIIZWRpdGlvbnNw6Ac="},
	{"shop.implicit.Reading",
	 "// A file whose fields are implicit and delimited unless they say otherwise.\012edition"
	 " = \"2024\";\012\012package shop.implicit;\012\012import option \"google/protobuf/descr"
	 "iptor.proto\";\012\012export message Reading {\012  option deprecated = true;\012\012  "
	 "int32 id = 1;\012  string name = 2 [features.field_presence = EXPLICIT];\012  Place pla"
	 "ce = 3;\012  Place at = 4 [features.message_encoding = LENGTH_PREFIXED];\012  repeated "
	 "Place places = 5;\012  map<int32, Place> by_number = 6;\012  map<string, int32> counts "
	 "= 7;\012  State state = 8;\012  oneof choice {\012    int32 number = 9;\012    Place ch"
	 "osen = 10;\012  }\012\012  local message Place {\012    int32 x = 1;\012    Place withi"
	 "n = 2;\012  }\012\012  local enum State {\012    STATE_UNKNOWN = 0;\012    STATE_GOOD ="
	 " 1;\012  }\012}\012\012option features = {\012  // What this file says for all.\012  fi"
	 "eld_presence: IMPLICIT;\012  message_encoding: DELIMITED\012};\012",
	 "CtUGCg5pbXBsaWNpdC5wcm90bxINc2hvcC5pbXBsaWNpdCL7BQoHUmVhZGluZxIOCgJpZBgBIAEoBVICaWQSGQo"
	 "EbmFtZRgCIAEoCUIFqgECCAFSBG5hbWUSMgoFcGxhY2UYAyABKAsyHC5zaG9wLmltcGxpY2l0LlJlYWRpbmcuUG"
	 "xhY2VSBXBsYWNlEjMKAmF0GAQgASgLMhwuc2hvcC5pbXBsaWNpdC5SZWFkaW5nLlBsYWNlQgWqAQIoAVICYXQSN"
	 "AoGcGxhY2VzGAUgAygLMhwuc2hvcC5pbXBsaWNpdC5SZWFkaW5nLlBsYWNlUgZwbGFjZXMSQQoJYnlfbnVtYmVy"
	 "GAYgAygLMiQuc2hvcC5pbXBsaWNpdC5SZWFkaW5nLkJ5TnVtYmVyRW50cnlSCGJ5TnVtYmVyEjoKBmNvdW50cxg"
	 "HIAMoCzIiLnNob3AuaW1wbGljaXQuUmVhZGluZy5Db3VudHNFbnRyeVIGY291bnRzEjIKBXN0YXRlGAggASgOMh"
	 "wuc2hvcC5pbXBsaWNpdC5SZWFkaW5nLlN0YXRlUgVzdGF0ZRIYCgZudW1iZXIYCSABKAVIAFIGbnVtYmVyEjYKB"
	 "mNob3NlbhgKIAEoCzIcLnNob3AuaW1wbGljaXQuUmVhZGluZy5QbGFjZUgAUgZjaG9zZW4aWQoNQnlOdW1iZXJF"
	 "bnRyeRIQCgNrZXkYASABKAVSA2tleRIyCgV2YWx1ZRgCIAEoCzIcLnNob3AuaW1wbGljaXQuUmVhZGluZy5QbGF"
	 "jZVIFdmFsdWU6AjgBGjkKC0NvdW50c0VudHJ5EhAKA2tleRgBIAEoCVIDa2V5EhQKBXZhbHVlGAIgASgFUgV2YW"
	 "x1ZToCOAEaTQoFUGxhY2USDAoBeBgBIAEoBVIBeBI0CgZ3aXRoaW4YAiABKAsyHC5zaG9wLmltcGxpY2l0LlJlY"
	 "WRpbmcuUGxhY2VSBndpdGhpblgBIiwKBVN0YXRlEhEKDVNUQVRFX1VOS05PV04QABIOCgpTVEFURV9HT09EEAEw"
	 "AToCGAFCCAoGY2hvaWNlWAJCB5IDBAgCKAJiCGVkaXRpb25zcOkHeiBnb29nbGUvcHJvdG9idWYvZGVzY3JpcHR"
	 "vci5wcm90bw=="},
};

static const Case cases[] = {
	{0, "", "!bad_protobuf"},
	{0, "08ffffffff0720ffffffff072804300140ffffffffffffffffff014b4c5a070a03c3a9221200",
	 "{\"id\":2147483647,\"text\":\"\",\"preset\":2147483647,\"colour\":\"BLUE\",\"hue\":\"LI"
	 "GHT\",\"packed\":[],\"loose\":[-1],\"item\":{\"gift\":false},\"items\":[],\"by_name\":{"
	 "\"\303\251\\\"\":{\"gift\":false}}}"},
	{0, "08ffffffffffffffffff0112016120ffffffffffffffffff015a040a00120062006a03c3a922",
	 "{\"id\":-1,\"note\":\"a\",\"text\":\"\",\"preset\":-1,\"hue\":\"DARK\",\"packed\":[],\""
	 "loose\":[],\"items\":[],\"by_name\":{\"\":{\"gift\":false}},\"plain\":{\"gift\":false},"
	 "\"word\":\"\303\251\\\"\"}"},
	{0, "0880808080f8ffffffff0112001a016140ffffffff0740014b08014c5a060a00120208016a0161",
	 "{\"id\":-2147483648,\"note\":\"\",\"text\":\"a\",\"preset\":-7,\"hue\":\"DARK\",\"packe"
	 "d\":[],\"loose\":[2147483647,1],\"item\":{\"units\":1,\"gift\":false},\"items\":[],\"by"
	 "_name\":{\"\":{\"units\":1,\"gift\":false}},\"word\":\"a\"}"},
	{0,
	 "08ffffffffffffffffff01280430015a0b0a0161120608ffffffff0773747a0d0b0b0b1203c3a9220c12000"
	 "c0c",
	 "{\"id\":-1,\"text\":\"\",\"preset\":-7,\"colour\":\"BLUE\",\"hue\":\"LIGHT\",\"packed\""
	 ":[],\"loose\":[],\"items\":[],\"by_name\":{\"a\":{\"units\":2147483647,\"gift\":false}}"
	 ",\"chosen\":{\"gift\":false},\"tree\":{\"left\":{\"left\":{\"left\":{\"leaf\":\"\303"
	 "\251\\\"\"},\"leaf\":\"\"}}}}"},
	{0,
	 "080112001a03c3a9222080808080f8ffffffff013a01014b0880808080f8ffffffff014c535453080054730"
	 "880808080f8ffffffff0174",
	 "{\"id\":1,\"note\":\"\",\"text\":\"\303\251\\\"\",\"preset\":-2147483648,\"hue\":\"DARK"
	 "\",\"packed\":[1],\"loose\":[],\"item\":{\"units\":-2147483648,\"gift\":false},\"items"
	 "\":[{\"gift\":false},{\"units\":0,\"gift\":false}],\"by_name\":{},\"chosen\":{\"units\""
	 ":-2147483648,\"gift\":false}}"},
	{0, "08014080808080f8ffffffff01400140015a050a016112007a070b1203c3a9220c",
	 "{\"id\":1,\"text\":\"\",\"preset\":-7,\"hue\":\"DARK\",\"packed\":[],\"loose\":[-214748"
	 "3648,1,1],\"items\":[],\"by_name\":{\"a\":{\"gift\":false}},\"tree\":{\"left\":{\"leaf"
	 "\":\"\303\251\\\"\"}}}"},
	{0, "080028044000400140015a050a01611200",
	 "{\"id\":0,\"text\":\"\",\"preset\":-7,\"colour\":\"BLUE\",\"hue\":\"DARK\",\"packed\":["
	 "],\"loose\":[0,1,1],\"items\":[],\"by_name\":{\"a\":{\"gift\":false}}}"},
	{0, "08001200200128034b08014c531001545354",
	 "{\"id\":0,\"note\":\"\",\"text\":\"\",\"preset\":1,\"colour\":\"RED\",\"hue\":\"DARK\","
	 "\"packed\":[],\"loose\":[],\"item\":{\"units\":1,\"gift\":false},\"items\":[{\"gift\":t"
	 "rue},{\"gift\":false}],\"by_name\":{}}"},
	{0,
	 "08ffffffff071201612001280430013a0b00ffffffff07ffffffff074080808080f8ffffffff01408080808"
	 "0f8ffffffff015354620808ffffffff0710017374",
	 "{\"id\":2147483647,\"note\":\"a\",\"text\":\"\",\"preset\":1,\"colour\":\"BLUE\",\"hue"
	 "\":\"LIGHT\",\"packed\":[0,2147483647,2147483647],\"loose\":[-2147483648,-2147483648],"
	 "\"items\":[{\"gift\":false}],\"by_name\":{},\"plain\":{\"units\":2147483647,\"gift\":tr"
	 "ue},\"chosen\":{\"gift\":false}}"},
	{0, "0880808080f8ffffffff0112001a03c3a92228043a0601ffffffff074b4c62006a01617a021200",
	 "{\"id\":-2147483648,\"note\":\"\",\"text\":\"\303\251\\\"\",\"preset\":-7,\"colour\":\""
	 "BLUE\",\"hue\":\"DARK\",\"packed\":[1,2147483647],\"loose\":[],\"item\":{\"gift\":false"
	 "},\"items\":[],\"by_name\":{},\"plain\":{\"gift\":false},\"word\":\"a\",\"tree\":{\"lea"
	 "f\":\"\"}}"},
	{0, "08ffffffff071a01614b10014c5308015462020801",
	 "{\"id\":2147483647,\"text\":\"a\",\"preset\":-7,\"hue\":\"DARK\",\"packed\":[],\"loose"
	 "\":[],\"item\":{\"gift\":true},\"items\":[{\"units\":1,\"gift\":false}],\"by_name\":{},"
	 "\"plain\":{\"units\":1,\"gift\":false}}"},
	{0,
	 "0880808080f8ffffffff011201612001280340004080808080f8ffffffff014b0880808080f8ffffffff014"
	 "c7a021200",
	 "{\"id\":-2147483648,\"note\":\"a\",\"text\":\"\",\"preset\":1,\"colour\":\"RED\",\"hue"
	 "\":\"DARK\",\"packed\":[],\"loose\":[0,-2147483648],\"item\":{\"units\":-2147483648,\"g"
	 "ift\":false},\"items\":[],\"by_name\":{},\"tree\":{\"leaf\":\"\"}}"},
	{0,
	 "08ffffffffffffffffff011a01612080808080f8ffffffff013a0201015a050a016112006200730801747a0"
	 "70b1203c3a9220c",
	 "{\"id\":-1,\"text\":\"a\",\"preset\":-2147483648,\"hue\":\"DARK\",\"packed\":[1,1],\"lo"
	 "ose\":[],\"items\":[],\"by_name\":{\"a\":{\"gift\":false}},\"plain\":{\"gift\":false},"
	 "\"chosen\":{\"units\":1,\"gift\":false},\"tree\":{\"left\":{\"leaf\":\"\303\251\\\"\"}}"
	 "}"},
	{0,
	 "0880808080f8ffffffff0120ffffffffffffffffff013a14ffffffffffffffffff01ffffffffffffffffff0"
	 "153545a040a001200",
	 "{\"id\":-2147483648,\"text\":\"\",\"preset\":-1,\"hue\":\"DARK\",\"packed\":[-1,-1],\"l"
	 "oose\":[],\"items\":[{\"gift\":false}],\"by_name\":{\"\":{\"gift\":false}}}"},
	{0,
	 "08ffffffffffffffffff013a0b0080808080f8ffffffff0140ffffffff07400140014b08ffffffff074c737"
	 "4",
	 "{\"id\":-1,\"text\":\"\",\"preset\":-7,\"hue\":\"DARK\",\"packed\":[0,-2147483648],\"lo"
	 "ose\":[2147483647,1,1],\"item\":{\"units\":2147483647,\"gift\":false},\"items\":[],\"by"
	 "_name\":{},\"chosen\":{\"gift\":false}}"},
	{0,
	 "08ffffffffffffffffff01120020ffffffffffffffffff0130013a14ffffffffffffffffff01ffffffff07f"
	 "fffffff07400040005308ffffffff075453547374",
	 "{\"id\":-1,\"note\":\"\",\"text\":\"\",\"preset\":-1,\"hue\":\"LIGHT\",\"packed\":[-1,2"
	 "147483647,2147483647],\"loose\":[0,0],\"items\":[{\"units\":2147483647,\"gift\":false},"
	 "{\"gift\":false}],\"by_name\":{},\"chosen\":{\"gift\":false}}"},
	{0, "08001a016140ffffffff074080808080f8ffffffff0140014b080110014c5308015473100174",
	 "{\"id\":0,\"text\":\"a\",\"preset\":-7,\"hue\":\"DARK\",\"packed\":[],\"loose\":[214748"
	 "3647,-2147483648,1],\"item\":{\"units\":1,\"gift\":true},\"items\":[{\"units\":1,\"gift"
	 "\":false}],\"by_name\":{},\"chosen\":{\"gift\":true}}"},
	{0,
	 "0800120020013a1980808080f8ffffffff01ffffffff0780808080f8ffffffff014b08014c6202080173100"
	 "174",
	 "{\"id\":0,\"note\":\"\",\"text\":\"\",\"preset\":1,\"hue\":\"DARK\",\"packed\":[-214748"
	 "3648,2147483647,-2147483648],\"loose\":[],\"item\":{\"units\":1,\"gift\":false},\"items"
	 "\":[],\"by_name\":{},\"plain\":{\"units\":1,\"gift\":false},\"chosen\":{\"gift\":true}}"},
	{0,
	 "0880808080f8ffffffff011203c3a9225a070a016112021001620808ffffffff071001730801747a051203c"
	 "3a922",
	 "{\"id\":-2147483648,\"note\":\"\303\251\\\"\",\"text\":\"\",\"preset\":-7,\"hue\":\"DAR"
	 "K\",\"packed\":[],\"loose\":[],\"items\":[],\"by_name\":{\"a\":{\"gift\":true}},\"plain"
	 "\":{\"units\":2147483647,\"gift\":true},\"chosen\":{\"units\":1,\"gift\":false},\"tree"
	 "\":{\"leaf\":\"\303\251\\\"\"}}"},
	{0,
	 "0880808080f8ffffffff012080808080f8ffffffff013a19ffffffff07ffffffffffffffffff0180808080f"
	 "8ffffffff0153545a070a03c3a922120073100174",
	 "{\"id\":-2147483648,\"text\":\"\",\"preset\":-2147483648,\"hue\":\"DARK\",\"packed\":[2"
	 "147483647,-1,-2147483648],\"loose\":[],\"items\":[{\"gift\":false}],\"by_name\":{\"\303"
	 "\251\\\"\":{\"gift\":false}},\"chosen\":{\"gift\":true}}"},
	{1, "", "{\"id\":0,\"places\":[],\"by_number\":{},\"counts\":{},\"state\":\"STATE_UNKNOWN\"}"},
	{1, "220f0880808080f8ffffffff01130801143a0e0a01611080808080f8ffffffff015313131314141454",
	 "{\"id\":0,\"at\":{\"x\":-2147483648,\"within\":{\"x\":1}},\"places\":[],\"by_number\":{"
	 "},\"counts\":{\"a\":-2147483648},\"state\":\"STATE_UNKNOWN\",\"chosen\":{\"x\":0,\"with"
	 "in\":{\"x\":0,\"within\":{\"x\":0,\"within\":{\"x\":0}}}}}"},
	{1, "2208080113080113141432110801120d0880808080f8ffffffff0113144001531308ffffffff071454",
	 "{\"id\":0,\"at\":{\"x\":1,\"within\":{\"x\":1,\"within\":{\"x\":0}}},\"places\":[],\"by"
	 "_number\":{\"1\":{\"x\":-2147483648,\"within\":{\"x\":0}}},\"counts\":{},\"state\":\"ST"
	 "ATE_GOOD\",\"chosen\":{\"x\":0,\"within\":{\"x\":2147483647}}}"},
	{1, "1201613215080112110880808080f8ffffffff011313080114143a040a001001",
	 "{\"id\":0,\"name\":\"a\",\"places\":[],\"by_number\":{\"1\":{\"x\":-2147483648,\"within"
	 "\":{\"x\":0,\"within\":{\"x\":1}}}},\"counts\":{\"\":1},\"state\":\"STATE_UNKNOWN\"}"},
	{1, "0880808080f8ffffffff01220213143206080112021314531313141454",
	 "{\"id\":-2147483648,\"at\":{\"x\":0,\"within\":{\"x\":0}},\"places\":[],\"by_number\":{"
	 "\"1\":{\"x\":0,\"within\":{\"x\":0}}},\"counts\":{},\"state\":\"STATE_UNKNOWN\",\"chose"
	 "n\":{\"x\":0,\"within\":{\"x\":0,\"within\":{\"x\":0}}}}"},
	{1, "1b08ffffffffffffffffff01130880808080f8ffffffff011308ffffffffffffffffff0114141c",
	 "{\"id\":0,\"place\":{\"x\":-1,\"within\":{\"x\":-2147483648,\"within\":{\"x\":-1}}},\"p"
	 "laces\":[],\"by_number\":{},\"counts\":{},\"state\":\"STATE_UNKNOWN\"}"},
	{1,
	 "08ffffffffffffffffff011200220b08ffffffffffffffffff012b2c3204080012003a040a0010005313145"
	 "4",
	 "{\"id\":-1,\"name\":\"\",\"at\":{\"x\":-1},\"places\":[{\"x\":0}],\"by_number\":{\"0\":"
	 "{\"x\":0}},\"counts\":{\"\":0},\"state\":\"STATE_UNKNOWN\",\"chosen\":{\"x\":0,\"within"
	 "\":{\"x\":0}}}"},
	{1, "1b1c32180880808080f8ffffffff01120b0880808080f8ffffffff013a080a0010ffffffff07",
	 "{\"id\":0,\"place\":{\"x\":0},\"places\":[],\"by_number\":{\"-2147483648\":{\"x\":-2147"
	 "483648}},\"counts\":{\"\":2147483647},\"state\":\"STATE_UNKNOWN\"}"},
	{1,
	 "1b0880808080f8ffffffff0113130880808080f8ffffffff01131414141c2200320c0801120813080113131"
	 "414143a100a03c3a92210ffffffffffffffffff01531308ffffffffffffffffff0113141454",
	 "{\"id\":0,\"place\":{\"x\":-2147483648,\"within\":{\"x\":0,\"within\":{\"x\":-214748364"
	 "8,\"within\":{\"x\":0}}}},\"at\":{\"x\":0},\"places\":[],\"by_number\":{\"1\":{\"x\":0,"
	 "\"within\":{\"x\":1,\"within\":{\"x\":0,\"within\":{\"x\":0}}}}},\"counts\":{\"\303\251"
	 "\\\"\":-1},\"state\":\"STATE_UNKNOWN\",\"chosen\":{\"x\":0,\"within\":{\"x\":-1,\"withi"
	 "n\":{\"x\":0}}}}"},
	{1,
	 "1203c3a9221b08ffffffffffffffffff011c220413131414320808ffffffff0712003a090a016110fffffff"
	 "f07530880808080f8ffffffff0154",
	 "{\"id\":0,\"name\":\"\303\251\\\"\",\"place\":{\"x\":-1},\"at\":{\"x\":0,\"within\":{\""
	 "x\":0,\"within\":{\"x\":0}}},\"places\":[],\"by_number\":{\"2147483647\":{\"x\":0}},\"c"
	 "ounts\":{\"a\":2147483647},\"state\":\"STATE_UNKNOWN\",\"chosen\":{\"x\":-2147483648}}"},
	{1, "1b1c2b2c2b0880808080f8ffffffff012c3a0b0a03c3a92210ffffffff07531308ffffffff071454",
	 "{\"id\":0,\"place\":{\"x\":0},\"places\":[{\"x\":0},{\"x\":-2147483648}],\"by_number\":"
	 "{},\"counts\":{\"\303\251\\\"\":2147483647},\"state\":\"STATE_UNKNOWN\",\"chosen\":{\"x"
	 "\":0,\"within\":{\"x\":2147483647}}}"},
	{1, "08ffffffff07320808ffffffff07120053080154",
	 "{\"id\":2147483647,\"places\":[],\"by_number\":{\"2147483647\":{\"x\":0}},\"counts\":{}"
	 ",\"state\":\"STATE_UNKNOWN\",\"chosen\":{\"x\":1}}"},
	{1, "12001b1c220b08ffffffffffffffffff01320f0800120b0880808080f8ffffffff01",
	 "{\"id\":0,\"name\":\"\",\"place\":{\"x\":0},\"at\":{\"x\":-1},\"places\":[],\"by_number"
	 "\":{\"0\":{\"x\":-2147483648}},\"counts\":{},\"state\":\"STATE_UNKNOWN\"}"},
	{1, "08ffffffff071b1c32040801120040015354",
	 "{\"id\":2147483647,\"place\":{\"x\":0},\"places\":[],\"by_number\":{\"1\":{\"x\":0}},\""
	 "counts\":{},\"state\":\"STATE_GOOD\",\"chosen\":{\"x\":0}}"},
	{1,
	 "2200322c0801122808ffffffffffffffffff011308ffffffff071308ffffffff071308fffffffffffffffff"
	 "f011414144880808080f8ffffffff01",
	 "{\"id\":0,\"at\":{\"x\":0},\"places\":[],\"by_number\":{\"1\":{\"x\":-1,\"within\":{\"x"
	 "\":2147483647,\"within\":{\"x\":2147483647,\"within\":{\"x\":-1}}}}},\"counts\":{},\"st"
	 "ate\":\"STATE_UNKNOWN\",\"number\":-2147483648}"},
	{1,
	 "1201611b0880808080f8ffffffff01131314141c3a100a03c3a9221080808080f8ffffffff01400148fffff"
	 "fff07",
	 "{\"id\":0,\"name\":\"a\",\"place\":{\"x\":-2147483648,\"within\":{\"x\":0,\"within\":{"
	 "\"x\":0}}},\"places\":[],\"by_number\":{},\"counts\":{\"\303\251\\\"\":-2147483648},\"s"
	 "tate\":\"STATE_GOOD\",\"number\":2147483647}"},
	{1, "1203c3a922321508ffffffff07120d1308ffffffffffffffffff01145354",
	 "{\"id\":0,\"name\":\"\303\251\\\"\",\"places\":[],\"by_number\":{\"2147483647\":{\"x\":"
	 "0,\"within\":{\"x\":-1}}},\"counts\":{},\"state\":\"STATE_UNKNOWN\",\"chosen\":{\"x\":0"
	 "}}"},
	{1, "08ffffffffffffffffff0112001b08ffffffff071c48ffffffff07",
	 "{\"id\":-1,\"name\":\"\",\"place\":{\"x\":2147483647},\"places\":[],\"by_number\":{},\""
	 "counts\":{},\"state\":\"STATE_UNKNOWN\",\"number\":2147483647}"},
	{1, "12001b1c3a0d0a0010ffffffffffffffffff01",
	 "{\"id\":0,\"name\":\"\",\"place\":{\"x\":0},\"places\":[],\"by_number\":{},\"counts\":{"
	 "\"\":-1},\"state\":\"STATE_UNKNOWN\"}"},
	{1,
	 "08011203c3a9221b13141c2b13142c2b13130880808080f8ffffffff01131414142c32060801120213143a1"
	 "00a03c3a92210ffffffffffffffffff01",
	 "{\"id\":1,\"name\":\"\303\251\\\"\",\"place\":{\"x\":0,\"within\":{\"x\":0}},\"places\""
	 ":[{\"x\":0,\"within\":{\"x\":0}},{\"x\":0,\"within\":{\"x\":0,\"within\":{\"x\":-214748"
	 "3648,\"within\":{\"x\":0}}}}],\"by_number\":{\"1\":{\"x\":0,\"within\":{\"x\":0}}},\"co"
	 "unts\":{\"\303\251\\\"\":-1},\"state\":\"STATE_UNKNOWN\"}"},
	{1, "08ffffffffffffffffff011201611b13141c40015354",
	 "{\"id\":-1,\"name\":\"a\",\"place\":{\"x\":0,\"within\":{\"x\":0}},\"places\":[],\"by_n"
	 "umber\":{},\"counts\":{},\"state\":\"STATE_GOOD\",\"chosen\":{\"x\":0}}"},
};

#endif
