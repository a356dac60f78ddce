/*
 * partition_set.c — the option `partitions`: numbers and ranges of them, "0-3,7".
 */
#include "postgres.h"

#include "partition_set.h"

/* Kafka clusters have at most some hundred thousand partitions in all topics together. */
#define MAX_PARTITION 99999

static void
refuse(const char *text)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"partitions\": \"%s\"", text),
			 errhint("Write numbers and ranges of partitions from 0 to %d, such as \"0-3,7\".",
					 MAX_PARTITION)));
}

static int
read_number(const char **p, const char *text)
{
	int n = 0;

	if (**p < '0' || **p > '9')
		refuse(text);
	for (; **p >= '0' && **p <= '9'; (*p)++)
	{
		n = n * 10 + (**p - '0');
		if (n > MAX_PARTITION)
			refuse(text);
	}
	return n;
}

Bitmapset *
txp_partition_set(const char *text)
{
	Bitmapset *set = NULL;
	const char *p = text;

	while (*p != '\0')
	{
		int first = read_number(&p, text);
		int last = first;

		if (*p == '-')
		{
			p++;
			last = read_number(&p, text);
		}
		if (last < first)
			refuse(text);
		set = bms_add_range(set, first, last);
		if (*p == ',' && p[1] != '\0')
			p++;
		else if (*p != '\0')
			refuse(text);
	}
	return set;
}
