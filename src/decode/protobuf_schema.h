/*
 * protobuf_schema.h — descriptors of Protobuf taken apart. Private to protobuf*.c.
 */
#ifndef TXD_PROTOBUF_SCHEMA_H
#define TXD_PROTOBUF_SCHEMA_H

#include "arena.h"
#include "protobuf.h"
#include "protobuf_wire.h"

#define PB_MAX_NUMBER 536870911 /* of a field */
#define PB_MAX_NAME 1000        /* bytes of a type's */

/* As FieldDescriptorProto numbers them. */
typedef enum PbKind
{
	PB_DOUBLE = 1,
	PB_FLOAT = 2,
	PB_INT64 = 3,
	PB_UINT64 = 4,
	PB_INT32 = 5,
	PB_FIXED64 = 6,
	PB_FIXED32 = 7,
	PB_BOOL = 8,
	PB_STRING = 9,
	PB_GROUP = 10,
	PB_MESSAGE = 11,
	PB_BYTES = 12,
	PB_UINT32 = 13,
	PB_ENUM = 14,
	PB_SFIXED32 = 15,
	PB_SFIXED64 = 16,
	PB_SINT32 = 17,
	PB_SINT64 = 18
} PbKind;

/* Types that mean more than their fields: as JSON they are not the object of these. */
typedef enum PbMeaning
{
	PB_OBJECT,
	PB_TIMESTAMP,
	PB_DURATION,
	PB_WRAPPER,
	PB_STRUCT,
	PB_VALUE,
	PB_LIST,
	PB_FIELD_MASK,
	PB_DATE,
	PB_TIME_OF_DAY,
	PB_DECIMAL
} PbMeaning;

typedef struct PbSymbol
{
	int32_t number;
	int order; /* of definition */
	const char *name;
} PbSymbol;

/* An import of a file. */
typedef struct PbImport
{
	const char *name;
	bool is_public; /* whoever imports the file has this one, too */
} PbImport;

/* A file. */
typedef struct PbSource
{
	const char *name;
	int place; /* among all */
	int nimports;
	PbImport *import;
	bool *sees; /* by place, whose types it may name; NULL: not computed yet */
} PbSource;

typedef struct PbEnum
{
	const char *name; /* full */
	const PbSource *source;
	bool null; /* its one symbol is JSON's null */
	int n;
	PbSymbol *symbol;  /* by number, an alias behind what was defined before it */
	const char *first; /* the symbol that is defined first */
} PbEnum;

typedef struct PbText
{
	const char *data; /* NULL: none */
	size_t len;
} PbText;

typedef struct PbType PbType;

typedef struct PbField
{
	const char *name;
	uint32_t number;
	PbKind kind;
	PbWire wire;
	bool repeated;
	bool required;
	bool delimited;        /* a message of it is a group */
	bool implicit;         /* has no presence: its zero is its absence */
	int oneof;             /* -1: none */
	const char *type_name; /* of message, group and enum, as it is written */
	const char *preset;    /* its default, as it is written, or NULL */
	const char *doc;       /* the comment before it, or NULL */
	const PbType *type;
	const PbEnum *symbols;
	PbText lead;   /* `,"name":` */
	PbText zero;   /* a value when none was written; of messages none */
	PbText absent; /* what is written for the field when it is not there */
} PbField;

struct PbType
{
	const char *name; /* full */
	PbSource *source; /* NULL: the type is known to everybody */
	PbMeaning meaning;
	bool map_entry;
	bool quick; /* numbered in their order, and none is repeated or a group: see protobuf_quick.c */
	int n;
	PbField *field;
	int noneofs;
	int nnested;
	PbType **nested;
	uint32_t ndense;
	const PbField **dense;     /* by number, below ndense */
	const PbField **by_number; /* all */
};

/* What was read. */
typedef struct PbSchema
{
	TxdArena memory;
	int ntypes;
	PbType **types; /* by name, once it is linked */
	int nenums;
	PbEnum **enums;
	int nsources;
	PbSource **sources; /* by place; by name, once it is linked */
	int nfile;          /* types of the last file */
	PbType **file;
} PbSchema;

/* protobuf_schema.c: reads a FileDescriptorProto; its types are added. */
extern bool txd_pb_read_file(PbSchema *schema, PbInput file, TxdError *err);
/* Fills err with bad_schema; returns false. */
extern bool txd_pb_bad_schema(TxdError *err, const char *what, const char *name);

/* A field of a descriptor. */
typedef struct PbPart
{
	uint32_t number;
	PbWire wire;
	uint64_t v;     /* of numbers */
	PbInput within; /* of bytes */
} PbPart;

/* The next one; false at the end, and where there is none, which in->why tells. */
extern bool txd_pb_next_part(PbInput *in, PbPart *part);

/* protobuf_doc.c: comments of the last file, from its SourceCodeInfo. */
extern bool txd_pb_is_doc(const char *text, size_t len); /* short enough, and UTF-8? */
extern void txd_pb_read_comments(PbSchema *schema, PbInput info);
/* Appends [{"name", "type", "doc"}] of a message's fields, or of a value that is no object, which has no name; or nothing. */
extern void txd_pb_describe(const PbType *type, TxdBuf *json);

/* protobuf_import.c: may the types of one file name those of another, NULL: that everybody knows? */
extern void txd_pb_sort_sources(PbSchema *schema);
extern bool txd_pb_sees(PbSchema *schema, PbSource *from, const PbSource *to);

/* protobuf_link.c: finds the types that fields name, and computes what decoding needs. */
extern bool txd_pb_link(PbSchema *schema, TxdError *err);
extern PbType *txd_pb_find_type(const PbSchema *schema, const char *name);

/* protobuf_known.c: adds the types everybody knows. */
extern void txd_pb_add_known(PbSchema *schema);

/* protobuf_text.c: what a definition's default, or without one the zero of the kind, is as JSON; false: it is no value of the kind. */
extern bool txd_pb_put_preset(TxdBuf *json, const PbField *field);

static inline bool
txd_pb_is_message(const PbField *field)
{
	return field->kind == PB_MESSAGE || field->kind == PB_GROUP;
}

static inline bool
txd_pb_is_map(const PbField *field)
{
	return field->repeated && field->type != NULL && field->type->map_entry;
}

#endif
