/*
 * check.h — the few assertions the decoder's unit tests need.
 *
 * A failed check prints where and what and goes on; check_done prints the last line and gives the
 * program's exit status.
 */
#ifndef TXD_CHECK_H
#define TXD_CHECK_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int check_passed;
static int check_failed;

static inline bool
check_that(bool ok, const char *file, int line, const char *what)
{
	if (ok)
		check_passed++;
	else
	{
		check_failed++;
		fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
	}
	return ok;
}

static inline void
check_int(long long got, long long want, const char *file, int line, const char *what)
{
	if (!check_that(got == want, file, line, what))
		fprintf(stderr, "    got %lld, want %lld\n", got, want);
}

static inline void
check_str(const char *got, const char *want, const char *file, int line, const char *what)
{
	if (!check_that(strcmp(got ? got : "(null)", want ? want : "(null)") == 0, file, line, what))
		fprintf(stderr, "    got  %s\n    want %s\n", got ? got : "(null)", want ? want : "(null)");
}

/* Compares bytes with their lower-case hexadecimal spelling. */
static inline void
check_hex(const void *bytes, size_t len, const char *want, const char *file, int line,
		  const char *what)
{
	const unsigned char *p = bytes;
	bool ok = strlen(want) == 2 * len;

	for (size_t i = 0; ok && i < len; i++)
	{
		char hex[3];

		snprintf(hex, sizeof(hex), "%02x", p[i]);
		ok = memcmp(hex, want + 2 * i, 2) == 0;
	}
	if (check_that(ok, file, line, what))
		return;
	fprintf(stderr, "    got  ");
	for (size_t i = 0; i < len; i++)
		fprintf(stderr, "%02x", p[i]);
	fprintf(stderr, "\n    want %s\n", want);
}

#define CHECK(cond) check_that((cond), __FILE__, __LINE__, #cond)
#define CHECK_INT(got, want) check_int((got), (want), __FILE__, __LINE__, #got)
#define CHECK_STR(got, want) check_str((got), (want), __FILE__, __LINE__, #got)
#define CHECK_HEX(bytes, len, want) check_hex((bytes), (len), (want), __FILE__, __LINE__, #bytes)

/* Prints the line that test runners read; what main returns. */
static inline int
check_done(const char *name)
{
	printf("%s: %d passed, %d failed\n", name, check_passed, check_failed);
	return check_failed == 0 ? 0 : 1;
}

/* Bytes as they are written in cases; returns how many. */
static inline size_t
from_hex(const char *hex, char *bytes)
{
	size_t n = 0;

	for (; hex[0] != '\0'; hex += 2, n++)
	{
		unsigned v;

		sscanf(hex, "%2x", &v);
		bytes[n] = (char) v;
	}
	return n;
}

#endif
