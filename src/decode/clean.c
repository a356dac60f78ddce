/*
 * clean.c — conversions named in a column mapping ("as").
 */
#include <strings.h>

#include "clean.h"
#include "field.h"

static void
null_if_empty(const char **text, const size_t *len)
{
	if (*len == 0)
		*text = NULL;
}

/* 2, 2.0 and 2. become 2. */
static bool
clean_whole(const TxdColumn *column, const char **text, size_t *len, TxdError *err)
{
	const char *p;
	const char *end;
	const char *point;

	txd_trim(text, len);
	p = *text;
	end = p + *len;
	if (p < end && (*p == '-' || *p == '+'))
		p++;
	point = p;
	while (point < end && txd_is_digit(*point))
		point++;
	if (point > p)
	{
		const char *zero = point;

		if (zero < end && *zero == '.')
			for (zero++; zero < end && *zero == '0';)
				zero++;
		if (zero == end)
		{
			*len = point - *text;
			return true;
		}
	}
	return txd_refuse_value(err, "bad_value", column, "not a whole number", *text, *len);
}

/*
 * Junk follows the address's ".com". The search begins at the @, so that a name such as
 * ann.combs@… is not taken for it.
 */
static void
clean_email(const char **text, size_t *len)
{
	const char *end;
	const char *at;

	txd_trim(text, len);
	end = *text + *len;
	at = memchr(*text, '@', *len);
	for (const char *p = at != NULL ? at : *text; end - p >= 4; p++)
		if (strncasecmp(p, ".com", 4) == 0)
		{
			*len = p + 4 - *text;
			break;
		}
	null_if_empty(text, len);
}

/* street/city/state/postal code, split from the right: a street may contain slashes. */
static bool
clean_address(const TxdColumn *column, const char **text, size_t *len, TxdError *err)
{
	const char *end = *text + *len;
	int part = TXD_AS_POSTAL_CODE; /* the part that ends at `end` */

	for (const char *p = end; part > TXD_AS_STREET; part--)
	{
		while (p > *text && p[-1] != '/')
			p--;
		if (p == *text)
			return txd_refuse_value(err, "bad_value", column, "not street/city/state/postal code",
									*text, *len);
		if (part == (int) column->convert)
		{
			*text = p;
			break;
		}
		end = --p;
	}
	*len = end - *text;
	txd_trim(text, len);
	null_if_empty(text, len);
	return true;
}

bool
txd_clean(const TxdColumn *column, const char **text, size_t *len, TxdBuf *scratch, TxdError *err)
{
	(void) scratch; /* every conversion yields a part of its input */
	switch (column->convert)
	{
		case TXD_AS_WHOLE:
			return clean_whole(column, text, len, err);
		case TXD_AS_EMAIL:
			clean_email(text, len);
			return true;
		case TXD_AS_STREET:
		case TXD_AS_CITY:
		case TXD_AS_STATE:
		case TXD_AS_POSTAL_CODE:
			return clean_address(column, text, len, err);
		case TXD_AS_TRIM:
			txd_trim(text, len);
			null_if_empty(text, len);
			return true;
		case TXD_AS_IS:
		case TXD_AS_EPOCH_S:
		case TXD_AS_EPOCH_MS:
		case TXD_AS_EPOCH_US:
			break;
	}
	return true;
}
