/*
 * test_openpgp.c — OpenPGP messages: what is written is read again, and nothing else is. The tests of the
 * server have pgcrypto and gpg read them.
 */
#include <stdlib.h>

#include "check.h"
#include "decode/decode.h"
#include "decode/openpgp.h"
#include "rig.h"

#define KEY "0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210"

static void
test_keys(void)
{
	CHECK(txd_pgp_new("") == NULL);
	CHECK(txd_pgp_new("\n\n") == NULL);
	CHECK(txd_pgp_new("0123456789abcdef0123456789abcde") == NULL);
	CHECK(txd_pgp_new(KEY "\nshort") == NULL);
}

/* A copy of exactly that size, so that a sanitiser sees reads beyond it. */
static TxdPgpResult
open_copy(TxdPgp *pgp, const char *message, size_t len, char **plain, size_t *plain_len)
{
	char *copy = malloc(len > 0 ? len : 1);
	TxdPgpResult result;

	memcpy(copy, message, len);
	*plain = malloc(len > 0 ? len : 1);
	result = txd_pgp_open(pgp, copy, len, *plain, plain_len);
	free(copy);
	return result;
}

static void
check_length(TxdPgp *pgp, size_t len)
{
	char *data = malloc(len + 1);
	size_t size = txd_pgp_sealed_size(len);
	char *sealed = malloc(size);
	char *again;
	size_t again_len;

	for (size_t i = 0; i < len; i++)
		data[i] = (char) (i * 7 + len);
	CHECK(txd_pgp_seal(pgp, len % 2 == 0, data, len, sealed));
	CHECK(txd_pgp_is_message(sealed, size));
	CHECK_INT(open_copy(pgp, sealed, size, &again, &again_len), TXD_PGP_OK);
	CHECK_INT(again_len, len);
	CHECK(memcmp(again, data, len) == 0);
	free(again);
	free(sealed);
	free(data);
}

static void
test_lengths(void)
{
	static const size_t lengths[] = {0,   1,    15,   16,   130,  131,   132,   133,    150,    185,
									 186, 8192, 8330, 8331, 8350, 65535, 65536, 100000, 1 << 20};
	TxdPgp *pgp = txd_pgp_new(KEY);

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		check_length(pgp, lengths[i]);
	for (size_t len = 100; len < 200; len++)
		check_length(pgp, len);
	txd_pgp_free(pgp);
}

/* No bit may be other, and no byte missing or too many. */
static void
test_damage(void)
{
	static const char value[] = "Ada L\xc3\xb6we";
	TxdPgp *pgp = txd_pgp_new(KEY);
	size_t size = txd_pgp_sealed_size(sizeof(value));
	char *sealed = malloc(size + 1);
	char *again;
	size_t again_len;

	CHECK(txd_pgp_seal(pgp, true, value, sizeof(value), sealed));
	for (size_t bit = 0; bit < size * 8; bit++)
	{
		sealed[bit / 8] ^= (char) (1 << (bit % 8));
		CHECK(open_copy(pgp, sealed, size, &again, &again_len) != TXD_PGP_OK);
		free(again);
		sealed[bit / 8] ^= (char) (1 << (bit % 8));
	}
	for (size_t len = 0; len < size; len++)
	{
		TxdPgpResult result = open_copy(pgp, sealed, len, &again, &again_len);

		CHECK_INT(result, len < TXD_PGP_MAGIC ? TXD_PGP_NO_MESSAGE : TXD_PGP_DAMAGED);
		free(again);
	}
	sealed[size] = 0;
	CHECK_INT(open_copy(pgp, sealed, size + 1, &again, &again_len), TXD_PGP_DAMAGED);
	free(again);
	CHECK_INT(open_copy(pgp, "{\"a\": 1}", 8, &again, &again_len), TXD_PGP_NO_MESSAGE);
	free(again);
	free(sealed);
	txd_pgp_free(pgp);
}

/* The first key encrypts, all decrypt; no two messages are equal. */
static void
test_rotation(void)
{
	TxdPgp *old = txd_pgp_new(KEY "\n");
	TxdPgp *both = txd_pgp_new(OTHER "\r\n" KEY "\r\n");
	TxdPgp *new = txd_pgp_new(OTHER);
	size_t size = txd_pgp_sealed_size(4);
	char first[200];
	char second[200];
	char *again;
	size_t again_len;

	CHECK(txd_pgp_seal(old, true, "text", 4, first));
	CHECK(txd_pgp_seal(old, true, "text", 4, second));
	CHECK(memcmp(first + TXD_PGP_MAGIC, second + TXD_PGP_MAGIC, 8) != 0);
	CHECK(memcmp(first + 17, second + 17, size - 17) != 0);
	CHECK_INT(open_copy(both, first, size, &again, &again_len), TXD_PGP_OK);
	CHECK(again_len == 4 && memcmp(again, "text", 4) == 0);
	free(again);
	CHECK_INT(open_copy(new, first, size, &again, &again_len), TXD_PGP_WRONG_KEY);
	free(again);
	CHECK(txd_pgp_seal(both, true, "text", 4, first));
	CHECK_INT(open_copy(new, first, size, &again, &again_len), TXD_PGP_OK);
	free(again);
	CHECK_INT(open_copy(old, first, size, &again, &again_len), TXD_PGP_WRONG_KEY);
	free(again);
	txd_pgp_free(old);
	txd_pgp_free(both);
	txd_pgp_free(new);
}

/* Of 65,536 messages one has by chance the two bytes that repeat with another key, too. */
static void
test_chance(void)
{
	TxdPgp *old = txd_pgp_new(KEY);
	TxdPgp *both = txd_pgp_new(OTHER "\n" KEY);
	size_t size = txd_pgp_sealed_size(4);
	char sealed[200];
	char again[200];
	size_t again_len;
	int wrong = 0;

	for (int i = 0; i < 400000; i++)
	{
		wrong += !txd_pgp_seal(old, true, "text", 4, sealed) ||
				 txd_pgp_open(both, sealed, size, again, &again_len) != TXD_PGP_OK;
	}
	CHECK_INT(wrong, 0);
	txd_pgp_free(old);
	txd_pgp_free(both);
}

/* Writes `len` bytes of content in steps and reads the message in other steps. */
static void
check_pieces(size_t len, size_t write_step, size_t read_step)
{
	TxdPgp *pgp = txd_pgp_new(KEY);
	TxdPgpWriter *w = txd_pgp_writer(pgp);
	TxdPgpReader *r = txd_pgp_reader(pgp);
	char *data = malloc(len + 1);
	char *message = malloc(txd_pgp_write_room(len));
	char *again = malloc(len + read_step + TXD_PGP_HELD);
	size_t size = 0;
	size_t got = 0;
	size_t some;

	for (size_t i = 0; i < len; i++)
		data[i] = (char) (i * 31 + i / 1000);
	for (size_t at = 0; at < len; at += write_step)
		size += txd_pgp_write(w, data + at, len - at < write_step ? len - at : write_step, false,
							  message + size);
	size += txd_pgp_write(w, NULL, 0, true, message + size);
	CHECK(size <= txd_pgp_write_room(len));
	for (size_t at = 0; at < size; at += read_step)
	{
		CHECK_INT(txd_pgp_read(r, message + at, size - at < read_step ? size - at : read_step,
							   again + got, &some),
				  TXD_PGP_OK);
		got += some;
	}
	CHECK_INT(txd_pgp_read_end(r), TXD_PGP_OK);
	CHECK_INT(got, len);
	CHECK(memcmp(again, data, len) == 0);
	free(again);
	free(message);
	free(data);
	txd_pgp_reader_free(r);
	txd_pgp_writer_free(w);
	txd_pgp_free(pgp);
}

static void
test_pieces(void)
{
	static const size_t lengths[] = {0, 1, 5, 65529, 65530, 65531, 131000, 131066, 200000, 600000};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
	{
		check_pieces(lengths[i], 262144, 262144);
		check_pieces(lengths[i], 1000, 17);
		check_pieces(lengths[i], 65536, 4096);
	}
	check_pieces(3000, 1, 1);
}

/* The value of the only column of the last row, which is in the text form: \\x and digits. */
static const char *
shown_value(Rig *rig)
{
	static char plain[500];
	char sealed[500];
	size_t n = 0;
	size_t len = 0;
	TxdPgp *pgp = txd_pgp_new(KEY);

	CHECK(strncmp(rig->shown, "\\\\x", 3) == 0);
	for (const char *p = rig->shown + 3; sscanf(p, "%2hhx", (unsigned char *) &sealed[n]) == 1;
		 p += 2)
		n++;
	CHECK_INT(txd_pgp_open(pgp, sealed, n, plain, &len), TXD_PGP_OK);
	plain[len] = '\0';
	txd_pgp_free(pgp);
	return plain;
}

#define CHECK_VALUE(rig, text, want) (DECODE(rig, text), CHECK_STR(shown_value(rig), want))

static void
test_column(void)
{
	TxdColumn column = {.name = "c", .type = TXD_BYTEA, .convert = TXD_AS_ENCRYPTED};
	TxdSchema schema = {
		.format = TXD_JSON, .ncolumns = 1, .columns = &column, .encryption_keys = KEY};
	Rig rig;

	rig_open(&rig, &schema);
	CHECK_VALUE(&rig, "{\"c\": \"Ada \\u00fc\\n\"}", "Ada \xc3\xbc\n");
	CHECK_VALUE(&rig, "{\"c\": \"\"}", "");
	CHECK_VALUE(&rig, "{\"c\": 1.50}", "1.50");
	CHECK_VALUE(&rig, "{\"c\": true}", "true");
	CHECK_VALUE(&rig, "{\"c\": {\"a\":  [1]}}", "{\"a\":  [1]}");
	CHECK_ROW(&rig, "{\"c\": null}", "\\N");
	CHECK_ROW(&rig, "{}", "\\N");
	rig_close(&rig);
	column.source = TXD_FROM_REST;
	rig_open(&rig, &schema);
	CHECK_VALUE(&rig, "{\"c\": 1}", "{\"c\":1}");
	rig_close(&rig);
}

/* What a schema is refused for: the code and the column. */
static void
check_refused(const TxdSchema *schema, const char *code, const char *column)
{
	TxdError err = {0};
	TxdDecoder *d = txd_new(schema, &err);

	CHECK(d == NULL);
	txd_free(d);
	CHECK_STR(err.code, code);
	CHECK_STR(err.column, column);
}

static void
test_schema(void)
{
	TxdColumn columns[2] = {{.name = "c", .type = TXD_BYTEA, .convert = TXD_AS_ENCRYPTED},
							{.name = "rest", .type = TXD_JSONB, .source = TXD_FROM_REST}};
	TxdSchema schema = {.format = TXD_JSON, .ncolumns = 1, .columns = columns};

	check_refused(&schema, "bad_value", "c");
	schema.encryption_keys = "too short";
	check_refused(&schema, "bad_value", NULL);
	schema.encryption_keys = KEY;
	columns[0].type = TXD_STRING;
	check_refused(&schema, "wrong_type", "c");
	columns[0].type = TXD_BYTEA;
	columns[0].default_text = "x";
	check_refused(&schema, "bad_value", "c");
	columns[0].default_text = NULL;
	columns[0].source = TXD_FROM_OFFSET;
	check_refused(&schema, "bad_value", "c");
	columns[0].source = TXD_FROM_FIELD;
	schema.ncolumns = 2;
	check_refused(&schema, "bad_value", "rest");
	columns[1].source = TXD_FROM_VALUE;
	check_refused(&schema, "bad_value", "rest");
	columns[0].source = columns[1].source = TXD_FROM_KEY;
	check_refused(&schema, "bad_value", "rest");
	columns[0].source = columns[1].source = TXD_FROM_FIELD;
	columns[0].paths = (const char *[]){"id", "who.mail.address"};
	columns[0].npaths = 2;
	columns[1].paths = (const char *[]){"who.mail"};
	columns[1].npaths = 1;
	check_refused(&schema, "bad_value", "rest");
	columns[1].name = "who";
	columns[1].npaths = 0;
	check_refused(&schema, "bad_value", "who");
}

/* With keys no refusal shows a value. */
static void
test_discreet(void)
{
	TxdColumn column = {.name = "c", .type = TXD_INT4};
	TxdSchema schema = {.format = TXD_JSON, .ncolumns = 1, .columns = &column};
	Rig rig;

	rig_open(&rig, &schema);
	DECODE(&rig, "{\"c\": \"Ada\"}");
	CHECK_MESSAGE(&rig, "Ada");
	rig_close(&rig);
	schema.encryption_keys = KEY;
	rig_open(&rig, &schema);
	DECODE(&rig, "{\"c\": \"Ada\"}");
	CHECK_STR(rig.err.code, "bad_value");
	CHECK(strstr(rig.err.message, "Ada") == NULL);
	rig_close(&rig);
}

int
main(void)
{
	test_keys();
	test_lengths();
	test_damage();
	test_rotation();
	test_chance();
	test_pieces();
	test_column();
	test_schema();
	test_discreet();
	return check_done("openpgp");
}
