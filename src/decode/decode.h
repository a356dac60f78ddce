/*
 * decode.h — from message bytes to one row in PostgreSQL's COPY form, or a reason why not.
 *
 * Pure C11: no PostgreSQL, no librdkafka, no global state. A decoder is used by one thread.
 * Every value it accepts means what PostgreSQL's own input function would make of it; what lies
 * outside the accepted subset, and what PostgreSQL would silently round or cut, is refused.
 */
#ifndef TXD_DECODE_H
#define TXD_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "openpgp.h"

typedef enum TxdFormat
{
	TXD_JSON = 0,
	TXD_CSV = 1,
	TXD_PLAIN_TEXT = 2, /* the whole message is one UTF-8 text */
	TXD_BYTES = 3,      /* the whole message is one bytea */
	TXD_AVRO = 4, /* these two become the JSON that means the same (avro.h, protobuf.h), and are */
	TXD_PROTOBUF = 5 /* decoded as that */
} TxdFormat;

/*
 * Row form. BINARY: an int16 count of fields, then int32 length (-1 is NULL) and bytes of each, as in
 * COPY BINARY without its file header and trailer. TEXT: one line of COPY's text format, with \N.
 */
typedef enum TxdForm
{
	TXD_BINARY = 0,
	TXD_TEXT = 1
} TxdForm;

typedef enum TxdType
{
	TXD_INT2 = 0,
	TXD_INT4 = 1,
	TXD_INT8 = 2,
	TXD_FLOAT4 = 3,
	TXD_FLOAT8 = 4,
	TXD_NUMERIC = 5,
	TXD_BOOL = 6,
	TXD_STRING = 7, /* text */
	TXD_VARCHAR = 8,
	TXD_CHAR = 9, /* char(n), sent unpadded */
	TXD_DATE = 10,
	TXD_TIME = 11,
	TXD_TIMESTAMP = 12,
	TXD_TIMESTAMPTZ = 13,
	TXD_UUID = 14,
	TXD_JSONTEXT = 15, /* json */
	TXD_JSONB = 16,
	TXD_BYTEA = 17,
	TXD_OTHER = 18 /* passed as text; needs TXD_TEXT */
} TxdType;

/* Where a column's value comes from. */
typedef enum TxdSource
{
	TXD_FROM_FIELD = 0, /* a field of the message, by path or name */
	TXD_FROM_REST = 1,  /* "$rest": every field no column is mapped to, as one JSON object */
	TXD_FROM_VALUE = 2, /* "$value": the whole message */
	TXD_FROM_TOPIC = 3, /* kafka_topic */
	TXD_FROM_PARTITION = 4,
	TXD_FROM_OFFSET = 5,
	TXD_FROM_TIMESTAMP = 6,     /* kafka_timestamp, NULL when the message has none */
	TXD_FROM_KEY = 7,           /* "$key" and kafka_key: the key, for bytea its bytes */
	TXD_FROM_HEADERS = 8,       /* kafka_headers: a JSON object */
	TXD_FROM_LINE = 9,          /* line number of a file's record, its first line counting as 1 */
	TXD_FROM_CONSTANT = 10,     /* the column's default_text in every row (file_id, group_key) */
	TXD_FROM_KEY_FIELD = 11,    /* "$key.id": a field of the key, which is a JSON object; by path */
	TXD_FROM_IS_TOMBSTONE = 12, /* boolean: whether the message has no value, or deletes a row */
	TXD_FROM_ENVELOPE_FIELD = 13, /* "$envelope.id": a field around the row's own, by path */
	TXD_FROM_ROW = 14,            /* kafka_row: number of the row in its message, from 0 */
	TXD_FROM_SCHEMA =
		15, /* what the message's schema says of its fields, [{"name", "type", "doc"}] */
	TXD_FROM_HEADER = 16,    /* "$header.name": the last header that has the path as its name */
	TXD_FROM_KEY_SCHEMA = 17 /* as TXD_FROM_SCHEMA, of the key */
} TxdSource;

/* What keys are. All but text become JSON, as messages do. */
typedef enum TxdKeyFormat
{
	TXD_KEY_TEXT = 0, /* or any bytes; fields of a key are those of JSON */
	TXD_KEY_JSON = 1, /* perhaps behind the number of a JSON Schema */
	TXD_KEY_AVRO = 2,
	TXD_KEY_PROTOBUF = 3
} TxdKeyFormat;

/* What is around the fields of a row. */
typedef enum TxdEnvelope
{
	TXD_NO_ENVELOPE = 0,
	TXD_DEBEZIUM =
		1, /* {op, after, …}, or the same as the payload beside its schema; keys likewise */
	TXD_CLOUDEVENTS = 2 /* {specversion, data, …}, or headers ce_… and the value is the data */
} TxdEnvelope;

/* Conversion applied to the field's text before the type's own syntax ("as" in a mapping). */
typedef enum TxdConvert
{
	TXD_AS_IS = 0,
	TXD_AS_WHOLE = 1,  /* "whole": 2.0 is 2; any other fraction is refused */
	TXD_AS_EMAIL = 2,  /* "email": trimmed, cut after the first ".com" */
	TXD_AS_STREET = 3, /* "address_street" of street/city/state/postal code, split from the */
	TXD_AS_CITY = 4,   /* right; a part that is empty is NULL; fewer than three slashes: */
	TXD_AS_STATE = 5,  /* refused (bad_value) */
	TXD_AS_POSTAL_CODE = 6,
	TXD_AS_EPOCH_S = 7, /* "epoch_s": number of seconds since 1970, fraction allowed */
	TXD_AS_EPOCH_MS = 8,
	TXD_AS_EPOCH_US = 9,
	TXD_AS_TRIM = 10,      /* "trim": white space at both ends cut; nothing left is NULL */
	TXD_AS_PSEUDONYM = 11, /* "pseudonym": HMAC-SHA256 with the schema's key, in hexadecimal */
	TXD_AS_ENCRYPTED = 12  /* "encrypt": an OpenPGP message with the schema's key, a bytea */
} TxdConvert;

typedef struct TxdColumn
{
	const char *name;
	TxdType type;
	int32_t length;    /* varchar(n), char(n): most characters; 0: no limit */
	int32_t precision; /* numeric(p,s): p, 0: no limit; date-time types: -1 or digits allowed */
	int32_t scale;     /* numeric(p,s): s */
	bool not_null;     /* NULL is refused as missing_value */
	TxdSource source;
	TxdConvert convert;
	int npaths;         /* 0 with TXD_FROM_FIELD: match by the column's name */
	const char **paths; /* alternatives, first present wins; JSON: dotted, [N] is an array's */
						/* element from 0, "\" takes the meaning from a dot, a "[", a backslash */
						/* and a "$" that begins the path; CSV: a header name, or without */
						/* header a field number from 1 */
	const char *default_text; /* used where the field is absent; NULL: SQL NULL */
	bool or_key;              /* a field that the key may have, too; what the key has wins */
	bool discreet;            /* refusals show no values; set by txd_new */
	bool typed; /* by schemas: a number since 1970 may be a date-time already; set by txd_new */
} TxdColumn;

typedef struct TxdCsvOptions
{
	char delimiter;        /* ',' */
	char quote;            /* '"', doubled inside a quoted field */
	bool header;           /* the first record names the fields (files only) */
	bool ragged;           /* fewer fields than the header: the missing ones are absent */
	const char *null_text; /* an unquoted field equal to this is NULL; "" by default */
} TxdCsvOptions;

/*
 * UTC offsets of the zone that zone-less times are in: offset[0] until at[0], offset[i] from at[i-1].
 * Gaps and overlaps are resolved as PostgreSQL does.
 */
typedef struct TxdZone
{
	int nchanges;
	const int64_t *at;     /* Unix time in seconds, ascending; nchanges entries */
	const int32_t *offset; /* seconds east of UTC; nchanges + 1 entries */
} TxdZone;

/*
 * Where schemas are that messages name by number: for whoever asks there, the decoder only looks whether messages begin
 * with a number, in Confluent's wire format.
 */
typedef struct TxdRegistry
{
	const char *url;
	const char *user_info; /* "user:password", or NULL */
	const char *ca_pem;    /* certificates that are trusted; NULL: the system's */
	int32_t wait_s;        /* how long a schema may be missing */
} TxdRegistry;

/* The format of a topic's messages, where that is not the stream's. */
typedef struct TxdTopicFormat
{
	const char *topic;
	TxdFormat format;
} TxdTopicFormat;

/* Rows are the elements of the array that the message is, or its lines. */
#define TXD_ROWS_VALUE "$"
#define TXD_ROWS_LINES "$lines"
#define TXD_MAX_ROWS 1000000 /* of one message */

typedef struct TxdSchema
{
	TxdFormat format;
	TxdForm form;
	int ncolumns;
	TxdColumn *columns;
	TxdCsvOptions csv;
	TxdZone zone;
	bool tombstones;   /* a message without a value is a row, see txd_decode */
	bool track_fields; /* JSON: list the fields seen, see txd_fields_seen */
	TxdEnvelope envelope;
	const char *rows; /* where rows are: a path, TXD_ROWS_VALUE, TXD_ROWS_LINES; NULL: one row */
	const char *key;  /* of pseudonyms; NULL: none. The decoder keeps no copy */
	/* Of encryption, as txd_pgp_new takes them; NULL: none. With them refusals show no values. */
	const char *encryption_keys;
	/*
	 * Avro: without registry messages are values of this schema, or single objects of it; with one it is what they are read
	 * as, NULL: each as its writer's.
	 */
	const char *avro_schema;
	/*
	 * Protobuf: what all messages are read by, a .proto file or a FileDescriptorSet in base64, and which message they are; NULL:
	 * the files that each names in the registry.
	 */
	const char *protobuf_schema;
	const char *protobuf_message;
	int ntopics; /* with a format of their own; it and the stream's have the fields of JSON */
	const TxdTopicFormat *topics;
	TxdKeyFormat key_format;
	const char *key_avro_schema; /* the same for keys, which have the same registry */
	const char *key_protobuf_schema;
	const char *key_protobuf_message;
	const TxdRegistry *registry; /* NULL: none */
} TxdSchema;

/* One message of Kafka, or one record of a file (then key, topic and offset are unset). */
typedef struct TxdMessage
{
	const char *payload; /* NULL: a tombstone */
	size_t payload_len;
	const char *key; /* NULL: none */
	size_t key_len;
	const char *headers; /* a JSON object, or NULL */
	size_t headers_len;
	const char *topic;
	uint32_t topic_index; /* the caller's number of the topic */
	int32_t partition;
	int64_t offset;
	int64_t timestamp_ms; /* Unix milliseconds; -1: none */
	int64_t line;
} TxdMessage;

/*
 * Why a row was refused. The codes are stable and documented in docs/architecture.md:
 * bad_json, bad_csv, bad_encoding, nul_byte, too_deep, duplicate_field, ambiguous_field, wrong_type,
 * bad_avro, bad_protobuf, bad_schema, unknown_schema, bad_value, out_of_range, excess_scale, too_long, missing_value, missing_field, extra_field, tombstone,
 * bad_envelope, unknown_op, truncate, unavailable_value.
 */
typedef struct TxdError
{
	const char *code;   /* static string */
	const char *column; /* column's name as long as the decoder lives, or NULL */
	char message[400];  /* one factual clause in lower case, UTF-8, the value shortened */
} TxdError;

typedef struct TxdDecoder TxdDecoder;

/* Copies the schema. NULL with err filled when the schema makes no sense. */
extern TxdDecoder *txd_new(const TxdSchema *schema, TxdError *err);
extern void txd_free(TxdDecoder *decoder);

#define TXD_MAX_ROW (256 * 1024 * 1024)

/*
 * Appends one row to `rows`, with `rows` in the schema any number of them, or returns false with err filled and `rows`
 * as it was: a message is taken whole or not at all.
 *
 * A message without a value is refused (tombstone), or with `tombstones` a row in which every column
 * from the value is NULL, without regard to not_null and defaults. A row beyond TXD_MAX_ROW bytes is
 * refused (too_long), and so are more than TXD_MAX_ROWS of a message. A key of no bytes is no key to key
 * fields, to json and to columns that are NOT NULL.
 */
extern bool txd_decode(TxdDecoder *decoder, const TxdMessage *message, TxdBuf *rows, TxdError *err);

/* Formats that become JSON by schemas. */
static inline bool
txd_is_translated(TxdFormat format)
{
	return format == TXD_AVRO || format == TXD_PROTOBUF;
}

/* Formats whose fields are those of JSON. */
static inline bool
txd_has_json_fields(TxdFormat format)
{
	return format == TXD_JSON || txd_is_translated(format);
}

/* A schema that a message, or its key, names. */
typedef struct TxdWanted
{
	TxdFormat format;
	bool of_key;
	uint32_t id;
} TxdWanted;

/* Has the message, or a key that columns come from, the number of a schema that the decoder does not know yet? */
extern bool txd_wants_schema(const TxdDecoder *decoder, const TxdMessage *message,
							 TxdWanted *wanted);

/*
 * The schema that is wanted: the last of n texts, which may name types of those before it; of .proto files the names are those
 * that they are imported by. Without texts there is none; messages with the number are refused (unknown_schema) until it is added again. Texts that are no schema refuse theirs, too.
 */
extern void txd_add_schema(TxdDecoder *decoder, const TxdWanted *wanted, const char *const *names,
						   const char *const *texts, int n);
/* What has the number can be no schema: messages with it are refused (bad_schema) with this. */
extern void txd_refuse_schema(TxdDecoder *decoder, const TxdWanted *wanted, const char *why);

/* With the schema's keys, for what is kept of the messages; NULL: it has none. */
extern TxdPgp *txd_pgp_of(TxdDecoder *decoder);

/* Per column of the schema, in how many rows its conversion made another value of the field's text. */
extern const uint64_t *txd_fixed(const TxdDecoder *decoder);

/* Has the CSV header that was bound no field for a column whose fields are named, and which has no default? */
extern bool txd_is_absent(const TxdDecoder *decoder, int column);

/* JSON types of a field, as bits of TxdFieldSeen.types: 1 << TXD_FIELD_STRING … */
typedef enum TxdFieldType
{
	TXD_FIELD_STRING = 0,
	TXD_FIELD_NUMBER = 1,
	TXD_FIELD_BOOLEAN = 2,
	TXD_FIELD_NULL = 3,
	TXD_FIELD_OBJECT = 4,
	TXD_FIELD_ARRAY = 5
} TxdFieldType;

typedef struct TxdFieldPlace
{
	uint32_t topic_index;
	int32_t partition;
	int64_t offset;
} TxdFieldPlace;

/* A field of JSON messages. Objects are listed and so is what is in them; of an array only itself. */
typedef struct TxdFieldSeen
{
	const char *path; /* as in a mapping, dotted and escaped; lives as long as the decoder */
	unsigned types;
	uint64_t count;      /* occurrences: one a message, more where an object has the field twice */
	TxdFieldPlace first; /* in the order of decoding */
	TxdFieldPlace last;
} TxdFieldSeen;

#define TXD_MAX_FIELDS 1000 /* paths a decoder lists, */
#define TXD_MAX_PATH 1000   /* and bytes of one */

/*
 * What was seen since the last reset, with `track_fields`: in messages that are valid JSON to their end,
 * also where the row was refused after that (a message refused for a field given twice is not counted).
 * Fields beyond the limits, those whose name has a NUL, and whatever is in them, are not listed; the
 * topmost of them are counted in `unlisted`. The list is valid until the next call on the decoder.
 */
extern size_t txd_fields_seen(TxdDecoder *decoder, const TxdFieldSeen **fields, uint64_t *unlisted);
extern void txd_fields_reset(TxdDecoder *decoder);
/* Is there among them a field, or a type of one, that no reset has forgotten yet? */
extern bool txd_fields_news(const TxdDecoder *decoder);

/* CSV with a header: binds columns to the names in the record (BOM allowed). Call once, first. */
extern bool txd_bind_header(TxdDecoder *decoder, const char *record, size_t len, TxdError *err);

/* A record of several lines that is longer than this counts as one whose quote never closes. */
#define TXD_CSV_MAX_QUOTED ((size_t) 16 << 20)

/*
 * Length of the first CSV record in p[0..len), its line end included, and the number of line ends in it;
 * 0 when the record's end is not in sight and at_end is false. A quote that never closes ends the record
 * at its first line end (txd_decode then refuses it), so that one bad line does not swallow a file.
 */
extern size_t txd_csv_record(const TxdCsvOptions *csv, const char *p, size_t len, bool at_end,
							 size_t *line_ends);

/* Names of enum members as SQL writes them; -1 for an unknown name. */
extern int txd_convert_by_name(const char *name);
extern const char *txd_field_type_name(TxdFieldType type);

#endif
