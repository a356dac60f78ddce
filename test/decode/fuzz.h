/*
 * fuzz.h — what a fuzz target promises: an input for which it does not hold ends the run, with the line.
 */
#ifndef TXD_FUZZ_H
#define TXD_FUZZ_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static inline void
fuzz_that(bool ok, const char *file, int line, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
	abort();
}

#define MUST(cond) fuzz_that((cond), __FILE__, __LINE__, #cond)

#endif
