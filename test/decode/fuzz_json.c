/*
 * fuzz_json.c — libFuzzer entry: any bytes as a JSON message, against schemas that use every path
 * of the decoder. What is accepted must be text that PostgreSQL takes.
 */
#include <stdlib.h>
#include <string.h>

#include "decode/json.h"
#include "decode/translate.h"

static const char *nested[] = {"m.a"};
static const char *deeper[] = {"m.b.c", "d"};
static const char *object[] = {"o"};
static const char *inside[] = {"o.p"};
static const char *key_id[] = {"id", "m.a"};
static const char *element[] = {"l[0].a", "l[1][0]"};
static const char *header[] = {"id", "m"};
static const char *around[] = {"op", "data.id", "l[0].a"};

static TxdColumn columns[] = {
	{.name = "id", .type = TXD_INT4},
	{.name = "customer_id", .type = TXD_STRING},
	{.name = "amount", .type = TXD_NUMERIC, .precision = 10, .scale = 2},
	{.name = "nested", .type = TXD_STRING, .npaths = 1, .paths = nested, .convert = TXD_AS_TRIM},
	{.name = "deeper", .type = TXD_VARCHAR, .length = 8, .npaths = 2, .paths = deeper},
	{.name = "object", .type = TXD_JSONB, .npaths = 1, .paths = object},
	{.name = "inside", .type = TXD_JSONTEXT, .npaths = 1, .paths = inside},
	{.name = "at", .type = TXD_TIMESTAMPTZ, .precision = -1},
	{.name = "ok", .type = TXD_BOOL, .default_text = "false"},
	{.name = "rest", .type = TXD_JSONB, .source = TXD_FROM_REST},
	{.name = "raw", .type = TXD_STRING, .source = TXD_FROM_VALUE},
	{.name = "key", .type = TXD_JSONB, .source = TXD_FROM_KEY},
	{.name = "key_id",
	 .type = TXD_INT4,
	 .source = TXD_FROM_KEY_FIELD,
	 .npaths = 2,
	 .paths = key_id},
	{.name = "gone", .type = TXD_BOOL, .source = TXD_FROM_IS_TOMBSTONE},
	{.name = "header", .type = TXD_STRING, .source = TXD_FROM_HEADER, .npaths = 2, .paths = header},
	{.name = "element", .type = TXD_STRING, .npaths = 2, .paths = element},
};

/* The same rows in envelopes, and several of them in a message. */
static const struct
{
	TxdEnvelope envelope;
	const char *rows;
} shapes[] = {
	{TXD_DEBEZIUM, NULL},     {TXD_DEBEZIUM, "l"},
	{TXD_CLOUDEVENTS, NULL},  {TXD_CLOUDEVENTS, "l"},
	{TXD_NO_ENVELOPE, "m.l"}, {TXD_NO_ENVELOPE, TXD_ROWS_VALUE},
	{TXD_NO_ENVELOPE, "l"},   {TXD_NO_ENVELOPE, TXD_ROWS_LINES},
};

#define NSHAPES (sizeof(shapes) / sizeof(shapes[0]))

#define MESSAGES 1000 /* of one decoder's life: new ones learn names anew */

static TxdDecoder *decoder[2][2];   /* by form, and whether fields are tracked */
static TxdDecoder *shaped[NSHAPES]; /* track fields */

typedef struct Result
{
	bool ok;
	TxdBuf rows;
	TxdError err;
} Result;

static void
open_decoders(void)
{
	TxdSchema schema = {.format = TXD_JSON,
						.ncolumns = sizeof(columns) / sizeof(columns[0]),
						.columns = columns,
						.tombstones = true};
	TxdError err;

	for (int form = TXD_BINARY; form <= TXD_TEXT; form++)
	{
		for (int track = 0; track < 2; track++)
		{
			schema.form = (TxdForm) form;
			schema.track_fields = track > 0;
			txd_free(decoder[form][track]);
			decoder[form][track] = txd_new(&schema, &err);
			if (decoder[form][track] == NULL)
				abort();
		}
	}
}

static void
open_shaped(void)
{
	enum
	{
		N = sizeof(columns) / sizeof(columns[0])
	};
	TxdColumn list[N + 2];
	TxdSchema schema = {
		.format = TXD_JSON, .form = TXD_TEXT, .columns = list, .track_fields = true};
	TxdError err;

	memcpy(list, columns, sizeof(columns));
	list[N] = (TxdColumn){.name = "row", .type = TXD_INT4, .source = TXD_FROM_ROW};
	list[N + 1] = (TxdColumn){.name = "around",
							  .type = TXD_STRING,
							  .source = TXD_FROM_ENVELOPE_FIELD,
							  .npaths = sizeof(around) / sizeof(around[0]),
							  .paths = around};
	for (size_t i = 0; i < NSHAPES; i++)
	{
		schema.envelope = shapes[i].envelope;
		schema.rows = shapes[i].rows;
		schema.tombstones = schema.rows == NULL;
		schema.key_format = i % 2 == 0 ? TXD_KEY_JSON : TXD_KEY_TEXT;
		schema.ncolumns = N + 1 + (schema.rows == NULL || *schema.rows != '$');
		list[0].or_key = schema.envelope == TXD_DEBEZIUM && schema.rows == NULL;
		txd_free(shaped[i]);
		shaped[i] = txd_new(&schema, &err);
		if (shaped[i] == NULL)
			abort();
	}
}

/* Decodes it; what is accepted is JSON, what is refused leaves no trace and has a readable reason. */
static Result
decode(TxdDecoder *d, const TxdMessage *m, bool is_json)
{
	Result r = {false, {NULL, 0, 0}, {0}};
	TxdError ignored;
	size_t prefix = 0;

	r.ok = txd_decode(d, m, &r.rows, &r.err);
	/* The number of a schema may be before it. */
	if (m->payload_len > TXD_WIRE_PREFIX && m->payload != NULL && *m->payload == '\0')
		prefix = TXD_WIRE_PREFIX;
	if (r.ok && is_json && m->payload != NULL &&
		!txd_json_valid(m->payload + prefix, m->payload_len - prefix, false, &ignored))
		abort();
	if (!r.ok && (r.rows.len != 0 || r.err.code == NULL || r.err.message[0] == '\0' ||
				  txd_utf8_prefix(r.err.message, strlen(r.err.message)) != strlen(r.err.message)))
		abort();
	return r;
}

/* What a list of fields promises, whatever the messages were. */
static void
check_fields(TxdDecoder *d)
{
	const TxdFieldSeen *fields;
	uint64_t unlisted;
	size_t n = txd_fields_seen(d, &fields, &unlisted);

	if (n > TXD_MAX_FIELDS)
		abort();
	for (size_t i = 0; i < n; i++)
		if (fields[i].count == 0 || fields[i].types == 0 || strlen(fields[i].path) > TXD_MAX_PATH ||
			txd_utf8_prefix(fields[i].path, strlen(fields[i].path)) != strlen(fields[i].path))
			abort();
	txd_fields_reset(d);
}

/* Tracking changes nothing, and neither does what the decoder remembers of earlier messages. */
static void
compare(int form, const TxdMessage *m)
{
	Result plain = decode(decoder[form][0], m, true);
	Result tracked = decode(decoder[form][1], m, true);
	Result again = decode(decoder[form][1], m, true);

	if (plain.ok != tracked.ok || plain.rows.len != tracked.rows.len ||
		(plain.ok && memcmp(plain.rows.data, tracked.rows.data, plain.rows.len) != 0) ||
		(!plain.ok && (strcmp(plain.err.code, tracked.err.code) != 0 ||
					   strcmp(plain.err.message, tracked.err.message) != 0 ||
					   plain.err.column != NULL != (tracked.err.column != NULL))))
		abort();
	if (again.ok != tracked.ok || again.rows.len != tracked.rows.len ||
		(again.ok && memcmp(again.rows.data, tracked.rows.data, again.rows.len) != 0))
		abort();
	check_fields(decoder[form][1]);
	txd_buf_free(&plain.rows);
	txd_buf_free(&tracked.rows);
	txd_buf_free(&again.rows);
}

/* A message makes the same rows when it comes again. */
static void
compare_shaped(size_t i, const TxdMessage *m)
{
	bool lines = shapes[i].rows != NULL && strcmp(shapes[i].rows, TXD_ROWS_LINES) == 0;
	Result once = decode(shaped[i], m, !lines);
	Result again = decode(shaped[i], m, !lines);

	if (again.ok != once.ok || again.rows.len != once.rows.len ||
		(once.ok && once.rows.len > 0 &&
		 memcmp(again.rows.data, once.rows.data, once.rows.len) != 0) ||
		(!once.ok && strcmp(again.err.message, once.err.message) != 0))
		abort();
	check_fields(shaped[i]);
	txd_buf_free(&once.rows);
	txd_buf_free(&again.rows);
}

/* A copy of exactly this size for the sanitiser. */
static char *
copy_of(const uint8_t *data, size_t size)
{
	char *copy = malloc(size > 0 ? size : 1);

	if (size > 0)
		memcpy(copy, data, size);
	return copy;
}

/*
 * The first byte says how many of the bytes after it are the key; 255: a message without a value. A key that is a JSON
 * object is the headers, too.
 */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t first = size > 0 ? data[0] : 0;
	size_t used = size > 0;
	size_t key_len = first < size - used || first == 255 ? first : 0;
	static unsigned runs;
	TxdMessage m = {.timestamp_ms = -1, .topic = "t"};
	TxdError err;
	char *key;
	char *payload;

	if (runs++ % MESSAGES == 0)
	{
		open_decoders();
		open_shaped();
	}
	if (first == 255)
		key_len = size - used;
	key = copy_of(data + used, key_len);
	payload = copy_of(data + used + key_len, size - used - key_len);
	m.key = first == 0 ? NULL : key;
	m.key_len = key_len;
	m.payload = first == 255 ? NULL : payload;
	m.payload_len = size - used - key_len;
	for (int form = TXD_BINARY; form <= TXD_TEXT; form++)
		compare(form, &m);
	if (key_len > 0 && *key == '{' && txd_json_valid(key, key_len, true, &err))
	{
		m.headers = key;
		m.headers_len = key_len;
	}
	for (size_t i = 0; i < NSHAPES; i++)
		compare_shaped(i, &m);
	if (txd_json_valid(payload, m.payload_len, true, &err))
		(void) txd_json_fits(payload, m.payload_len);
	free(key);
	free(payload);
	return 0;
}
