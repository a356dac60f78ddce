/*
 * proto_parse.h — what the parts of the reader of .proto files share. Private to proto_*.c.
 */
#ifndef TXD_PROTO_PARSE_H
#define TXD_PROTO_PARSE_H

#include "proto_text.h"

#define PROTO_MAX_NUMBER 536870911 /* of a field */

typedef enum ProtoKind
{
	PROTO_END,
	PROTO_WORD,
	PROTO_INTEGER,
	PROTO_REAL,
	PROTO_STRING,
	PROTO_SIGN /* one character */
} ProtoKind;

typedef struct ProtoToken
{
	ProtoKind kind;
	const char *text;
	size_t len;
	int line;
	const char *doc; /* the comment right before it, with its signs; NULL: none */
	size_t doc_len;
} ProtoToken;

/* Numbers of google.protobuf.FieldDescriptorProto.Type; a type that is named is known later. */
typedef enum ProtoType
{
	PROTO_NAMED = 0,
	PROTO_DOUBLE = 1,
	PROTO_FLOAT = 2,
	PROTO_INT64 = 3,
	PROTO_UINT64 = 4,
	PROTO_INT32 = 5,
	PROTO_FIXED64 = 6,
	PROTO_FIXED32 = 7,
	PROTO_BOOL = 8,
	PROTO_TEXT = 9,
	PROTO_GROUP = 10,
	PROTO_MESSAGE = 11,
	PROTO_BYTES = 12,
	PROTO_UINT32 = 13,
	PROTO_SFIXED32 = 15,
	PROTO_SFIXED64 = 16,
	PROTO_SINT32 = 17,
	PROTO_SINT64 = 18
} ProtoType;

/*
 * A file or a message while it is read: the fields' numbers of the descriptor that its parts go to, and where what it declares
 * begins in the parser's lists.
 */
typedef struct ProtoScope
{
	int message;
	int enumeration;
	int extension;
	int noneofs;
	size_t names;
	size_t declared;
	size_t numbers;
	size_t optionals;
} ProtoScope;

typedef struct ProtoParser
{
	const char *file;
	const char *next; /* what is not read yet */
	const char *end;
	int line;
	ProtoToken token; /* the one to be looked at; PROTO_END, too, after an error */
	bool failed;
	TxdError *err;
	TxdBuf *out;
	bool proto3;
	bool edition;        /* the file is of one … */
	bool has_visibility; /* … which may say of types who names them */
	int depth;
	/* Of all scopes that are open, the innermost last: names, ProtoDeclared, ProtoNumber, ProtoOptional. */
	TxdBuf names;
	TxdBuf declared;
	TxdBuf numbers;
	TxdBuf optionals;
	TxdBuf text; /* of a string */
} ProtoParser;

/* --- proto_lex.c --- */

/* Records an error, unless there is one, at the present token; returns false. */
extern bool txd_proto_fail(ProtoParser *p, const char *what);
extern bool txd_proto_fail_at(ProtoParser *p, const ProtoToken *at, const char *what);
extern void txd_proto_advance(ProtoParser *p);
/* Is the present token this word or sign? If so, take passes it by; expect fails without it. */
extern bool txd_proto_is(const ProtoParser *p, const char *word);
extern bool txd_proto_take(ProtoParser *p, const char *word);
extern bool txd_proto_expect(ProtoParser *p, const char *word);
extern bool txd_proto_word(ProtoParser *p, ProtoToken *word);
/* Appends a name with dots; also one that begins with a dot where `absolute`. */
extern bool txd_proto_full_name(ProtoParser *p, bool absolute, TxdBuf *name);
extern bool txd_proto_unsigned(ProtoParser *p, uint64_t most, uint64_t *v);
extern bool txd_proto_int32(ProtoParser *p, int32_t *v);

/* proto_string.c: strings that follow each other are one. Appends what they stand for. */
extern bool txd_proto_string(ProtoParser *p, TxdBuf *to);
/* The same into p->text, and it must be UTF-8 without NUL. */
extern bool txd_proto_utf8_string(ProtoParser *p);

/* --- proto_scope.c --- */

extern ProtoScope txd_proto_open(const ProtoParser *p, int message, int enumeration, int extension);
/* Names are unique in their scope: a field, a type, a oneof, an enum's value. */
extern void txd_proto_declare(ProtoParser *p, const char *name, size_t len, int line);
/* Numbers of a scope's fields, or of an enum's values. */
extern void txd_proto_number(ProtoParser *p, int32_t number, int line);
/* The message just written to `out` is an optional field of proto3, and ends with room for the index of its oneof. */
extern void txd_proto_optional(ProtoParser *p, const char *name, size_t len);
extern bool txd_proto_unique_numbers(ProtoParser *p, size_t from, const char *what);
/* Checks what the scope declares, and adds a message's synthetic oneofs. */
extern bool txd_proto_close(ProtoParser *p, const ProtoScope *scope);

/* Parts of a descriptor. A message is what is appended between begin and end. */
extern void txd_proto_put_integer(TxdBuf *out, int field, int64_t v);
extern void txd_proto_put_text(TxdBuf *out, int field, const char *text, size_t len);
extern size_t txd_proto_begin(TxdBuf *out, int field);
extern void txd_proto_end(TxdBuf *out, size_t begun);
/* An index that is known later: txd_proto_close fills it in. */
extern void txd_proto_put_room(TxdBuf *out, int field);

/* --- proto_doc.c --- */

/* Comments since the last token, while they are passed by. */
typedef struct ProtoComments
{
	const char *start; /* of those that belong together, NULL: none */
	const char *end;
	bool lines;   /* of the kind that ends with the line */
	int newlines; /* since the last one, or since the token */
} ProtoComments;

/* One that begins at `start` and ends at `end`. */
extern void txd_proto_comment(ProtoComments *c, const char *start, const char *end);
/* Appends what the token's comment says to a descriptor, if there is one. */
extern void txd_proto_put_doc(TxdBuf *out, const ProtoToken *token);

/* --- proto_option.c --- */

/* What an option's value is taken for. */
typedef enum ProtoFlag
{
	PROTO_UNSET,
	PROTO_FALSE,
	PROTO_TRUE
} ProtoFlag;

/* `option NAME = VALUE;`, of which one may be asked for. */
extern bool txd_proto_option(ProtoParser *p, const char *asked, ProtoFlag *flag);
/* The same of a file or message of an edition; features that are kept are `features` in `options` of its descriptor. */
extern bool txd_proto_feature_option(ProtoParser *p, int options, int features);
/* `[NAME = VALUE, …]`, if there are any, which say nothing here. */
extern bool txd_proto_skip_options(ProtoParser *p);
/* Those of a field are written to `out`, its json_name whether given or not. */
extern bool txd_proto_field_options(ProtoParser *p, ProtoType type, const char *name, size_t len);
/* The json_name that goes by itself with a field's name. */
extern void txd_proto_put_json_name(TxdBuf *out, const char *name, size_t len);

/* --- proto_field.c --- */

/* Where fields go. */
typedef struct ProtoPlace
{
	int field;              /* of the descriptor that they are part of */
	int oneof;              /* -1: none */
	const TxdBuf *extendee; /* NULL: the message they are written in */
} ProtoPlace;

extern bool txd_proto_field(ProtoParser *p, ProtoScope *scope, const ProtoPlace *place);

/* --- proto_text.c --- */

/* From `{` to `}`; appends to the message that is begun. */
extern bool txd_proto_message_body(ProtoParser *p);

#endif
