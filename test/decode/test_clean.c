/*
 * test_clean.c — the conversions named in a column mapping.
 */
#include "check.h"

#include "decode/clean.h"

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

int
main(void)
{
	test_whole();
	test_email();
	test_address();
	test_trim();
	return check_done("clean");
}
