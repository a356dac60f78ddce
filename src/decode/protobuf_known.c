/*
 * protobuf_known.c — the types that .proto files import without anybody having to pass them on.
 *
 * They are what they are here, also where a descriptor of theirs comes along.
 */
#include "protobuf_schema.h"

#define NULL_ENUM "google.protobuf.NullValue"

typedef struct KnownField
{
	const char *name;
	PbKind kind;
	bool repeated;
	const char *type_name;
} KnownField;

typedef struct Known
{
	const char *name;
	PbMeaning meaning;
	bool oneof; /* of all fields */
	bool map_entry;
	KnownField field[6]; /* numbered from 1 */
} Known;

#define FIELD(n, k)                                                                                \
	{                                                                                              \
		.name = (n), .kind = (k)                                                                   \
	}
#define OF_TYPE(n, k, many, of)                                                                    \
	{                                                                                              \
		.name = (n), .kind = (k), .repeated = (many), .type_name = (of)                            \
	}
#define TYPE(n, means, ...)                                                                        \
	{                                                                                              \
		.name = (n), .meaning = (means), .field = { __VA_ARGS__ }                                  \
	}
#define WRAPPER(n, k) TYPE("google.protobuf." n, PB_WRAPPER, FIELD("value", k))

static const Known known[] = {
	TYPE("google.protobuf.Timestamp", PB_TIMESTAMP, FIELD("seconds", PB_INT64),
		 FIELD("nanos", PB_INT32)),
	TYPE("google.protobuf.Duration", PB_DURATION, FIELD("seconds", PB_INT64),
		 FIELD("nanos", PB_INT32)),
	WRAPPER("DoubleValue", PB_DOUBLE),
	WRAPPER("FloatValue", PB_FLOAT),
	WRAPPER("Int64Value", PB_INT64),
	WRAPPER("UInt64Value", PB_UINT64),
	WRAPPER("Int32Value", PB_INT32),
	WRAPPER("UInt32Value", PB_UINT32),
	WRAPPER("BoolValue", PB_BOOL),
	WRAPPER("StringValue", PB_STRING),
	WRAPPER("BytesValue", PB_BYTES),
	TYPE("google.protobuf.Struct", PB_STRUCT,
		 OF_TYPE("fields", PB_MESSAGE, true, ".google.protobuf.Struct.FieldsEntry")),
	{.name = "google.protobuf.Struct.FieldsEntry",
	 .meaning = PB_OBJECT,
	 .map_entry = true,
	 .field = {FIELD("key", PB_STRING),
			   OF_TYPE("value", PB_MESSAGE, false, ".google.protobuf.Value")}},
	{.name = "google.protobuf.Value",
	 .meaning = PB_VALUE,
	 .oneof = true,
	 .field = {OF_TYPE("null_value", PB_ENUM, false, "." NULL_ENUM),
			   FIELD("number_value", PB_DOUBLE), FIELD("string_value", PB_STRING),
			   FIELD("bool_value", PB_BOOL),
			   OF_TYPE("struct_value", PB_MESSAGE, false, ".google.protobuf.Struct"),
			   OF_TYPE("list_value", PB_MESSAGE, false, ".google.protobuf.ListValue")}},
	TYPE("google.protobuf.ListValue", PB_LIST,
		 OF_TYPE("values", PB_MESSAGE, true, ".google.protobuf.Value")),
	TYPE("google.protobuf.FieldMask", PB_FIELD_MASK, OF_TYPE("paths", PB_STRING, true, NULL)),
	TYPE("google.protobuf.Any", PB_OBJECT, FIELD("type_url", PB_STRING), FIELD("value", PB_BYTES)),
	{.name = "google.protobuf.Empty", .meaning = PB_OBJECT},
	TYPE("google.type.Date", PB_DATE, FIELD("year", PB_INT32), FIELD("month", PB_INT32),
		 FIELD("day", PB_INT32)),
	TYPE("google.type.TimeOfDay", PB_TIME_OF_DAY, FIELD("hours", PB_INT32),
		 FIELD("minutes", PB_INT32), FIELD("seconds", PB_INT32), FIELD("nanos", PB_INT32)),
	TYPE("google.type.Money", PB_OBJECT, FIELD("currency_code", PB_STRING),
		 FIELD("units", PB_INT64), FIELD("nanos", PB_INT32)),
	TYPE("google.type.LatLng", PB_OBJECT, FIELD("latitude", PB_DOUBLE),
		 FIELD("longitude", PB_DOUBLE)),
	TYPE("confluent.type.Decimal", PB_DECIMAL, FIELD("value", PB_BYTES),
		 FIELD("precision", PB_UINT32), FIELD("scale", PB_INT32)),
};

#define NKNOWN (sizeof(known) / sizeof(known[0]))

static void
add_type(PbSchema *schema, const Known *from)
{
	PbType *type = txd_arena_alloc(&schema->memory, sizeof(*type));
	size_t most = sizeof(from->field) / sizeof(from->field[0]);

	type->name = from->name;
	type->meaning = from->meaning;
	type->map_entry = from->map_entry;
	type->noneofs = from->oneof;
	type->field = txd_arena_alloc(&schema->memory, most * sizeof(PbField));
	for (size_t i = 0; i < most && from->field[i].name != NULL; i++)
		type->field[type->n++] = (PbField){.name = from->field[i].name,
										   .number = (uint32_t) i + 1,
										   .kind = from->field[i].kind,
										   .repeated = from->field[i].repeated,
										   .implicit = !from->oneof && !from->field[i].repeated,
										   .oneof = from->oneof ? 0 : -1,
										   .type_name = from->field[i].type_name};
	schema->types[schema->ntypes++] = type;
}

void
txd_pb_add_known(PbSchema *schema)
{
	PbEnum *null = txd_arena_alloc(&schema->memory, sizeof(*null));

	schema->types = txd_realloc(schema->types, (schema->ntypes + NKNOWN) * sizeof(PbType *));
	for (size_t i = 0; i < NKNOWN; i++)
		add_type(schema, &known[i]);
	null->name = NULL_ENUM;
	null->null = true;
	null->n = 1;
	null->first = "NULL_VALUE";
	null->symbol = txd_arena_alloc(&schema->memory, sizeof(PbSymbol));
	null->symbol[0].name = null->first;
	schema->enums = txd_realloc(schema->enums, ((size_t) schema->nenums + 1) * sizeof(PbEnum *));
	schema->enums[schema->nenums++] = null;
}
