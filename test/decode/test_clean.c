/*
 * test_clean.c — the conversions named in a column mapping.
 */
#include "check.h"
#include "rig.h"

#include "decode/clean.h"
#include "decode/hmac.h"

/* The cleaned text, "NULL", or the error's code. */
static const char *
clean(TxdConvert convert, const char *text)
{
	static char shown[200];
	TxdColumn column = {.name = "c", .type = TXD_STRING, .convert = convert};
	TxdBuf scratch = {NULL, 0, 0};
	TxdError err = {0};
	size_t len = strlen(text);

	if (!txd_clean(&column, &text, &len, &scratch, &err))
	{
		CHECK_STR(err.column, "c");
		snprintf(shown, sizeof(shown), "%s", err.code);
	}
	else
		snprintf(shown, sizeof(shown), "%.*s", text != NULL ? (int) len : 4,
				 text != NULL ? text : "NULL");
	txd_buf_free(&scratch);
	return shown;
}

static void
test_whole(void)
{
	CHECK_STR(clean(TXD_AS_WHOLE, "2"), "2");
	CHECK_STR(clean(TXD_AS_WHOLE, "2.0"), "2");
	CHECK_STR(clean(TXD_AS_WHOLE, "2."), "2");
	CHECK_STR(clean(TXD_AS_WHOLE, "-3.00"), "-3");
	CHECK_STR(clean(TXD_AS_WHOLE, " 85469.0 "), "85469");
	CHECK_STR(clean(TXD_AS_WHOLE, "007.0"), "007");
	CHECK_STR(clean(TXD_AS_WHOLE, "2.5"), "bad_value");
	CHECK_STR(clean(TXD_AS_WHOLE, "2.01"), "bad_value");
	CHECK_STR(clean(TXD_AS_WHOLE, ".0"), "bad_value");
	CHECK_STR(clean(TXD_AS_WHOLE, ""), "bad_value");
	CHECK_STR(clean(TXD_AS_WHOLE, "-"), "bad_value");
	CHECK_STR(clean(TXD_AS_WHOLE, "2e1"), "bad_value");
	CHECK_STR(clean(TXD_AS_WHOLE, "2.0.0"), "bad_value");
	CHECK_STR(clean(TXD_AS_WHOLE, "two"), "bad_value");
}

static void
test_email(void)
{
	static const char *const junk[] = {"#4r", ";", "\\", "'", "\"",    "m",
									   "",    "*", ")x", "|", " .com", ".com"};
	char text[100];

	for (size_t i = 0; i < sizeof(junk) / sizeof(junk[0]); i++)
	{
		snprintf(text, sizeof(text), "ada.stone@outlook.com%s", junk[i]);
		CHECK_STR(clean(TXD_AS_EMAIL, text), "ada.stone@outlook.com");
	}
	CHECK_STR(clean(TXD_AS_EMAIL, "  ada@yahoo.com\t"), "ada@yahoo.com");
	CHECK_STR(clean(TXD_AS_EMAIL, "ann.combs@gmail.comm"), "ann.combs@gmail.com");
	CHECK_STR(clean(TXD_AS_EMAIL, "Ada@GMAIL.COM;"), "Ada@GMAIL.COM");
	CHECK_STR(clean(TXD_AS_EMAIL, "ada.com;"), "ada.com");
	CHECK_STR(clean(TXD_AS_EMAIL, "ada@example.org;"), "ada@example.org;");
	CHECK_STR(clean(TXD_AS_EMAIL, "ada@x.co"), "ada@x.co");
	CHECK_STR(clean(TXD_AS_EMAIL, "  "), "NULL");
	CHECK_STR(clean(TXD_AS_EMAIL, ""), "NULL");
}

static void
check_address(const char *text, const char *street, const char *city, const char *state,
			  const char *postal_code)
{
	CHECK_STR(clean(TXD_AS_STREET, text), street);
	CHECK_STR(clean(TXD_AS_CITY, text), city);
	CHECK_STR(clean(TXD_AS_STATE, text), state);
	CHECK_STR(clean(TXD_AS_POSTAL_CODE, text), postal_code);
}

static void
test_address(void)
{
	check_address("12 Elm Road/Salem/OR/01970", "12 Elm Road", "Salem", "OR", "01970");
	check_address("12 1/2 Elm Road/Salem/OR/97301", "12 1/2 Elm Road", "Salem", "OR", "97301");
	check_address("a/b/c/d/e/f", "a/b/c", "d", "e", "f");
	check_address("12 Elm Road//OR/97301", "12 Elm Road", "NULL", "OR", "97301");
	check_address("///", "NULL", "NULL", "NULL", "NULL");
	check_address("////", "/", "NULL", "NULL", "NULL");
	check_address(" 1 Elm Road / Salem /\tOR / 97301 ", "1 Elm Road", "Salem", "OR", "97301");
	check_address("12 Elm Road/Salem/97301", "bad_value", "bad_value", "bad_value", "bad_value");
	check_address("nowhere", "bad_value", "bad_value", "bad_value", "bad_value");
	check_address("", "bad_value", "bad_value", "bad_value", "bad_value");
}

static void
test_trim(void)
{
	CHECK_STR(clean(TXD_AS_TRIM, " \t a b \r\n"), "a b");
	CHECK_STR(clean(TXD_AS_TRIM, "a"), "a");
	CHECK_STR(clean(TXD_AS_TRIM, " "), "NULL");
	CHECK_STR(clean(TXD_AS_TRIM, ""), "NULL");
	CHECK_STR(clean(TXD_AS_IS, " a "), " a ");
}

static const char *
digest(const char *key, const char *text)
{
	static char hex[TXD_HMAC_HEX + 1];
	TxdHmac hmac;

	txd_hmac_init(&hmac, key, strlen(key));
	txd_hmac_hex(&hmac, text, strlen(text), hex);
	return hex;
}

/* RFC 4231 (cases 1, 2, 6, 7), and lengths on both sides of a block's end, by openssl dgst -sha256 -hmac. */
static void
test_hmac(void)
{
	static const struct
	{
		size_t len;
		const char *hex;
	} lengths[] = {
		{55, "8c651b04682b91cd68fbf9ac58caf787ffc03284547515d401f5e1c5601451b6"},
		{56, "d5cac94b0fd173ce3333b3b300b7f706664336f391dbcd8afa3a141163cdc2f3"},
		{63, "ccdb30c857bc39ebabfd505056b641af471e2fe8959d8c5fd910fa784fe07961"},
		{64, "5c33171380a475dce5d7e2172be298346bb4b8076016e057952de0317e15e370"},
		{65, "001f324f28338bbfb9116134359e172d04ab5ae9ca9375a568461f1d45041a8c"},
		{119, "09b310a9670e7d985ad85844a90fa9c704bcb70fe6a265ddee2b6e4c460b588a"},
		{120, "fac09481c05c27cc9cf1dc5419e7c67739b737cc51f9bd8ef53c1f1f4af5e6b6"},
		{128, "abaf2b9169897ef8c7bfa36a95b3ae983742a30af30fde40f2d606b91b9992c0"},
	};
	char key[132] = "";
	char text[200] = "";

	memset(key, 0x0b, 20);
	CHECK_STR(digest(key, "Hi There"),
			  "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	CHECK_STR(digest("Jefe", "what do ya want for nothing?"),
			  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, 131);
	CHECK_STR(digest(key, "Test Using Larger Than Block-Size Key - Hash Key First"),
			  "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	CHECK_STR(digest(key, "This is a test using a larger than block-size key and a larger than "
						  "block-size data. The key needs to be hashed before being used by the "
						  "HMAC algorithm."),
			  "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
	{
		memset(text, 'x', lengths[i].len);
		CHECK_STR(digest("key", text), lengths[i].hex);
	}
}

static void
test_pseudonym(void)
{
	TxdColumn column = {.name = "c", .type = TXD_STRING, .convert = TXD_AS_PSEUDONYM};
	TxdSchema schema = {.format = TXD_JSON, .ncolumns = 1, .columns = &column};
	TxdError err = {0};
	Rig rig;

	CHECK(txd_new(&schema, &err) == NULL);
	CHECK_STR(err.code, "bad_value");
	schema.key = "Jefe";
	column.type = TXD_INT8;
	CHECK(txd_new(&schema, &err) == NULL);
	CHECK_STR(err.code, "wrong_type");
	column.type = TXD_STRING;
	rig_open(&rig, &schema);
	CHECK_ROW(&rig, "{\"c\": \"what do ya want for nothing?\"}",
			  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	CHECK_ROW(&rig, "{\"c\": null}", "\\N");
	CHECK_INT(txd_fixed(rig.d)[0], 0);
	rig_close(&rig);
}

int
main(void)
{
	test_whole();
	test_email();
	test_address();
	test_trim();
	test_hmac();
	test_pseudonym();
	return check_done("clean");
}
