/*
 * test_json_write.c — numbers as JSON are the shortest that read back as the same, as printf and strtod find them; texts of any
 * bytes read back.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "decode/json.h"
#include "decode/json_write.h"

#define NUMBERS 200000

static uint64_t state = 88172645463325252;

static uint64_t
draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

/* What a person would write down, any bits at all, and quotients without end. */
static double
draw_number(int kind)
{
	uint64_t bits = draw();
	double v;

	if (kind == 0)
		return (double) (bits % (uint64_t) pow(10, 1 + (double) (draw() % 15))) /
			   pow(10, (double) (draw() % 12));
	if (kind == 1)
		return (double) (bits % 1000000000) / (double) (1 + draw() % 1000000);
	memcpy(&v, &bits, sizeof(v));
	return v;
}

/* Whole numbers of up to 15 digits are written out, others to the digits that their type always keeps, or as many as it takes. */
static void
print_number(double v, bool is_float, char *text, size_t size)
{
	if (fabs(v) < 1e15 && v == floor(v))
	{
		snprintf(text, size, "%.0f", v);
		return;
	}
	for (int digits = is_float ? 6 : 15; digits <= 17; digits++)
	{
		snprintf(text, size, "%.*g", digits, v);
		if (is_float ? strtof(text, NULL) == (float) v : strtod(text, NULL) == v)
			return;
	}
}

/* Without sign, point, exponent, and the zeros that only say where the point is. */
static void
keep_digits(char *text)
{
	size_t n = 0;

	for (const char *p = text; *p != '\0' && *p != 'e'; p++)
		if (*p >= '0' && *p <= '9' && (n > 0 || *p != '0'))
			text[n++] = *p;
	while (n > 0 && text[n - 1] == '0')
		n--;
	text[n] = '\0';
}

static void
check_number(double v, bool is_float)
{
	TxdBuf json = {0};
	char given[60];
	char wanted[60];

	print_number(v, is_float, wanted, sizeof(wanted));
	txd_write_real(&json, v, is_float);
	snprintf(given, sizeof(given), "%.*s", (int) json.len, json.data);
	CHECK(is_float ? strtof(given, NULL) == (float) v : strtod(given, NULL) == v);
	keep_digits(given);
	keep_digits(wanted);
	CHECK_STR(given, wanted);
	txd_buf_free(&json);
}

static void
test_numbers(void)
{
	static const double edges[] = {
		0.1,   1e-4,       9.9e-5,   999999999999999.9,      0.123456789, 0.1234567891, 241.97,
		-0.5,  1e15 + 0.5, 5e-324,   1.7976931348623157e308, 16777217,    0.3,          2.675,
		1.005, 123456.7,   1234567.8};

	for (size_t i = 0; i < sizeof(edges) / sizeof(*edges); i++)
	{
		check_number(edges[i], false);
		if (isfinite((float) edges[i]))
			check_number((float) edges[i], true);
	}
	for (int i = 0; i < NUMBERS; i++)
	{
		bool is_float = i % 2 == 1;
		double v = draw_number(i % 3);

		v = is_float ? (float) v : v;
		if (isfinite(v))
			check_number(v, is_float);
	}
}

static void
check_text(const char *text, size_t len)
{
	TxdBuf json = {0};
	TxdBuf back = {0};
	TxdError err = {0};
	bool nul = memchr(text, '\0', len) != NULL;

	txd_write_quoted(&json, text, len);
	CHECK(txd_json_valid(json.data, json.len, false, &err));
	CHECK_INT(txd_json_unescape(json.data + 1, json.len - 2, &back), !nul);
	if (!nul)
	{
		CHECK_INT(back.len, len);
		CHECK(len == 0 || memcmp(back.data, text, len) == 0);
	}
	txd_buf_free(&json);
	txd_buf_free(&back);
}

/* Each byte of ASCII at each place of a text that is longer than two words. */
static void
test_texts(void)
{
	char text[20];

	check_text("", 0);
	for (int c = 0; c < 0x80; c++)
		for (size_t at = 0; at < sizeof(text); at++)
		{
			memset(text, 'x', sizeof(text));
			text[at] = (char) c;
			check_text(text, sizeof(text));
			memset(text, c, at);
			check_text(text, at);
		}
	check_text("h\xc3\xa9\"\\\xf0\x9f\x92\xa9\n", 11);
}

int
main(void)
{
	test_numbers();
	test_texts();
	return check_done("test_json_write");
}
