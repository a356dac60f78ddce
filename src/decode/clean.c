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
	const char *slash[4] = {NULL, NULL, NULL, end}; /* where the four parts end */
	int part = (int) column->convert - TXD_AS_STREET;
	int n = 3;

	for (const char *p = end; n > 0 && p > *text; p--)
		if (p[-1] == '/')
			slash[--n] = p - 1;
	if (n > 0)
		return txd_refuse_value(err, "bad_value", column, "not street/city/state/postal code",
								*text, *len);
	if (part > 0)
		*text = slash[part - 1] + 1;
	*len = slash[part] - *text;
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
		case TXD_AS_PSEUDONYM:
		case TXD_AS_ENCRYPTED:
			break;
	}
	return true;
}
